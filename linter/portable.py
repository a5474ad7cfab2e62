"""The lint rule for SQL that returns the same rows on DuckDB and on Spark; see docs/sql_subset.md.

SQLMesh loads lint rules from linter/ and runs those that config.yaml enables. Functions and clauses are checked as
written: the SQL that a macro renders for an engine is covered by that macro's tests. Types are checked as SQLMesh
infers them from the rendered query. Each entry below is tested in tests/spark.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterator
from pathlib import Path

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.schema import MappingSchema
from sqlmesh.core.context import GenericContext
from sqlmesh.core.dialect import MacroFunc
from sqlmesh.core.linter.rule import Rule, RuleViolation
from sqlmesh.core.model import Model, SeedModel, SqlModel

from pipeline.warehouse.cache import per_model

FILE = "lakemesh_portable.json"
_EDITION = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
_last: tuple[Hashable, dict[str, list[str]]] = ((), {})
_NAMES = (
    # logic and conditions
    "And Or Case If Coalesce Nullif Greatest Least Exists "
    # aggregates
    "Count CountIf Sum Avg Min Max Median LogicalAnd LogicalOr Stddev StddevPop Variance Corr "
    # windows
    "RowNumber Rank DenseRank PercentRank CumeDist Ntile Lag Lead FirstValue LastValue NthValue "
    # numbers
    "Abs Ceil Floor Round Sign Ln Exp Pow Sqrt Cast "
    # text
    "Concat ConcatWs DPipe Lower Upper Length Trim Left Right Substring Replace Reverse Pad Repeat StrPosition "
    "Contains StartsWith EndsWith SplitPart Split Translate RegexpLike RegexpExtract RegexpReplace MD5 SHA2 "
    "JSONExtractScalar "
    # dates and times
    "Extract Year Quarter Month Day DayOfMonth DayOfYear Hour Minute LastDay DateFromParts DateDiff DateTrunc "
    "TimestampTrunc StrToTime TimeToStr CurrentTimestamp CurrentDate "
    # lists and structs
    "Array ArrayContains ArraySize SortArray Explode Unnest GenerateSeries Struct"
)
PORTABLE_FUNCTIONS = frozenset(getattr(exp, name) for name in _NAMES.split())
"""Functions with equal results on DuckDB and Spark, under the conditions that the checks below enforce."""
REPLACEMENTS: dict[type[exp.Expression], str] = {
    exp.DayOfWeek: "@DAY_OF_WEEK(day), 1 for Monday to 7 for Sunday: engines start the week on different days",
    exp.DayOfWeekIso: "@DAY_OF_WEEK(day), 1 for Monday to 7 for Sunday: engines start the week on different days",
    exp.TimeToUnix: "@EPOCH_SECONDS(time): Spark drops the fraction",
    exp.UnixToTime: "a TIMESTAMP plus INTERVAL, or @EPOCH_SECONDS(time): engines read the number in different units",
    exp.Log: "LN(x) / LN(10): LOG is the natural logarithm on Spark",
    exp.PercentileCont: "@QUANTILE(x, share): Spark has a different name for it",
    exp.PercentileDisc: "@QUANTILE(x, share): Spark has no QUANTILE_DISC",
    exp.WithinGroup: "@QUANTILE(x, share): Spark returns an approximation",
    exp.Quantile: "@QUANTILE(x, share): QUANTILE interpolates only on Spark",
    exp.ApproxQuantile: "@QUANTILE(x, share): approximations differ",
    exp.ApproxDistinct: "COUNT(DISTINCT x): approximations differ",
    exp.ArgMax: "ROW_NUMBER() in QUALIFY: the engine decides between ties",
    exp.ArgMin: "ROW_NUMBER() in QUALIFY: the engine decides between ties",
    exp.AnyValue: "MIN or MAX: the engine decides which row it takes",
    exp.First: "MIN or MAX, or ROW_NUMBER() in QUALIFY: the engine decides which row it takes",
    exp.Last: "MIN or MAX, or ROW_NUMBER() in QUALIFY: the engine decides which row it takes",
    exp.Mode: "a count and ROW_NUMBER() in QUALIFY: the engine decides between ties",
    exp.GroupConcat: "one row per value instead of a joined text: Spark 3.5 has no STRING_AGG",
    exp.ArrayAgg: "one row per value instead of a list: Spark loses the order and the NULLs",
    exp.Format: "CONCAT: Spark uses other format specifiers",
    exp.Typeof: "SQL without TYPEOF: engines name types differently",
    exp.Rand: "SQL without RANDOM: a table must be deterministic",
    exp.Uuid: "MD5 of the key: a table must be deterministic",
    exp.Monthname: "a CASE on EXTRACT(MONTH FROM day): Spark 3.5 has no MONTHNAME",
    exp.Dayname: "a CASE on @DAY_OF_WEEK(day): Spark 3.5 has no DAYNAME",
    exp.Week: "EXTRACT(WEEK FROM day): Spark has no WEEK",
    exp.Second: "EXTRACT(SECOND FROM DATE_TRUNC('SECOND', time)): Spark keeps the fraction in some cases",
    exp.DateAdd: "day + INTERVAL '1' DAY: DATE_ADD takes a number on Spark",
    exp.TryCast: "a type in the contract or seed, or STRPTIME(text, format): engines accept different texts",
    exp.JSONExtract: "JSON_EXTRACT_STRING(text, path): Spark returns text, DuckDB JSON",
}
REPLACEMENTS_BY_NAME = {
    "HASH": "MD5(text): each engine has its own HASH",
    "WEEKDAY": "@DAY_OF_WEEK(day), 1 for Monday to 7 for Sunday: engines start the week on different days",
    "EPOCH_US": "@EPOCH_SECONDS(time): Spark has no EPOCH_US",
    "DATE_SUB": "DATE_DIFF on days: Spark's DATE_SUB is another function",
    "DATE_PART": "EXTRACT(YEAR FROM day)",
    "PRODUCT": "EXP(SUM(LN(x))) where x > 0: Spark 3.5 has no PRODUCT",
    "TRY_STRPTIME": "STRPTIME(text, format): Spark has no TRY_STRPTIME",
    "NOW": "CURRENT_TIMESTAMP",
}
PARTS = frozenset({"YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "DOY", "HOUR", "MINUTE", "SECOND"})
"""Parts that EXTRACT may take."""
DATE_UNITS = frozenset({"DAY", "WEEK", "MONTH", "QUARTER", "YEAR"})
TYPES = frozenset({"TEXT", "VARCHAR", "INT", "BIGINT", "SMALLINT", "DOUBLE", "DECIMAL", "BOOLEAN", "DATE", "TIMESTAMP"})
TYPES |= {"TIMESTAMPNTZ", "ARRAY", "LIST", "STRUCT"}
"""Types that a cast may target. TIMESTAMP is UTC without a zone."""
MOST_DIGITS = 38
"""Most digits of a DECIMAL. For a larger product DuckDB fails, and Spark drops digits after the point."""
_REAL = (exp.DataType.Type.DOUBLE, exp.DataType.Type.FLOAT)
_NUMBER = exp.DataType.NUMERIC_TYPES
_TEMPORAL = exp.DataType.TEMPORAL_TYPES


class PortableSql(Rule):
    """A model, its audits and the standalone audits that read it return the same rows on DuckDB and on Spark."""

    def check_model(self, model: Model) -> list[RuleViolation]:
        if not model._path or not isinstance(model, SqlModel | SeedModel):
            return []
        found = [f"{model.name}: {fault}" for fault in _judged(self.context)[model.name]]
        for audit in self.context.standalone_audits.values():
            if model.fqn in audit.depends_on:
                found += [f"{audit.name}: {fault}" for fault in written_faults(audit.query)]
        return [self.violation(fault) for fault in dict.fromkeys(found)]


def _judged(context: GenericContext) -> dict[str, list[str]]:
    """The faults of every model of a loaded project, cached beside SQLMesh's own cache."""
    global _last
    models = context.models.values()
    key = (context.cache_dir, tuple((model.fqn, model.data_hash, model.metadata_hash) for model in models))
    if _last[0] != key:
        path = context.cache_dir / FILE
        _last = (key, per_model(path, models, lambda model: list(_faults(model)), _EDITION))
    return _last[1]


