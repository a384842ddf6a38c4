"""The page on labelled images that were scored: how good the model is there, and whether it still holds."""
