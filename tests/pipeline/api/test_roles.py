"""Keys and tokens: each caller sees exactly what the releases of its role have."""

from __future__ import annotations

import base64
import datetime as dt
import json
from typing import Any

import jwt
import pytest

from ingest.errors import ConfigError
from ingest.settings import Settings
from pipeline.api.keys import Keys
from pipeline.releases.release import Releases
from pipeline.releases.roles import settings_of
from tests.pipeline.api.serving import KEYS, SECRET, Client, Server, World, entries

ROLES = {"boss": "", "ada": "analyst", "fin": "finance"}


def releases_of(made: World, role: str) -> Releases:
    return Releases(settings_of(made.options, role)) if role else made.releases


def token(**claims: Any) -> str:
    now = dt.datetime.now(dt.UTC)
    given = {"sub": "eva", "role": "analyst", "aud": "lake", "exp": now + dt.timedelta(minutes=5)}
    return jwt.encode({name: item for name, item in (given | claims).items() if item is not None}, SECRET, "HS256")


@pytest.mark.parametrize("name", KEYS)
def test_a_role_sees_exactly_what_its_release_has(keyed: Server, shared: World, name: str) -> None:
    client, releases = keyed.named(name), releases_of(shared, ROLES[name])
    release = releases.current()
    assert release is not None
    assert [table["name"] for table in client.get("/v1/tables").json["tables"]] == sorted(release.tables)
    with releases.connect() as reader:
        for table in shared.releases.get(1).tables:
            found = client.sql(f"SELECT * FROM {table} ORDER BY ALL")
            rows = client.get(f"/v1/tables/{table}/rows", limit=100_000)
            if table not in release.tables:
                assert (found.status, rows.status) == (400, 404)
                assert table not in {**found.json, "detail": ""}.values()
                continue
            wanted = reader.execute(f"SELECT * FROM {table} ORDER BY ALL").fetchall()
            assert len(found.json["rows"]) == len(rows.json["rows"]) == len(wanted) > 0
            shown = [tuple(None if item is None else str(item) for item in row.values()) for row in found.json["rows"]]
            if table == "gold.plays_daily":
                assert shown == [tuple(None if item is None else str(item) for item in row) for row in wanted]


def test_a_role_is_masked_filtered_and_without_other_metrics(keyed: Server) -> None:
    ada = keyed.named("ada")
    rows = ada.get("/v1/tables/gold.plays_daily/rows", limit=100).json["rows"]
    assert {(row["country_code"], row["device"]) for row in rows} == {("de", None)}
    names = [metric["name"] for metric in ada.get("/v1/metrics").json["metrics"]]
    assert "plays" in names
    assert "mrr" not in names
    assert ada.get("/v1/metrics/mrr/values", by="month").status == 404
    mine = ada.get("/v1/metrics/plays/values", by="country_code").json
    assert [row["country_code"] for row in mine["rows"]] == ["de"]
    all_of_it = keyed.named("boss").get("/v1/metrics/plays/values").json["totals"]["plays"]
    assert 0 < mine["totals"]["plays"] < all_of_it
    assert ada.get("/live/x").status == 403 or ada.get("/live/x").kind == "not-found"


def test_answers_of_roles_have_other_tags(keyed: Server) -> None:
    tags = {keyed.named(name).get("/v1/tables/gold.fees/rows").headers["etag"] for name in KEYS}
    assert len(tags) == len(KEYS)
    tag = keyed.named("boss").get("/v1/tables/gold.fees/rows").headers["etag"]
    assert keyed.named("fin").get("/v1/tables/gold.fees/rows", {"If-None-Match": tag}).status == 200


@pytest.mark.parametrize(
    "header",
    [
        *(None, "", "Bearer", "Bearer ", "Bearer x", "Basic x", "Basic !!!", f"Bearer {'x' * 9000}", "Negotiate abc"),
        *("bearer lake_boss-key-of-the-test", "Bearer lake_boss-key-of-the-tests2", "Bearer a.b.c", "Bearer ..."),
    ],
)
def test_who_has_no_key_sees_nothing(keyed: Server, header: str | None) -> None:
    for path in ("/v1/tables", "/portal/index.html", "/mcp", "/openapi.json", "/nope"):
        reply = Client(keyed.address).get(path, {"Authorization": header} if header is not None else {})
        assert (reply.status, reply.kind) == (401, "unauthenticated")
        assert reply.headers["www-authenticate"].startswith("Basic" if path.startswith("/portal") else "Bearer")
    assert Client(keyed.address).get("/healthz").status == 200


