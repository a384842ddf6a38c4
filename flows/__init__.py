"""The flows and the command line: the only place that knows Prefect and the environment."""
