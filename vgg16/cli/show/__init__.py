"""Answers of commands as text for a person: a module for each kind of thing."""
