"""Which objects were loaded, and which files show their rows."""
