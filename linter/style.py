"""Lint rules for the style of models.

SQLMesh loads lint rules from linter/ and runs those that config.yaml enables on every load, `sqlmesh plan` and
`sqlmesh lint`.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlmesh.core.dialect import MacroFunc, MacroVar, parse
from sqlmesh.core.dialect import Model as Header
from sqlmesh.core.linter.rule import Rule, RuleViolation
from sqlmesh.core.model import Model, SeedModel, SqlModel

from pipeline.invalidation.propagation import AFFECTS

FIELDS = ("name", "kind", "cron", "owner", "description", "grain", "tags", "partitioned_by", "audits")
"""Fields of a model header, in their required order."""
READS = {
    "seeds": set(),
    "silver": {"bronze", "seeds", "silver"},
    "gold": {"seeds", "silver", "gold"},
    "ops": {"operations", "bronze", "gold", "ops", "seeds"},
}
"""The layers that each layer may read."""
PREFIXES = ("dim_", "fct_", "rpt_")
DOMAIN_PREFIXES = ("activity_engagement_metrics", "activity_popularity_", "q1_", "q2_", "q3_")
"""Prefixes of gold tables whose names the domain prescribes."""


def _own_file(model: Model) -> Path | None:
    """The file of a model of this project; None for external models."""
    path = model._path
    return path if path and isinstance(model, SqlModel | SeedModel) else None


def _layer(model_name: str) -> str:
    return str(exp.to_table(model_name).db)


def _branches(query: exp.Query) -> list[exp.Query]:
    """The SELECTs whose rows a query returns: itself, or each side of a UNION."""
    if isinstance(query, exp.SetOperation):
        return _branches(query.left) + _branches(query.right)
    return [query.unnest()]


def _header(path: Path, model: Model) -> Header | None:
    """The header of a model's file as written; the query after it costs most of the time to parse."""
    text = path.read_text(encoding="utf-8")
    first, end, _ = text.partition("\n);\n")
    for part in (f"{first}{end}", text):
        with suppress(SqlglotError):  # the first part ends too early if a text in the header has such a line
            for item in parse(part, default_dialect=model.dialect):
                if isinstance(item, Header):
                    return item
    return None


def _is_written_out(query: exp.Expression) -> bool:
    """Whether the last SELECT is written in the file rather than by a macro or Jinja, so that it can carry comments."""
    return isinstance(query, exp.Query) and not any(isinstance(item, MacroFunc) for item in query.selects)


def _keeps_dates(expression: exp.Expression) -> bool:
    """Whether it is `@DATE_SPINE(…)` or `@SUPERSEDED(…)`: it takes the computed dates themselves, not others."""
    return isinstance(expression, MacroFunc) and expression.this.name.lower() in {"date_spine", "superseded"}


class HeaderFields(Rule):
    """A model header has the required fields, in order."""

    def check_model(self, model: Model) -> RuleViolation | None:
        path = _own_file(model)
        if path is None:
            return None
        header = _header(path, model) if path.suffix == ".sql" else None
        if header is None:
            return self.violation(f"{model.name}: {path.name} has no header; begin the file with MODEL (name …)")
        found = [field.name.lower() for field in header.expressions if field.name.lower() in FIELDS]
        optional = {"partitioned_by"} if not model.kind.is_incremental_by_time_range else set()
        optional |= {"cron"} if model.kind.is_seed else set()
        needed = [field for field in FIELDS if field not in optional]
        missing = [field for field in needed if field not in found]
        if missing:
            return self.violation(f"{model.name}: the header lacks {', '.join(missing)}; add them in {path.name}")
        ordered = sorted(found, key=FIELDS.index)
        if found != ordered:
            return self.violation(
                f"{model.name}: {path.name} has {', '.join(found)}; order them as {', '.join(ordered)}"
            )
        return None


class DescriptionStatesGrain(Rule):
    """A description begins with the meaning of one row."""

    def check_model(self, model: Model) -> RuleViolation | None:
        if _own_file(model) is None or (model.description or "").startswith("One row per "):
            return None
        return self.violation(f"{model.name}: the description must begin with 'One row per …'; say what a row is")


class NameMatchesPath(Rule):
    """models/<layer>/<domain>/<table>.sql defines <layer>.<table>, tagged with both folders; seeds need no domain."""

    def check_model(self, model: Model) -> RuleViolation | None:
        path = _own_file(model)
        if path is None:
            return None
        folder, models = path.resolve().parent, self.context.path.resolve() / "models"
        folders = folder.relative_to(models).parts if folder.is_relative_to(models) else ()
        file = "/".join(("models", *folders, path.name))
        if len(folders) != 2 and folders != ("seeds",):
            return self.violation(f"{model.name}: its file is {file}; move it to models/<layer>/<domain>/{path.name}")
        expected = f"{folders[0]}.{path.stem}"
        if model.name != expected:
            return self.violation(f"{model.name}: its file is {file}; name it {expected}, or move the file")
        if missing := [folder for folder in folders if folder not in model.tags]:
            return self.violation(f"{model.name}: the tags lack {', '.join(missing)}; add the names of its folders")
        return None


class GoldPrefix(Rule):
    """The prefix of a gold table states whether it is a dimension, a fact or a report."""

    def check_model(self, model: Model) -> RuleViolation | None:
        table = exp.to_table(model.name).name
        if _own_file(model) is None or _layer(model.name) != "gold" or table.startswith(PREFIXES + DOMAIN_PREFIXES):
            return None
        return self.violation(f"{model.name}: begin the name with {' or '.join(PREFIXES)}, by what its rows are")


