"""A model learns: phases, steps, devices, checkpoints, and what went wrong."""
