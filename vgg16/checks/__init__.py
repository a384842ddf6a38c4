"""Whether a dataset is what it should be: facts of its images, expectations of the facts, and the Data Docs."""
