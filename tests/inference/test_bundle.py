"""The saved model: it is the one that was tested, and nothing that was altered is ever used."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import skops.io
import torch
from safetensors.torch import load_file, save_file
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from hybrid_trainer.errors import BundleError
from hybrid_trainer.inference.bundle import (
    CARD,
    CONTEXT_SCALER,
    GOLDEN,
    MANIFEST,
    SCALER,
    SCHEMA,
    WEIGHTS,
    load_bundle,
    publish_bundle,
    save_bundle,
)
from hybrid_trainer.inference.predictor import Predictor
from tests.inference.conftest import Trained

FILES = (WEIGHTS, SCALER, SCHEMA, GOLDEN, CARD, MANIFEST)


class Harmless(TransformerMixin, BaseEstimator):
    """A transformer that isn't among the types that skops trusts."""

    def transform(self, features: np.ndarray) -> np.ndarray:
        return features


@pytest.fixture
def copy(trained: Trained, tmp_path: Path) -> Path:
    """A copy of the saved model that a test may spoil."""
    return shutil.copytree(trained.run.bundle, tmp_path / "model")


def seal(folder: Path) -> None:
    """Make the manifest fit the files again, as someone would who wants the change to go unseen."""
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    digests.pop(MANIFEST)
    (folder / MANIFEST).write_text(json.dumps(digests))


