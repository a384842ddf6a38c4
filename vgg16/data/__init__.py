"""Images on their way from a source to a model: splits, publishing, picture files, batches."""
