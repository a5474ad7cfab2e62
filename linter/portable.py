"""SQL that gives the same rows on DuckDB and on Spark, see docs/sql_subset.md. config.yaml enables the rule.

Functions and clauses are judged as they are written: what a macro makes of them for the engine is the macro's to answer
for. Types are judged as SQLMesh infers them of the rendered query. Each line below is measured in tests/spark.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.schema import MappingSchema
from sqlmesh.core.dialect import MacroFunc
from sqlmesh.core.linter.rule import Rule, RuleViolation
from sqlmesh.core.model import Model, SeedModel, SqlModel

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
FAITHFUL = frozenset(getattr(exp, name) for name in _NAMES.split())
"""Functions that give the same on DuckDB and Spark, under the conditions that the checks below make."""
INSTEAD: dict[type[exp.Expression], str] = {
    exp.DayOfWeek: "@DAY_OF_WEEK(day), 1 for Monday to 7 for Sunday: engines count from other days",
    exp.DayOfWeekIso: "@DAY_OF_WEEK(day), 1 for Monday to 7 for Sunday: engines count from other days",
    exp.TimeToUnix: "@EPOCH_SECONDS(time): Spark drops the fraction",
    exp.UnixToTime: "a TIMESTAMP plus INTERVAL, or @EPOCH_SECONDS(time): engines read the number in other units",
    exp.Log: "LN(x) / LN(10): LOG is the natural one on Spark",
    exp.PercentileCont: "@QUANTILE(x, share): Spark has it by another name",
    exp.PercentileDisc: "@QUANTILE(x, share): Spark has no QUANTILE_DISC",
    exp.WithinGroup: "@QUANTILE(x, share): Spark gets an approximation",
    exp.Quantile: "@QUANTILE(x, share): QUANTILE interpolates on Spark alone",
    exp.ApproxQuantile: "@QUANTILE(x, share): approximations differ",
    exp.ApproxDistinct: "COUNT(DISTINCT x): approximations differ",
    exp.ArgMax: "ROW_NUMBER() in QUALIFY: which of equals wins is left to the engine",
    exp.ArgMin: "ROW_NUMBER() in QUALIFY: which of equals wins is left to the engine",
    exp.AnyValue: "MIN or MAX: which one it takes is left to the engine",
    exp.First: "MIN or MAX, or ROW_NUMBER() in QUALIFY: which one it takes is left to the engine",
    exp.Last: "MIN or MAX, or ROW_NUMBER() in QUALIFY: which one it takes is left to the engine",
    exp.Mode: "a count and ROW_NUMBER() in QUALIFY: which of equals wins is left to the engine",
    exp.GroupConcat: "rows instead of a list in a text: Spark 3.5 has no STRING_AGG",
    exp.ArrayAgg: "rows instead of a list: Spark loses the order and the NULLs",
    exp.Format: "CONCAT: Spark formats by other signs",
    exp.Typeof: "nothing: engines name types otherwise",
    exp.Rand: "nothing: a table must not depend on chance",
    exp.Uuid: "MD5 of the key: a table must not depend on chance",
    exp.Monthname: "a CASE on EXTRACT(MONTH FROM day): Spark 3.5 has no MONTHNAME",
    exp.Dayname: "a CASE on @DAY_OF_WEEK(day): Spark 3.5 has no DAYNAME",
    exp.Week: "EXTRACT(WEEK FROM day): Spark has no WEEK",
    exp.Second: "EXTRACT(SECOND FROM DATE_TRUNC('SECOND', time)): Spark keeps the fraction in some forms",
    exp.DateAdd: "day + INTERVAL '1' DAY: DATE_ADD takes a number on Spark",
    exp.TryCast: "a type in the contract or seed, or STRPTIME(text, format): engines accept other texts",
    exp.JSONExtract: "JSON_EXTRACT_STRING(text, path): Spark gives text, DuckDB JSON",
}
INSTEAD_OF_NAMES = {
    "HASH": "MD5(text): each engine has its own HASH",
    "WEEKDAY": "@DAY_OF_WEEK(day), 1 for Monday to 7 for Sunday: engines count from other days",
    "EPOCH_US": "@EPOCH_SECONDS(time): Spark has no EPOCH_US",
    "DATE_SUB": "DATE_DIFF on days: Spark's DATE_SUB is another function",
    "DATE_PART": "EXTRACT(YEAR FROM day)",
    "PRODUCT": "EXP(SUM(LN(x))) where x > 0: Spark 3.5 has no PRODUCT",
    "TRY_STRPTIME": "STRPTIME(text, format): Spark has no TRY_STRPTIME",
    "NOW": "CURRENT_TIMESTAMP",
}
PARTS = frozenset({"YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "DOY", "HOUR", "MINUTE", "SECOND"})
"""What EXTRACT may take."""
DATE_UNITS = frozenset({"DAY", "WEEK", "MONTH", "QUARTER", "YEAR"})
TYPES = frozenset({"TEXT", "VARCHAR", "INT", "BIGINT", "SMALLINT", "DOUBLE", "DECIMAL", "BOOLEAN", "DATE", "TIMESTAMP"})
TYPES |= {"TIMESTAMPNTZ", "ARRAY", "LIST", "STRUCT"}
"""What a cast may be to. TIMESTAMP is UTC without a zone."""
MOST_DIGITS = 38
"""Digits of a DECIMAL. DuckDB fails where a product has more, Spark drops some after the point."""
_REAL = (exp.DataType.Type.DOUBLE, exp.DataType.Type.FLOAT)
_NUMBER = exp.DataType.NUMERIC_TYPES
_TEMPORAL = exp.DataType.TEMPORAL_TYPES


class PortableSql(Rule):
    """A model, its audits, and the audits that read it, mean the same on DuckDB and on Spark."""

    def check_model(self, model: Model) -> list[RuleViolation]:
        if not model._path or not isinstance(model, SqlModel | SeedModel):
            return []
        found = [f"{model.name}: {fault}" for fault in self._faults(model)]
        for audit in self.context.standalone_audits.values():
            if model.fqn in audit.depends_on:
                found += [f"{audit.name}: {fault}" for fault in written_faults(audit.query)]
        return [self.violation(fault) for fault in dict.fromkeys(found)]

    def _faults(self, model: Model) -> Iterator[str]:
        for name, arguments in model.audits:
            for argument in arguments.values():
                yield from written_faults(argument)
            if own := self.context._audits.get(name):  # SQLMesh shows those of models nowhere else
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
    """What the text of a query says outside the subset, each with what to write instead."""
    for node in query.walk():
        if isinstance(node.parent, MacroFunc):
            continue  # the macro's own name
        instead = _function(node) or _clause(node) or _condition(node)
        if instead:
            yield f"{_shown(node)}; write {instead}"


def _function(node: exp.Expression) -> str | None:
    """What to write instead of a function."""
    if isinstance(node, exp.IgnoreNulls) and isinstance(node.this, exp.AnyValue):
        return None  # how DuckDB's ANY_VALUE is parsed: told of what is in it
    if type(node) in INSTEAD:
        return INSTEAD[type(node)]
    if isinstance(node, exp.Anonymous | exp.AnonymousAggFunc):
        name = node.name.upper()
        return INSTEAD_OF_NAMES.get(name, _unknown(name))
    if isinstance(node, exp.Func) and not isinstance(node, MacroFunc) and type(node) not in FAITHFUL:
        return _unknown(node.sql_name())
    return None


def _unknown(name: str) -> str:
    return f"what docs/sql_subset.md lists: nobody has compared {name} on DuckDB and Spark"


def _clause(node: exp.Expression) -> str | None:
    """What to write instead of a clause that one of the engines lacks."""
    if isinstance(node, exp.Group) and node.args.get("all"):
        return "the columns: GROUP BY ALL is not everywhere"
    if isinstance(node, exp.Star) and (node.args.get("except_") or node.args.get("except") or node.args.get("replace")):
        return "the columns: * EXCLUDE and REPLACE are not everywhere"
    if isinstance(node, exp.Pivot):
        return "SUM(CASE WHEN … END) per column: PIVOT is not everywhere"
    if isinstance(node, exp.Join) and node.method in ("ASOF", "POSITIONAL"):
        return "a join on a period, or ROW_NUMBER() in QUALIFY: Spark has no such join"
    if isinstance(node, exp.With) and node.recursive:
        return "a join per level, or @DATE_SPINE: Spark 3.5 has no recursion"
    if isinstance(node, exp.SetOperation) and node.args.get("by_name"):
        return "the columns in one order: UNION BY NAME is not everywhere"
    if isinstance(node, exp.Distinct) and node.args.get("on"):
        return "ROW_NUMBER() in QUALIFY: DISTINCT ON is not everywhere"
    if isinstance(node, exp.TableSample):
        return "nothing: a table must not depend on chance"
    if isinstance(node, exp.WindowSpec) and (node.args.get("kind") == "GROUPS" or node.args.get("exclude")):
        return "ROWS or RANGE without EXCLUDE: Spark has no other frames"
    if isinstance(node, exp.WindowSpec) and node.args.get("kind") == "RANGE" and node.find(exp.Interval):
        return "a join on the days: Spark has no RANGE of a DATE by INTERVAL"
    if isinstance(node, exp.Select) and (reused := _reused_alias(node)):
        return f"what {reused} stands for: a SELECT cannot read its own columns everywhere"
    return None


def _reused_alias(select: exp.Select) -> str | None:
    """A column of a SELECT that a later one, or its WHERE, reads."""
    told: set[str] = set()
    where = select.args.get("where")
    for item in (*select.selects, *([where] if where else [])):
        for column in item.find_all(exp.Column):
            if not column.table and column.name in told:
                return str(column.name)
        if isinstance(item, exp.Alias):
            told.add(item.alias)
    return None


def _condition(node: exp.Expression) -> str | None:
    """What to write where a function or operator is the same only under a condition."""
    if isinstance(node, exp.Div | exp.IntDiv | exp.Mod) and not _is_never_zero(node.expression):
        return f"NULLIF({_shown(node.expression)}, 0) after it: by 0 DuckDB gives infinity, Spark fails"
    if isinstance(node, exp.RegexpReplace) and "g" not in (node.args.get("modifiers") or exp.Literal.string("")).name:
        return "'g' as the fourth argument: Spark replaces all of them"
    if isinstance(node, exp.RegexpReplace) and "\\" in node.args["replacement"].name:
        return "REGEXP_EXTRACT and CONCAT: groups are named by \\1 on DuckDB, by $1 on Spark"
    if isinstance(node, exp.Extract) and node.name.upper() not in PARTS:
        return "@DAY_OF_WEEK(day) or @EPOCH_SECONDS(time): Spark has no such part, or another"
    if isinstance(node, exp.StrToTime) and _has_letters(node.args["format"]):
        return "REPLACE around the text, and a format of signs alone: Spark takes letters in it for parts of a time"
    if isinstance(node, exp.Explode) and not isinstance(node.parent, exp.Alias | exp.Select):
        return "UNNEST(…) AS name, and what is done with it in a query around: Spark makes rows of columns alone"
    if isinstance(node, exp.TimestampTrunc | exp.DateTrunc) and not _is_cast_or_compared(node):
        return f"{_shown(node)}::DATE (or ::TIMESTAMP): the type differs"
    if isinstance(node, exp.Left | exp.Right) and not _is_positive(node.expression):
        return "a length from 1: Spark gives nothing for others"
    if isinstance(node, exp.Substring) and not _is_positive(node.args.get("start")):
        return "a start from 1: engines count others otherwise"
    if isinstance(node, exp.AtTimeZone) and node.args["zone"].name.upper() != "UTC":
        return "times in UTC: engines turn other zones the opposite way"
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
    """Whether a length or place is not a literal below 1; what a column holds is not known here."""
    return not (isinstance(number, exp.Neg) or (isinstance(number, exp.Literal) and float(number.name) < 1))


def _has_letters(text: exp.Expression) -> bool:
    """Whether a format has letters other than those of its signs, `%Y`."""
    name = text.name
    return any(sign.isalpha() and name[place - 1 : place] != "%" for place, sign in enumerate(name))


def _is_cast_or_compared(node: exp.Expression) -> bool:
    parent = node.parent
    while isinstance(parent, exp.Paren):
        parent = parent.parent
    return isinstance(parent, exp.Cast | exp.DateDiff)


def _unit(node: exp.Expression) -> str:
    unit = node.args.get("unit")
    return unit.name.upper() if unit else "DAY"


def _outside_types(kind: exp.DataType) -> str | None:
    """The first type that a type is made of and that engines do not share."""
    for part in kind.find_all(exp.DataType):
        name = part.this.value if isinstance(part.this, exp.DataType.Type) else str(part.this)
        if name not in TYPES:
            return str(name)
        if name == "DECIMAL" and not part.expressions:
            return "DECIMAL without digits"
    return None


def typed(query: exp.Expression, model: Model) -> exp.Expression:
    """A copy of a rendered query with the types of its expressions, those of windows too."""
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
    """What the types of a query make outside the subset, each with what to write instead."""
    for node in query.walk():
        instead = _number(node) or _time(node) or _text(node)
        if instead:
            yield f"{_shown(node)}; write {instead}"


def _number(node: exp.Expression) -> str | None:
    if isinstance(node, exp.Div) and _is(node.this, "decimal") | _is(node.expression, "decimal"):
        if not (_is(node.this, *_REAL) or _is(node.expression, *_REAL)):
            return f"{_shown(node.this)}::DOUBLE before it: Spark keeps six digits of a DECIMAL"
    elif isinstance(node, exp.Cast) and node.to.is_type(*exp.DataType.INTEGER_TYPES):
        inner = node.this.unnest()
        if _is(inner, "decimal", *_REAL) and not isinstance(inner, exp.Round | exp.Floor | exp.Ceil):
            return f"ROUND({_shown(inner)}) in the cast: DuckDB rounds, Spark cuts off"
    elif isinstance(node, exp.Round) and _is(node.this, *_REAL):
        return f"ROUND({_shown(node.this)}::DECIMAL(18, 6), …): engines round a DOUBLE otherwise"
    elif isinstance(node, exp.Avg) and _is(node.this, "decimal"):
        return f"AVG({_shown(node.this)}::DOUBLE): Spark gives a DECIMAL with four more digits"
    elif isinstance(node, exp.Mul) and _is(node.this, "decimal") and _is(node.expression, "decimal"):
        sizes = [kind.type.expressions for kind in (node.this, node.expression)]
        if all(sizes) and sum(int(size[0].name) for size in sizes) + 1 > MOST_DIGITS:
            return f"factors with {MOST_DIGITS - 1} digits together: Spark drops digits of a larger product"
    return None


def _time(node: exp.Expression) -> str | None:
    if isinstance(node, exp.Add | exp.Sub) and _is(node.this, "date") and not isinstance(node.expression, exp.Interval):
        if _is(node.expression, "date"):
            return "DATE_DIFF('DAY', earlier, later): the difference is an interval on Spark"
        return "+ INTERVAL '1' DAY: engines differ in what a number is"
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
                return f"{_shown(inner)}::DECIMAL(18, 6)::TEXT: engines print a DOUBLE otherwise"
            if isinstance(inner, exp.Add | exp.Sub) and isinstance(inner.expression, exp.Interval):
                return f"({_shown(inner)})::DATE::TEXT (or ::TIMESTAMP::TEXT): the type differs"
        elif _is(inner, *exp.DataType.TEXT_TYPES) and not inner.is_string and node.to.is_type(*_NUMBER, *_TEMPORAL):
            return "a type in the contract or seed, or STRPTIME(text, format): engines accept other texts"
    elif isinstance(node, exp.Concat | exp.ConcatWs | exp.DPipe):
        parts = [node.this, node.expression] if isinstance(node, exp.DPipe) else node.expressions
        for part in parts:
            if part.type and not _is(part, "unknown", "null", *exp.DataType.TEXT_TYPES):
                return f"{_shown(part)}::TEXT: engines turn others into text in their own way"
    return None


def _is(node: exp.Expression, *kinds: str | exp.DataType.Type) -> bool:
    return bool(node.type and node.type.is_type(*kinds))


def _shown(node: exp.Expression) -> str:
    """An expression as a message names it: one line, not too long."""
    bare = node.copy()
    for part in bare.find_all(exp.Identifier):
        part.set("quoted", False)
    text = " ".join(bare.sql("duckdb", comments=False).split())
    return text if len(text) <= 90 else f"{text[:87]}..."
