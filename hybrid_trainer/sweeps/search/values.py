"""Values as Hydra's overrides write them, and as a study keeps them."""

from __future__ import annotations

from typing import TypeAlias

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, ParsedElementType, Quote, QuotedString, Transformer
from hydra.errors import HydraException

Choice: TypeAlias = bool | int | float | str | None


def parse(override: str) -> Override | None:
    """An override as Hydra reads it; None where it can't."""
    try:
        return OverridesParser.create().parse_override(override)
    except HydraException:
        return None


def text_of(value: object) -> str:
    """A value as it is written behind `key=`, so that Hydra reads the very same value."""
    plain = str(Transformer.str(value))  # type: ignore[arg-type]
    read = parse(f"key={plain}")
    if read is not None and not read.is_sweep_override() and _same(read.value(), value):
        return plain
    return str(Transformer.str(QuotedString(text=str(value), quote=Quote.single)))


def plain_value(parsed: ParsedElementType) -> object:
    """What Hydra's parser has read, without the quotes."""
    return parsed.text if isinstance(parsed, QuotedString) else parsed


def for_the_study(values: list[object], texts: list[str]) -> list[Choice]:
    """What a study keeps for each of some choices: itself, or its text where that could be mistaken or not be kept."""
    kept: list[Choice] = [value for value in values if value is None or isinstance(value, bool | int | float | str)]
    if len(kept) == len(values) and len(set(kept)) == len(kept):  # 1, 1.0 and true are the same to a study
        return kept
    return list(texts)


def _same(one: object, other: object) -> bool:
    return type(one) is type(other) and one == other
