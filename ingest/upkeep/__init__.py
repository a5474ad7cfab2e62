"""The lake's files kept few and clean: compaction, clean-up, retirement of source objects."""
