"""A study's report: comparisons, sentences, tables, figures, and the page they stand on."""
