"""Predicates over score columns: parsed, checked against the known columns, then evaluated by Arrow. Nothing is eval'ed."""

import ast
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from curation.errors import CurationError

COMPARISONS: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Lt: lambda a, b: a < b, ast.LtE: lambda a, b: a <= b, ast.Gt: lambda a, b: a > b, ast.GtE: lambda a, b: a >= b,
    ast.Eq: lambda a, b: a == b, ast.NotEq: lambda a, b: a != b,
}  # fmt: skip
ARITHMETIC: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: lambda a, b: a + b, ast.Sub: lambda a, b: a - b, ast.Mult: lambda a, b: a * b, ast.Div: lambda a, b: a / b,
}  # fmt: skip
EXAMPLE = "write it like `motion >= 0.05 and has_audio`"


@dataclass(frozen=True)
class Threshold:
    """A clause of the form `column <= number`, whose number can be moved."""

    column: str
    comparison: str
    number: float


@dataclass(frozen=True)
class Predicate:
    """A checked expression. `clauses` are what its outermost `and` joins; `columns` are those it reads."""

    text: str
    clauses: tuple[str, ...]
    columns: tuple[str, ...]

    @cached_property
    def expression(self) -> pc.Expression:
        """For Arrow. A value that is missing makes a comparison neither true nor false, and so does a division by 0; what is
        not true at the end is false, so a score that has no meaning never passes, not even under `not`."""
        return _strict(self.text)

    def passes(self, table: pd.DataFrame | pa.Table) -> np.ndarray:
        """`(rows,)` bool."""
        return evaluate(self.text, table)


def parse_predicate(text: str, columns: Collection[str], where: str = "predicate") -> Predicate:
    """Check an expression of comparisons, arithmetic, `and`, `or`, `not`, `in`, numbers, texts and column names.

    Raises:
        CurationError: it does not parse, calls or indexes something, or names a column that does not exist.
    """
    try:
        body = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError) as error:
        reason = getattr(error, "msg", error)
        raise CurationError(f"{where} {text!r} does not parse ({reason}); {EXAMPLE}") from error
    try:
        _translate(body)
    except _NotAllowed as error:
        raise CurationError(
            f"{where} {text!r} uses {error}, which a predicate may not; only compare columns and numbers"
        ) from error
    names = sorted({node.id for node in ast.walk(body) if isinstance(node, ast.Name)})
    unknown = [name for name in names if name not in columns]
    if unknown:
        known = ", ".join(sorted(columns))
        raise CurationError(f"{where} {text!r} names the unknown column {unknown[0]!r}; known columns are {known}")
    parts = body.values if isinstance(body, ast.BoolOp) and isinstance(body.op, ast.And) else [body]
    return Predicate(text.strip(), tuple(ast.unparse(part) for part in parts), tuple(names))


def threshold_of(clause: str) -> Threshold | None:
    """The movable threshold of a clause, None where it is of another form."""
    body = ast.parse(clause, mode="eval").body
    signs = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
    if not (isinstance(body, ast.Compare) and len(body.ops) == 1 and type(body.ops[0]) in signs):
        return None
    try:
        number = ast.literal_eval(body.comparators[0])
    except ValueError:
        return None
    if not isinstance(body.left, ast.Name) or isinstance(number, bool) or not isinstance(number, int | float):
        return None
    return Threshold(body.left.id, signs[type(body.ops[0])], float(number))


def evaluate(text: str, table: pd.DataFrame | pa.Table) -> np.ndarray:
    """`(rows,)` bool of an expression that `parse_predicate` has accepted.

    Raises:
        CurationError: the expression gives something else than true or false, such as a number, or compares what cannot
            be compared.
    """
    arrow = table if isinstance(table, pa.Table) else pa.Table.from_pandas(table, preserve_index=False)
    return evaluate_all({"it": text}, arrow)["it"]


def evaluate_all(texts: dict[str, str], table: pa.Table) -> dict[str, np.ndarray]:
    """Several expressions on one table, in one pass.

    Raises:
        CurationError: see `evaluate`.
    """
    check_types(texts.values(), table.schema)
    projection = {name: _strict(text) for name, text in texts.items()}
    try:
        found = ds.dataset(table).to_table(columns=projection)
    except pa.ArrowInvalid as error:  # a text that is no number, met while it is computed with
        raise CurationError(f"predicates {', '.join(texts.values())} cannot be computed ({error})") from error
    return {name: found[name].to_numpy().astype(bool) for name in texts}


