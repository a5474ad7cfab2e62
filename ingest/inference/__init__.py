"""What the records of a feed without a complete contract are like: fields, their types, keys and doubts."""
