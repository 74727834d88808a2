"""One searched key: Hydra's sweep syntax, or an entry of a YAML search space, as a distribution of Optuna's.

a=1,2 | choice(1,2)              one of them             {type: categorical, choices: [1, 2]}
range(1,10,3)                    1, 4, 7: an integer     {type: int, low: 1, high: 7, step: 3}
range(0.1,0.5,0.2)               0.1, 0.3: a number      {type: float, low: 0.1, high: 0.3, step: 0.2}
interval(1,10)                   a number                {type: float, low: 1, high: 10}
int(interval(1,10))              an integer              {type: int, low: 1, high: 10}
tag(log, interval(1e-4,1e-1))    by its logarithm        {type: float, low: 1e-4, high: 1e-1, log: true}
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep, Sweep, Transformer
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import Trial

from hybrid_trainer.config.overrides import prepare
from hybrid_trainer.errors import ConfigError, did_you_mean
from hybrid_trainer.sweeps.search.conditions import ALWAYS, Condition, condition_of
from hybrid_trainer.sweeps.search.values import Choice, for_the_study, parse, plain_value, text_of

_TYPES = ("categorical", "int", "float")
_OF_NUMBERS = ("type", "low", "high", "step", "log", "when")
_OF_CHOICES = ("type", "choices", "when")
_OF_SWEEPS = ("sweep", "when")
ENTRY_WORDS = {*_OF_NUMBERS, *_OF_CHOICES, *_OF_SWEEPS}
"""What may stand in an entry: a mapping without any of them is one of further keys."""
_EXAMPLES = (
    "such as 'choice(16,32)', [16, 32], 'int(interval(16,256))' or {type: float, low: 1e-4, high: 1e-2, log: true}"
)


@dataclass(frozen=True)
class Dimension:
    """A key that is searched.

    Attributes:
        key: as the study names it. written: as an override writes it, such as ++data.targets.signal.horizon.
        distribution: its values. texts: of a choice, as overrides write them, in the order of the choices.
        when: whether it is asked for at all.
    """

    key: str
    written: str
    distribution: BaseDistribution
    texts: tuple[str, ...] = ()
    values: tuple[object, ...] = ()
    when: Condition = ALWAYS

    def ask(self, trial: Trial) -> object:
        """Let the study pick a value; it is kept there as it is returned."""
        kind = self.distribution
        if isinstance(kind, CategoricalDistribution):
            return trial.suggest_categorical(self.key, kind.choices)
        if isinstance(kind, IntDistribution):
            return trial.suggest_int(self.key, kind.low, kind.high, step=kind.step, log=kind.log)
        assert isinstance(kind, FloatDistribution)
        return trial.suggest_float(self.key, kind.low, kind.high, step=kind.step, log=kind.log)

    def override(self, value: object) -> str:
        """The override that gives the key a value of the study's."""
        return f"{self.written}={self._text(value)}"

    def meant(self, value: object) -> object:
        """The value itself, where the study keeps a text for it."""
        return self.values[self._place(value)] if self.texts else value

    def all_values(self) -> list[object] | None:
        """Every value in order; None where there are too many to count them."""
        kind = self.distribution
        if isinstance(kind, CategoricalDistribution):
            return list(kind.choices)
        if isinstance(kind, IntDistribution):
            return list(range(kind.low, kind.high + 1, kind.step))
        assert isinstance(kind, FloatDistribution)
        if kind.step is None:
            return None
        low, step = Decimal(str(kind.low)), Decimal(str(kind.step))
        return [float(low + step * number) for number in range(round((kind.high - kind.low) / kind.step) + 1)]

    def ends(self) -> list[object]:
        """The values to try out beforehand: every choice, both ends of numbers."""
        kind = self.distribution
        if isinstance(kind, IntDistribution | FloatDistribution):
            return [kind.low, kind.high] if kind.low < kind.high else [kind.low]
        return list(self._choices())

    def _place(self, value: object) -> int:
        return next(place for place, choice in enumerate(self._choices()) if choice == value)

    def _choices(self) -> list[Choice]:
        assert isinstance(self.distribution, CategoricalDistribution)
        return list(self.distribution.choices)

    def _text(self, value: object) -> str:
        kind = self.distribution
        if self.texts:
            return self.texts[self._place(value)]
        if isinstance(kind, FloatDistribution) and kind.step is not None:
            assert isinstance(value, float)
            low, step = Decimal(str(kind.low)), Decimal(str(kind.step))
            return text_of(float(low + step * round((value - kind.low) / kind.step)))  # 0.3, not 0.30000000000000004
        return text_of(value)


