"""Values that one step of an ingest hands to the next. They hold data and access no store."""
