"""What a saved model says of itself: enough to make it again and to feed it, and nothing that picks code."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hybrid_trainer.data.gaps import Allowance
from hybrid_trainer.data.layout import Layout
from hybrid_trainer.errors import BundleError
from hybrid_trainer.models import InputDims
from hybrid_trainer.types import TargetSpec

FORMAT = 2


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """A model family's name, its flat parameters, and the dimensions that the data gave it."""

    name: str
    parameters: dict[str, Any]
    dims: InputDims


@dataclass(frozen=True, kw_only=True)
class BundleSchema:
    """The content of schema.json.

    Attributes:
        model, specs: the network, and what each of its heads predicts.
        time_window: rows in a window.
        feature_set, feature_columns, feature_names: how features are made, and their names in order.
        extra_features, expressions: single features by name, and features written as text.
        plugins: the modules that the training knew features from; for people to read, never imported from here.
        vocabularies: known categories of each categorical input, in the order of the K ids.
        clip, missing, on_error, max_gap, independent_sequences: as in the data config.
        gaps: by instrument, the longest step that was no gap in training, where `max_gap` left that to the data.
        layout: which columns a file to predict on must have, context blocks too.
        origin: versions and data that the model came from, for people to read.
    """

    model: ModelSpec
    specs: list[TargetSpec]
    time_window: int
    feature_set: str
    feature_columns: list[str]
    feature_names: list[str]
    vocabularies: dict[str, list[str]]
    clip: float | None
    missing: str
    max_gap: str | None
    independent_sequences: bool
    layout: Layout
    origin: dict[str, Any]
    extra_features: list[str] = field(default_factory=list)
    expressions: dict[str, str] = field(default_factory=dict)
    plugins: list[str] = field(default_factory=list)
    on_error: str = "raise"
    gaps: dict[str, Allowance] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write schema.json."""
        path.write_text(
            json.dumps({"format": FORMAT} | asdict(self), indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )

    @classmethod
    def read(cls, path: Path) -> BundleSchema:
        """Read schema.json; another format or a missing entry is a BundleError."""
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
            if said.pop("format") != FORMAT:
                raise BundleError(f"{path}: the format is not {FORMAT}, the one that this version reads")
            said["model"]["dims"] = InputDims(**said["model"]["dims"])
            said["model"] = ModelSpec(**said["model"])
            said["specs"] = [TargetSpec(**_tuples(spec)) for spec in said["specs"]]
            said["layout"]["context"] = _tuples(said["layout"]["context"])
            said["layout"] = Layout(**_tuples(said["layout"]))
            said["gaps"] = {name: Allowance(**gap) for name, gap in said.get("gaps", {}).items()}
            return cls(**said)
        except (KeyError, TypeError, AttributeError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise BundleError(f"{path}: not a schema that this version reads ({error})") from error


def _tuples(entries: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in entries.items()}
