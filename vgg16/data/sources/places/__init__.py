"""Where a person's files lie: folders, archives, prefixes of S3, and several of them, listed and read alike."""
