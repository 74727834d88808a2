"""One clear line for whatever Hydra or OmegaConf say of a user's config: the key, what was given, what is right."""

from __future__ import annotations

import difflib
import re
from dataclasses import fields

from hybrid_trainer.config.known_keys import keys_of, known_keys, shown
from hybrid_trainer.config.launchers import LocalLauncherConfig
from hybrid_trainer.config.schema import OPTIONS
from hybrid_trainer.config.search import SearchConfig
from hybrid_trainer.config.targets import TARGETS
from hybrid_trainer.errors import ConfigError, did_you_mean
from hybrid_trainer.plugins import hint

_TYPE_WORDS = {"Integer": "an integer", "Float": "a number", "Boolean": "true or false", "String": "text"}
_LIST_OR_BLOCKS = (
    "a list of columns and named blocks do not go together; name each block, data.context.NAME=[a,b], and remove one "
    "with ~data.context.NAME"
)
WHOLE_SECTION = (
    "--config: a file with whole sections, such as a run's config.yaml, goes with single keys (training.epochs=30), "
    "not with an option of a group or an experiment"
)


def unknown_key(path: str) -> ConfigError:
    """A key that isn't in the schema, with the closest that is: by its whole path, else by its last word."""
    if path.startswith("hydra.sweeper."):
        return _unknown_of_the_search(path)
    if path.startswith(("hydra.", "hydra/")):
        return _unknown_of_hydra(path)
    known = list(known_keys())
    if path in known:
        return ConfigError(f"{path}: only with {' or '.join(known_keys()[path].options)}")
    target = re.match(r"(data\.targets\.[^.]+)\.(.+)", path)
    if target:
        return unknown_target_key(path, target[2])
    leaf = next((key for key in known if path.startswith(f"{key}.")), None)
    if leaf:
        return ConfigError(f"{path}: no such key: '{leaf}' is a single value, it has no keys below it")
    section, _, last = path.replace("/", ".").rpartition(".")
    sections = {".".join(key.split(".")[:depth]) for key in known for depth in range(1, key.count(".") + 1)}
    siblings = {key.rpartition(".")[2]: key for key in [*known, *sorted(sections)] if key.rpartition(".")[0] == section}
    close = difflib.get_close_matches(last, siblings, n=1)
    if close:
        return ConfigError(f"{path}: no such key; did you mean '{siblings[close[0]]}'?")
    same_word = [key for key in known if key.rpartition(".")[2] == last]
    if same_word:
        return ConfigError(f"{path}: no such key; did you mean '{same_word[0]}'?")
    hint = did_you_mean(path, known)
    if "did you mean" in hint and section not in sections:
        return ConfigError(f"{path}: no such key{hint}")
    names = siblings if section in sections else dict.fromkeys([*OPTIONS, *(key.split(".")[0] for key in known)])
    return ConfigError(f"{path}: no such key; known: {', '.join(names)}")


def _unknown_of_the_search(path: str) -> ConfigError:
    known = [each.path for each in keys_of(SearchConfig, "hydra.sweeper.") if not each.path.endswith("_target_")]
    if path in known:
        return ConfigError(f"{path}: only with hydra/sweeper=optuna")
    return ConfigError(f"{path}: no such key{did_you_mean(path, known)}")


def _unknown_of_hydra(path: str) -> ConfigError:
    known = [each.path for each in keys_of(LocalLauncherConfig, "hydra.launcher.") if each.help]
    known += ["hydra.sweep.dir", "hydra.sweep.subdir", "hydra.run.dir", "hydra.searchpath"]
    near = difflib.get_close_matches(path, known, n=1)
    why = f"; did you mean '{near[0]}'?" if near else f"; known of a sweep: {', '.join(known)}"
    return ConfigError(f"{path}: no such key{why}")


def unknown_target_key(path: str, name: str, builder: str | None = None) -> ConfigError:
    """A key of a target that its builder does not have; without a builder, that none has."""
    schemas = [TARGETS[builder]] if builder in TARGETS else list(TARGETS.values())
    names = sorted({field.name for schema in schemas for field in fields(schema)})
    if name in names or builder is None:
        names = [other for other in names if other != name]
    return ConfigError(f"{path}: no such key{did_you_mean(name, names)}")


def explain(error: BaseException, prefix: str = "") -> ConfigError:
    """Return the ConfigError that says in one line what `error` and its causes mean.

    Raises:
        KeyboardInterrupt: a signal came while the config was being composed, and the error is but what it left behind.
    """
    _raise_a_signal_behind(error)
    for cause in _chain(error):
        if isinstance(cause, ConfigError):
            return cause
    for cause in reversed(_chain(error)):
        said = _explain_one(cause, prefix, error)
        if said:
            return ConfigError(said)
    return ConfigError(" ".join(str(error).split()) or WHOLE_SECTION)  # OmegaConf only asserts, for an experiment


def _raise_a_signal_behind(error: BaseException) -> None:
    """OmegaConf's own tidying up fails where a signal ends it in the middle; what it raises hides the signal."""
    waiting, seen = [error], set()
    while waiting:
        one = waiting.pop()
        if isinstance(one, KeyboardInterrupt):
            raise one
        if id(one) not in seen:
            seen.add(id(one))
            waiting += [other for other in (one.__cause__, one.__context__) if other is not None]


def _chain(error: BaseException) -> list[BaseException]:
    chain = [error]
    while True:
        error = chain[-1]
        cause = error.__cause__
        if cause is None and type(error).__name__ == "ConfigCompositionException":
            cause = error.__context__  # Hydra raises its own while handling another
        if cause is None:
            return chain
        chain.append(cause)


