"""Whether a registered version is what is said of it: its lineage and its numbers, checked link by link."""
