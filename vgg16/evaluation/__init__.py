"""What a model answers, and how good that is: predictions, metrics, speed, corruptions."""
