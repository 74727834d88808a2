"""Every key of the schema, listed: for error messages, for `describe`, and to know the open mappings."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from typing import Any, get_type_hints

from hybrid_trainer.config.schema import OPTIONS, TopLevelConfig


@dataclass(frozen=True)
class KnownKey:
    """One key: its path, its type as a user would write it, its default, its meaning, and the options that have it."""

    path: str
    type: str
    default: Any
    help: str
    options: list[str]


def keys_of(schema: type[Any], prefix: str, option: str = "") -> list[KnownKey]:
    """The keys of one dataclass and of those inside it, in the order in which they are declared."""
    found: list[KnownKey] = []
    hints = get_type_hints(schema)
    for field in fields(schema):
        path, hint = prefix + field.name, hints[field.name]
        if is_dataclass(hint):
            found += keys_of(hint, f"{path}.", option)  # type: ignore[arg-type]
            continue
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        name = hint.__name__ if isinstance(hint, type) and not hasattr(hint, "__args__") else str(hint)
        found.append(KnownKey(path, name, default, str(field.metadata.get("help", "")), [option]))
    return found


@cache
def known_keys() -> dict[str, KnownKey]:
    """Every key of every option by its path; where options share a path, the first one's default is shown."""
    found = {known.path: known for known in keys_of(TopLevelConfig, "")}
    for group, options in OPTIONS.items():
        for name, schema in options.items():
            option = f"{group}={name}"
            for known in keys_of(schema, f"{group}.", option):
                if known.path in found:
                    found[known.path].options.append(option)
                else:
                    found[known.path] = known
    return found


@cache
def open_mappings() -> tuple[str, ...]:
    """The keys whose entries the user names, such as data.targets: whatever is a mapping, or may be one."""
    return tuple(path for path, known in known_keys().items() if known.type.startswith(("dict[", "Any")))


def shown(value: Any) -> str:
    """A default as a user would write it: null, true, false."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
