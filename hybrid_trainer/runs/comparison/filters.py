"""`--where 'model.lstm_units >= 64 and valid/loss < 1'`: which runs are compared. The text is parsed, never run.

There are comparisons (== != < <= > >= in, not in) of keys, metrics, `run` and `status` with values, joined by and, or,
not. A name is a key or a metric as the table shows it, or as much of a key's end as no other key has; one that Python
would not read as a name goes into key('test/5d/r2'). A word that is no name is text: `model.name == hybrid`. A run that
hasn't got what a comparison asks for doesn't fulfil it.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Collection
from itertools import pairwise
from typing import Any, NoReturn

from hybrid_trainer.errors import UserError
from hybrid_trainer.runs.comparison.names import find, resolve
from hybrid_trainer.runs.comparison.run import Run

_LONGEST_TEXT = 2000
_ABSENT = object()
_WORDS = {"true": True, "false": False, "null": None}
_OWN: dict[str, Callable[[Run], object]] = {"run": lambda run: str(run.path), "status": lambda run: run.status}

Get = Callable[[Run], object]
Condition = Callable[[Run], bool]

_OPERATORS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda one, many: one in many,
    ast.NotIn: lambda one, many: one not in many,
}


def parse_condition(text: str, keys: Collection[str], metrics: Collection[str]) -> Condition:
    """Make a condition of a text.

    Args:
        keys, metrics: the names that some run has.

    Raises:
        UserError: it is no such condition, or speaks of a key or a metric that no run has.
    """
    if len(text) > _LONGEST_TEXT:
        raise UserError(f"--where: is longer than {_LONGEST_TEXT} characters")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        return _Parser(text, keys, metrics).condition(tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        said = error.msg if isinstance(error, SyntaxError) else str(error)
        raise UserError(
            f"--where: '{text}' is not a condition ({said}); equal is written ==, and a name that Python doesn't know "
            "as one key('test/5d/r2')"
        ) from error


class _Parser:
    def __init__(self, text: str, keys: Collection[str], metrics: Collection[str]) -> None:
        self.text = text
        self.metrics = metrics
        self.known = dict.fromkeys([*keys, *metrics, *_OWN])

    def condition(self, node: ast.expr) -> Condition:
        if isinstance(node, ast.BoolOp):
            parts = [self.condition(value) for value in node.values]
            every = isinstance(node.op, ast.And)
            return lambda run: (all if every else any)(part(run) for part in parts)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            inner = self.condition(node.operand)
            return lambda run: not inner(run)
        if isinstance(node, ast.Compare):
            return self._comparison(node)
        if (name := _name(node)) is not None:
            get = self._get(resolve("--where", name, self.known))
            return lambda run: get(run) is True
        return self._refuse(node)

    def _comparison(self, node: ast.Compare) -> Condition:
        nodes = [node.left, *node.comparators]
        names = [None if (name := _name(one)) is None else find(name, self.known) for one in nodes]
        if not any(names):  # no value can be told from a name that is written wrong
            wrong = next((name for one in nodes if (name := _name(one)) is not None and name not in _WORDS), None)
            if wrong is not None:
                resolve("--where", wrong, self.known)
            self._refuse(node, "compares no key or metric")
        gets = [self._get(name) if name else self._value(one) for name, one in zip(names, nodes, strict=True)]
        steps = [(_OPERATORS.get(type(op)), *pair) for op, pair in zip(node.ops, pairwise(gets), strict=True)]
        if any(step[0] is None for step in steps):
            self._refuse(node, "there are == != < <= > >= in, not in")
        return lambda run: all(op is not None and _holds(op, one(run), other(run)) for op, one, other in steps)

    def _get(self, name: str) -> Get:
        if name in _OWN:
            return _OWN[name]
        if name in self.metrics:
            return lambda run: run.metrics.get(name, _ABSENT)
        return lambda run: run.config.get(name, _ABSENT)

    def _value(self, node: ast.expr) -> Get:
        value = self._constant(node)
        return lambda run: value

    def _constant(self, node: ast.expr) -> object:
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            return [self._constant(one) for one in node.elts]
        if isinstance(node, ast.Name):
            return _WORDS.get(node.id, node.id)
        if (name := _name(node)) is not None:
            resolve("--where", name, self.known)  # several words are a name that is written wrong
        try:
            return ast.literal_eval(node)
        except (ValueError, TypeError):
            return self._refuse(node)

    def _refuse(self, node: ast.expr, why: str = "cannot be used") -> NoReturn:
        raise UserError(
            f"--where: '{ast.unparse(node)}' {why}; a condition is such as model.lstm_units >= 64 and valid/loss < 1"
        )


def _name(node: ast.expr) -> str | None:
    """The name that a node spells: model.lstm_units, test/signal/macro_f1 or key('...')."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        inner = _name(node.value)
        return None if inner is None else f"{inner}.{node.attr}"
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        left, right = _name(node.left), _name(node.right)
        return None if left is None or right is None else f"{left}/{right}"
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "key" and len(node.args) == 1 and not node.keywords:
        given = node.args[0]
        return given.value if isinstance(given, ast.Constant) and isinstance(given.value, str) else None
    return None


def _holds(compare: Callable[[Any, Any], bool], one: object, other: object) -> bool:
    """A comparison; of what a run hasn't got, or of a number with a text by order, it is false."""
    if one is _ABSENT or other is _ABSENT:
        return False
    try:
        return bool(compare(one, other))
    except TypeError:
        return False
