"""A team's servers on one machine: which there are, how their processes start and end."""
