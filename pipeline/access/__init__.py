"""Access to data: masking of personal values."""
