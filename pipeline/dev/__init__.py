"""Development tools: sample data, a local S3 server."""
