"""A draft as the text of a contract, with what to check as comments beside what they are about."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import yaml

from ingest.inference.draft import ColumnDraft, Draft
from ingest.inference.nature import MAX_SHOWN, singular
from ingest.strict_yaml import load_yaml

WIDTH = 120
MAX_LISTED = 30
"""Fields that the comments at the end name; the rest is counted."""
_FRESHNESS = {"event": (93_600, "26 hours"), "entity": (172_800, "two days"), "change": (172_800, "two days")}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a draft comes from and what it is called.

    Attributes:
        read: what was read, in words.
        bucket: the bucket of the landing; empty if the samples do not tell.
        format: `csv` or `debezium` if the contract has to say so, else `auto`.
        order: of change events, what orders them, if the contract has to say so; None if that is unknown.
        table: of change events, the table that they are of.
    """

    domain: str
    feed: str
    read: str
    bucket: str = ""
    prefix: str = ""
    format: str = "auto"
    order: tuple[str, ...] | None = ()
    table: str = ""


def contract_text(draft: Draft, origin: Origin) -> str:
    """Return the text of the contract's file."""
    nature = draft.nature
    lines = _comment(f"Inferred from {origin.read}. Comments say what to check; delete them after the review.")
    for note in draft.notes:
        lines += _comment(note)
    lines.append("version: 1")
    lines += [*_doubts(nature.doubts.get("kind", ())), f"kind: {nature.kind}"]
    lines.append(f"owner: {_scalar(origin.domain)}  # the team that answers for the feed")
    description = _description(nature.kind, singular(origin.feed).replace("_", " "), origin.table)
    lines.append(f"description: {_scalar(description)}  # to be described")
    lines.append("source:")
    bucket = origin.bucket or f"raw-{origin.feed.replace('_', '-')}"
    lines.append(f"  bucket: {_scalar(bucket)}{'' if origin.bucket else '  # by convention; the samples are files'}")
    if origin.prefix:
        lines.append(f"  prefix: {_scalar(origin.prefix)}")
    if origin.format != "auto":
        lines.append(f"  format: {origin.format}")
    if origin.order:
        lines.append(f"  order: [{', '.join(origin.order)}]")
    elif origin.order is None:
        lines.append(
            "  # order: [...]  paths below the events' `source` that order them; this connector's are not known"
        )
    lines += [*_doubts(nature.doubts.get("key", ())), f"key: [{', '.join(map(_scalar, nature.key))}]"]
    lines += _times(draft)
    seconds, words = _FRESHNESS[nature.kind]
    lines.append(f"freshness_seconds: {seconds}  # {words}; an older newest object raises an alert")
    lines += ["unknown_fields: rescue", "bad_records: quarantine"]
    if draft.references:
        lines += _comment("Columns with the name of another feed's key; a changed record there recomputes these dates:")
        lines.append("# references:")
        lines += [f"#   - {{column: {column}, feed: {feed}, key: {key}}}" for column, feed, key in draft.references]
    lines.append("columns:")
    for column in draft.columns:
        lines += _column(column, "  ")
    lines += _left_out(draft.left_out)
    return "\n".join(lines) + "\n"


def _times(draft: Draft) -> list[str]:
    """The fields that date records or order versions."""
    nature, lines = draft.nature, []
    if nature.event_time:
        least = draft.times.get(nature.event_time, ("", ""))[0]
        lines += _comment(f"{_range(draft, nature.event_time)}")
        if least and least < "2000":
            lines += _comment(f"earlier than 2000-01-01 is quarantined, unless `epoch: {least[:4]}-01-01` is added")
        if nature.times:
            others = (_range(draft, name) for name in nature.times[:MAX_SHOWN])
            lines += _comment(f"other candidates: {'; '.join(others)}")
        lines.append(f"event_time: {_scalar(nature.event_time)}")
    if nature.latest_by:
        lines.append(f"latest_by: [{', '.join(map(_scalar, nature.latest_by))}]")
    if nature.created_at:
        lines.append(f"created_at: {_scalar(nature.created_at)}  # the first version of a key holds from its value")
    if nature.kind == "entity" and nature.times:
        named = ", ".join(nature.times[:MAX_SHOWN])
        lines += _comment(f"without references and `dates` a changed version affects every date; candidates: {named}")
    return lines


def _range(draft: Draft, name: str) -> str:
    least, greatest = (_without_zeros(text) for text in draft.times.get(name, ("", "")))
    return f"{name} is {least} in every record" if least == greatest else f"{name} is from {least} to {greatest}"


def _without_zeros(time: str) -> str:
    """Return a time without a fraction of zeros."""
    return re.sub(r"\.0+(?=$|[Zz+-])", "", time)


def _left_out(texts: Sequence[str]) -> list[str]:
    if not texts:
        return []
    lines = _comment("No columns; such fields stay in _rescued_data:")
    for text in texts[:MAX_LISTED]:
        lines += _comment(text, "#   ")
    if len(texts) > MAX_LISTED:
        lines.append(f"#   and {len(texts) - MAX_LISTED:,} more")
    return lines


def _column(column: ColumnDraft, indent: str) -> list[str]:
    lines = [line for comment in column.comments for line in _comment(comment, f"{indent}# ")]
    pairs = {"name": _scalar(column.name), "type": _scalar(column.type)}
    if column.required:
        pairs["required"] = "true"
    if column.repeated:
        pairs["repeated"] = "true"
    if column.unit:
        pairs["unit"] = column.unit
    if column.subject:
        pairs |= {"class": str(column.class_), "subject": _scalar(column.subject)}
    if not column.fields:
        pairs["description"] = f'"{column.description}"'
        flow = f"{indent}- {{{', '.join(f'{name}: {value}' for name, value in pairs.items())}}}"
        if len(flow) <= WIDTH:
            return [*lines, flow]
    pairs["description"] = column.description
    lines += [f"{indent}{'- ' if name == 'name' else '  '}{name}: {value}" for name, value in pairs.items()]
    if column.fields:
        lines.append(f"{indent}  fields:")
        for member in column.fields:
            lines += _column(member, f"{indent}    ")
    return lines


def _doubts(texts: Iterable[str]) -> list[str]:
    return [line for text in texts for line in _comment(text)]


def _comment(text: str, start: str = "# ") -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=start, subsequent_indent=f"{start}  ", break_on_hyphens=False, break_long_words=True
    )


def _description(kind: str, one: str, table: str) -> str:
    if kind == "event":
        return f"One record per {one}."
    if kind == "change" and table:
        return f"One record per change of a row of {table}."
    return f"One record per change of {_article(one)} {one}{'; the latest one counts' * (kind == 'entity')}."


def _article(noun: str) -> str:
    return "an" if noun[:1] in "aeio" else "a"


def _scalar(text: str) -> str:
    """Return text as a YAML scalar for block and flow style, quoted where it would be read as something else."""
    try:
        plain = load_yaml(f"[{text}]") == [text]
    except yaml.YAMLError:
        plain = False
    return text if plain and "#" not in text and ": " not in text else '"{}"'.format(text.replace('"', '\\"'))
