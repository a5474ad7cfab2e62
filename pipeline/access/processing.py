"""The records of processing that article 30 of the GDPR asks for, from the contracts: docs/records_of_processing.md."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ingest.contracts.classes import Class
from ingest.contracts.contract import Contract
from ingest.contracts.processing import OnErasure, Processing
from ingest.text import printable
from pipeline.access.privacy import Privacy
from pipeline.access.roles import Role
from pipeline.access.subjects import known_identifiers

NOT_FORGOTTEN = "no limit is set"
_ERASED = {
    OnErasure.DELETE: "records are deleted",
    OnErasure.PSEUDONYMISE: "records are pseudonymised",
    OnErasure.KEEP: "records stay",
}


@dataclass(frozen=True, slots=True)
class Activity:
    """The processing of one feed.

    Attributes:
        subjects: the kinds of persons.
        data: the columns by class, the strictest class first; dotted paths.
        identifiers: by column, what identifies persons.
    """

    feed: str
    owner: str
    description: str
    personal: Processing | None
    subjects: tuple[str, ...]
    data: Mapping[Class, tuple[str, ...]]
    identifiers: Mapping[str, str]


def activity(contract: Contract) -> Activity | None:
    """The processing of a feed; None if it has no personal column."""
    classes = {path: found for path, found in contract.classes().items() if found[0].is_personal}
    if not classes:
        return None
    leaves = {path: found for path, found in classes.items() if not contract.leaf(path).fields}
    data = {
        class_: tuple(path for path, (found, _) in leaves.items() if found is class_)
        for class_ in (Class.SENSITIVE, Class.DIRECT, Class.QUASI)
    }
    return Activity(
        contract.name,
        contract.owner,
        contract.description,
        contract.personal,
        tuple(sorted({subject for _, subject in classes.values() if subject})),
        {class_: paths for class_, paths in data.items() if paths},
        {path: str(column.identifies) for path, column in contract.identifiers().items()},
    )


def unexplained(contracts: Iterable[Contract]) -> list[str]:
    """One line per feed that has personal columns, and does not say why and how long."""
    return [
        f"{contract.name} has personal columns ({', '.join(sorted(_own(contract)))}), but does not say why; add "
        "`personal:` with purpose, legal_basis and on_erasure (docs/governance.md#records-of-processing)"
        for contract in contracts
        if contract.personal is None and _own(contract)
    ]


def _own(contract: Contract) -> list[str]:
    return [path for path, column in contract.walk() if column.is_personal]


def records_of_processing(contracts: Sequence[Contract], roles: Iterable[Role], privacy: Privacy) -> str:
    """The document, as Markdown."""
    found = [item for contract in contracts if (item := activity(contract))]
    without = [contract.name for contract in contracts if not activity(contract)]
    lines = [
        "# Records of processing",
        "",
        "Generated from contracts, `privacy/` and `access/roles.yaml` by `lake contracts --write`. Change those, not",
        "this file; what the entries mean is in [governance.md](governance.md#records-of-processing).",
    ]
    for item in found:
        lines += ["", f"## {item.feed}", "", *_table(("", _cell(item.description)), _rows(item))]
    lines += ["", "## Identifiers", "", *_identifiers(contracts)]
    lines += ["", "## Seeds", "", *_seeds(privacy)]
    lines += ["", "## Recipients", "", *_recipients(roles)]
    names = ", ".join(sorted(without)) or "none"
    lines += ["", "## Feeds without personal columns", "", names + "."]
    return "\n".join(lines) + "\n"


def _rows(item: Activity) -> Iterator[tuple[str, str]]:
    about = item.personal
    yield "owner", item.owner
    yield "purpose", about.purpose if about else "not stated"
    yield "legal basis", about.legal_basis.replace("_", " ") if about else "not stated"
    yield "persons", ", ".join(item.subjects)
    for class_, paths in item.data.items():
        yield f"{class_} data", ", ".join(f"`{path}`" for path in paths)
    days = about.retention_days if about else None
    yield "kept", f"{days:,} days" if days else NOT_FORGOTTEN
    if about:
        yield "erasure", _erasure(about)


def _erasure(about: Processing) -> str:
    text = _ERASED[about.on_erasure]
    if about.until_days:
        text += f" for {about.until_days:,} days after the request"
    if about.keep:
        text += f", with {', '.join(f'`{path}`' for path in about.keep)}"
    return f"{text}: {about.basis}" if about.basis else text


def _identifiers(contracts: Sequence[Contract]) -> Iterator[str]:
    places = {
        name: ", ".join(
            f"`{contract.feed}.{path}`"
            for contract in contracts
            for path, column in contract.identifiers().items()
            if column.identifies == name
        )
        for name in sorted(known_identifiers(contracts))
    }
    known = known_identifiers(contracts)
    rows = [
        (f"`{name}`", "several persons" if known[name].is_shared else "one person", places[name]) for name in places
    ]
    yield from _table(("identifier", "of", "columns"), rows)
    joined = [(contract.feed, contract.one_person) for contract in contracts if contract.one_person]
    if joined:
        yield ""
        yield "Identifiers of one person in one record, so that an export or an erasure follows them:"
        yield ""
        yield from (f"- {feed}: {', '.join(f'`{path}`' for path in paths)}" for feed, paths in joined)


def _seeds(privacy: Privacy) -> Iterator[str]:
    """Columns of files in the repository, which have no contract."""
    rows = [
        (
            f"`{table}.{column}`",
            declared.class_,
            declared.subject or "",
            declared.purpose,
            (declared.legal_basis or "").replace("_", " "),
            declared.retention,
        )
        for table, columns in sorted(privacy.columns.items())
        for column, declared in sorted(columns.items())
        if declared.subject
    ]
    if not rows:
        yield "No seed has personal columns."
        return
    yield "Seeds are files in the repository: whoever can read that reads them, and an erasure of them is a commit."
    yield ""
    yield from _table(("column", "class", "persons", "purpose", "legal basis", "kept"), rows)


def _recipients(roles: Iterable[Role]) -> Iterator[str]:
    yield "- Operators: landing, lake, warehouse and the releases of everything."
    yield "- Readers of the releases of everything, and of the serving schema in Postgres (`SERVING_ROLE`): gold."
    for role in roles:
        tables = ", ".join(f"`{pattern}`" for pattern in role.tables)
        but = f" but {', '.join(f'`{pattern}`' for pattern in role.except_)}" if role.except_ else ""
        yield f"- Role {role.name} (owner {role.owner}): {_cell(role.description)} Tables {tables}{but}, masked; see"
        yield f"  `lake access {role.name}`."
    yield "- Readers of the portal and of reports: no direct or sensitive column, no group below `minimum_group_size`."


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield f"|{'---|' * len(header)}"
    for row in rows:
        yield f"| {' | '.join(map(_cell, row))} |"


def _cell(text: str) -> str:
    return printable(" ".join(str(text).split())).replace("|", "\\|")
