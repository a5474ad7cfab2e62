"""Back-ups of a lake: incremental copies elsewhere, what becomes of them after an erasure, and restoring them."""
