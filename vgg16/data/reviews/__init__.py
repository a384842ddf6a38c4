"""What people decided on images of a dataset: kept by the images' digests, honoured by its later versions."""
