"""The steps of a load, from a listing of the landing to a committed ledger entry."""
