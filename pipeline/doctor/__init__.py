"""What a lake needs of its surroundings, each checked by itself, with a next step where it lacks: `lake doctor`."""
