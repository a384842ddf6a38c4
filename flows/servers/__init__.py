"""Prefect servers as this project sets them up: the one of a laptop, and what a team's is given beside deployments."""
