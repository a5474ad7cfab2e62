"""One cycle over the lake, and the command line `lake`."""
