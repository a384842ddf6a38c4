"""Shadow mode: the challenger in Staging answers what the champion answered, unheard, and differences are counted."""
