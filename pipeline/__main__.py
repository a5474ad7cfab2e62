"""`python -m pipeline` runs `lake`."""

from pipeline.cli import main

main()
