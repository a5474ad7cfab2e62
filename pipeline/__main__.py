"""`python -m pipeline` runs `lake`."""

from pipeline.cli import program

program()
