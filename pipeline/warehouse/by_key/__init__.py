"""Tables whose rows follow from all versions of a key: only changed keys are computed (docs/decisions/0018)."""
