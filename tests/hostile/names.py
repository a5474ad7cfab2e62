"""Names that objects may have: each pattern gets a number in place of `{}`, and every test of names reads this list."""

LOADABLE = (
    "{}",
    "with spaces  {}",
    "'quoted' \"twice\" {}",
    "[/red]{}",
    "[bold]x[/bold] {}",
    "percent%20and 100% {}",
    "plus+and&a=b?{}",
    "$HOME `id` $(id) {}",
    "-rf {}",
    "star*{}",
    "back\\slash{}",
    "{{date:%Y}}{}",
    "~tilde^caret|pipe;semi<{}>",
    "comma,colon:{}",
    "hash#x{}",
    "...dots {}. ",
    "ünïcödé {}",
    "e\u0301 decomposed {}",
    "日本語{}",
    "emoji 😀 {}",
    "no\u00a0break {}",
    "right to left \u202e{}",
    "\ufeffbyte order mark {}",
)
"""Names that every store accepts, and whose objects load like any others."""
