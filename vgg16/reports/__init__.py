"""Records become what people read: figures, sentences, the model card."""
