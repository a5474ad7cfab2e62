"""Keys of versions."""

from __future__ import annotations

import hashlib

from sqlmesh import Context

from tests.macros.test_money import value


def test_key_follows_from_identifier_and_start_of_validity(project: Context) -> None:
    expected = hashlib.md5(b"7|2026-02-01 00:00:00.5", usedforsecurity=False).hexdigest()
    assert value(project, "@VERSION_KEY(7::BIGINT, '2026-02-01 00:00:00.5'::TIMESTAMP)") == expected


def test_no_version_has_the_key_of_the_unknown_member(project: Context) -> None:
    assert value(project, "@VERSION_KEY(NULL::BIGINT, NULL::TIMESTAMP)") == "-1"