def _explain_one(cause: BaseException, prefix: str, outer: BaseException) -> str | None:
    name = type(cause).__name__
    if name == "MissingConfigException":
        return _missing_option(cause, outer)
    if name in ("ConfigAttributeError", "ConfigKeyError"):
        return str(unknown_key(_full_key(cause, prefix)))
    if name == "OverrideParseException":
        given = getattr(cause, "override", "")
        return f"{given}: not an override; write key=value, and quote a value with spaces or commas: \"key='a, b'\""
    if name == "MissingMandatoryValue":
        return f"{_full_key(cause, prefix)}: a value is needed"
    if name in (
        "InterpolationKeyError",
        "InterpolationResolutionError",
        "InterpolationToMissingValueError",
        "UnsupportedInterpolationType",
    ):
        return f"{_full_key(cause, prefix)}: {_first_line(cause)}"
    if name in ("ScannerError", "ParserError", "ConstructorError"):
        return f"a config file is not valid YAML: {' '.join(str(cause).split())}"
    if name == "ValidationError":
        return _wrong_type(cause, prefix, outer)
    if name == "ConfigCompositionException":
        return _composition(cause)
    below_a_list = re.match(r"invalid literal for int\(\) with base 10: '(.+)'", str(cause))
    if below_a_list:  # what OmegaConf says of a name where an index should be
        return f"data.context.{below_a_list[1]}: {_LIST_OR_BLOCKS}"
    return None


def _composition(cause: BaseException) -> str | None:
    text = str(cause)
    sweep = re.search(r"Sweep parameters '(.+?)' requires --multirun|Ambiguous value for argument '(.+?)'", text)
    if sweep:
        given = (sweep[1] or sweep[2]).lstrip("+")  # the command line has put ++ before entries of open mappings
        key, _, value = given.partition("=")
        key = key.strip()
        known = known_keys().get(key)
        is_list = known is not None and known.type.startswith("list")
        as_list = f", or write a list as '{key}=[{value}]'" if is_list else ""
        return f"{key}: '{value}' is several values; add --multirun to run each{as_list}"
    unknown = re.search(r"Could not (?:override|append to config\. An item is already at) '(.+?)'", text)
    if unknown and "already at" in text:
        return f"{unknown[1]}: is there already; write it without '+'"
    if unknown:
        return str(unknown_key(unknown[1].split("@")[0].replace("/", ".")))
    blocks = re.search(r"Error merging override '?\+*(data\.context[^'\s=]*)=", text)
    if blocks:
        return f"{blocks[1]}: {_LIST_OR_BLOCKS}"
    removed = re.search(r"Error merging override '?~([^'\s=]+)", text)
    if removed:
        return (
            f"{removed[1]}: this key cannot be removed, only entries of a mapping, such as ~data.targets.regime; "
            "set it to null where that is allowed"
        )
    again = re.search(r"Multiple values for (\w+)\.", text)
    if again:
        return f"{again[1]}: is chosen already; write it without '+'"
    delete = re.search(r"Could not delete (?:from config\. )?'?(.+?)'?(?:\. |'| does| is|$)", text)
    if delete:
        return f"~{delete[1].lstrip('~')}: there is no such key to remove"
    return None


def _missing_option(cause: BaseException, outer: BaseException) -> str:
    missing = str(getattr(cause, "missing_cfg_file", "") or "")
    options = [str(option) for option in getattr(cause, "options", None) or []]
    group, _, option = missing.rpartition("/")
    if options and group:
        return f"{group}: there is no option '{option}'{did_you_mean(option, options)}{hint()}"
    return _first_line(outer)


def _wrong_type(cause: BaseException, prefix: str, outer: BaseException) -> str:
    path = _full_key(cause, prefix)
    text = _first_line(cause)
    override = re.search(r"Error merging override '?([^'\s]+?)=", str(outer))
    if not path and override:
        path = override[1].lstrip("+")
    if override and override[1].lstrip("+").startswith(f"{path}."):
        return str(unknown_key(override[1].lstrip("+")))
    match = re.match(r"Value '(.*)' of type '.*' could not be converted to (\w+)", text)
    known = known_keys().get(re.sub(r"\[\d+\]$", "", path))
    boolean = re.match(r"Value '(.*)' is not a valid bool", text)
    if boolean:
        said = f"{path}: '{boolean[1]}' is not true or false"
    elif match:
        said = f"{path}: '{match[1]}' is not {_TYPE_WORDS.get(match[2], match[2])}"
    elif "is not a ListConfig, list or tuple" in text:
        said = f"{path}: must be a list, such as [32, 32]" if not known else f"{path}: must be a list: {path}=[...]"
    elif "is not Optional" in text or "non optional" in text.lower() or "Incompatible value 'None'" in text:
        said = f"{path}: null is not allowed"
    elif not path and "is not a subclass of" in text:
        said = WHOLE_SECTION
    elif "is not a subclass of" in text:
        said = str(not_a_section(path))
    elif re.match(r"Cannot assign \w+ to Dict", text):
        said = f"{path}: must be a mapping: {path}.NAME=..."
    else:
        said = f"{path}: {text}"
    if known:
        said += f" ({known.help}; default {shown(known.default)})"
    return said


def not_a_section(path: str) -> ConfigError:
    """A single value was given where there are keys below."""
    below = next((key for key in known_keys() if key.startswith(f"{path}.")), "KEY=VALUE")
    return ConfigError(f"{path}: is a section with keys of its own, such as {below}")


def _full_key(cause: BaseException, prefix: str) -> str:
    key = str(getattr(cause, "full_key", None) or "")
    return f"{prefix}.{key}" if prefix and key else prefix or key


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
