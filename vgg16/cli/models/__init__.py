"""Commands on registered models: judged, promoted, and put to work."""
