"""Features written in a config: `col('close').log().diff(5)`, in the syntax of polars. Imports no torch.

The text is parsed, never run: names, methods and arguments come from a short list, and each knows how many rows it
reads, so that the lookback follows from the text. None of them can read a later row. One method is not polars':
`x.market_mean()` is the mean of x over all instruments at the row's time (see `market`).
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NoReturn

import numpy as np

from hybrid_trainer.data.bars import Bars
from hybrid_trainer.data.feature_registry import Feature
from hybrid_trainer.data.kernels import Values, lagged, rolling_max, rolling_mean, rolling_min, rolling_std, rolling_sum
from hybrid_trainer.errors import ConfigError, did_you_mean

_LONGEST_TEXT = 2000
_MARKET_MEAN = "market_mean"
_LONGEST_LOOKBACK = 100_000

Evaluate = Callable[[Bars], Values]


@dataclass(frozen=True)
class _Part:
    """A part of an expression: the rows, columns and market means it reads, and its values; a number reads none."""

    lookback: int
    reads: tuple[str, ...]
    evaluate: Evaluate
    market: tuple[Feature, ...] = ()


@dataclass(frozen=True)
class _Method:
    """What a method does, the names of its arguments with their defaults, and how many rows before it reads."""

    apply: Callable[..., Values]
    arguments: dict[str, int | float | None]
    before: Callable[[int], int] | None = None  # of its first argument, which is then a number of rows
    smallest: int = 0


_REQUIRED = float("nan")


def _pct_change(x: Values, n: int) -> Values:
    return x / lagged(x, n) - 1


def _clip(x: Values, lower: float | None, upper: float | None) -> Values:
    return x if lower is None and upper is None else np.clip(x, lower, upper)


def _rolling(kernel: Callable[[Values, int], Values], smallest: int = 1) -> _Method:
    return _Method(kernel, {"window_size": _REQUIRED}, lambda window: window - 1, smallest)


_METHODS: dict[str, _Method] = {
    "log": _Method(np.log, {}),
    "log1p": _Method(np.log1p, {}),
    "exp": _Method(np.exp, {}),
    "abs": _Method(np.abs, {}),
    "sqrt": _Method(np.sqrt, {}),
    "sign": _Method(np.sign, {}),
    "clip": _Method(_clip, {"lower_bound": None, "upper_bound": None}),
    "shift": _Method(lagged, {"n": 1}, lambda n: n),
    "diff": _Method(lambda x, n: x - lagged(x, n), {"n": 1}, lambda n: n, 1),
    "pct_change": _Method(_pct_change, {"n": 1}, lambda n: n, 1),
    "rolling_mean": _rolling(rolling_mean),
    "rolling_sum": _rolling(rolling_sum),
    "rolling_std": _rolling(lambda x, window: rolling_std(x, window, ddof=1), 2),
    "rolling_min": _rolling(rolling_min),
    "rolling_max": _rolling(rolling_max),
}

_OPERATORS: dict[type[ast.operator], Callable[[Values, Values], Values]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Pow: np.power,
}


def parse(name: str, text: str) -> Feature:
    """Make a feature of an expression.

    Args:
        name: the feature's name. text: such as "(col('high') / col('low')).log().rolling_mean(10)"; columns are open,
            high, low, close, volume (what the config says they are), or others by their names in the table.

    Raises:
        ConfigError: it isn't such an expression, or it would read later rows; the text says which part.
    """
    return _Parser(f"data.expressions.{name}").feature(name, text)


class _Parser:
    def __init__(self, key: str) -> None:
        self.key = key

    def feature(self, name: str, text: str) -> Feature:
        if len(text) > _LONGEST_TEXT:
            self._refuse(f"is longer than {_LONGEST_TEXT} characters; write a feature in Python instead (plugins)")
        try:
            part = self._part(ast.parse(text.strip(), mode="eval").body)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            said = error.msg if isinstance(error, SyntaxError) else str(error)
            raise ConfigError(f"{self.key}: '{text}' is not an expression ({said})") from error
        if not part.reads:
            self._refuse(f"'{text}' reads no column; write col('close')")
        return Feature(name, part.lookback, part.evaluate, part.reads, part.market)

    def _part(self, node: ast.expr) -> _Part:
        if isinstance(node, ast.BinOp):
            return self._binary(node)
        if isinstance(node, ast.Call):
            return self._call(node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            inner = self._part(node.operand)
            return replace(inner, evaluate=lambda bars: np.negative(inner.evaluate(bars)))
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            value: Values = np.array(ast.literal_eval(node), dtype=np.float64)  # () spreads over the rows
            return _Part(1, (), lambda bars: value)
        if isinstance(node, ast.Name):
            self._refuse(f"'{node.id}' stands alone; a column is written col('{node.id}')")
        return self._refuse(
            f"'{ast.unparse(node)}' cannot be used; there are col('NAME'), numbers, + - * / ** and methods"
        )

    def _binary(self, node: ast.BinOp) -> _Part:
        operator = _OPERATORS.get(type(node.op))
        if operator is None:
            self._refuse(f"'{ast.unparse(node)}': this operator cannot be used; there are + - * / **")
        left, right = self._part(node.left), self._part(node.right)
        return _Part(
            max(left.lookback, right.lookback),
            tuple(dict.fromkeys([*left.reads, *right.reads])),
            lambda bars: operator(left.evaluate(bars), right.evaluate(bars)),
            (*left.market, *right.market),
        )

    def _call(self, node: ast.Call) -> _Part:
        function = node.func
        if ast.unparse(function) in ("col", "pl.col"):
            return self._column(node)
        if not isinstance(function, ast.Attribute):
            self._refuse(f"'{ast.unparse(function)}' is not known; methods stand behind a value: col('close').log()")
        if function.attr == _MARKET_MEAN:
            return self._market_mean(node, self._part(function.value))
        method = _METHODS.get(function.attr)
        if method is None:
            known = [*_METHODS, _MARKET_MEAN]
            self._refuse(f"there is no method '{function.attr}'{did_you_mean(function.attr, known)}")
        inner = self._part(function.value)
        arguments = self._arguments(node, function.attr, method)
        lookback = inner.lookback
        if method.before is not None:
            rows = self._rows(function.attr, method, arguments[0])
            arguments = [rows]
            lookback += method.before(rows)
        if lookback > _LONGEST_LOOKBACK:
            self._refuse(f"reads {lookback} rows; at most {_LONGEST_LOOKBACK} can be read")
        if not inner.reads:
            self._refuse(f"'{ast.unparse(node)}' is made of numbers alone; write its value")
        return replace(inner, lookback=lookback, evaluate=lambda bars: method.apply(inner.evaluate(bars), *arguments))

    def _market_mean(self, node: ast.Call, inner: _Part) -> _Part:
        """A column that is made before the feature, and read under the text that it is made by."""
        if node.args or node.keywords:
            self._refuse(f"{_MARKET_MEAN}() takes no argument: it is over all instruments at the row's time")
        if not inner.reads:
            self._refuse(f"'{ast.unparse(node)}' is made of numbers alone; write its value")
        mean = Feature(ast.unparse(node), inner.lookback, inner.evaluate, inner.reads, inner.market)
        return _Part(inner.lookback, inner.reads, lambda bars: bars[mean.name], (*inner.market, mean))

    def _column(self, node: ast.Call) -> _Part:
        given = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
        if len(node.args) != 1 or node.keywords or not given or not isinstance(given[0], str):
            self._refuse(f"'{ast.unparse(node)}' must name one column: col('close')")
        name = given[0]
        return _Part(1, (name,), lambda bars: bars[name])

    def _arguments(self, node: ast.Call, name: str, method: _Method) -> list[int | float | None]:
        """The method's arguments in its own order, defaults where they aren't given."""
        if len(node.args) > len(method.arguments):
            takes = ", ".join(method.arguments) or "no argument"
            self._refuse(f"{name}() is given {len(node.args)} arguments; it takes {takes}")
        given = dict(zip(method.arguments, node.args, strict=False))
        for keyword in node.keywords:
            if keyword.arg == "center":
                self._refuse(f"{name}(center=...) would read later rows; a window ends in its own row")
            if keyword.arg in given:
                self._refuse(f"{name}(): '{keyword.arg}' is given twice")
            if keyword.arg not in method.arguments:
                takes = ", ".join(method.arguments) or "no argument"
                self._refuse(f"{name}(): there is no argument '{keyword.arg}'; it takes {takes}")
            given[keyword.arg] = keyword.value
        numbers = {word: self._number(name, value) for word, value in given.items()}
        found = [numbers.get(word, default) for word, default in method.arguments.items()]
        if any(value is not None and np.isnan(value) for value in found):
            self._refuse(f"{name}() needs {', '.join(method.arguments)}")
        return found

    def _number(self, name: str, node: ast.expr) -> int | float | None:
        value: object
        try:
            value = ast.literal_eval(node)
        except (ValueError, TypeError):
            value = node
        if value is None:
            return None
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value
        return self._refuse(f"{name}(): '{ast.unparse(node)}' is not a number")

    def _rows(self, name: str, method: _Method, value: int | float | None) -> int:
        if not isinstance(value, int):
            self._refuse(f"{name}(): {value} is not a whole number of rows")
        if value < 0:
            self._refuse(f"{name}({value}) would read later rows; rows are counted backwards from 0")
        if value < method.smallest:
            self._refuse(f"{name}({value}): must be at least {method.smallest}")
        return value

    def _refuse(self, what: str) -> NoReturn:
        raise ConfigError(f"{self.key}: {what}")
