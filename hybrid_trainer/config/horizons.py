"""Several horizons of one target: an entry of `data.targets` with `horizons` becomes one entry per horizon."""

from __future__ import annotations

from typing import Any

from hybrid_trainer.config.targets import TARGETS, PriceTarget, builder_of
from hybrid_trainer.errors import ConfigError


def spread_horizons(targets: dict[str, Any]) -> dict[str, Any]:
    """Turn each entry with `horizons: [1, 5]` into one entry per horizon: NAME_1, NAME_5; others stay as they are.

    Raises:
        ConfigError: `horizons` isn't a list of different positive integers, or an entry has such a name already.
    """
    spread: dict[str, Any] = {}
    for name, entry in targets.items():
        builder = TARGETS.get(builder_of(name, entry)) if isinstance(entry, dict) else None
        horizons = entry.get("horizons") if builder and issubclass(builder, PriceTarget) else None
        if horizons is None:
            made = {name: entry}
        else:
            path = f"data.targets.{name}.horizons"
            good = isinstance(horizons, list) and all(type(one) is int and one > 0 for one in horizons)
            if not (good and horizons and len(set(horizons)) == len(horizons)):
                raise ConfigError(f"{path}: {horizons} must be different positive integers, such as [1, 5, 20]")
            base = entry | {"builder": builder_of(name, entry), "horizons": None}
            made = {f"{name}_{horizon}": base | {"horizon": horizon} for horizon in horizons}
        for new in made:
            if new in spread or (new != name and new in targets):
                raise ConfigError(f"data.targets.{name}: '{new}' is the name of another target as well; rename one")
        spread |= made
    return spread