def of_override(override: Override) -> Dimension:
    """What one sweep of the command line asks for.

    Raises:
        ConfigError: it is one that a search has no use for; the text names the key and what to write.
    """
    place, sweep = override.key_or_group, override.value()
    made = Dimension(key=place, written=override.get_key_element(), distribution=CategoricalDistribution([None]))
    if not isinstance(sweep, Sweep):
        raise ConfigError(f"{place}: glob() names no values by itself; write the options out: {place}=one,two")
    log = _log(place, sweep)
    if isinstance(sweep, ChoiceSweep | RangeSweep) and sweep.shuffle:
        raise ConfigError(f"{place}: shuffle() has no meaning in a search, whose sampler picks the order; leave it out")
    if isinstance(sweep, ChoiceSweep):
        if log:
            raise ConfigError(f"{place}: tag(log, ...) is for interval() and range(), not for a choice")
        return _choice(made, [plain_value(each) for each in sweep.list], [Transformer.str(each) for each in sweep.list])
    if isinstance(sweep, RangeSweep):
        return _range(made, sweep, log)
    assert isinstance(sweep, IntervalSweep) and sweep.start is not None and sweep.end is not None
    return _numbers(made, place, sweep.start, sweep.end, None, log)


def of_entry(key: str, entry: object) -> Dimension:
    """What one entry of a YAML search space asks for; see `of_override`."""
    place = f"hydra.sweeper.search_space.{key}"
    if key.lstrip("+~").startswith("hydra"):
        raise ConfigError(f"{place}: a search changes no setting of Hydra's")
    if not isinstance(entry, dict):
        return _simple(key, place, entry)
    when = ALWAYS if "when" not in entry else condition_of(place, entry["when"])
    if "sweep" in entry:
        _check_names(place, entry, _OF_SWEEPS)
        return replace(_simple(key, place, entry["sweep"]), when=when)
    return replace(_structured(key, place, entry), when=when)


def _simple(key: str, place: str, entry: object) -> Dimension:
    """A sweep in Hydra's own words, or a list of choices."""
    if isinstance(entry, list) and entry:
        return _choice(_bare(key, text_of(entry[0])), list(entry), [text_of(each) for each in entry])
    read = parse(f"{key}={entry}") if isinstance(entry, str) else None
    if read is None or not read.is_sweep_override():
        raise ConfigError(f"{place}: {entry!r} is no sweep; write one {_EXAMPLES}")
    made = of_override(read)
    return replace(made, written=_bare(key, made.override(made.ends()[0]).partition("=")[2]).written)


def _structured(key: str, place: str, entry: dict[object, object]) -> Dimension:
    """{type: ..., ...}."""
    kind = entry.get("type", "categorical" if "choices" in entry else None)
    if kind not in _TYPES:
        raise ConfigError(f"{place}: must say type: {' | '.join(_TYPES)}, or be a sweep {_EXAMPLES}")
    if kind == "categorical":
        _check_names(place, entry, _OF_CHOICES)
        choices = entry.get("choices")
        if not isinstance(choices, list) or not choices:
            raise ConfigError(f"{place}.choices: must be a list of values")
        return _choice(_bare(key, text_of(choices[0])), choices, [text_of(each) for each in choices])
    _check_names(place, entry, _OF_NUMBERS)
    log = entry.get("log", False)
    if not isinstance(log, bool):
        raise ConfigError(f"{place}.log: {log!r} must be true or false")
    low, high, step = (
        _number(place, kind, each) for each in (entry.get("low"), entry.get("high"), entry.get("step", 0))
    )
    return _numbers(_bare(key, text_of(low)), place, low, high, step if "step" in entry else None, log)


