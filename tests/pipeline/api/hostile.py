"""Random hostile requests: statements, paths, headers, tokens and bodies, from a seed."""

from __future__ import annotations

import base64
import json
import random
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

FILES = ("/etc/passwd", "../../../../etc/passwd", "file:///etc/passwd", "s3://x/y.parquet", "current.json")
READERS = (
    "read_text",
    "read_blob",
    "read_csv_auto",
    "read_parquet",
    "read_json",
    "glob",
    "parquet_schema",
    "sniff_csv",
)
OTHERS = ("duckdb_settings", "duckdb_secrets", "duckdb_views", "pragma_database_list", "sqlite_master", "query")
WRITES = (
    *("COPY (SELECT 1) TO '{file}'", "COPY gold.fees TO '{file}' (FORMAT parquet)", "EXPORT DATABASE '{file}'"),
    *("ATTACH '{file}' AS x", "CREATE TABLE x AS FROM gold.fees", "CREATE OR REPLACE VIEW gold.fees AS SELECT 1"),
    *("INSERT INTO gold.fees VALUES (1)", "DELETE FROM gold.fees", "UPDATE gold.fees SET fees = 0", "DROP SCHEMA gold"),
    *(
        "SET enable_external_access = true",
        "SET lock_configuration = false",
        "RESET memory_limit",
        "PRAGMA threads = 9",
    ),
    *(
        "INSTALL httpfs",
        "LOAD '{file}'",
        "CALL force_checkpoint()",
        "VACUUM",
        "CHECKPOINT",
        "DETACH lake",
        "USE memory",
    ),
    *("PREPARE p AS SELECT 1", "EXPLAIN ANALYZE SELECT 1", "BEGIN TRANSACTION", "FROM query('{file}')"),
)
READS = (
    *("SELECT * FROM {reader}('{file}')", "FROM '{file}'", 'SELECT * FROM "{file}"', "FROM {other}()", "FROM {other}"),
    *("SELECT getvariable('{file}')", "SELECT current_setting('{other}')", "FROM information_schema.{other}"),
    *("FROM gold.themes AT (VERSION => 1), {reader}('{file}')", "FROM memory.main.{other}"),
)
WRAPS = (
    "{sql}",
    "{sql} -- SELECT 1",
    "/* SELECT 1 */ {sql}",
    "SELECT 1; {sql}",
    "{sql}; SELECT 1",
    "WITH a AS ({sql}) SELECT * FROM a",
    "WITH a AS (WITH b AS ({sql}) FROM b) FROM a",
    "SELECT * FROM ({sql})",
    "SELECT (SELECT COUNT(*) FROM ({sql}))",
    "SELECT 1 WHERE EXISTS ({sql})",
    "SELECT 1 UNION ALL ({sql})",
    "SELECT list_transform([1], x -> ({sql}))",
    "WITH RECURSIVE r AS (SELECT 1 AS x UNION ALL ({sql})) FROM r",
    "EXPLAIN {sql}",
    "DESCRIBE {sql}",
    "(({sql}))",
    "SELECT * FROM gold.fees, LATERAL ({sql})",
    "FROM gold.fees QUALIFY ROW_NUMBER() OVER (ORDER BY ({sql})) = 1",
)
PATHS = (
    *("/v1/tables/{x}", "/v1/tables/{x}/rows", "/v1/metrics/{x}", "/v1/metrics/{x}/values", "/portal/{x}", "/live/{x}"),
    *("/{x}", "/v1/{x}", "/portal/app/{x}", "/portal/../{x}", "/mcp/{x}", "//{x}", "/v1/query/{x}"),
)
PIECES = (
    *("..", "../..", "..%2f..%2fcurrent.json", "%00", "\u202e", "%ff%fe", "states", "gold.fees;DROP", "' OR 1=1 --"),
    *("%2e%2e/%2e%2e", "....//....//", "C:\\x", "a" * 300, "%0d%0aSet-Cookie:x", "{{7*7}}", "<script>", "~root", "*"),
    *(".env", "role.json", "gold.fees/rows/..", "null", "%c0%ae%c0%ae", "\u0000"),
)


