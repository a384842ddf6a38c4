"""What is said of new pictures beside those that a model was judged on, as a page."""
