"""Predicates over score columns: parsed, checked against the known columns, then given to pandas."""

import ast
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd

from curation.storage import CurationError

_ALLOWED = (
    ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.UAdd, ast.Invert, ast.BinOp,
    ast.Add, ast.Sub, ast.Mult, ast.Div, ast.BitAnd, ast.BitOr, ast.Compare, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq,
    ast.NotEq, ast.In, ast.NotIn, ast.List, ast.Tuple, ast.Name, ast.Load, ast.Constant,
)  # fmt: skip


@dataclass(frozen=True)
class Predicate:
    """A checked expression. `clauses` are what its outermost `and` joins; `columns` are those it reads."""

    text: str
    clauses: tuple[str, ...]
    columns: tuple[str, ...]

    def passes(self, table: pd.DataFrame) -> np.ndarray:
        """`(rows,)` bool. A comparison with a missing value is false, so a score that has no meaning never passes."""
        return evaluate(self.text, table)


def parse_predicate(text: str, columns: Collection[str], where: str = "predicate") -> Predicate:
    """Check an expression of comparisons, arithmetic, `and`, `or`, `not`, `in`, numbers, texts and column names.

    Raises:
        CurationError: it does not parse, calls or indexes something, or names a column that does not exist.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except SyntaxError as error:
        raise CurationError(
            f"{where} {text!r} does not parse ({error.msg}); write it like `motion >= 0.05 and has_audio`"
        ) from error
    for node in ast.walk(tree):
        if not isinstance(node, _ALLOWED):
            kind = type(node).__name__
            raise CurationError(
                f"{where} {text!r} uses {kind}, which a predicate may not; only compare columns and numbers"
            )
    names = sorted({node.id for node in ast.walk(tree) if isinstance(node, ast.Name)})
    unknown = [name for name in names if name not in columns]
    if unknown:
        known = ", ".join(sorted(columns))
        raise CurationError(f"{where} {text!r} names the unknown column {unknown[0]!r}; known columns are {known}")
    body = tree.body
    parts = body.values if isinstance(body, ast.BoolOp) and isinstance(body.op, ast.And) else [body]
    return Predicate(text.strip(), tuple(ast.unparse(part) for part in parts), tuple(names))


def evaluate(text: str, table: pd.DataFrame) -> np.ndarray:
    """`(rows,)` bool of an expression that `parse_predicate` has accepted.

    Raises:
        CurationError: the expression gives something else than true or false, such as a number.
    """
    if not len(table):
        return np.zeros(0, bool)
    value = table.eval(text, engine="python", parser="pandas")
    result = np.broadcast_to(np.asarray(value), (len(table),))
    if result.dtype != bool:
        raise CurationError(f"predicate {text!r} gives {result.dtype}, not true or false; compare it with a number")
    return result.copy()
