"""Reports: what a release says about the last complete day or week, as a page that can be sent by mail."""
