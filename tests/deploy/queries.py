"""Queries of Prometheus, taken apart: which metrics and labels they name."""

from __future__ import annotations

from dataclasses import dataclass

import promql_parser as promql


@dataclass(frozen=True, slots=True)
class Selector:
    """One metric in a query."""

    metric: str
    matchers: tuple[tuple[str, bool, str], ...]
    """Of each: the label, whether it is compared with a pattern, and the value or pattern."""
    over_time: bool
    """Whether the query takes its changes within a time, as makes sense for counters only."""


@dataclass(frozen=True, slots=True)
class Query:
    """What a query names."""

    selectors: tuple[Selector, ...]
    grouped_by: frozenset[str]


def parse_query(text: str) -> Query:
    """Take a query apart. Raises `ValueError` if it is none."""
    selectors: list[Selector] = []
    groups: set[str] = set()
    over_time = False

    def visit(expr: promql.Expr) -> None:
        nonlocal over_time
        if isinstance(expr, promql.VectorSelector):
            selectors.append(_selector(expr, over_time=over_time))
        elif isinstance(expr, promql.AggregateExpr) and expr.modifier is not None:
            groups.update(expr.modifier.labels)
        # The next that is visited is what its range applies to.
        over_time = isinstance(expr, promql.MatrixSelector)

    promql.walk(promql.parse(text), visit)
    return Query(tuple(selectors), frozenset(groups))


def _selector(expr: promql.VectorSelector, *, over_time: bool) -> Selector:
    patterns = (promql.MatchOp.Re, promql.MatchOp.NotRe)
    matchers = tuple((one.name, one.op in patterns, one.value) for one in expr.matchers.matchers)
    return Selector(expr.name or "", matchers, over_time)
