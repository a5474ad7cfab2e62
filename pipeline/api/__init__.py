"""One read-only server over the current release: tables, metrics, SQL and pages over HTTP, and tools for agents."""
