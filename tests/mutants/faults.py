"""The faults that a query can have, each as a small difference that can be read, and the queries that have them."""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from tests.mutants.kinds import KINDS

DIALECT = "duckdb"
CLAUSES = {"where": "WHERE", "having": "HAVING", "qualify": "QUALIFY", "group": "GROUP BY", "order": "ORDER BY"}
LONGEST = 160
"""Characters of a fragment that reports show."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A small fault in the query of a model.

    Attributes:
        model: name of the model.
        place: where in the query: the CTE, and the column or the clause.
        line: line in the model's file, 0 if unknown.
        kind: a name of `KINDS`.
        before: the smallest readable fragment around the fault as the model has it.
        after: that fragment with the fault.
        node: number of the node in the order of `query.dfs()`.
        choice: number of the replacement among those of the node and the kind.
    """

    model: str
    place: str
    line: int
    kind: str
    before: str
    after: str
    node: int
    choice: int

    def replacement(self, node: exp.Expr) -> exp.Expr | None:
        """What the fault puts in the place of its node; None removes it."""
        return next(one for number, one in enumerate(KINDS[self.kind](node)) if number == self.choice)

    def __str__(self) -> str:
        where = f"{self.model}:{self.line} {self.place}"
        return f"{where} ({self.kind})\n  - {shorten(self.before)}\n  + {shorten(self.after)}"


def faults_of(model: str, query: exp.Expr) -> list[Fault]:
    """List every fault that a query can have, in the order of its text."""
    found = []
    for number, node in enumerate(query.dfs()):
        for kind, replacements in KINDS.items():
            for choice, replacement in enumerate(replacements(node)):
                around = _readable(node)
                before, after = _fragment(around), _after(node, replacement, around)
                found.append(Fault(model, _place(node), _line(around), kind, before, after, number, choice))
    return found


def with_fault(query: exp.Expr, fault: Fault) -> exp.Expr:
    """Return a copy of the query that has the fault."""
    copy = query.copy()
    node = next(node for number, node in enumerate(copy.dfs()) if number == fault.node)
    return put(copy, node, fault.replacement(node))


def put(query: exp.Expr, node: exp.Expr, replacement: exp.Expr | None) -> exp.Expr:
    """Replace a node of a query, or remove it, and return the query."""
    if replacement is None:
        node.pop()
    elif node is query:
        return replacement
    else:
        node.replace(replacement)
    return query


def shorten(text: str) -> str:
    """Cut a fragment in its middle to what a line of a report shows."""
    half = LONGEST // 2
    return text if len(text) <= LONGEST else f"{text[:half]} … {text[-half:]}"


def _readable(node: exp.Expr) -> exp.Expr:
    """The smallest fragment around a node that can be found and understood in the query."""
    while node.parent and (
        isinstance(node, exp.Literal | exp.Paren | exp.Interval | exp.Ordered | exp.Neg | exp.RowNumber | exp.Count)
        or isinstance(node.parent, exp.Cast | exp.Order | exp.WindowSpec | exp.Not)
        or (isinstance(node, exp.Coalesce) and isinstance(node.parent, exp.Binary))
        or (isinstance(node, exp.Predicate) and isinstance(node.parent, exp.If))
        or (isinstance(node, exp.Lag | exp.Lead | exp.Sum | exp.Min | exp.Max) and isinstance(node.parent, exp.Window))
    ):
        node = node.parent
    return node


def _after(node: exp.Expr, replacement: exp.Expr | None, around: exp.Expr) -> str:
    """The fragment as it is with the fault."""
    if node is around:
        return _fragment(replacement) if replacement is not None else ""
    number = next(number for number, one in enumerate(around.dfs()) if one is node)
    copy = around.copy()
    return _fragment(put(copy, next(one for place, one in enumerate(copy.dfs()) if place == number), replacement))


def _fragment(node: exp.Expr) -> str:
    if isinstance(node, exp.Select | exp.SetOperation):
        node = node.copy()
        node.set("with_", None)
    return " ".join(node.sql(dialect=DIALECT, comments=False).split())


def _place(node: exp.Expr) -> str:
    """The CTE or `query`, then the column or the clause: `line_sums.net`, `line_sums WHERE`."""
    outer = node.find_ancestor(exp.CTE)
    name = outer.alias if outer else "query"
    inner = node
    while inner.parent and not isinstance(inner.parent, exp.Select):
        inner = inner.parent
    key = inner.arg_key
    if not inner.parent or key not in ("expressions", "joins", *CLAUSES):
        return name
    if key == "joins":
        return f"{name} JOIN {inner.alias_or_name}"
    return f"{name} {CLAUSES[key]}" if key in CLAUSES else f"{name}.{inner.alias_or_name}"


def _line(node: exp.Expr) -> int:
    lines = [one.meta["line"] for one in node.dfs() if "line" in one.meta]
    return min(lines, default=0)