def _faults(model: Model) -> Iterator[str]:
    """The faults of a model and its audits."""
    for name, arguments in model.audits:
        for argument in arguments.values():
            yield from written_faults(argument)
        if own := model.audit_definitions.get(name):
            yield from written_faults(own.query)
    if not isinstance(model, SqlModel):
        return
    rendered = model.render_query()
    is_sql = isinstance(model.query, exp.Query)
    for query in (*model.pre_statements, model.query if is_sql else rendered, *model.post_statements):
        if query is not None:
            yield from written_faults(query)
    if rendered is not None:
        yield from typed_faults(typed(rendered, model))


def written_faults(query: exp.Expression) -> Iterator[str]:
    """Expressions of a query that are outside the subset as written, each with its replacement."""
    for node in query.walk():
        if isinstance(node.parent, MacroFunc):
            continue  # the macro's own name
        replacement = _function(node) or _clause(node) or _condition(node)
        if replacement:
            yield f"{_excerpt(node)}; write {replacement}"


def _function(node: exp.Expression) -> str | None:
    """The replacement for a function outside the subset; None for others."""
    if isinstance(node, exp.IgnoreNulls) and isinstance(node.this, exp.AnyValue):
        return None  # how sqlglot parses ANY_VALUE of DuckDB; the inner node is reported
    if type(node) in REPLACEMENTS:
        return REPLACEMENTS[type(node)]
    if isinstance(node, exp.Anonymous | exp.AnonymousAggFunc):
        name = node.name.upper()
        return REPLACEMENTS_BY_NAME.get(name, _unknown(name))
    if isinstance(node, exp.Func) and not isinstance(node, MacroFunc) and type(node) not in PORTABLE_FUNCTIONS:
        return _unknown(node.sql_name())
    return None


