"""Objects by key, in a folder or in S3, whole or absent; leases on them, and downloads."""