@dataclass(frozen=True)
class Attack:
    """A request that must be refused."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


def attacks(seed: int, count: int) -> Iterator[Attack]:
    """Attacks of all kinds."""
    dice = random.Random(seed)
    kinds = (_statement, _statement, _statement, _path, _path, _parameter, _body, _token, _header, _method, _tool)
    for _ in range(count):
        yield dice.choice(kinds)(dice)


def _sql(dice: random.Random) -> str:
    form = dice.choice((*WRITES, *READS))
    file = dice.choice(FILES) + dice.choice(("", "", "'--", "\\"))
    sql = form.format(file=file.replace("'", "''"), reader=dice.choice(READERS), other=dice.choice(OTHERS))
    for _ in range(dice.choice((0, 1, 1, 2, 3))):
        sql = dice.choice(WRAPS).replace("{sql}", sql)
    if dice.random() < 0.3:
        sql = "".join(letter.upper() if dice.random() < 0.5 else letter for letter in sql)
    if dice.random() < 0.2:
        sql = sql.replace(" ", dice.choice(("\n", "\t", "/**/", " /* ; */ ", "\u00a0")))
    return sql


def _statement(dice: random.Random) -> Attack:
    return _query({"sql": _sql(dice)})


def _query(value: object, **headers: str) -> Attack:
    body = json.dumps(value).encode()
    return Attack("POST", "/v1/query", {"Content-Type": "application/json", **headers}, body)


def _path(dice: random.Random) -> Attack:
    piece = "/".join(dice.choice(PIECES) for _ in range(dice.choice((1, 1, 2, 3))))
    path = dice.choice(PATHS).replace("{x}", piece)
    return Attack("GET", quote(path, safe="/%.~*:;=-_")[:3000])


def _parameter(dice: random.Random) -> Attack:
    names = ("columns", "where", "order", "cursor", "format", "limit")
    values = (
        *(_sql(dice), "fees; DROP", 'fees" FROM x --', "1=1", "(SELECT 1)", "-1", "1e9", "NaN", "\x00", "a" * 5000),
        base64.urlsafe_b64encode(json.dumps([1, "x", ["'"], dice.choice((-1, 2**70, "a", None))]).encode()).decode(),
    )
    name, value = dice.choice(names), dice.choice(values)
    return Attack("GET", f"/v1/tables/gold.fees/rows?{name}={quote(value)}&where=zzz{dice.randrange(9)}=1")


def _body(dice: random.Random) -> Attack:
    bodies: tuple[bytes, ...] = (
        *(b"", b"{", b"null", b"[]", b'{"sql": 1}', b'{"sql": "SELECT 1", "role": "*"}', b"\xff\xfe", b'{"sql": ""}'),
        *(b"[" * 5000, b'{"sql": "' + b"x" * 70_000 + b'"}', b'{"sql": "SELECT 1\\u0000"}', b'{"sql":"\\ud800"}'),
        json.dumps({"sql": "SELECT " + "(SELECT " * dice.randrange(200, 900) + "1"}).encode(),
    )
    kind = dice.choice(("application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"))
    return Attack("POST", "/v1/query", {"Content-Type": kind}, dice.choice(bodies))


def _token(dice: random.Random) -> Attack:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    head = {"alg": dice.choice(("none", "HS256", "RS256", "HS512", "", "ES256")), "typ": "JWT"}
    head |= dice.choice(({}, {"kid": "../../etc/passwd"}, {"jku": "http://127.0.0.1:1/"}, {"crit": ["exp"]}))
    claims = {"sub": dice.choice(("a", 1, None)), "role": dice.choice(("*", "analyst", ["*"])), "exp": 1 << 33}
    noise = "".join(dice.choices(string.ascii_letters + string.digits + "._-", k=dice.randrange(1, 60)))
    token = dice.choice(
        (f"{part(head)}.{part(claims)}.{noise}", f"{part(head)}.{part(claims)}.", noise, f"lake_{noise}")
    )
    return Attack("GET", "/v1/tables", {"Authorization": f"{dice.choice(('Bearer', 'bearer', 'Basic'))} {token}"})


def _header(dice: random.Random) -> Attack:
    headers = dice.choice(
        (
            {"Host": "attacker.example", "Authorization": "Bearer x"},
            {"Accept": "text/html;q=2, image/*"},
            {"Accept": "application/" + "x" * 3000},
            {"X-Forwarded-For": "127.0.0.1", "Authorization": "Basic ==="},
            {"Content-Length": "99999999999", "Authorization": "Bearer x"},
            {"Authorization": "Bearer " + "x" * 10_000},
        )
    )
    return Attack("GET", "/v1/tables/gold.fees/rows", headers)


def _method(dice: random.Random) -> Attack:
    path = dice.choice(("/v1/tables", "/v1/tables/gold.fees/rows", "/portal/index.html", "/v1/release", "/healthz"))
    return Attack(dice.choice(("PUT", "DELETE", "PATCH", "POST", "OPTIONS", "TRACE", "PROPFIND")), path, {}, b"{}")


def _tool(dice: random.Random) -> Attack:
    """A call of a tool outside its schema, or of none: errors of the protocol, or of HTTP."""
    value = dice.choice(({"jsonrpc": "1.0"}, [], {"jsonrpc": "2.0", "id": 1}, "x", {"method": "tools/call"}))
    return Attack("POST", "/mcp", {"Content-Type": "application/json", "Accept": "x"}, json.dumps(value).encode())
