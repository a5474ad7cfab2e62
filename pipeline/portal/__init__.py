"""The portal: pages of every release, as static files beside its data."""