def _unknown(name: str) -> str:
    return f"a function of docs/sql_subset.md: {name} has not been compared on DuckDB and Spark"


def _clause(node: exp.Expression) -> str | None:
    """The replacement for a clause that one of the engines lacks; None for others."""
    if isinstance(node, exp.Group) and node.args.get("all"):
        return "the columns: not every engine has GROUP BY ALL"
    if isinstance(node, exp.Star) and (node.args.get("except_") or node.args.get("except") or node.args.get("replace")):
        return "the columns: not every engine has * EXCLUDE and REPLACE"
    if isinstance(node, exp.Pivot):
        return "SUM(CASE WHEN … END) per column: not every engine has PIVOT"
    if isinstance(node, exp.Join) and node.method in ("ASOF", "POSITIONAL"):
        return "a join on a period, or ROW_NUMBER() in QUALIFY: Spark has no ASOF or POSITIONAL join"
    if isinstance(node, exp.With) and node.recursive:
        return "a join per level, or @DATE_SPINE: Spark 3.5 has no recursive queries"
    if isinstance(node, exp.SetOperation) and node.args.get("by_name"):
        return "the columns in the same order: not every engine has UNION BY NAME"
    if isinstance(node, exp.Distinct) and node.args.get("on"):
        return "ROW_NUMBER() in QUALIFY: not every engine has DISTINCT ON"
    if isinstance(node, exp.TableSample):
        return "a query without a sample: a table must be deterministic"
    if isinstance(node, exp.WindowSpec) and (node.args.get("kind") == "GROUPS" or node.args.get("exclude")):
        return "ROWS or RANGE without EXCLUDE: Spark has no other frames"
    if isinstance(node, exp.WindowSpec) and node.args.get("kind") == "RANGE" and node.find(exp.Interval):
        return "a join on the days: Spark has no RANGE over dates by INTERVAL"
    if isinstance(node, exp.Select) and (reused := _reused_alias(node)):
        return f"the expression of {reused}: not every engine lets a SELECT read its own columns"
    return None


def _reused_alias(select: exp.Select) -> str | None:
    """The first alias of a SELECT that a later column, or its WHERE, reads."""
    aliases: set[str] = set()
    where = select.args.get("where")
    for item in (*select.selects, *([where] if where else [])):
        for column in item.find_all(exp.Column):
            if not column.table and column.name in aliases:
                return str(column.name)
        if isinstance(item, exp.Alias):
            aliases.add(item.alias)
    return None


