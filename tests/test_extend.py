"""Plug-ins of every kind, by the example package: described, composed, trained, gone on with, predicted from."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hybrid_trainer import build, extend, prepare
from hybrid_trainer.__main__ import run
from hybrid_trainer.config.compose import load_config
from hybrid_trainer.data.sources import load_table
from hybrid_trainer.engine.device import choose_precision
from hybrid_trainer.errors import BundleError, ConfigError
from hybrid_trainer.inference.bundle import load_bundle
from hybrid_trainer.models import MODELS, InputDims, make_model
from hybrid_trainer.plugins import digests
from hybrid_trainer.resume import resume
from hybrid_trainer.train import train
from tests.conftest import EXAMPLES, make_config
from tests.engine.helpers import CPU

ALL = [
    "plugins=[trend_plugins]",
    "data=random_walk",
    "data.days=200",
    "data.extra_features=[body_5]",
    "data.feature_set=core",
    "data.targets.fall.builder=drawdown",
    "data.targets.fall.horizon=4",
    "model=gated",
    "model.units=8",
    "model.time_window=4",
    "model.heads=[signal,fall]",
    "training.losses.fall={name: log_cosh, width: 2}",
    "training.metrics.sure_accuracy.share=0.2",
    "callbacks.checkpoint.monitor=valid/signal/sure_accuracy",
    "callbacks.checkpoint.per_task=true",
    "callbacks.task_metrics.signal=sure_accuracy",
    "training.schedule.kind=halving",
    "training.schedule.options.every=1",
    "training.epochs=2",
    "training.batch_size=64",
    "callbacks.extra.weight_norm.limit=500",
    "callbacks.tensorboard.enabled=false",
]


@pytest.fixture(autouse=True)
def package(plugging: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The example package can be imported, as if it were installed; the current folder is a user's."""
    monkeypatch.syspath_prepend(str(EXAMPLES / "trend_plugins"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_all_kinds_together_train_and_the_run_goes_on_and_predicts(package: Path) -> None:
    config = make_config(*ALL)
    assert type(config.model).__name__ == "GatedConfig" and config.model.name == "gated"
    assert config.training.schedule.options == {"every": 1}
    assert config.training.losses["fall"].options == {"width": 2.0}
    done = train(config, package / "run", [])
    rows = [json.loads(line) for line in (done.path / "history.jsonl").read_text().splitlines()]
    assert [row["lr"] for row in rows] == [1e-3, 5e-4]
    assert len((done.path / "weight_norm.txt").read_text().splitlines()) == 2
    tested = json.loads((done.path / "report" / "metrics.json").read_text())
    assert "sure_accuracy" in tested["signal"]["model"] and "sure_accuracy" not in tested["fall"]["model"]
    assert all("sure_accuracy" in said for said in tested["signal"]["baselines"].values())
    assert tested["signal"]["task_best"]["by"] == "valid/signal/sure_accuracy"
    assert "sure_accuracy" in tested["signal"]["task_best"]["metrics"]
    best = done.record["best_epoch"]
    assert rows[best - 1]["valid/signal/sure_accuracy"] == max(row["valid/signal/sure_accuracy"] for row in rows)
    assert done.record["metrics"]["test/signal/sure_accuracy"] == tested["signal"]["model"]["sure_accuracy"]
    assert "sure_accuracy ↑" in (done.path / "train.log").read_text()
    assert load_config(done.path / "config.yaml") == config
    assert done.record["plugins"] == {"trend_plugins": digests(["trend_plugins"])["trend_plugins"]}
    resume(done.path, ["training.epochs=3"])
    assert "code has changed" not in (done.path / "train.log").read_text()
    assert len((done.path / "weight_norm.txt").read_text().splitlines()) == 3  # it knows those before
    rows = [json.loads(line) for line in (done.path / "history.jsonl").read_text().splitlines()]
    assert [row["lr"] for row in rows] == [1e-3, 5e-4, 2.5e-4]
    predictor = load_bundle(done.bundle)
    frame = load_table(config.data, {})
    assert predictor.schema.model.name == "gated"
    assert len(predictor.predict(frame)) > 0
    del MODELS._entries["gated"]
    with pytest.raises(BundleError, match=r"needs the model family 'gated'.*predict --plugins trend_plugins$"):
        load_bundle(done.bundle)


def test_a_callback_is_told_before_the_checkpoint_which_holds_its_state(package: Path) -> None:
    config = make_config(*ALL)
    on = build.Machine(CPU, choose_precision("fp32", CPU))
    data = prepare.dataset(config, load_table(config.data, config.active_targets), CPU)
    made = build.callbacks(config, package, package)
    keys = [one.key or type(one).__name__ for one in made]
    assert keys.index("extra.weight_norm") < keys.index("Checkpoint")
    trainer = build.trainer(config, build.model_spec(config, data), data, on, made)
    assert trainer.state_dict()["callbacks"]["extra.weight_norm"] == {"norms": []}


def test_the_other_commands_know_it_too(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--dry-run", *ALL]) == 0
    assert "gated" in capsys.readouterr().out
    assert run(["check", *ALL, "--samples=4", "--skip-training"]) == 0
    assert run(["--cfg", "job", *ALL]) == 0
    shown = capsys.readouterr().out
    assert all(line in shown for line in ("name: random_walk", "units: 8", "limit: 500", "builder: drawdown"))


def test_a_model_or_callback_that_cannot_be_made_is_one_line(package: Path) -> None:
    (package / "mine.py").write_text(
        "from hybrid_trainer.extend import Callback, ModelConfig, callback, model\n\n"
        "@callback('mine')\nclass Mine(Callback):\n    pass\n\n"
        "@model('mine', ModelConfig)\nclass Net:\n    def __init__(self, dims):\n        dims.nothing\n\n"
        "model('number', ModelConfig)(lambda dims: 3)\n"
    )
    config = make_config("plugins=[mine]", "callbacks.extra.mine={}", "model=mine")
    with pytest.raises(ConfigError, match=r"^callback 'mine': TypeError: .*takes no arguments \(in mine\)$"):
        build.callbacks(config, package, package)
    dims = InputDims(features=1, context={}, time_window=2, vocabularies={}, heads={"a": 1})
    with pytest.raises(ConfigError, match=r"^model 'mine': AttributeError: .*'nothing' \(.*mine\.py:10\)$"):
        make_model("mine", dims, {})
    with pytest.raises(ConfigError, match=r"^model 'number': TypeError: it made a int, which is no torch\.nn\.Module"):
        make_model("number", dims, {})


def test_a_plug_in_without_a_model_imports_no_torch(package: Path) -> None:
    (package / "light.py").write_text(
        "import sys\nfrom hybrid_trainer.extend import callback, feature, source, target\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "light.py"], cwd=package, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = extend.Nothing
    assert all(getattr(extend, name) is not None for name in extend.__all__)
