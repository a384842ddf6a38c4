"""What we ask for: typed rows, settings, and the catalog that finds them. Needs no framework."""