def _condition(node: exp.Expression) -> str | None:
    """The replacement for a function or operator whose condition for equal results is not met; None for others."""
    if isinstance(node, exp.Div | exp.IntDiv | exp.Mod) and not _is_never_zero(node.expression):
        return f"NULLIF({_excerpt(node.expression)}, 0) as the divisor: by 0 DuckDB gives infinity, Spark fails"
    if isinstance(node, exp.RegexpReplace) and "g" not in (node.args.get("modifiers") or exp.Literal.string("")).name:
        return "'g' as the fourth argument: Spark replaces every match"
    if isinstance(node, exp.RegexpReplace) and "\\" in node.args["replacement"].name:
        return "REGEXP_EXTRACT and CONCAT: a group is \\1 on DuckDB, $1 on Spark"
    if isinstance(node, exp.Extract) and node.name.upper() not in PARTS:
        return "@DAY_OF_WEEK(day) or @EPOCH_SECONDS(time): Spark lacks this part or defines it differently"
    if isinstance(node, exp.StrToTime) and _has_letters(node.args["format"]):
        return "REPLACE around the text, and a format without literal letters: Spark reads letters as parts of a time"
    if isinstance(node, exp.Explode) and not isinstance(node.parent, exp.Alias | exp.Select):
        return "UNNEST(…) AS name, and use the name in an outer query: Spark unnests only whole columns"
    if isinstance(node, exp.TimestampTrunc | exp.DateTrunc) and not _is_cast_or_compared(node):
        return f"{_excerpt(node)}::DATE (or ::TIMESTAMP): the type differs"
    if isinstance(node, exp.Left | exp.Right) and not _is_positive(node.expression):
        return "a length of 1 or more: Spark returns an empty text for others"
    if isinstance(node, exp.Substring) and not _is_positive(node.args.get("start")):
        return "a start of 1 or more: engines treat other starts differently"
    if isinstance(node, exp.AtTimeZone) and node.args["zone"].name.upper() != "UTC":
        return "times in UTC: engines convert other zones in opposite directions"
    if isinstance(node, exp.Cast) and (wrong := _outside_types(node.to)):
        return f"one of the types of docs/sql_subset.md: {wrong} differs or is missing on Spark"
    return None


def _is_never_zero(divisor: exp.Expression) -> bool:
    inner = divisor.unnest()
    while isinstance(inner, exp.Cast | exp.Neg):
        inner = inner.this.unnest()
    if isinstance(inner, exp.Literal):
        return not inner.is_string and float(inner.name) != 0
    is_constant = not inner.find(exp.Column, exp.Query, exp.AggFunc)
    return is_constant or isinstance(inner, exp.Nullif | MacroFunc)


def _is_positive(number: exp.Expression | None) -> bool:
    """Whether a length or start is not a literal below 1; the values of a column are not known here."""
    return not (isinstance(number, exp.Neg) or (isinstance(number, exp.Literal) and float(number.name) < 1))


def _has_letters(text: exp.Expression) -> bool:
    """Whether a format has letters other than those of its specifiers, such as `%Y`."""
    name = text.name
    return any(char.isalpha() and name[index - 1 : index] != "%" for index, char in enumerate(name))


def _is_cast_or_compared(node: exp.Expression) -> bool:
    parent = node.parent
    while isinstance(parent, exp.Paren):
        parent = parent.parent
    return isinstance(parent, exp.Cast | exp.DateDiff)


def _unit(node: exp.Expression) -> str:
    unit = node.args.get("unit")
    return unit.name.upper() if unit else "DAY"


def _outside_types(kind: exp.DataType) -> str | None:
    """The first type within a type that the engines do not share; None if they share all."""
    for part in kind.find_all(exp.DataType):
        name = part.this.value if isinstance(part.this, exp.DataType.Type) else str(part.this)
        if name not in TYPES:
            return str(name)
        if name == "DECIMAL" and not part.expressions:
            return "DECIMAL without precision and scale"
    return None


def typed(query: exp.Expression, model: Model) -> exp.Expression:
    """A copy of a rendered query with the types of its expressions, window functions included."""
    dialect = Dialect.get_or_raise(model.dialect)
    whole = {"annotator": lambda annotator, node: annotator._set_type(node, exp.DataType.Type.BIGINT)}
    same = {"annotator": lambda annotator, node: annotator._annotate_by_args(node, "this")}
    known = dict.fromkeys((exp.RowNumber, exp.Rank, exp.DenseRank, exp.Ntile), whole)
    known |= dict.fromkeys((exp.Lag, exp.Lead, exp.NthValue), same)
    try:
        return annotate_types(
            query.copy(),
            schema=MappingSchema(model.mapping_schema, dialect=model.dialect),
            expression_metadata={**dialect.EXPRESSION_METADATA, **known},
            dialect=model.dialect,
        )
    except SqlglotError:
        return query


def typed_faults(query: exp.Expression) -> Iterator[str]:
    """Expressions of a query that are outside the subset because of their types, each with its replacement."""
    for node in query.walk():
        replacement = _number(node) or _time(node) or _text(node)
        if replacement:
            yield f"{_excerpt(node)}; write {replacement}"