class LayerOrder(Rule):
    """Silver reads bronze, gold reads silver; no model reads a later layer or skips one."""

    def check_model(self, model: Model) -> RuleViolation | None:
        if _own_file(model) is None:
            return None
        allowed = READS.get(_layer(model.name))
        if allowed is None:
            return self.violation(f"{model.name}: unknown layer; expected one of {', '.join(READS)}")
        wrong = sorted(
            f"{table.db}.{table.name}" for table in map(exp.to_table, model.depends_on) if table.db not in allowed
        )
        if wrong:
            may = ", ".join(sorted(allowed)) or "nothing"
            return self.violation(f"{model.name}: reads {', '.join(wrong)}; this layer may read {may}; change its FROM")
        return None


class ColumnsCastAndDocumented(Rule):
    """Each column of the last SELECT is cast and has a comment."""

    def check_model(self, model: Model) -> RuleViolation | None:
        if _own_file(model) is None or not isinstance(model, SqlModel):
            return None
        query = model.render_query()
        if query is None:  # needs run-time values, so it cannot be checked here
            return None
        selects = [item for branch in _branches(query) for item in branch.selects]
        untyped = sorted({item.alias_or_name for item in selects if not isinstance(item.unalias(), exp.Cast)})
        if untyped:
            return self.violation(f"{model.name}: cast {', '.join(untyped)} in the last SELECT, as in `x::TEXT AS x`")
        if model.column_descriptions_ and _is_written_out(model.query):
            return self.violation(f"{model.name}: turn column_descriptions into comments of the last SELECT")
        undocumented = [name for name in query.named_selects if not model.column_descriptions.get(name)]
        if undocumented:
            return self.violation(
                f"{model.name}: comment {', '.join(undocumented)} in the last SELECT, as in `x, /* Unit */`, "
                "or in column_descriptions where a macro or Jinja writes it"
            )
        return None


class CrossDateEffectsDeclared(Rule):
    """An incremental model whose rows depend on other dates of its upstream models declares it by a tag.

    See pipeline/invalidation/propagation.py.
    """

    def check_model(self, model: Model) -> RuleViolation | None:
        if _own_file(model) is None or not isinstance(model, SqlModel) or not model.kind.is_incremental_by_time_range:
            return None
        declared = [tag for tag in model.tags if tag.startswith("affects_")]
        if wrong := [tag for tag in declared if not AFFECTS.fullmatch(tag)]:
            return self.violation(
                f"{model.name}: the tag {wrong[0]} is not valid; expected affects_<n>_days, affects_<n>_days_before "
                "or affects_onward"
            )
        if declared or not isinstance(model.query, exp.Query):
            return None
        time = model.time_column.column.name
        moved = any(
            parent is not None and not _keeps_dates(parent)
            for variable in model.query.find_all(MacroVar)
            if variable.name.lower().startswith(("start_", "end_"))
            and (parent := variable.find_ancestor(exp.Add, exp.Sub, exp.DateAdd, exp.DateSub, MacroFunc))
        )
        dates = {time, "event_date"}
        across = any(
            not dates
            & {column.name for part in window.args.get("partition_by") or () for column in part.find_all(exp.Column)}
            for window in model.query.find_all(exp.Window)
        )
        if moved or across:
            what = "moves @start_date or @end_date" if moved else f"has a window over several dates of {time}"
            return self.violation(
                f"{model.name}: it {what}, so late data changes rows of other dates; add the tag affects_<n>_days "
                "(the dates after it), affects_<n>_days_before or affects_onward, or partition the window by the date"
            )
        return None


class OuterJoinsCompareSides(Rule):
    """The condition of an outer join compares its two sides; for any other condition DuckDB tries each pair of rows."""

    def check_model(self, model: Model) -> RuleViolation | None:
        if _own_file(model) is None or not isinstance(model, SqlModel) or not isinstance(model.query, exp.Query):
            return None
        for join in model.query.find_all(exp.Join):
            condition = join.args.get("on")
            if not join.side or condition is None:
                continue
            condition = condition.unnest()
            for part in condition.flatten() if isinstance(condition, exp.And) else [condition]:
                if not _avoids_nested_loop(part.unnest(), join.alias_or_name):
                    return self.violation(
                        f"{model.name}: joins {join.alias_or_name} on {part.sql('duckdb')}, for which DuckDB tries "
                        "every pair of rows; write comparisons of the two sides, joined by AND, such as "
                        "x < COALESCE(t.valid_to, DATE '9999-12-31')"
                    )
        return None


def _avoids_nested_loop(part: exp.Expression, joined: str) -> bool:
    """Whether a part of an outer join's condition compares its sides, or concerns only the joined rows."""
    if isinstance(part, exp.Not):
        return _avoids_nested_loop(part.this.unnest(), joined)
    if isinstance(part, MacroFunc) or _tables(part) == {joined}:
        return True
    if not isinstance(part, exp.Predicate) or not isinstance(part, exp.Binary | exp.Between):
        return False
    sides = [_tables(side) for side in part.iter_expressions()]
    return joined in set().union(*sides) and all(side in ({joined}, set()) or joined not in side for side in sides)


def _tables(part: exp.Expression) -> set[str]:
    return {column.table for column in part.find_all(exp.Column)}
