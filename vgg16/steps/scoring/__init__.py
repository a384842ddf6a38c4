"""Every picture of a source is answered by a model, into one file: listed, decoded beside computing, kept in parts, and
put together where all of them are there."""
