"""What development needs: sample data, a local S3 server."""
