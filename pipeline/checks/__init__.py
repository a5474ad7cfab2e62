"""What a lake tells about itself: verification, lineage of records, status."""
