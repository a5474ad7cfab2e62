"""Who may see what: personal values are hidden."""
