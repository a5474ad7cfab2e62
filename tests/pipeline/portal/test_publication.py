"""Stored pages: what a release costs, what follows the pointer, what is deleted, and what a failure leaves."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner

from ingest.contracts.contract import contracts
from ingest.errors import ConfigError
from ingest.settings import Settings, read_settings
from ingest.storage.store import Store
from pipeline.cli import main
from pipeline.cycle.pages import rules_of_pages
from pipeline.metrics.definition import load_metrics
from pipeline.portal import assets
from pipeline.portal.dashboard import load_dashboards
from pipeline.portal.facts import Facts, complete_to
from pipeline.portal.guard import Guard
from pipeline.portal.publication import FOLDER, address, follow, refresh, with_pages
from pipeline.portal.publication import prune as prune_pages
from pipeline.portal.script import data_file, digest, read_data_file
from pipeline.portal.write import Pages, keys_of, write
from pipeline.releases.export import prune, sweep
from pipeline.releases.release import Releases
from pipeline.releases.withdraw import withdraw
from tests.pipeline.portal.conftest import Site
from tests.portal_release import HOSTILE, NOW, make_release

CHANGED = {"gold.mrr_monthly": ("2026-09", "UPDATE made SET closing = closing + 1 WHERE month_date = '2026-09-01'")}
OLD = {"gold.mrr_monthly": ("2024-02", "UPDATE made SET closing = closing + 1 WHERE month_date = '2024-02-01'")}


def _client(options: Settings) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=options.aws_endpoint_url,
        region_name=options.aws_region,
        aws_access_key_id=options.aws_access_key_id,
        aws_secret_access_key=options.aws_secret_access_key,
    )


def _small(site: Site, name: str = "current.js") -> dict[str, Any]:
    found: dict[str, Any] = read_data_file((site.folder / name).read_bytes())
    return found


def _pages(site: Site, number: int) -> dict[str, dict[str, str]]:
    pages = _small(site, f"releases/{number}.js")["pages"]
    return {page["name"]: {"recent": page["file"], **page["years"]} for page in pages}


def _stored(site: Site) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in site.folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("changed", "part"), [(CHANGED, "recent"), (OLD, "2024")])
def test_an_overwritten_amount_changes_exactly_the_files_that_show_it(
    own_site: Site, changed: dict[str, tuple[str, str]], part: str
) -> None:
    make_release(own_site.published, 2, changed)
    written = refresh(own_site.published, own_site.sources)
    assert written is not None
    assert written.pages == ("money",), "only pages over changed tables are read"
    before, after = _pages(own_site, 1), _pages(own_site, 2)
    assert before["use"] == after["use"]
    assert {name for name in after["money"] if before["money"][name] != after["money"][name]} == {part}
    assert list(written.files) == [after["money"][part]]


def test_names_follow_from_content(site: Site) -> None:
    for path in (site.folder / "data").iterdir():
        assert path.stem.rsplit("-", 1)[1] == digest(path.read_bytes())


def test_nothing_new_costs_nothing(own_site: Site) -> None:
    before = _stored(own_site)
    began = time.process_time()
    written = refresh(own_site.published, own_site.sources, Facts.of(_small(own_site)))
    assert time.process_time() - began < 0.5
    assert written is not None
    assert written.files == ()
    assert _stored(own_site) == before


def test_nothing_new_costs_four_reads(own_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    get = Store.get

    def counted(self: Store, key: str) -> bytes:
        read.append(key)
        return get(self, key)

    monkeypatch.setattr(Store, "get", counted)
    refresh(own_site.published, own_site.sources, Facts.of(_small(own_site)))
    assert len(read) == 4
    assert len(set(read)) == 4


def test_a_change_of_what_may_be_shown_makes_the_pages_again(own_site: Site) -> None:
    before = _small(own_site)
    sources = replace(
        own_site.sources, rules="another", guard=lambda: Guard({"gold.plays_daily": frozenset({"device"})})
    )
    written = refresh(own_site.published, sources)
    assert written is not None
    assert "gold.plays_daily.device is personal" in written.left_out["use"]
    assert _small(own_site)["sources"] != before["sources"]


def test_rules_change_with_declared_classes_contracts_and_the_smallest_group(tmp_path: Path) -> None:
    (tmp_path / "privacy").mkdir()
    file = tmp_path / "privacy" / "classes.yaml"
    file.write_text("columns: {}\n", encoding="utf-8")
    known = contracts()
    first = rules_of_pages(tmp_path, 5, known)
    assert rules_of_pages(tmp_path, 5, known) == first
    assert rules_of_pages(tmp_path, 6, known) != first
    assert rules_of_pages(tmp_path, 5, dict(list(known.items())[:1])) != first
    file.write_text("columns: {gold.x: {}}\n", encoding="utf-8")
    assert rules_of_pages(tmp_path, 5, known) != first


def test_the_version_of_the_writer_follows_all_code_that_makes_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [tmp_path / name for name in ("portal/write.py", "portal/catalog/payload.py", "metrics/parts.py")]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("1", encoding="utf-8")
    monkeypatch.setattr(assets, "__file__", str(tmp_path / "portal" / "assets.py"))
    seen = {assets.writer.__wrapped__()}
    for file in files:
        file.write_text("2", encoding="utf-8")
        seen.add(assets.writer.__wrapped__())
    assert len(seen) == 4


def test_a_page_that_ends_with_its_release_is_read_again_on_another_day(own_site: Site) -> None:
    release = own_site.published.get(1)
    metrics = load_metrics(own_site.sources.metrics)
    dashboards = load_dashboards(own_site.sources.dashboards, metrics)
    with own_site.published.connect(1) as connection:

        def made(at: dt.datetime, before: Mapping[str, Any]) -> Pages:
            facts = Facts.unknown(release)
            return write(replace(release, published_at=at), connection, metrics, dashboards, facts, before, "EUR")

        earlier = made(NOW - dt.timedelta(days=4), _small(own_site))
        assert {page["name"]: page["to"] for page in earlier.small["pages"]} == dict.fromkeys(
            ("use", "money"), "2026-10-28"
        )
        assert set(earlier.read) == {"use", "money"}, "the last date of their numbers is another one"
        assert made(NOW - dt.timedelta(days=4), earlier.small).read == []
        assert set(made(NOW, earlier.small).read) == {"use", "money"}
        assert made(NOW + dt.timedelta(days=9), _small(own_site)).read == [], "all their numbers end before both"


def test_a_release_of_changed_tables_costs_less_than_a_second(own_site: Site) -> None:
    make_release(own_site.published, 2, CHANGED)
    began = time.process_time()
    refresh(own_site.published, own_site.sources)
    assert time.process_time() - began < 1


def test_facts_change_one_small_file(own_site: Site) -> None:
    before = _stored(own_site)
    refresh(own_site.published, own_site.sources, Facts(None, [{"feed": "events", "waiting": 7}], []))
    after = _stored(own_site)
    changed = {Path(path).name for path in after if before.get(path) != after[path]}
    assert changed == {"1.js", "current.js"}
    assert _small(own_site)["feeds"] == [{"feed": "events", "waiting": 7}]


def test_a_changed_definition_is_written_again(own_site: Site, tmp_path: Path) -> None:
    folder = tmp_path / "metrics"
    folder.mkdir()
    text = (own_site.sources.metrics / "shop.yaml").read_text(encoding="utf-8")
    (folder / "shop.yaml").write_text(text.replace("label: Finished,", "label: Completed,"), encoding="utf-8")
    written = refresh(own_site.published, replace(own_site.sources, metrics=folder))
    assert written is not None
    assert written.pages == ("use",)
    assert "Completed" in (own_site.folder / _small(own_site)["files"]["definitions"]).read_text(encoding="utf-8")


def test_a_rollback_takes_the_pages_along(own_site: Site) -> None:
    published = own_site.published
    make_release(published, 2, CHANGED)
    refresh(published, own_site.sources)
    assert _small(own_site)["number"] == 2
    published.roll_back()
    assert follow(published)
    assert (_small(own_site)["number"], _small(own_site)["is_held"]) == (1, True)
    make_release(published, 3, OLD, held=True)
    published.point_to(1, withhold=True)
    refresh(published, own_site.sources)
    assert _small(own_site)["number"] == 1, "withheld pages are written, but not the current ones"
    assert with_pages(published) == {1, 2, 3}
    published.point_to(3)
    follow(published)
    assert (_small(own_site)["number"], _small(own_site)["is_held"]) == (3, False)


def test_without_pages_of_its_release_nothing_is_current(own_site: Site) -> None:
    make_release(own_site.published, 2, CHANGED)
    assert not follow(own_site.published)
    assert not (own_site.folder / "current.js").exists()
    with pytest.raises(ConfigError, match="the current release has no pages"):
        address(own_site.published)
    refresh(own_site.published, own_site.sources)
    assert address(own_site.published) == str(own_site.folder / "index.html")
    assert address(own_site.published, 1).endswith("index.html?release=1")
    with pytest.raises(ConfigError, match="release 9 has no pages"):
        address(own_site.published, 9)


def test_pages_are_pruned_with_their_release(own_site: Site) -> None:
    published = own_site.published
    make_release(published, 2, CHANGED)
    refresh(published, own_site.sources)
    only = own_site.folder / _pages(own_site, 1)["money"]["recent"]
    orphan = own_site.folder / "data" / "money-0000000000000000.js"
    orphan.write_bytes(b"left by a killed writer")
    assert only.exists()
    assert prune(published, 1, NOW + dt.timedelta(days=9)) == 1
    assert published.numbers() == [2], "pages are no releases"
    assert sweep(published).files == 0, "nor orphans"
    make_release(published, 3, OLD)
    refresh(published, own_site.sources)
    assert with_pages(published) == {2, 3}
    assert not only.exists()
    assert not orphan.exists()
    assert (own_site.folder / _pages(own_site, 2)["money"]["recent"]).exists()


def test_pages_of_a_withdrawn_release_go_at_once(own_site: Site) -> None:
    published = own_site.published
    make_release(published, 2, CHANGED)
    refresh(published, own_site.sources)
    only = own_site.folder / _pages(own_site, 1)["money"]["recent"]
    kept = {own_site.folder / path for page in _pages(own_site, 2).values() for path in page.values()}
    current = _small(own_site)
    assert withdraw(published, 2, "r1", NOW).numbers == (1,)
    assert prune_pages(published) >= 2
    assert follow(published)
    assert _small(own_site) == current
    assert (with_pages(published), only.exists()) == ({2}, False)
    assert [path for path in kept if not path.exists()] == []
    assert prune_pages(published) == 0


def test_a_killed_writer_is_repeated(own_site: Site) -> None:
    make_release(own_site.published, 2, CHANGED)
    refresh(own_site.published, own_site.sources)
    small = own_site.folder / "releases" / "2.js"
    whole = small.read_bytes()
    small.write_bytes(whole[: len(whole) // 2])
    (own_site.folder / "current.js").unlink()
    refresh(own_site.published, own_site.sources)
    assert small.read_bytes() == whole
    assert _small(own_site)["number"] == 2


def test_a_page_without_its_tables_is_left_out_and_named(own_site: Site, tmp_path: Path) -> None:
    folder = tmp_path / "dashboards"
    folder.mkdir()
    for path in own_site.sources.dashboards.iterdir():
        text = path.read_text(encoding="utf-8").replace("gold.themes", "gold.nowhere")
        (folder / path.name).write_text(text, encoding="utf-8")
    written = refresh(own_site.published, replace(own_site.sources, dashboards=folder))
    assert written is not None
    assert list(written.left_out) == ["money"]
    assert "nowhere" in written.left_out["money"]
    assert [page["name"] for page in _small(own_site)["pages"]] == ["use"]


def test_data_is_text_whatever_it_contains() -> None:
    value = {"name": HOSTILE, "lines": "a\u2028b\u2029c", "quote": '"\\', "markup": "<!--<script>&amp;"}
    data = data_file('page/"x', value)
    assert read_data_file(data) == value
    for mark in (b"<", b">", "\u2028".encode(), "\u2029".encode()):
        assert mark not in data
    with pytest.raises(ValueError, match="JSON compliant"):
        data_file("x", float("nan"))


def test_a_release_is_complete_to_the_day_before_what_waits() -> None:
    moment = dt.datetime(2026, 10, 5, 0, 10, tzinfo=dt.UTC)
    assert complete_to(moment, {}) == dt.date(2026, 10, 4)
    assert complete_to(moment, {"gold.x": [dt.date(2026, 10, 3), dt.date(2026, 10, 4)]}) == dt.date(2026, 10, 2)


@pytest.mark.s3
def test_pages_lie_in_a_bucket_too(site: Site, s3_lake: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBLISHED_URI", "s3://lake/published")
    published = Releases(read_settings())
    make_release(published, 1)
    refresh(published, site.sources, Facts())
    assert address(published) == "s3://lake/published/portal/index.html"
    small = read_data_file(published.store.get(f"{FOLDER}/current.js"))
    for key, kind, caching in (
        ("index.html", "text/html; charset=utf-8", "no-cache"),
        ("current.js", "text/javascript; charset=utf-8", "no-cache"),
        (small["app"]["style"], "text/css; charset=utf-8", "public, max-age=31536000, immutable"),
        (small["pages"][0]["file"], "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"),
    ):
        found = _client(published.options).head_object(Bucket="lake", Key=f"published/{FOLDER}/{key}")
        assert (found["ContentType"], found["CacheControl"]) == (kind, caching), key
    assert keys_of(small) <= {item.key.removeprefix(f"{FOLDER}/") for item in published.store.list(FOLDER)}
    again = refresh(published, site.sources)
    assert again is not None
    assert again.files == ()


def test_the_commands_name_the_pages(own_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    from ingest.settings import settings

    make_release(own_site.published, 2, CHANGED)
    monkeypatch.setenv("LAKE_HOME", own_site.published.options.lake_home)
    settings.cache_clear()
    try:
        run = CliRunner()
        assert run.invoke(main, ["portal", "--release", "1", "--path"]).output == (
            f"{own_site.folder / 'index.html'}?release=1\n"
        )
        assert "note: its pages show release 1" in run.invoke(main, ["portal", "--path"]).output
        failed = run.invoke(main, ["portal", "--release", "2", "--path"])
        assert (failed.exit_code, "release 2 has no pages" in failed.output) == (2, True)
        listed = json.loads(run.invoke(main, ["publish", "--list", "--json"]).output)
        assert {row["number"]: row["has_pages"] for row in listed} == {1: True, 2: False}
        assert run.invoke(main, ["publish", "--rollback"]).exit_code == 0
        assert _small(own_site)["number"] == 1
    finally:
        settings.cache_clear()