def _number(place: str, kind: object, given: object) -> float:
    """A number of the kind that an entry says."""
    whole = isinstance(given, int) and not isinstance(given, bool)
    if whole and kind == "int":
        return int(str(given))
    if kind == "float" and (whole or isinstance(given, float)):
        return float(str(given))
    raise ConfigError(f"{place}: low, high and step must be {'integers' if kind == 'int' else 'numbers'}")


def _bare(key: str, text: str) -> Dimension:
    """The key with its `++`, where Hydra needs one; whether such an override may be given at all is checked."""
    written = prepare([f"{key}={text}"])[0].partition("=")[0]
    return Dimension(key=key.lstrip("+"), written=written, distribution=CategoricalDistribution([None]))


def _choice(made: Dimension, values: list[object], texts: list[str]) -> Dimension:
    twice = [text for number, text in enumerate(texts) if text in texts[:number]]
    if twice:
        raise ConfigError(f"{made.key}: {twice[0]} is given twice")
    choices = for_the_study(values, texts)
    kind = CategoricalDistribution(choices)
    return replace(made, distribution=kind, texts=tuple(texts), values=tuple(values))


def _range(made: Dimension, sweep: RangeSweep, log: bool) -> Dimension:
    """As in a sweep over a grid, the end itself is not among the values."""
    values = sorted(sweep.range())
    if not values:
        raise ConfigError(f"{made.key}: range({sweep.start},{sweep.stop},{sweep.step}) is empty")
    if log and not isinstance(values[0], int):
        raise ConfigError(f"{made.key}: tag(log, range(...)) is for integers; write tag(log, interval(...))")
    step = abs(sweep.step) if isinstance(values[0], int) else float(abs(Decimal(str(sweep.step))))
    return _numbers(made, made.key, values[0], values[-1], step, log)


def _numbers(made: Dimension, place: str, low: float, high: float, step: float | None, log: bool) -> Dimension:
    """Between two numbers, both included."""
    if low > high:
        raise ConfigError(f"{place}: from {text_of(low)} to {text_of(high)}: the first number must be the smaller one")
    if log and low <= 0:
        raise ConfigError(f"{place}: from {text_of(low)}: a logarithm needs numbers above 0")
    if step is not None and step <= 0:
        raise ConfigError(f"{place}: step {text_of(step)}: must be above 0")
    if log and step not in (None, 1):
        raise ConfigError(f"{place}: log and a step do not go together")
    if isinstance(low, int) and isinstance(high, int):
        step = 1 if step is None else int(step)
        return replace(made, distribution=IntDistribution(low, high - (high - low) % step, log=log, step=step))
    if step is not None:
        count = (Decimal(str(high)) - Decimal(str(low))) // Decimal(str(step))
        high = float(Decimal(str(low)) + count * Decimal(str(step)))
    return replace(made, distribution=FloatDistribution(float(low), float(high), log=log, step=step))


def _log(place: str, sweep: Sweep) -> bool:
    others = sorted(set(sweep.tags) - {"log"})
    if others:
        raise ConfigError(f"{place}: tag({others[0]}, ...): log is the only tag that a search knows")
    return "log" in sweep.tags


def _check_names(place: str, entry: dict[object, object], known: tuple[str, ...]) -> None:
    for name in entry:
        if name not in known:
            raise ConfigError(f"{place}.{name}: no such entry{did_you_mean(str(name), known)}")
