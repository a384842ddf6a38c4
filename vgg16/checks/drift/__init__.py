"""Whether new pictures are like those that a model was judged on: with a budget of false alarms."""
