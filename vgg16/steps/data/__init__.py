"""What becomes of data before anything learns: fetched, added, checked."""
