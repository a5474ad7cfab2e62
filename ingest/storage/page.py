"""One page of a listing of S3, with the exact keys of the store."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes
from xml.etree import ElementTree

from ingest.text import printable

_NOT_XML = re.compile(
    rb"&#(?:x0*(?:[0-8bcef]|1[0-9a-f])|0*(?:[0-8]|1[124-9]|2[0-9]|3[01]));|[\x00-\x08\x0b\x0c\x0e-\x1f]", re.I
)
"""Characters that XML 1.0 forbids, but that a store which does not encode its keys sends anyway."""


@dataclass(frozen=True, slots=True)
class Page:
    """The objects and folders of a page.

    Attributes:
        keys: below the bucket's prefix; a byte that is not UTF-8 is a surrogate, as by `surrogateescape`.
        etags: without quotes; empty where the store returns none.
        sizes: bytes.
        modified_at: as returned by the store, ISO 8601.
        folders: below the bucket's prefix, with a trailing slash; only if requested.
        token: for the next page; None after the last one.
    """

    keys: list[str]
    etags: list[str]
    sizes: list[int]
    modified_at: list[str]
    folders: list[str]
    token: str | None


def parse_page(body: bytes, root_prefix: str) -> Page:
    """Parse a response to ListObjectsV2.

    Args:
        root_prefix: common prefix of all keys, which is removed.

    Raises:
        ElementTree.ParseError, ValueError: the response is invalid.
    """
    try:
        root = ElementTree.fromstring(body)
    except ElementTree.ParseError:
        root = ElementTree.fromstring(_NOT_XML.sub("\ufffd".encode(), body))
    space = root.tag[: root.tag.find("}") + 1]
    if root.tag != f"{space}ListBucketResult":
        raise ValueError(f"expected ListBucketResult, got {root.tag[:100]}")
    is_encoded = (root.findtext(f"{space}EncodingType") or "").lower() == "url"
    items = root.findall(f"{space}Contents")

    def texts(name: str) -> list[str]:
        found = [item.text or "" for item in root.iter(space + name)]
        return found if len(found) == len(items) else [item.findtext(space + name) or "" for item in items]

    def key(text: str) -> str:
        if is_encoded and ("%" in text or "+" in text):
            text = unquote_to_bytes(text.replace("+", " ")).decode("utf-8", "surrogateescape")
        if not text.startswith(root_prefix):
            raise ValueError(f"expected keys below {root_prefix}, got {printable(text[:100])}")
        return text[len(root_prefix) :]

    prefixes = [item.findtext(f"{space}Prefix") or "" for item in root.findall(f"{space}CommonPrefixes")]
    token = root.findtext(f"{space}NextContinuationToken")
    is_truncated = (root.findtext(f"{space}IsTruncated") or "").strip() == "true"
    if is_truncated and not token:
        raise ValueError("it is truncated, but has no continuation token")
    return Page(
        [key(text) for text in texts("Key")],
        [text.strip('"') for text in texts("ETag")],
        [int(text) for text in texts("Size")],
        texts("LastModified"),
        [key(text) for text in prefixes],
        token if is_truncated else None,
    )
