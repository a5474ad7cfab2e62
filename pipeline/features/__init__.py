"""Features as of a moment: what a release says of each row of a file of entities, joined as of the row's time."""