def test_a_browser_sends_the_key_as_password(keyed: Server) -> None:
    text = base64.b64encode(f"anybody:{KEYS['ada'][0]}".encode()).decode()
    tables = Client(keyed.address).get("/v1/tables", {"Authorization": f"Basic {text}"}).json["tables"]
    assert [table["name"] for table in tables] == ["gold.fees", "gold.plays_daily"]


def test_a_token_has_the_role_that_it_claims(keyed: Server) -> None:
    tables = Client(keyed.address, token()).get("/v1/tables").json["tables"]
    assert [table["name"] for table in tables] == ["gold.fees", "gold.plays_daily"]
    assert len(Client(keyed.address, token(role="*")).get("/v1/tables").json["tables"]) > 2


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_tokens_are_verified(keyed: Server) -> None:
    past = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    head, body, signature = token().split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    other = base64.urlsafe_b64encode(json.dumps(claims | {"role": "*"}).encode()).decode().rstrip("=")
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    refused = {
        "expired": token(exp=past),
        "without expiry": token(exp=None),
        "without subject": token(sub=None),
        "of another audience": token(aud="else"),
        "without audience": token(aud=None),
        "changed": f"{head}.{other}.{signature}",
        "unsigned": f"{none}.{other}.",
        "of another secret": jwt.encode(claims, "another secret that is long enough, too", "HS256"),
        "of another algorithm": jwt.encode(claims, SECRET, "HS512"),
    }
    for what, text in refused.items():
        assert Client(keyed.address, text).get("/v1/tables").status == 401, what
    for role in ("root", None, "", ["analyst"], {"a": 1}):
        reply = Client(keyed.address, token(role=role)).get("/v1/tables")
        assert reply.status == 403, role


def test_tokens_of_a_key_pair_are_verified_with_its_public_key() -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    pair = rsa.generate_private_key(65537, 2048)
    private = pair.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    public = (
        pair.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )
    options = Settings(lake_jwt_key=public.replace("\n", "\\n"), lake_jwt_algorithm="RS256")
    keys = Keys(options, ["analyst"])
    claims = {"sub": "eva", "role": "analyst", "exp": dt.datetime.now(dt.UTC) + dt.timedelta(minutes=1)}
    assert keys.caller(f"Bearer {jwt.encode(claims, private, 'RS256')}").role == "analyst"
    with pytest.raises(Exception, match="refused"):  # the public key as a shared secret
        keys.caller(f"Bearer {_hs256_with(public, claims)}")
    with pytest.raises(ConfigError, match="private key"):
        Keys(options.model_copy(update={"lake_jwt_key": private}), ["analyst"])


def _hs256_with(secret: str, claims: dict[str, Any]) -> str:
    import hashlib
    import hmac

    def part(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).decode().rstrip("=")

    payload = claims | {"exp": int(claims["exp"].timestamp())}
    head = part(json.dumps({"alg": "HS256"}).encode())
    text = f"{head}.{part(json.dumps(payload).encode())}"
    return f"{text}.{part(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest())}"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"lake_api_keys": "no"}, "no JSON"),
        ({"lake_api_keys": "[]"}, "JSON object"),
        ({"lake_api_keys": '{"a": "key"}'}, "new-key"),
        ({"lake_api_keys": '{"a": {"key": "plain", "role": "analyst"}}'}, "new-key"),
        ({"lake_api_keys": '{"a": {"sha256": "plain", "role": "analyst"}}'}, "64 hexadecimal"),
        ({"lake_api_keys": entries({"a": ("key", "root")})}, "its roles are analyst"),
        ({"lake_jwt_key": "short"}, "at least 32"),
        ({"lake_jwt_key": "x" * 40, "lake_jwt_algorithm": "RS256"}, "PEM"),
    ],
)
def test_wrong_settings_are_refused_at_start(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Keys(Settings(**settings), ["analyst"])
