"""Process-level concerns of every command: signals, failure containment, secrets, Postgres sessions and terminals."""