def edit_schema(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    schema = json.loads((folder / SCHEMA).read_text())
    change(schema)
    (folder / SCHEMA).write_text(json.dumps(schema))
    seal(folder)


def edit_tensors(file: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file)
    seal(file.parent)


def bias_of(task: str, weights: dict[str, torch.Tensor]) -> torch.Tensor:
    return next(value for name, value in weights.items() if name.endswith(f"{task}.bias"))


def golden_of(folder: Path) -> dict[str, torch.Tensor]:
    return {name: value for name, value in load_file(folder / GOLDEN).items() if not name.startswith("output.")}


def refusal(folder: Path) -> str:
    with pytest.raises(BundleError) as caught:
        load_bundle(folder)
    return str(caught.value)


@pytest.mark.parametrize("which", ["trained", "own"])
def test_the_loaded_model_predicts_what_the_report_of_the_test_rows_says(
    which: str, request: pytest.FixtureRequest
) -> None:
    trained: Trained = request.getfixturevalue(which)
    reported = pl.read_parquet(trained.run.report / "predictions.parquet")
    loaded = trained.load()
    predicted = loaded.predict_file(trained.file)
    joined = reported.join(predicted, on=["timestamp", "instrument"], how="left", suffix="_now")
    assert len(joined) == len(reported) > 10
    for spec in loaded.schema.specs:
        now = np.array(joined[f"{spec.output_name}_now"].to_list())
        assert now.shape == (len(reported), spec.dim)
        np.testing.assert_allclose(now, np.array(joined[spec.output_name].to_list()), rtol=0, atol=1e-5)


def test_a_bundle_of_two_heads_has_these_two_in_their_order(own: Trained) -> None:
    loaded = own.load()
    assert [spec.output_name for spec in loaded.schema.specs] == ["level_pred", "mood_probs"]
    assert [spec.labels for spec in loaded.schema.specs] == [("level",), ("calm", "wild")]
    assert set(load_file(own.run.bundle / GOLDEN)) == {"x", "ids", "context", "output.level_pred", "output.mood_probs"}


def test_the_bundle_holds_its_six_files_and_the_manifest_their_digests(trained: Trained) -> None:
    folder = trained.run.bundle
    assert {path.name for path in folder.iterdir()} == set(FILES)
    digests = json.loads((folder / MANIFEST).read_text())
    assert digests == {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES if name != MANIFEST
    }


@pytest.fixture
def own_copy(own: Trained, tmp_path: Path) -> Path:
    """A copy of a saved model with context and categories."""
    return shutil.copytree(own.run.bundle, tmp_path / "model")


def test_context_blocks_and_categories_come_back_as_they_were_saved(own: Trained) -> None:
    loaded = own.load()
    assert {path.name for path in own.run.bundle.iterdir()} == {*FILES, CONTEXT_SCALER}
    assert loaded.schema.layout.context == {"text": ("text",), "rest": ("rest_0", "rest_1")}
    assert loaded.schema.layout.categories == ("soil",)
    assert loaded.schema.vocabularies == {"instrument": ["north", "south"], "soil": ["clay", "sand"]}
    assert loaded.schema.model.dims.context == {"text": 1, "rest": 2}
    assert loaded.schema.model.dims.vocabularies == {"instrument": 3, "soil": 3}
    assert loaded.schema.model.parameters["embeddings"] == {"instrument": 4, "soil": 2}
    weights = load_file(own.run.bundle / WEIGHTS)
    stand_ins = {name: value for name, value in weights.items() if name.endswith("fallback")}
    assert {name.split(".")[3] for name in stand_ins} == {"block_text", "block_rest"}
    assert all(value.any() for value in stand_ins.values())  # learned: they began as zeros
    assert (weights["side.embedding.tables.1.weight"][0] != 0).any()  # so was the category of rows without a soil
    golden = load_file(own.run.bundle / GOLDEN)
    assert golden["context"].isnan().any(dim=1).any() and not golden["context"].isnan().all()


def test_the_context_scaler_is_guarded_like_the_other_files(own_copy: Path) -> None:
    file = own_copy / CONTEXT_SCALER
    content = file.read_bytes()
    altered = bytearray(content)
    altered[50] ^= 1
    file.write_bytes(altered)
    assert refusal(own_copy).startswith(f"{file}: the file was altered")
    file.unlink()
    assert refusal(own_copy).startswith(f"{file}: the file is missing")
    seal(own_copy)  # as if it had never been there
    assert refusal(own_copy) == f"{own_copy / MANIFEST}: the file is damaged (it does not list {CONTEXT_SCALER})"
    skops.io.dump(Harmless(), file)
    seal(own_copy)
    assert refusal(own_copy).startswith(f"{file}: the scaler holds something that is not trusted")


def test_another_context_scaler_is_not_the_model_that_was_tested(own_copy: Path) -> None:
    scaler = skops.io.load(own_copy / CONTEXT_SCALER, trusted=[])
    scaler.mean_ += 0.5
    skops.io.dump(scaler, own_copy / CONTEXT_SCALER)
    seal(own_copy)
    assert "golden batch comes out different" in refusal(own_copy)


def test_there_is_no_pickle_in_it(trained: Trained) -> None:
    folder = trained.run.bundle
    with zipfile.ZipFile(folder / SCALER) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    arrays = {name for name in members if name.endswith(".npy")}
    assert set(members) == arrays | {"schema.json"}
    for name in arrays:
        np.load(io.BytesIO(members[name]), allow_pickle=False)
    json.loads(members["schema.json"])
    for name in (SCHEMA, MANIFEST, CARD):
        (folder / name).read_text(encoding="utf-8")
    for name in (WEIGHTS, GOLDEN):
        assert load_file(folder / name)


@pytest.mark.parametrize("name", [name for name in FILES if name != MANIFEST])
def test_a_flipped_bit_anywhere_in_a_file_is_refused_with_its_name(copy: Path, name: str) -> None:
    content = (copy / name).read_bytes()
    for position in [*range(0, len(content), 101), len(content) - 1]:
        altered = bytearray(content)
        altered[position] ^= 1 << position % 8
        (copy / name).write_bytes(altered)
        assert refusal(copy).startswith(f"{copy / name}: the file was altered")


def test_a_flipped_bit_anywhere_in_the_manifest_is_refused_with_its_name(copy: Path) -> None:
    content = (copy / MANIFEST).read_bytes()
    for position in range(len(content)):
        for bit in (position % 7, 7):  # with bit 7 it is no UTF-8 any more
            altered = bytearray(content)
            altered[position] ^= 1 << bit
            (copy / MANIFEST).write_bytes(altered)
            assert MANIFEST in refusal(copy), (position, bit)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_refused_with_its_name(copy: Path, name: str) -> None:
    (copy / name).unlink()
    said = refusal(copy)
    assert name in said
    assert str(copy) in said


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_short_is_refused(copy: Path, name: str) -> None:
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[: len(content) // 2])
    assert name in refusal(copy)


@pytest.mark.parametrize("content", ["[]", "null", '"x"', "{}", '{"files": {}}'])
def test_a_manifest_of_another_format_is_refused(copy: Path, content: str) -> None:
    (copy / MANIFEST).write_text(content)
    assert str(copy) in refusal(copy)


def test_other_weights_are_not_the_model_that_was_tested(copy: Path) -> None:
    edit_tensors(copy / WEIGHTS, lambda weights: bias_of("volatility", weights).add_(0.01))
    said = refusal(copy)
    assert "golden batch comes out different ('volatility_pred' by up to" in said
    assert str(copy) in said


def test_another_scaler_is_not_the_model_that_was_tested(copy: Path) -> None:
    scaler = skops.io.load(copy / SCALER, trusted=[])
    scaler.mean_ += 0.1
    skops.io.dump(scaler, copy / SCALER)
    seal(copy)
    assert "golden batch comes out different" in refusal(copy)


def test_weights_that_are_no_numbers_are_refused(copy: Path) -> None:
    edit_tensors(copy / WEIGHTS, lambda weights: bias_of("signal", weights).fill_(float("nan")))
    assert "golden batch comes out different ('signal_probs'" in refusal(copy)


def test_a_schema_of_another_format_is_refused(copy: Path) -> None:
    edit_schema(copy, lambda schema: schema.update(format=3))
    assert f"{copy / SCHEMA}: the format is not 2" in refusal(copy)


@pytest.mark.parametrize(
    "change",
    [
        lambda schema: schema.pop("format"),
        lambda schema: schema.pop("clip"),
        lambda schema: schema.update(of_a_later_version=1),
        lambda schema: schema["specs"][0].update(of_a_later_version=1),
        lambda schema: schema["model"].pop("dims"),
        lambda schema: schema.update(model="hybrid"),
        lambda schema: schema.update(specs=None),
    ],
)
def test_a_schema_with_missing_or_unknown_entries_is_refused(copy: Path, change: Callable[..., Any]) -> None:
    edit_schema(copy, change)
    assert f"{copy / SCHEMA}: not a schema that this version reads" in refusal(copy)


@pytest.mark.parametrize("name", ["os.system", "hybrid_trainer.models.hybrid.EnhancedHybridModel", "hybird"])
def test_no_name_in_the_schema_picks_code_outside_the_registry(copy: Path, name: str) -> None:
    edit_schema(copy, lambda schema: schema["model"].update(name=name))
    assert f"the model needs the model family '{name}', which is not a built-in one" in refusal(copy)


def test_a_schema_of_another_shape_than_the_weights_is_refused(copy: Path) -> None:
    edit_schema(copy, lambda schema: schema["model"]["parameters"].update(lstm_units=16))
    assert f"{copy}: the weights do not fit the schema" in refusal(copy)


def test_weights_that_lack_a_part_are_refused(copy: Path) -> None:
    edit_tensors(copy / WEIGHTS, lambda weights: weights.pop(max(weights)))
    assert f"{copy}: the weights do not fit the schema" in refusal(copy)


@pytest.mark.parametrize("transformer", [Harmless(), FunctionTransformer(os.system)], ids=["class", "function"])
def test_a_scaler_of_a_type_that_is_not_trusted_is_refused(copy: Path, transformer: Any) -> None:
    skops.io.dump(transformer, copy / SCALER)
    seal(copy)
    said = refusal(copy)
    assert said.startswith(f"{copy / SCALER}: the scaler holds something that is not trusted")


def test_a_scaler_that_is_a_pickle_is_refused(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(copy)
    (copy / SCALER).write_bytes(b"cos\nsystem\n(S'touch owned'\ntR.")
    seal(copy)
    assert refusal(copy).startswith(f"{copy / SCALER}: ")
    assert not Path("owned").exists()


def _scaler(folder: Path, transformer: Any) -> None:
    skops.io.dump(transformer, folder / SCALER)
    seal(folder)


NOT_FITTING: dict[str, Callable[[Path], Any]] = {
    "scaler of another width": lambda folder: _scaler(folder, StandardScaler().fit(np.zeros((2, 3)))),
    "scaler that is none": lambda folder: _scaler(folder, LinearRegression()),
    "golden batch without an output": lambda folder: edit_tensors(
        folder / GOLDEN, lambda g: g.pop("output.sl_tp_pred")
    ),
    "golden batch without windows": lambda folder: edit_tensors(folder / GOLDEN, lambda golden: golden.pop("x")),
    "heads that are no mapping": lambda folder: edit_schema(
        folder, lambda schema: schema["model"]["dims"].update(heads=None)
    ),
    "a task without a head": lambda folder: edit_schema(folder, lambda schema: schema["specs"][0].update(name="other")),
    "schema not UTF-8": lambda folder: [(folder / SCHEMA).write_bytes(b'{"format": "\xff"}'), seal(folder)],
}


@pytest.mark.parametrize("what", NOT_FITTING)
def test_parts_that_do_not_fit_each_other_are_refused_in_words(copy: Path, what: str) -> None:
    NOT_FITTING[what](copy)
    assert str(copy) in refusal(copy)


def test_the_run_folder_in_place_of_the_model_folder_gets_a_hint(trained: Trained) -> None:
    said = refusal(trained.run.path)
    assert said.endswith(f"there is no {MANIFEST}; did you mean {trained.run.path / 'model'}?")


def test_a_folder_that_is_not_there_or_no_model_is_told(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nowhere").endswith("there is no such folder; name a run's model folder: RUN_DIR/model")
    assert refusal(tmp_path).endswith(f"not a saved model: there is no {MANIFEST}")


def test_saving_again_replaces_the_whole_bundle(trained: Trained, copy: Path) -> None:
    loaded = load_bundle(copy)
    (copy / "of-the-former-bundle.txt").write_text("old")
    save_bundle(copy, loaded, golden_of(copy), "another card\n")
    assert {path.name for path in copy.iterdir()} == set(FILES)
    assert (copy / CARD).read_text() == "another card\n"
    assert (copy / WEIGHTS).read_bytes() == (trained.run.bundle / WEIGHTS).read_bytes()
    load_bundle(copy)
    assert [path.name for path in copy.parent.iterdir()] == [copy.name]


def content_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_an_error_while_saving_leaves_the_former_bundle_and_no_leftovers(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content_of(copy)
    loaded, golden = load_bundle(copy), golden_of(copy)

    def fail(*arguments: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Predictor, "predict_windows", fail)
    with pytest.raises(OSError, match="disk full"):
        save_bundle(copy, loaded, golden, "another card\n")
    assert content_of(copy) == before
    assert [path.name for path in copy.parent.iterdir()] == [copy.name]


def test_an_error_while_the_bundles_change_places_leaves_the_former_one(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content_of(copy)
    loaded, golden = load_bundle(copy), golden_of(copy)
    replace, rename = os.replace, os.rename

    def fail_for_the_new(source: Any, target: Any, really: Callable[[Any, Any], None]) -> None:
        if Path(target) == copy and (Path(source) / CARD).read_text() == "another card\n":
            raise OSError("disk full")
        really(source, target)

    monkeypatch.setattr(os, "replace", lambda source, target: fail_for_the_new(source, target, replace))
    monkeypatch.setattr(os, "rename", lambda source, target: fail_for_the_new(source, target, rename))
    with pytest.raises(OSError, match="disk full"):
        save_bundle(copy, loaded, golden, "another card\n")
    assert content_of(copy) == before
    assert [path.name for path in copy.parent.iterdir()] == [copy.name]


@pytest.mark.parametrize("mask", [0o022, 0o027])
def test_the_bundles_permissions_follow_the_umask(copy: Path, mask: int) -> None:
    loaded, golden = load_bundle(copy), golden_of(copy)
    former = os.umask(mask)
    try:
        save_bundle(copy, loaded, golden, "card\n")
    finally:
        os.umask(former)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o777 & ~mask
    modes = {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in copy.iterdir()}
    assert modes == dict.fromkeys(FILES, oct(0o666 & ~mask))


def test_the_model_card_names_the_data_and_the_dates(trained: Trained) -> None:
    card = (trained.run.bundle / CARD).read_text()
    assert hashlib.sha256(trained.file.read_bytes()).hexdigest() in card
    report = json.loads((trained.run.path / "split_report.json").read_text())
    for part, said in report["parts"].items():
        assert re.search(rf"- {part}: {said['rows']} rows, {said['first']} to {said['last']};", card)
    assert str(trained.file) not in card  # where it lay on the author's machine is nobody's business
    for name in ("signal_probs", "volatility_pred", "regime_probs", "sl_tp_pred"):
        assert f"`{name}`" in card


def test_a_schema_from_before_expressions_is_read(copy: Path) -> None:
    edit_schema(copy, lambda schema: [schema.pop(name) for name in ("extra_features", "expressions", "plugins")])
    assert load_bundle(copy).schema.expressions == {}


def test_an_expression_in_the_schema_is_held_to_the_same_short_list(copy: Path) -> None:
    edit_schema(copy, lambda schema: schema.update(expressions={"m": "__import__('os').system('x')"}))
    assert refusal(copy).startswith(f"{copy / SCHEMA}: data.expressions.m: there is no method 'system'; known: ")


def test_a_feature_that_is_not_known_here_is_asked_for_by_name(copy: Path) -> None:
    edit_schema(copy, lambda schema: schema.update(extra_features=["range2"], plugins=["os", "mine"]))
    assert refusal(copy) == (
        f"{copy}: the model needs the feature 'range2', which is not a built-in one; name the module that registers "
        "it: predict --plugins os,mine"
    )


def test_what_a_killed_process_left_of_a_published_bundle_goes_at_the_next_time(
    trained: Trained, tmp_path: Path
) -> None:
    models, others = tmp_path / "models", [".other.abcdefgh", ".one.more.abcdefgh", ".one.txt"]
    for name in (".one.abcdefgh", ".one.12345678", *others):
        (models / name).mkdir(parents=True)
        (models / name / WEIGHTS).write_text("half")
    publish_bundle(trained.run.bundle, models / "one")
    assert {path.name for path in models.iterdir()} == {"one", *others}
    load_bundle(models / "one")


@pytest.mark.parametrize("fails", [False, True])
def test_a_published_bundle_that_was_moved_away_and_never_replaced_comes_back(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    publish_bundle(trained.run.bundle, tmp_path / "one")
    (tmp_path / "one").rename(tmp_path / ".one.abcdefgh.former")

    def full(*given: Any, **named: Any) -> None:
        raise OSError(28, "No space left on device")

    if fails:
        monkeypatch.setattr("hybrid_trainer.inference.bundle.shutil.copytree", full)
        with pytest.raises(OSError, match="No space left"):
            publish_bundle(trained.run.bundle, tmp_path / "one")
    else:
        publish_bundle(trained.run.bundle, tmp_path / "one")
    assert [path.name for path in tmp_path.iterdir()] == ["one"]
    load_bundle(tmp_path / "one")
