"""Who calls: keys and tokens, and the role that each of them has."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import jwt

from ingest.errors import ConfigError
from ingest.settings import Settings
from pipeline.api.problems import Kind, Problem

EVERYTHING = "*"
"""The role of keys that read the release of everything."""
LEAST_SECRET = 32
"""Least number of bytes of a shared secret of tokens."""
_LONGEST = 8192
_HASH = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,62}")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls.

    Attributes:
        name: of the key, or subject of the token.
        role: whose release it reads; empty for the release of everything.
    """

    name: str
    role: str = ""


LOCAL = Caller("local")
"""Whoever is on this machine, while no key is configured."""


@dataclass(frozen=True, slots=True)
class _Key:
    name: str
    digest: bytes
    role: str


class Keys:
    """The keys and the verification of tokens that the settings name.

    Args:
        roles: names of the roles of the project.

    Raises:
        ConfigError: a setting is invalid.
    """

    def __init__(self, options: Settings, roles: Collection[str]) -> None:
        self._keys = _keys(options.lake_api_keys, roles)
        self._roles = frozenset(roles)
        self._algorithm = options.lake_jwt_algorithm
        self._audience, self._issuer = options.lake_jwt_audience, options.lake_jwt_issuer
        self._secret = _secret(options)

    @property
    def is_open(self) -> bool:
        """Whether nobody needs a key."""
        return not self._keys and not self._secret

    def caller(self, authorization: str | None) -> Caller:
        """Who sends a header Authorization: `Bearer` with a key or token, or `Basic` with it as password (browsers).

        Raises:
            Problem: nobody known.
        """
        if self.is_open:
            return LOCAL
        presented = _presented(authorization)
        found = None
        digest = hashlib.sha256(presented.encode("utf-8", "surrogateescape")).digest()
        for key in self._keys:  # all of them, so that the time tells nothing
            if hmac.compare_digest(key.digest, digest):
                found = Caller(key.name, key.role)
        if found is None and self._secret and presented.count(".") == 2:
            found = self._of_token(presented)
        if found is None:
            raise _unknown("the key is not known here; ask who runs this server for one")
        return found

    def _of_token(self, token: str) -> Caller:
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._secret,
                algorithms=[self._algorithm],
                audience=self._audience or None,
                issuer=self._issuer or None,
                options={"require": ["exp", "sub"], "verify_aud": bool(self._audience)},
            )
        except (jwt.PyJWTError, ValueError, UnicodeError, TypeError) as error:
            raise _unknown(f"the token is refused ({type(error).__name__}); get a new one") from None
        role, subject = claims.get("role"), claims["sub"]
        if role == EVERYTHING:
            role = ""
        elif not isinstance(role, str) or role not in self._roles:
            raise Problem(Kind.FORBIDDEN, "the token's claim `role` is none of this project; ask who issues tokens")
        return Caller(f"token:{str(subject)[:60]}", role)


def new_key() -> tuple[str, str]:
    """A new key, and its hash for LAKE_API_KEYS."""
    key = f"lake_{secrets.token_urlsafe(32)}"
    return key, hashlib.sha256(key.encode()).hexdigest()


def _presented(authorization: str | None) -> str:
    scheme, _, value = (authorization or "").strip().partition(" ")
    value = value.strip()
    if not value or len(value) > _LONGEST:
        raise _unknown("send the header `Authorization: Bearer KEY`")
    if scheme.lower() == "bearer":
        return value
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
        except ValueError:
            pass
    raise _unknown("send the header `Authorization: Bearer KEY`")


def _unknown(detail: str) -> Problem:
    return Problem(Kind.UNAUTHENTICATED, detail, {"WWW-Authenticate": 'Bearer realm="lakemesh"'})


def _keys(text: str, roles: Collection[str]) -> tuple[_Key, ...]:
    expected = 'expected a JSON object as {"name": {"sha256": "…", "role": "analyst"}}'
    try:
        found = json.loads(text or "{}")
    except ValueError:
        raise ConfigError(f"LAKE_API_KEYS: no JSON; {expected}") from None
    if not isinstance(found, dict):
        raise ConfigError(f"LAKE_API_KEYS: {expected}")
    keys = []
    for name, entry in found.items():
        if not _NAME.fullmatch(name) or not isinstance(entry, dict) or set(entry) != {"sha256", "role"}:
            raise ConfigError(f"LAKE_API_KEYS: entry '{name}': {expected}; `lake serve --new-key` makes a key")
        digest, role = entry["sha256"], entry["role"]
        if not isinstance(digest, str) or not _HASH.fullmatch(digest):
            raise ConfigError(
                f"LAKE_API_KEYS: sha256 of '{name}' is no hash; expected 64 hexadecimal digits, as "
                "`lake serve --new-key` prints them"
            )
        if role != EVERYTHING and role not in roles:
            names = ", ".join(sorted(roles)) or "none"
            raise ConfigError(
                f"LAKE_API_KEYS: role '{role}' of '{name}' is not in access/roles.yaml; its roles are {names}; "
                f"'{EVERYTHING}' is the release of everything"
            )
        keys.append(_Key(name, bytes.fromhex(digest), "" if role == EVERYTHING else role))
    return tuple(keys)


def _secret(options: Settings) -> str:
    """What verifies tokens; empty if none are accepted."""
    key = options.lake_jwt_key.replace("\\n", "\n")
    if not key:
        return ""
    if options.lake_jwt_algorithm == "HS256":
        if len(key.encode()) < LEAST_SECRET:
            raise ConfigError(f"LAKE_JWT_KEY: expected at least {LEAST_SECRET} bytes for HS256")
        if "-----BEGIN" in key:
            raise ConfigError("LAKE_JWT_KEY: a PEM key is for RS256; set LAKE_JWT_ALGORITHM=RS256")
        return key
    try:
        jwt.get_algorithm_by_name("RS256").prepare_key(key)
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise ConfigError(f"LAKE_JWT_KEY: no public key in PEM for RS256 ({type(error).__name__})") from None
    if "PRIVATE KEY" in key:
        raise ConfigError("LAKE_JWT_KEY: a private key; give this server the public one, which verifies tokens")
    return key
