"""Kinds of small faults: for a node of a query, what a wrong model could have in its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sqlglot import exp

Replacements = Iterator[exp.Expr | None]
"""Nodes to put in the place of the one given; None removes it."""

BOUNDARIES = {exp.LT: exp.LTE, exp.LTE: exp.LT, exp.GT: exp.GTE, exp.GTE: exp.GT, exp.EQ: exp.NEQ, exp.NEQ: exp.EQ}


def comparison(node: exp.Expr) -> Replacements:
    """`a < b` → `a <= b`, `a = b` → `a <> b`; BETWEEN loses either end; IS, IN and NOT are negated."""
    if isinstance(node, tuple(BOUNDARIES)):
        yield BOUNDARIES[type(node)](this=node.this.copy(), expression=node.expression.copy())
    elif isinstance(node, exp.Between):
        low, high = node.args["low"], node.args["high"]
        for lower, upper in ((exp.GT, exp.LTE), (exp.GTE, exp.LT)):
            above = lower(this=node.this.copy(), expression=low.copy())
            yield exp.paren(exp.and_(above, upper(this=node.this.copy(), expression=high.copy()), wrap=False))
    elif isinstance(node, exp.Not):
        yield node.this.copy()
    elif isinstance(node, exp.Is | exp.In) and not isinstance(node.parent, exp.Not):
        yield exp.not_(node.copy())


def sign(node: exp.Expr) -> Replacements:
    """`a + b` → `a - b`, `a - b` → `a + b`, `-a` → `a`."""
    if isinstance(node, exp.Neg):
        yield node.this.copy()
    elif isinstance(node, exp.Add | exp.Sub):
        other = exp.Sub if isinstance(node, exp.Add) else exp.Add
        yield other(this=node.this.copy(), expression=node.expression.copy())


def clause(node: exp.Expr) -> Replacements:
    """A condition loses one of its terms; WHERE, HAVING, QUALIFY and ON with a single one are removed."""
    if isinstance(node, exp.And | exp.Or):
        if not isinstance(node.this, type(node)):  # the terms of a longer chain are dropped one by one, deeper down
            yield node.expression.copy()
        yield node.this.copy()
    elif isinstance(node, exp.Where | exp.Having | exp.Qualify) and not isinstance(node.this, exp.And):
        yield None
    elif isinstance(node, exp.Join) and node.args.get("on") and not isinstance(node.args["on"], exp.And):
        joined = node.copy()
        joined.set("on", exp.true())
        yield joined


def branch(node: exp.Expr) -> Replacements:
    """CASE loses a WHEN, or its ELSE."""
    if not isinstance(node, exp.Case):
        return
    default = node.args.get("default")
    for place in range(len(node.args["ifs"])):
        if len(node.args["ifs"]) == 1:
            yield default.copy() if default else exp.null()
            break
        case = node.copy()
        case.args["ifs"][place].pop()
        yield case
    if default and not isinstance(default, exp.Null):
        case = node.copy()
        case.set("default", None)
        yield case


def distinct(node: exp.Expr) -> Replacements:
    """DISTINCT is dropped; UNION becomes UNION ALL."""
    if isinstance(node, exp.Select) and node.args.get("distinct"):
        select = node.copy()
        select.set("distinct", None)
        yield select
    elif isinstance(node, exp.Count) and isinstance(node.this, exp.Distinct) and len(node.this.expressions) == 1:
        yield exp.Count(this=node.this.expressions[0].copy(), big_int=node.args.get("big_int"))
    elif isinstance(node, exp.SetOperation) and node.args.get("distinct"):
        union = node.copy()
        union.set("distinct", False)
        yield union


def default(node: exp.Expr) -> Replacements:
    """`COALESCE(a, b)` → `a`; LAG and LEAD lose their default."""
    if isinstance(node, exp.Coalesce):
        yield node.this.copy()
    elif isinstance(node, exp.Lag | exp.Lead) and node.args.get("default"):
        lag = node.copy()
        lag.set("default", None)
        yield lag


def join(node: exp.Expr) -> Replacements:
    """LEFT and RIGHT JOIN → INNER JOIN, INNER JOIN → LEFT JOIN, FULL JOIN → LEFT JOIN."""
    if isinstance(node, exp.Join) and node.args.get("on"):
        joined = node.copy()
        inner = node.side in ("LEFT", "RIGHT")
        joined.set("side", None if inner else "LEFT")
        joined.set("kind", "INNER" if inner else None)
        yield joined


def literal(node: exp.Expr) -> Replacements:
    """A number is one greater, that of an INTERVAL too.

    Not the number in COUNT(CASE WHEN … THEN 1 END): any other counts the same.
    """
    if not isinstance(node, exp.Literal) or isinstance(node.parent, exp.DataTypeParam):
        return
    counted = node.find_ancestor(exp.If, exp.Count) if node.arg_key == "true" else None
    if isinstance(counted, exp.If) and counted.parent and isinstance(counted.parent.parent, exp.Count):
        return
    if not node.is_string:
        yield exp.Literal.number(f"{float(node.name) + 1}" if "." in node.name else int(node.name) + 1)
    elif isinstance(node.parent, exp.Interval) and node.name.isdigit():
        yield exp.Literal.string(str(int(node.name) + 1))


def aggregate(node: exp.Expr) -> Replacements:
    """SUM → MAX, MIN ↔ MAX, `COUNT(a)` → `COUNT(DISTINCT a)`."""
    if isinstance(node, exp.Sum | exp.Min):
        yield exp.Max(this=node.this.copy())
    elif isinstance(node, exp.Max):
        yield exp.Min(this=node.this.copy())
    elif isinstance(node, exp.Count) and not isinstance(node.this, exp.Distinct | exp.Star):
        yield exp.Count(this=exp.Distinct(expressions=[node.this.copy()]), big_int=node.args.get("big_int"))


def order(node: exp.Expr) -> Replacements:
    """A term of ORDER BY is reversed."""
    if isinstance(node, exp.Ordered):
        yield exp.Ordered(this=node.this.copy(), desc=not node.args.get("desc"))


KINDS: dict[str, Callable[[exp.Expr], Replacements]] = {
    kind.__name__: kind
    for kind in (comparison, sign, clause, branch, distinct, default, join, literal, aggregate, order)
}
