"""Numbers with a peer in the same run. Each module is a command; results and their conditions are in README.md."""
