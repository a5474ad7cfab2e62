"""Objects of a landing: a body of any format, compressed or not, under any name."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.fuzz.account import Account, Bad, Contract, Corrupt, fate, judge, unpacked
from tests.fuzz.formats import BOM, FORMATS
from tests.fuzz.records import VALUES, often

_HERE = Path(__file__).parent
_PATHS = [*sorted(_HERE.glob("contracts/*.yaml")), _HERE.parents[1] / "ingest/contracts/engagement/events.yaml"]
CONTRACTS: dict[str, Contract] = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in _PATHS}
"""The feeds of the fuzzer: two of its own, and the project's events."""
MODIFIED_AT = 1_768_046_400_000_000
"""The modification time of every object, microseconds since 1970: 2026-01-10 12:00 UTC."""


@dataclass(frozen=True, slots=True)
class Landed:
    """An object of the landing.

    Attributes:
        feed: the feed of its bucket.
        key: its name in the bucket; bytes that are no UTF-8 as lone surrogates, as `os.fsdecode` returns them.
        format: the format in which it was written.
    """

    feed: str
    key: str
    body: bytes
    format: str


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def _zstd(data: bytes) -> bytes:
    return bytes(pa.Codec("zstd").compress(data, asbytes=True))


@st.composite
def objects(draw: st.DrawFn, number: int = 0) -> Landed:
    """An object of one of the feeds; its key begins with its own folder."""
    feed = draw(st.sampled_from(list(CONTRACTS)))
    format_ = draw(st.sampled_from([*FORMATS, FORMATS[-1], FORMATS[-1]]))
    body = draw(format_.write(CONTRACTS[feed]))
    pack = draw(often(bytes, _gzip, _zstd, times=3))
    packed = pack(body)
    change = (
        draw(st.sampled_from([""] * 10 + ["cut", "joined", "zeros", "noise", "twice"])) if pack is not bytes else ""
    )
    if change == "cut":
        packed = packed[: draw(st.integers(0, len(packed)))]
    elif change == "joined":
        packed += pack(draw(format_.write(CONTRACTS[feed])))
    elif change == "zeros":
        packed += bytes(512)
    elif change == "noise":
        packed += draw(st.binary(min_size=1, max_size=20))
    elif change == "twice":
        packed = pack(packed)
    names = VALUES["names"]
    name = draw(st.sampled_from(names[draw(often("usual", "ignored", "unnameable", times=40))]))
    if fate(name) == "loaded":
        name = draw(often("a", name, times=1)) + draw(st.sampled_from([*format_.ends * 6, *names["ends"]]))
    return Landed(feed, f"{number:05}/{name}", packed, format_.name)


def draw_objects(number: int, count: int) -> list[Landed]:
    """A number of objects; the same seed yields the same ones."""
    found: list[Landed] = []

    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def collect(data: st.DataObject) -> None:
        found.append(data.draw(objects(len(found))))

    collect()
    return found


def account_of(item: Landed) -> Account:
    """The account of an object by the rules."""
    if (decided := fate(item.key)) != "loaded":
        return Account(decided)
    account = Account()
    try:
        body = unpacked(item.body).removeprefix(BOM)
        format_ = next(one for one in FORMATS if one.recognises(body, item.key))
        for number, text, kept in format_.read(body, CONTRACTS[item.feed]):
            try:
                if isinstance(text, Bad):
                    raise text
                account.good[number] = judge(text, CONTRACTS[item.feed], MODIFIED_AT)
            except Bad:
                account.bad[number] = kept
    except Corrupt:
        return Account(bad={0: None})
    return account
