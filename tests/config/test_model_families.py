"""The config of the model families: what each refuses, in which words."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from hybrid_trainer.config.schema import OPTIONS
from hybrid_trainer.errors import ConfigError
from tests.conftest import make_config

KEYS = {name: {field.name for field in fields(schema)} for name, schema in OPTIONS["model"].items()}


@pytest.mark.parametrize("name", KEYS)
def test_a_key_of_another_family_is_refused_by_its_name(name: str) -> None:
    others = sorted(set().union(*KEYS.values()) - KEYS[name])
    assert others
    for key in (others[0], others[-1]):
        with pytest.raises(ConfigError, match=rf"^model\.{key}: "):
            make_config(f"model={name}", f"+model.{key}=1")


@pytest.mark.parametrize(
    ("name", "given", "text"),
    [
        ("hybrid", {"window_norm": "mean"}, "model.window_norm: 'mean' is not one of none, last, revin"),
        ("hybrid", {"window_affine": True}, "model.window_affine: it needs model.window_norm=last or revin"),
        ("hybrid", {"cell": "rnn"}, "model.cell: 'rnn' is not one of lstm, gru"),
        ("hybrid", {"cell": "gru", "forget_bias": 2.0}, "model.forget_bias: a GRU has no forget gate; "),
        ("hybrid", {"dilations": [2]}, "model.dilations: [2] must be 2 positive integers, one for each of "),
        ("cnn", {"dilations": [1, 0]}, "model.dilations: [1, 0] must be 2 positive integers, one for each of "),
        ("dlinear", {"moving_average": 4}, "model.moving_average: 4 must be odd and at least 1"),
        ("patchtst", {"attention_heads": 3}, "model.attention_heads: 3 does not divide model.d_model=16"),
        ("patchtst", {"time_window": 7}, "model.patch_len: a patch of 16 rows is longer than model.time_window=7 "),
        ("patchtst", {"layers": 0}, "model.layers: 0 is out of range"),
        ("tcn", {"channels": []}, "model.channels: [] must be one or more positive integers"),
        ("tcn", {"kernel_size": 1}, "model.kernel_size: 1 is out of range; it must be at least 2"),
        ("lstnet", {"highway": 33}, "model.highway: 33 is out of range; it must be at least 0 and at most 32"),
        ("lstnet", {"skip": 31}, "model.skip: with model.time_window=32 and model.kernel_size=3 the convolution "),
        ("deeplob", {"filters": 0}, "model.filters: 0 is out of range"),
        ("mlstm_fcn", {"filters": [8]}, "model.kernel_sizes: [8, 5, 3] must be 1 positive integers, one for each of "),
        ("mlstm_fcn", {"lstm_dropout": 1.0}, "model.lstm_dropout: 1.0 is out of range"),
    ],
)
def test_what_cannot_be_is_told_with_what_would_be_right(name: str, given: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        OPTIONS["model"][name](**given)
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize(("name", "given"), [("patchtst", {"time_window": 8}), ("lstnet", {"skip": 30}),
                                             ("hybrid", {"cell": "gru"}), ("lstm", {"forget_bias": None})])  # fmt: skip
def test_what_can_just_be_is_taken(name: str, given: dict[str, Any]) -> None:
    OPTIONS["model"][name](**given)


@pytest.mark.parametrize("name", KEYS)
def test_only_the_forecasters_are_channel_wise(name: str) -> None:
    assert OPTIONS["model"][name]().channel_wise == (name in ("dlinear", "patchtst"))
