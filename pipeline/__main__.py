"""`python -m pipeline` is `lake`."""

from pipeline.cli import main

main()
