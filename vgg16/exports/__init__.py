"""Models as files that run without this project, and the proof that they answer as the model does."""
