"""Rows become lines of text as wide as a terminal; without a terminal each row is one line. Nothing is printed here."""
