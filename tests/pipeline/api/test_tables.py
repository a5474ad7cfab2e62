"""The data API: rows of tables, page by page, in four formats, of one release."""

from __future__ import annotations

import csv
import io
from decimal import Decimal
from typing import Any

import pyarrow.ipc as pa_ipc
import pyarrow.parquet as pq
import pytest

from tests.pipeline.api.serving import Client, Server, World

FEES = "/v1/tables/gold.fees/rows"


def expected(made: World, query: str) -> list[tuple[Any, ...]]:
    with made.releases.connect() as reader:
        return reader.execute(query).fetchall()


def test_every_format_has_the_same_rows_and_says_which_release(open_server: Server, shared: World) -> None:
    wanted = expected(shared, "FROM gold.fees ORDER BY month_date, currency LIMIT 50")
    options = {"order": "month_date,currency", "limit": 50}
    found = open_server.get(FEES, **options)
    assert found.status == 200
    assert [(row["month_date"], row["currency"], Decimal(row["fees"])) for row in found.json["rows"]] == [
        (day.isoformat(), currency, fees) for day, currency, fees in wanted
    ]
    arrow = open_server.get(FEES, format="arrow", **options)
    parquet = open_server.get(FEES, {"Accept": "application/vnd.apache.parquet"}, **options)
    text = open_server.get(FEES, {"Accept": "text/csv;q=0.9, application/json;q=0.1"}, **options)
    tables = [pa_ipc.open_stream(arrow.body).read_all(), pq.read_table(io.BytesIO(parquet.body))]
    for table in tables:
        assert [tuple(row.values()) for row in table.to_pylist()] == wanted
    rows = list(csv.reader(io.StringIO(text.body.decode())))
    assert rows[0] == ["month_date", "currency", "fees"]
    assert [Decimal(row[2]) for row in rows[1:]] == [row[2] for row in wanted]
    last = expected(shared, "SELECT MAX(month_date) FROM gold.fees")[0][0]
    for reply in (found, arrow, parquet, text):
        assert reply.headers["lake-release"] == "1"
        assert reply.headers["lake-positions"] == "events=1"
        assert reply.headers["lake-complete-to"][:7] == last.isoformat()[:7]
    assert (found.json["release"], found.json["positions"]) == (1, {"events": 1})


@pytest.mark.parametrize("table", ["gold.plays_daily", "gold.themes"])
@pytest.mark.parametrize("order", ["", "-country_code,plays", "device"])
def test_pages_are_all_rows_once_and_in_order(open_server: Server, shared: World, table: str, order: str) -> None:
    if table == "gold.themes" and order:
        order = "-rate"
    where = ["date>=2026-10-20"] if table == "gold.plays_daily" else []
    found: list[dict[str, Any]] = []
    cursor = ""
    for _ in range(60):
        reply = open_server.get(f"/v1/tables/{table}/rows", order=order, where=where, limit=7, cursor=cursor)
        assert reply.status == 200, reply.body
        found += reply.json["rows"]
        cursor = reply.json["next"]
        assert reply.headers.get("lake-next") == cursor
        if not cursor:
            break
    keys = ", ".join(f"{item[1:]} DESC NULLS LAST" if item[0] == "-" else item for item in order.split(",") if item)
    condition = "WHERE date >= DATE '2026-10-20'" if where else ""
    wanted = expected(shared, f"FROM {table} {condition} ORDER BY {keys or 'ALL'}")
    shown = [tuple(None if value is None else str(value) for value in row.values()) for row in found]
    assert len(shown) == len(wanted) > 7 or table == "gold.themes"
    if table == "gold.plays_daily":
        assert sorted(map(str, shown)) == sorted(
            str(tuple(None if value is None else str(value) for value in row)) for row in wanted
        )
        for name in [item.removeprefix("-") for item in order.split(",") if item][:1]:
            place = list(found[0]).index(name)
            assert [row[place] for row in shown] == [None if row[place] is None else str(row[place]) for row in wanted]
    else:
        assert len(found) == len(wanted)


def test_columns_and_filters_are_literals(open_server: Server, shared: World) -> None:
    path = "/v1/tables/gold.plays_daily/rows"
    found = open_server.get(path, columns="plays,date", where=["country_code is null", "date=2026-10-31"])
    wanted = expected(
        shared, "SELECT plays, date FROM gold.plays_daily WHERE country_code IS NULL AND date = DATE '2026-10-31'"
    )
    assert sorted((row["plays"], row["date"]) for row in found.json["rows"]) == sorted(
        (plays, day.isoformat()) for plays, day in wanted
    )
    assert list(found.json["rows"][0]) == ["plays", "date"]
    hostile = open_server.get(path, where="country_code=fr' OR 1=1 --")
    assert (hostile.status, hostile.json["rows"]) == (200, [])


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"columns": "nope"}, "it has country_code, date"),
        ({"columns": 'date", (SELECT 1) "'}, "no column"),
        ({"where": "nope=1"}, "no column 'nope'"),
        ({"where": "date=yesterday"}, "is no DATE"),
        ({"where": "1=1"}, "not a filter"),
        ({"order": "plays;DROP"}, "no column"),
        ({"limit": "0"}, "limit"),
        ({"cursor": "WzFd"}, "start without one"),
        ({"cursor": "!"}, "start without one"),
        ({"format": "xml"}, "format"),
    ],
)
def test_a_wrong_request_says_how_to_correct_it(open_server: Server, query: dict[str, str], said: str) -> None:
    reply = open_server.get("/v1/tables/gold.plays_daily/rows", **query)
    assert (reply.status, reply.headers["content-type"]) == (400, "application/problem+json")
    assert said in reply.json["detail"]


def test_unknown_names_are_answered_with_the_nearest(open_server: Server) -> None:
    reply = open_server.get("/v1/tables/gold.plays_dayly/rows")
    assert (reply.status, reply.kind) == (404, "not-found")
    assert "gold.plays_daily" in reply.json["detail"]
    assert open_server.get(FEES, {"Accept": "image/png"}).status == 406


def test_a_client_that_has_this_release_gets_no_body(open_server: Server) -> None:
    first = open_server.get(FEES, limit=2)
    again = open_server.get(FEES, {"If-None-Match": f'"x", {first.headers["etag"]}'}, limit=2)
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", first.headers["etag"])
    other = open_server.get(FEES, {"If-None-Match": first.headers["etag"]}, limit=2, format="csv")
    assert other.status == 200


def test_what_the_release_has_is_listed(open_server: Server, shared: World) -> None:
    names = [table["name"] for table in open_server.get("/v1/tables").json["tables"]]
    assert names == sorted(shared.releases.get(1).tables)
    table = open_server.get("/v1/tables/gold.plays_daily").json
    assert [column["name"] for column in table["columns"]][:3] == ["date", "country_code", "device"]
    assert table["grain"] == ["date", "country_code", "device"]
    assert open_server.get("/v1/release").json["audits"][0]["name"] == "audit_0"
    assert open_server.get("/readyz").json == {"status": "ok", "release": 1}
    assert "/v1/tables/{name}/rows" in open_server.get("/openapi.json").json["paths"]


def test_other_hosts_names_are_not_answered_without_keys(open_server: Server) -> None:
    assert Client(open_server.address).get("/v1/tables", {"Host": "attacker.example"}).status == 421
    assert Client(open_server.address).get("/v1/tables", {"Host": "localhost"}).status == 200