def check_types(texts: Collection[str], schema: pa.Schema) -> None:
    """Whether each expression gives true or false under `schema`.

    Raises:
        CurationError: naming the expression.
    """
    empty = ds.dataset(schema.empty_table())
    for text in texts:
        try:
            kind = empty.to_table(columns={"it": _translate(ast.parse(text, mode="eval").body)}).schema.field("it").type
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            reason = str(error).splitlines()[0]
            raise CurationError(f"predicate {text!r} cannot be computed ({reason}); {EXAMPLE}") from error
        if kind != pa.bool_():
            raise CurationError(f"predicate {text!r} gives {kind}, not true or false; compare it with a number")


class _NotAllowed(Exception):
    pass


def _strict(text: str) -> pc.Expression:
    return pc.coalesce(_translate(ast.parse(text, mode="eval").body), pc.scalar(False))


def _translate(node: ast.expr) -> pc.Expression:
    if isinstance(node, ast.BoolOp):
        parts = [_translate(value) for value in node.values]
        whole = parts[0]
        for part in parts[1:]:
            whole = whole & part if isinstance(node.op, ast.And) else whole | part  # Arrow's are Kleene's
        return whole
    if isinstance(node, ast.UnaryOp):
        return _unary(node)
    if isinstance(node, ast.BinOp):
        return _binary(node)
    if isinstance(node, ast.Compare):
        return _comparison(node)
    if isinstance(node, ast.Name):
        return pc.field(node.id)
    if isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float | str):
        return pc.scalar(float(node.value) if type(node.value) is int else node.value)
    raise _NotAllowed(type(node).__name__)


def _unary(node: ast.UnaryOp) -> pc.Expression:
    value = _translate(node.operand)
    if isinstance(node.op, ast.Not | ast.Invert):
        return ~value
    return pc.negate(value) if isinstance(node.op, ast.USub) else value


def _binary(node: ast.BinOp) -> pc.Expression:
    left, right = _translate(node.left), _translate(node.right)
    if isinstance(node.op, ast.BitAnd | ast.BitOr):
        return left & right if isinstance(node.op, ast.BitAnd) else left | right
    operation = ARITHMETIC.get(type(node.op))
    if operation is None:
        raise _NotAllowed(type(node.op).__name__)
    # As numbers with a fraction: 3 / 2 is 1.5 here, also between columns of whole numbers.
    left, right = left.cast(pa.float64()), right.cast(pa.float64())
    if isinstance(node.op, ast.Div):
        # Arrow would stop at the first clip with 0 there; a missing value rejects that clip alone.
        right = pc.if_else(pc.equal(right, pc.scalar(0.0)), pc.scalar(pa.scalar(None, pa.float64())), right)
    return operation(left, right)


def _comparison(node: ast.Compare) -> pc.Expression:
    terms = [node.left, *node.comparators]
    whole = None
    for left, operator, right in zip(terms[:-1], node.ops, terms[1:], strict=True):
        part = _one_comparison(left, operator, right)
        whole = part if whole is None else whole & part
    assert whole is not None
    return whole


def _one_comparison(left: ast.expr, operator: ast.cmpop, right: ast.expr) -> pc.Expression:
    if type(operator) in COMPARISONS:
        return COMPARISONS[type(operator)](_translate(left), _translate(right))
    if not isinstance(operator, ast.In | ast.NotIn) or not isinstance(right, ast.List | ast.Tuple):
        raise _NotAllowed(type(operator).__name__)
    constants = [element.value for element in right.elts if isinstance(element, ast.Constant)]
    if len(constants) != len(right.elts) or not constants:
        raise _NotAllowed("a list of other things than numbers and texts")
    value = _translate(left)
    inside = value.isin(constants)
    known = pc.if_else(value.is_valid(), inside, pc.scalar(pa.scalar(None, pa.bool_())))
    return known if isinstance(operator, ast.In) else ~known
