"""The one door to MLflow: runs, registered models and their versions, the files of models."""
