"""Replacement of a contract's file by a new text, only if that is a valid contract."""

from __future__ import annotations

from pathlib import Path

from ingest.contracts.contract import Contract, load_contract


def write_contract(path: Path, text: str) -> Contract:
    """Write a contract's file, or replace it.

    Raises:
        ConfigError: the text is not a valid contract; a file that was there stays.
    """
    draft = path.with_suffix(".yaml.draft")
    draft.write_text(text, encoding="utf-8")
    try:
        contract = load_contract(draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return contract
