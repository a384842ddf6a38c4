"""Near-duplicates: pictures of one shot, however they were resaved, shifted, mirrored or cropped."""
