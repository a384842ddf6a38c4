"""What is in production: the gates, the ledger, and the registry that follows it."""
