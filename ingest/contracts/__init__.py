"""The feeds' contracts, as YAML by domain, and the code that reads them."""
