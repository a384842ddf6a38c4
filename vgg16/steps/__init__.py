"""What each step of a chain does, without Prefect: the body of the task of its name."""
