"""A version's exported files: made and proven in a process of their own, and kept in the store."""
