"""The feeds' contracts, as YAML by domain, and what reads them."""
