"""Clients of `lake serve` that ask in turn for all that it answers, and check each answer by itself and with others."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from pipeline.api.problems import Kind
from pipeline.portal.script import read_data_file

DAILY = "gold.activity_engagement_metrics"
IDENTITY = f"""SELECT (SELECT COUNT(*) FROM {DAILY}) AS rows,
  (SELECT SUM(activities_played)::BIGINT FROM {DAILY}) AS daily,
  (SELECT SUM(activities_played)::BIGINT FROM {DAILY}_weekly) AS weekly,
  (SELECT SUM(activities_played)::BIGINT FROM {DAILY}_monthly) AS monthly,
  (SELECT SUM(activities_played)::BIGINT FROM {DAILY}_yearly) AS yearly,
  (SELECT SUM(plays)::BIGINT FROM gold.activity_popularity_daily) AS popularity,
  (SELECT SUM(plays)::BIGINT FROM gold.rpt_most_played_activities) AS most_played"""
"""Sums of plays that are the same in every release, whatever its number is."""
SUMS = ("daily", "weekly", "monthly", "yearly", "popularity", "most_played")
ENDLESS = "SELECT COUNT(*) FROM range(1000000) a, range(1000000) b, range(1000000) c"
HUNGRY = "SELECT LENGTH(repeat('a', 2000000000))"
DOCUMENTED = {kind.slug: kind.status for kind in Kind if kind not in (Kind.UNEXPECTED, Kind.LEFT)}
"""What docs/serve.md names, without the defect."""
PASSING = {Kind.RATE, Kind.BUSY, Kind.UNAVAILABLE, Kind.GONE, Kind.SECONDS}
"""Problems that are nobody's fault on a busy machine: the client tries again, after `Retry-After`."""
PAGE = 200


class Fault(AssertionError):  # noqa: N818  of the server, not of this process
    """An answer that must not be."""


class Passing(Exception):  # noqa: N818  no error, but an answer
    """A documented answer that asks to come back later."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def release(self) -> int:
        """The release that the header names."""
        return int(self.headers["lake-release"])


class Ledger:
    """What all clients saw: seconds by kind of question, answers by status, and the values of each release."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.answers: Counter[tuple[int, str]] = Counter()
        self.read: Counter[tuple[str, str]] = Counter()
        self.faults: list[str] = []
        self.releases: Counter[int] = Counter()
        self._values: dict[tuple[int, str], tuple[Any, str]] = {}
        self._lock = threading.Lock()

    def note(self, kind: str, seconds: float, status: int, problem: str) -> None:
        with self._lock:
            self.seconds[kind].append(seconds)
            self.answers[status, problem] += 1

    def same(self, release: int, name: str, value: Any, where: str) -> None:
        """Compare a value with what others read of it from the same release."""
        with self._lock:
            self.releases[release] += 1
            known, by = self._values.setdefault((release, name), (value, where))
        if known != value:
            raise Fault(f"release {release}: {name} is {value} in {where} and {known} in {by}")

    def count(self, caller: str, how: str) -> None:
        """Count a read that the audit log must have."""
        with self._lock:
            self.read[caller, how] += 1

    def fault(self, text: str) -> None:
        with self._lock:
            self.faults.append(text)


