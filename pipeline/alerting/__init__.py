"""Who is notified when something is wrong."""
