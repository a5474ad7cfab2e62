"""Change events in Debezium's envelopes: what each line is, and the row, the change and the order in it."""
