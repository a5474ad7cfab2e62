"""The catalog of a large project in a browser: how long it takes to open and to search, and how large its files are.

    python -m benchmarks.catalog_pages [--tables 1000] [--columns 20] [--folder DIR]

Needs Playwright and Chromium (see pipeline/dev/browser.py). Prints one JSON object. Times are those of the page: from
the start of the navigation until the catalog is shown, and from a key until its results are in the document.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from pipeline.dev.browser import FLAGS, program
from pipeline.portal import assets
from pipeline.portal.catalog.entries import Catalog, Column, Day, Figures, Metric, Profile, Quality, Table, Term
from pipeline.portal.catalog.payload import payload
from pipeline.portal.catalog.quality import score
from pipeline.portal.script import data_file

OPENED = """
addEventListener('DOMContentLoaded', () => new MutationObserver(() => {
    if (!window.opened && document.querySelector('#catalog-search')) window.opened = performance.now();
}).observe(document.getElementById('content'), {childList: true, subtree: true}));
"""
TYPED = """async (query) => {
    const input = document.getElementById('catalog-search');
    const began = performance.now();
    input.value = query;
    input.dispatchEvent(new Event('input'));
    return [performance.now() - began, document.querySelectorAll('.result').length];
}"""
WORDS = (
    "account activity address amount audience balance basket billing booking budget campaign cancel "
    "carrier cart category channel claim click cohort consent contact content contract country coupon "
    "course currency customer delivery deposit device discount driver email employee episode event "
    "expense forecast fraud fulfilment gift invoice item journal label lead ledger lesson license listing "
    "loan location margin market media member message order package page partner payment payout plan "
    "player playlist price product profile project promotion purchase quote rating receipt refund region "
    "rental report return review route salary schedule score season segment session shipment store stream "
    "student subscription supplier survey task tax teacher ticket title track transfer trial usage "
    "vehicle vendor visit voucher wallet warehouse workflow"
).split()
ENDINGS = "id key name code type status amount count rate date at seconds share flag number".split()
DOMAINS = "commerce content finance growth learning logistics people product sales support".split()


def generated(tables: int, columns: int, seed: int = 1) -> Catalog:
    """A catalog of feeds, silver and gold tables whose columns are computed from those of the layer before."""
    draw = random.Random(seed)
    names: set[str] = set()
    found: list[Table] = []
    layers = {"bronze": tables // 5, "silver": tables * 2 // 5, "gold": tables - tables // 5 - tables * 2 // 5}
    before: list[Table] = []
    for layer, number in layers.items():
        current: list[Table] = []
        while len(current) < number:
            name = f"{layer}.{'fct_' if layer == 'gold' else ''}{'_'.join(draw.sample(WORDS, draw.choice((2, 2, 3))))}"
            if name not in names:
                names.add(name)
                current.append(_table(draw, name, columns, before))
        found += current
        before = current
    metrics = tuple(
        Metric(
            *(f"metric_{number}", f"Metric {number}", "Sum of a measure.", "finance", "finance", "units", "integer"),
            *(table.name, f"sum of {table.columns[0].name}"),
            upstream=(f"{table.name}.{table.columns[0].name}",),
        )
        for number, table in enumerate(draw.sample(before, min(200, len(before))))
    )
    terms = tuple(Term(word, f"What the business calls {word}.") for word in WORDS)
    return Catalog(
        1,
        "generated",
        1,
        "2026-01-01T00:00:00+00:00",
        tuple(sorted(found, key=lambda item: item.name)),
        metrics,
        glossary=terms,
    )


def _table(draw: random.Random, name: str, columns: int, before: list[Table]) -> Table:
    parents = draw.sample(before, min(3, len(before)))
    names: dict[str, None] = {}
    while len(names) < columns:
        names[f"{'_'.join(draw.sample(WORDS, draw.choice((1, 2))))}_{draw.choice(ENDINGS)}"] = None
    made = []
    for column in names:
        sources = [
            f"{parent.name}.{draw.choice(parent.columns).name}"
            for parent in draw.sample(parents, min(len(parents), draw.choice((1, 1, 2))))
        ]
        about = f"{column.replace('_', ' ').capitalize()} of the {draw.choice(WORDS)}"
        text = f"{about}, as the {draw.choice(WORDS)} reports it"
        profile = Profile(draw.randrange(1000), draw.randrange(1, 10_000), "0", "99", (("a", 5), ("b", 3)))
        made.append(
            Column(
                column,
                draw.choice(("TEXT", "BIGINT", "DOUBLE", "DATE")),
                text,
                upstream=tuple(sources),
                profile=profile,
            )
        )
    start = dt.date(2026, 1, 1)
    days = tuple(
        score(Day(str(start + dt.timedelta(days=day)), draw.uniform(0.9, 1), 1.0, 1.0, 1.0, 1.0, records=1000, bad=5))
        for day in range(90)
    )
    layer = name.partition(".")[0]
    return Table(
        *(name, "feed" if layer == "bronze" else "table", f"One row per {name.rpartition('.')[2].replace('_', ' ')}."),
        *(draw.choice(DOMAINS), draw.choice(DOMAINS), tuple(made)),
        grain=(made[0].name,),
        reads=tuple(parent.name for parent in parents),
        sql="SELECT\n  1 AS x\n" * 20,
        figures=Figures(draw.randrange(10**7), 10**6, 12, "2024-01-01", "2026-01-01", 1, 10**6),
        quality=Quality(days),
    )


def write_pages(catalog: Catalog, folder: Path) -> dict[str, int]:
    """Write the application with a catalog alone; returns the size of each data file in bytes."""
    files = dict(assets.application().values())
    named, sizes = {}, {}
    for name, value in payload(catalog).items():
        data = data_file(name, value)
        named[name] = f"data/{name}.js"
        files[named[name]] = data
        sizes[name] = len(data)
    small: dict[str, Any] = {
        "format": 1,
        "number": catalog.release,
        "published_at": catalog.published_at,
        "audits": 0,
        "complete_to": None,
        "feeds": [],
        "withheld": [],
        "pages": [],
        "files": named,
        "app": {name: key for name, (key, _) in assets.application().items()},
    }
    files["current.js"] = data_file("release", small)
    files["index.html"] = assets.index()
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return sizes


def measured(folder: Path, repeats: int = 5) -> dict[str, Any]:
    """Open and search the pages in a folder, from disk: wall time, and CPU time of the page's main thread."""
    from playwright.sync_api import sync_playwright

    queries = (
        "invoice",
        "customer country",
        "subscripton",
        "paymnet amount",
        "fct_",
        "c",
        "wharehouse shipmnt",
        "gold.",
    )
    opened: list[tuple[float, float]] = []
    searched: dict[str, list[tuple[float, float]]] = {}
    results: dict[str, int] = {}
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=program(), args=list(FLAGS))
        for _ in range(repeats):
            page = browser.new_page()
            page.add_init_script(OPENED)
            session = page.context.new_cdp_session(page)
            session.send("Performance.enable", {"timeDomain": "threadTicks"})

            def busy(session: Any = session) -> float:
                metrics = session.send("Performance.getMetrics")["metrics"]
                return 1000 * float(next(item["value"] for item in metrics if item["name"] == "TaskDuration"))

            page.goto(f"{(folder / 'index.html').as_uri()}#/catalog")
            page.wait_for_function("window.opened")
            opened.append((page.evaluate("window.opened"), busy()))
            page.evaluate("lakemesh.catalog.open().then((catalog) => catalog.more)")
            for query in queries:
                before = busy()
                milliseconds, results[query] = page.evaluate(TYPED, query)
                searched.setdefault(query, []).append((milliseconds, busy() - before))
            page.close()
        browser.close()
    return {
        "open_ms": _summed(opened),
        "search_ms": {query: {"results": results[query]} | _summed(runs) for query, runs in searched.items()},
    }


def _summed(runs: list[tuple[float, float]]) -> dict[str, float]:
    """Median and greatest wall time, and median and greatest CPU time, ms."""
    found: dict[str, float] = {}
    for name, values in zip(("wall", "cpu"), zip(*runs, strict=True), strict=True):
        found |= {f"{name}_median": round(statistics.median(values), 1), f"{name}_greatest": round(max(values), 1)}
    return found


def main() -> None:
    """Generate, write, open, search, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=int, default=1000)
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        catalog = generated(options.tables, options.columns)
        began = time.process_time()
        sizes = write_pages(catalog, folder)
        found: dict[str, Any] = {"tables": options.tables, "columns": options.tables * options.columns}
        found["write_cpu_seconds"] = round(time.process_time() - began, 2)
        shared = {name: size for name, size in sizes.items() if name.count("-") < 2}
        groups = [size for name, size in sizes.items() if name not in shared]
        found["bytes"] = shared | {"group files": len(groups), "largest group": max(groups), "all": sum(sizes.values())}
        found["catalog_json_bytes"] = len(catalog.to_json())
        found |= measured(folder)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