class Client:
    """One client with a connection of its own.

    Args:
        pause: mean seconds between its questions.
    """

    def __init__(self, port: int, name: str, key: str, ledger: Ledger, dice: random.Random, pause: float) -> None:
        self._port, self._name, self._key, self._ledger = port, name, key, ledger
        self._dice, self._pause = dice, pause
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=150)
        self._newest = 0
        self._tag: tuple[str, int] | None = None

    def live(self, until: float, kinds: Mapping[str, int]) -> None:
        """Ask until a moment.

        Args:
            until: by the monotonic clock.
            kinds: how often each kind is asked for, in parts.
        """
        names, parts = list(kinds), list(kinds.values())
        while time.monotonic() < until:
            (kind,) = self._dice.choices(names, parts)
            try:
                KINDS[kind](self)
            except Passing as wait:
                time.sleep(min(float(str(wait)), max(0.0, until - time.monotonic())))
            except Fault as fault:
                self._ledger.fault(f"{self._name} {kind}: {fault}")
            except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
                self._ledger.fault(f"{self._name} {kind}: {type(error).__name__}: {error}")
                self._connection.close()
            time.sleep(self._dice.uniform(0, 2 * self._pause))
        self._connection.close()

    def ask(
        self,
        kind: str,
        path: str,
        value: Any = None,
        headers: Mapping[str, str] | None = None,
        expected: tuple[str, ...] = (),
    ) -> Reply:
        """Send a request; the answer must be 200, 304, a problem that passes, or one of those expected."""
        method, body = ("GET", None) if value is None else ("POST", json.dumps(value))
        sent = {"Authorization": f"Bearer {self._key}", "Accept": "application/json, */*"} | dict(headers or {})
        began = time.monotonic()
        self._connection.request(method, path, body, sent | ({"Content-Type": "application/json"} if body else {}))
        answer = self._connection.getresponse()
        reply = Reply(answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read())
        problem = "" if reply.status in (200, 304) else str(reply.json["type"]).rpartition(":")[2]
        self._ledger.note(kind, time.monotonic() - began, reply.status, problem)
        if not problem and not expected:
            return reply
        if not problem or DOCUMENTED.get(problem) != reply.status:
            raise Fault(f"{path}: {reply.status} {reply.body[:500]!r}, expected {expected or 200}")
        if problem in expected:
            return reply
        if problem in {kind.slug for kind in PASSING}:
            if reply.status in (429, 503) and "retry-after" not in reply.headers:
                raise Fault(f"{path}: {reply.status} without Retry-After")
            raise Passing(reply.headers.get("retry-after", "0"))
        raise Fault(f"{path}: {reply.status} {reply.body[:500]!r}")

    def follow(self, release: int, where: str) -> None:
        """The release of a connection never goes back."""
        if release < self._newest:
            raise Fault(f"{where}: release {release} after {self._newest}")
        self._newest = release

    def checked(self, reply: Reply, where: str) -> Any:
        """The body of an answer that names the same release as its headers, which is not an older one than before."""
        found = reply.json
        positions = ", ".join(f"{feed}={position}" for feed, position in sorted(found["positions"].items()))
        if (found["release"], positions) != (reply.release, reply.headers["lake-positions"]):
            raise Fault(f"{where}: header {reply.release} ({reply.headers['lake-positions']}), body {found['release']}")
        self.follow(reply.release, where)
        self._ledger.same(reply.release, "positions", positions, where)
        return found

    def sums(self, release: int, row: Mapping[str, Any], where: str) -> None:
        """Sums that are the same in one answer, and in all answers of the release."""
        if len({row[name] for name in SUMS}) != 1:
            raise Fault(f"{where}: release {release}: tables of different releases in one answer: {row}")
        self._ledger.same(release, "rows", row["rows"], where)
        self._ledger.same(release, "plays", row["daily"], where)

    def sql(self) -> None:
        reply = self.ask("sql", "/v1/query", {"sql": IDENTITY})
        self._ledger.count(self._name, "sql")
        self.sums(reply.release, self.checked(reply, "sql")["rows"][0], "sql")

    def metrics(self) -> None:
        by = self._dice.choice(["month", "week,country_code", "day,activity_type", "country_code", ""])
        path = f"/v1/metrics/plays/values?{urlencode({'by': by})}"
        reply = self.ask("metrics", path)
        self._ledger.count(self._name, "metrics")
        found = self.checked(reply, path)
        self._ledger.same(reply.release, "plays", sum(row["plays"] for row in found["rows"]), path)

    def pages(self) -> None:
        """Every page of a table: one release, all rows, the sum of the others."""
        path = f"/v1/tables/{DAILY}/rows?limit={PAGE}&columns=date,activities_played&order=-date"
        reply = self.ask("table", path)
        self._ledger.count(self._name, "table")
        found = self.checked(reply, path)
        number, rows, plays = found["release"], 0, 0
        while True:
            rows, plays = rows + len(found["rows"]), plays + sum(row["activities_played"] for row in found["rows"])
            if found["next"] is None:
                break
            reply = self.ask("table", f"{path}&cursor={quote(found['next'])}")
            self._ledger.count(self._name, "table")
            found = reply.json
            if (found["release"], reply.release) != (number, number):
                raise Fault(f"{path}: a page of release {reply.release} ({found['release']}) after one of {number}")
        self._ledger.same(number, "rows", rows, path)
        self._ledger.same(number, "plays", plays, path)

    def catalog(self) -> None:
        path = self._dice.choice(["/v1/release", "/v1/tables", "/v1/metrics", f"/v1/tables/{DAILY}"])
        reply = self.ask("catalog", path)
        found = self.checked(reply, path)
        if path == "/v1/tables":
            (rows,) = (table["rows"] for table in found["tables"] if table["name"] == DAILY)
            self._ledger.same(reply.release, "rows", rows, path)

    def revalidate(self) -> None:
        """Ask again for what is known: 304 only while its release is the current one."""
        path, known = "/v1/metrics/plays/values", self._tag
        reply = self.ask("revalidation", path, headers={"If-None-Match": known[0]} if known else {})
        self.follow(reply.release, path)
        if reply.status == 304:
            if known is None or reply.release != known[1]:
                raise Fault(f"{path}: 304 of release {reply.release} to the tag of {known}")
            return
        self._ledger.count(self._name, "metrics")
        self._tag = (reply.headers["etag"], reply.release)
        if known is not None and reply.release == known[1]:
            raise Fault(f"{path}: 200 of release {reply.release}, which the client has")
        self._ledger.same(reply.release, "plays", self.checked(reply, path)["rows"][0]["plays"], path)

    def portal(self) -> None:
        """The page of the release, and one file that it names."""
        self.ask("portal", "/portal/index.html")
        reply = self.ask("portal", "/portal/current.js")
        found = read_data_file(reply.body)
        if found["number"] != reply.release:
            raise Fault(f"/portal/current.js: header {reply.release}, page {found['number']}")
        self.ask("portal", f"/portal/{self._dice.choice(sorted(found['app'].values()))}")
        old = read_data_file(self.ask("portal", f"/portal/releases/{found['number']}.js").body)
        self._ledger.same(found["number"], "page", [old["published_at"], old["complete_to"]], "portal")

    def tools(self) -> None:
        call = {"name": "query_sql", "arguments": {"sql": IDENTITY}}
        request = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
        accept = {"Accept": "application/json, text/event-stream"}
        result = self.ask("tools", "/mcp", request, accept).json["result"]
        text = result["content"][0]["text"]
        if result["isError"]:
            if not any(said in text for said in ("try again", "come back", "LAKE_API_SECONDS")):
                raise Fault(f"/mcp: {text}")
            raise Passing("0")
        self._ledger.count(self._name, "sql")
        found = json.loads(text)
        self.follow(found["release"], "/mcp")
        self.sums(found["release"], found["rows"][0], "/mcp")

    def refused(self) -> None:
        """What the server must refuse, by the problem that says so."""
        sql, problem = self._dice.choice(
            [
                ("FROM gold.nothing", "statement-refused"),
                ("SELECT no_such_column FROM gold.rpt_retention", "statement-failed"),
                ("COPY (SELECT 1) TO 'rows.csv'", "statement-refused"),
                ("FROM range(200000)", "too-many-rows"),
            ]
        )
        self.ask("refused", "/v1/query", {"sql": sql}, expected=(problem,))
        self.ask("refused", "/v1/tables/gold.nothing/rows", expected=("not-found",))

    def heavy(self) -> None:
        """A statement over the limit of time or of memory."""
        sql, problem = self._dice.choice([(ENDLESS, "too-slow"), (HUNGRY, "too-much-memory")])
        self.ask("heavy", "/v1/query", {"sql": sql}, expected=(problem,))

    def leave(self) -> None:
        """Ask, and hang up before the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        connection.request("POST", "/v1/query", json.dumps({"sql": ENDLESS}), headers)
        time.sleep(self._dice.uniform(0, 1))
        connection.close()


KINDS: dict[str, Callable[[Client], None]] = {
    "sql": Client.sql,
    "metrics": Client.metrics,
    "pages": Client.pages,
    "catalog": Client.catalog,
    "revalidate": Client.revalidate,
    "portal": Client.portal,
    "tools": Client.tools,
    "refused": Client.refused,
    "heavy": Client.heavy,
    "leave": Client.leave,
}
MIX = {"sql": 20, "metrics": 20, "pages": 12, "catalog": 12, "revalidate": 20, "portal": 10, "tools": 4, "refused": 2}
"""Of the clients that ask for what can be answered."""
ROUGH = {"heavy": 1, "leave": 3, "sql": 12}
"""Of those that ask for too much, or leave."""
GREEDY = {"catalog": 1}
"""Of one that asks without a pause, and has to come back."""
