"""Live numbers of the shop: a provisional overlay on the release, from topic and bronze, served on this machine."""
