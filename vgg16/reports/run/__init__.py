"""A run's report: one page that says how well a network does, where it errs, and what to do next."""
