"""The kinds of storage, by the scheme of their addresses. A new kind is a module of its own and a line here."""

from __future__ import annotations

from pathlib import Path

FOLDER = ""
KINDS = {
    FOLDER: "ingest.storage.kinds.disk",
    "s3": "ingest.storage.kinds.s3",
}
"""The module of each kind, imported when a store of that kind is opened. Its `KIND` is a subclass of `Kind`."""


def scheme_of(address: str) -> str:
    """Return the scheme of an address; FOLDER for a path.

    >>> scheme_of("s3://lake/x"), scheme_of("/lake/x")
    ('s3', '')
    """
    scheme, found, _ = address.partition("://")
    return scheme if found else FOLDER


def is_remote(address: str) -> bool:
    """Whether an address names a store other than a folder."""
    return scheme_of(address) in KINDS.keys() - {FOLDER}


def remote_schemes() -> str:
    """Return the schemes of all stores other than folders, for messages."""
    return " or ".join(f"{scheme}://" for scheme in KINDS if scheme)


def absolute(address: str, base: Path) -> str:
    """Return the address of a store without a trailing slash, and that of a folder as an absolute path.

    Args:
        base: the folder that relative paths start from.

    Raises:
        ValueError: the address is empty, has an unknown scheme, or names no bucket.
    """
    scheme = scheme_of(address)
    expected = " or ".join(["a folder", *(f"{known}://bucket[/prefix]" for known in KINDS if known)])
    if scheme == "file":
        return address.removeprefix("file://")
    if scheme not in KINDS:
        raise ValueError(f"'{address}' has the scheme '{scheme}'; expected {expected}")
    if scheme == FOLDER:
        if not address.strip():
            raise ValueError(f"is empty; expected {expected}")
        return str(base / Path(address).expanduser())
    if not address.removeprefix(f"{scheme}://").strip("/"):
        raise ValueError(f"'{address}' names no bucket; expected {scheme}://bucket[/prefix]")
    return address.rstrip("/")
