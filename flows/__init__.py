"""The flows: what knows Prefect."""
