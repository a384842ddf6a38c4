"""A study: its run in MLflow, what its report is made of, and the report."""