def _number(node: exp.Expression) -> str | None:
    if isinstance(node, exp.Div) and _is(node.this, "decimal") | _is(node.expression, "decimal"):
        if not (_is(node.this, *_REAL) or _is(node.expression, *_REAL)):
            return f"{_excerpt(node.this)}::DOUBLE as the dividend: Spark keeps six digits of a DECIMAL"
    elif isinstance(node, exp.Cast) and node.to.is_type(*exp.DataType.INTEGER_TYPES):
        inner = node.this.unnest()
        if _is(inner, "decimal", *_REAL) and not isinstance(inner, exp.Round | exp.Floor | exp.Ceil):
            return f"ROUND({_excerpt(inner)}) in the cast: DuckDB rounds, Spark truncates"
    elif isinstance(node, exp.Round) and _is(node.this, *_REAL):
        return f"ROUND({_excerpt(node.this)}::DECIMAL(18, 6), …): engines round a DOUBLE differently"
    elif isinstance(node, exp.Avg) and _is(node.this, "decimal"):
        return f"AVG({_excerpt(node.this)}::DOUBLE): Spark returns a DECIMAL with four more digits"
    elif isinstance(node, exp.Mul) and _is(node.this, "decimal") and _is(node.expression, "decimal"):
        sizes = [kind.type.expressions for kind in (node.this, node.expression)]
        if all(sizes) and sum(int(size[0].name) for size in sizes) + 1 > MOST_DIGITS:
            return f"factors of at most {MOST_DIGITS - 1} digits together: Spark drops digits of a larger product"
    return None


def _time(node: exp.Expression) -> str | None:
    if isinstance(node, exp.Add | exp.Sub) and _is(node.this, "date") and not isinstance(node.expression, exp.Interval):
        if _is(node.expression, "date"):
            return "DATE_DIFF('DAY', earlier, later): the difference is an interval on Spark"
        return "+ INTERVAL '1' DAY: engines differ in the unit of a number"
    if isinstance(node, exp.DateDiff):
        unit, sides = _unit(node), (node.this, node.expression)
        if unit == "DAY" and not all(_is(side, "date") for side in sides):
            return "DATE_DIFF('DAY', a::DATE, b::DATE): DuckDB counts midnights, Spark whole days"
        if unit != "DAY" and not all(_is_truncated(side, unit) for side in sides):
            return f"DATE_TRUNC('{unit}', …) around both sides: DuckDB counts boundaries, Spark whole units"
    return None


def _is_truncated(side: exp.Expression, unit: str) -> bool:
    inner = side.unnest()
    while isinstance(inner, exp.Cast):
        inner = inner.this.unnest()
    return isinstance(inner, exp.TimestampTrunc | exp.DateTrunc) and _unit(inner) == unit


def _text(node: exp.Expression) -> str | None:
    if isinstance(node, exp.Cast):
        inner = node.this.unnest()
        if node.to.is_type(*exp.DataType.TEXT_TYPES):
            if _is(inner, *_REAL):
                return f"{_excerpt(inner)}::DECIMAL(18, 6)::TEXT: engines print a DOUBLE differently"
            if isinstance(inner, exp.Add | exp.Sub) and isinstance(inner.expression, exp.Interval):
                return f"({_excerpt(inner)})::DATE::TEXT (or ::TIMESTAMP::TEXT): the type differs"
        elif _is(inner, *exp.DataType.TEXT_TYPES) and not inner.is_string and node.to.is_type(*_NUMBER, *_TEMPORAL):
            return "a type in the contract or seed, or STRPTIME(text, format): engines accept different texts"
    elif isinstance(node, exp.Concat | exp.ConcatWs | exp.DPipe):
        parts = [node.this, node.expression] if isinstance(node, exp.DPipe) else node.expressions
        for part in parts:
            if part.type and not _is(part, "unknown", "null", *exp.DataType.TEXT_TYPES):
                return f"{_excerpt(part)}::TEXT: engines convert other types to text differently"
    return None


def _is(node: exp.Expression, *kinds: str | exp.DataType.Type) -> bool:
    return bool(node.type and node.type.is_type(*kinds))


def _excerpt(node: exp.Expression) -> str:
    """An expression for a message: one line of at most 90 characters."""
    bare = node.copy()
    for part in bare.find_all(exp.Identifier):
        part.set("quoted", False)
    text = " ".join(bare.sql("duckdb", comments=False).split())
    return text if len(text) <= 90 else f"{text[:87]}..."
