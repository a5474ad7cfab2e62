"""The ledger: which objects were loaded, and which files contain their visible rows."""
