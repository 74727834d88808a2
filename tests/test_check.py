"""The causality check: what the package brings passes, planted leaks do not; statuses; nothing is left behind."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import ndimage, signal

from hybrid_trainer import __main__, check, prepare
from hybrid_trainer.build import criterion
from hybrid_trainer.data import labelling
from hybrid_trainer.data.features import FEATURES, Bars, Feature, Values, lagged
from hybrid_trainer.data.scaling import fit_scaler
from hybrid_trainer.data.table import Table
from hybrid_trainer.data.targets import TARGET_BUILDERS, Target
from hybrid_trainer.data.vocabulary import fit_vocabularies
from hybrid_trainer.data.windows import WindowLoader
from hybrid_trainer.leaks.finding import Finding
from hybrid_trainer.types import TargetSpec
from tests.conftest import make_config, price_frame
from tests.test_command_line import cli, files_below

TARGETS = [
    "data.targets.signal={builder: signal, horizons: [1,5], threshold_quantiles: [0.33,0.67]}",
    "data.targets.volatility.quantiles=[0.1,0.5,0.9]",
    "data.targets.trade={builder: triple_barrier, horizon: 5, uniqueness_weights: true}",
    "data.targets.next={builder: future, columns: [Close,Volume], steps: 4}",
    "data.targets.number={column: number, kind: regression}",
    "data.targets.text={column: text, kind: classification}",
]
READY = "the data can be made ready"
CUT, CHANGED = "inputs at t need no later row", "inputs at t know no later row"
FUTURE, EQUAL, PROBE = "labels are about (t, t + horizon]", "no label is an input", "no label is read off its row"
BORDERS, FITTED = "no label reaches into another part", "what is fitted knows training rows alone"
SHUFFLED = "shuffled labels train to chance"
ALL = {READY, CUT, CHANGED, FUTURE, EQUAL, PROBE, BORDERS, FITTED, SHUFFLED}


def checked(*overrides: str, samples: int = 6, skip_training: bool = True) -> dict[str, Finding]:
    return check.check(make_config(*overrides), samples=samples, skip_training=skip_training)


def not_passed(findings: dict[str, Finding]) -> dict[str, str]:
    return {name: finding.verdict for name, finding in findings.items() if finding.verdict != "pass"}


# What the package brings.


@pytest.fixture(scope="module")
def stocks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """700 days of three of the embedded shares, with columns for labels, categories and context beside them."""
    embedded = pl.read_csv(gzip.decompress((files("hybrid_trainer.data") / "us_stocks.csv.gz").read_bytes()))
    frame = embedded.filter(pl.col("Ticker").is_in(["IBM", "AAPL", "MSFT"])).group_by("Ticker", maintain_order=True)
    table = frame.tail(700)
    generator = np.random.default_rng(0)
    rows = len(table)
    table = table.with_columns(
        number=generator.normal(size=rows),
        text=pl.Series(generator.choice(["a", "b"], rows).tolist()),
        sector=pl.Series(generator.choice(["x", "y", "z"], rows).tolist()),
        dense_1=generator.normal(size=rows),
        dense_2=pl.Series(generator.normal(size=rows)).set(pl.Series(generator.uniform(size=rows) < 0.3), None),
    )
    path = tmp_path_factory.mktemp("stocks") / "stocks.csv"
    table.write_csv(path)
    return path


@pytest.fixture
def embedded_part(stocks: Path) -> list[str]:
    columns = [f"data.columns.{name.lower()}={name}" for name in ("Open", "High", "Low", "Close", "Volume")]
    names = ["data.timestamp=Date", "data.instrument=Ticker", "data.adjusted_close='Adj Close'", *columns]
    return ["data=csv", f"data.path={stocks}", *names, "model.time_window=8", "training.batch_size=256"]


@pytest.mark.parametrize("feature_set", ["core", "technical"])
def test_what_the_package_brings_passes(feature_set: str, embedded_part: list[str]) -> None:
    beside = ["data.categories=[sector]", "data.context.dense=dense_*", "training.class_weights=balanced"]
    own = "data.expressions.momentum=col('close').log().diff(5)"
    market = "data.expressions.market=(col('close').log().diff() ** 2).market_mean().rolling_mean(5)"
    when = "data.extra_features=[time_of_week_sin,time_of_week_cos]"
    findings = checked(
        *embedded_part, *TARGETS, *beside, own, market, when, f"data.feature_set={feature_set}", "data.scaler=robust",
        skip_training=False,
    )  # fmt: skip
    assert set(findings) == ALL
    assert not_passed(findings) == {}
    assert findings[FUTURE].looked_at.startswith("9 targets, 6 labels each")
    assert findings[PROBE].said[0].startswith("signal_1: accuracy 0.")
    assert [text.split(":")[0] for text in findings[SHUFFLED].measured] == [
        "signal_1", "signal_5", "volatility", "regime", "sl_tp", "trade", "next", "number", "text",
    ]  # fmt: skip


def test_synthetic_data_pass(tmp_path: Path) -> None:
    findings = checked("data=synthetic", "data.rows=700", "data.instruments=3", "model.heads=[signal]")
    assert not_passed(findings) == {}
    assert findings[READY].looked_at == "2,100 of 2,100 rows"


# Planted: features.


def centred_mean(bars: Bars) -> Values:
    return np.asarray(ndimage.uniform_filter1d(bars.close, 5)) / bars.close


def next_close(bars: Bars) -> Values:
    return np.append(bars.close[1:], np.nan) / bars.close


def scaled_by_the_sample(bars: Bars) -> Values:
    return (bars.close - bars.close.mean()) / bars.close.std()


def filtered_both_ways(bars: Bars) -> Values:
    numerator, denominator = signal.butter(2, 0.2)
    return np.asarray(signal.filtfilt(numerator, denominator, bars.close, padlen=0)) / bars.close


LEAKS = [centred_mean, next_close, scaled_by_the_sample, filtered_both_ways]


@pytest.fixture
def entered() -> Iterator[Callable[[Callable[[Bars], Values]], None]]:
    """Enters a feature under the name 'mine', as a plugin would, for one test."""
    yield lambda compute: FEATURES._entries.update(mine=Feature("mine", 5, compute, reads=("close",)))
    FEATURES._entries.pop("mine")


@pytest.fixture
def prices(prices_csv: Path) -> list[str]:
    named = [f"data.path={prices_csv}", "data.instrument=instrument", "model.heads=[volatility]"]
    return ["data=csv", *named, "model.time_window=8"]


@pytest.mark.parametrize("leak", LEAKS)
def test_a_feature_that_a_run_refuses_fails(leak: Any, entered: Any, prices: list[str]) -> None:
    entered(leak)
    findings = checked(*prices, "data.extra_features=[mine]")
    assert not_passed(findings) == {READY: "FAIL"} and set(findings) == {READY}
    assert (
        findings[READY].failures[0].startswith("a run refuses it: data.extra_features: 'mine' reads rows after its own")
    )


@pytest.mark.parametrize("leak", LEAKS)
def test_a_leak_that_a_run_would_let_pass_is_found_in_the_chain(
    leak: Any, entered: Any, prices: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hybrid_trainer.data.panel.refuse_leaks", lambda *_: None)
    entered(leak)
    findings = checked(*prices, "data.extra_features=[mine]")
    assert {name: findings[name].verdict for name in (CUT, CHANGED)} == {CUT: "FAIL", CHANGED: "FAIL"}
    assert any(
        re.match(r"feature 'mine' is another at \S+ \([AB]\), t = \S+: it reads rows after t", text)
        for text in findings[CHANGED].failures
    )


def test_a_feature_that_looks_ahead_on_few_rows_is_found(entered: Any, prices: list[str]) -> None:
    def now_and_then(bars: Bars) -> Values:
        return np.where(bars.close > 124, bars.close[-1], bars.close)

    entered(now_and_then)
    findings = checked(*prices, "data.extra_features=[mine]")
    assert {name: findings[name].verdict for name in (READY, CUT, CHANGED)} == {
        READY: "pass",
        CUT: "FAIL",
        CHANGED: "FAIL",
    }


def test_windows_that_reach_one_row_too_far_are_found(prices: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    made = WindowLoader.__init__

    def one_later(self: WindowLoader, *arguments: Any, **named: Any) -> None:
        made(self, *arguments, **named)
        self._windows = self._windows[1:]

    monkeypatch.setattr(WindowLoader, "__init__", one_later)
    findings = checked(*prices)
    for name in (CUT, CHANGED):
        assert re.fullmatch(r"t = \S+: the windows that end there are others", findings[name].failures[0])


# Sequences without a calendar, each with one label, in its last row.


@pytest.fixture(scope="module")
def sequences(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    generator = np.random.default_rng(0)
    frame = pl.DataFrame({"name": [f"s{row // 8:03d}" for row in range(800)], "t": [row % 8 for row in range(800)]})
    labels = pl.Series(generator.choice(["a", "b"], 800).tolist())
    frame = frame.with_columns(
        x=generator.normal(size=800), y=generator.normal(size=800), label=pl.when(pl.col("t") == 7).then(labels)
    )
    path = tmp_path_factory.mktemp("sequences") / "sequences.csv"
    frame.write_csv(path)
    return [
        "data=csv", f"data.path={path}", "data.timestamp=t", "data.instrument=name", "data.features=[x,y]",
        "data.targets.label={column: label, kind: classification}", "model.heads=[label]", "model.time_window=4",
        "data.independent_sequences=true",
    ]  # fmt: skip


@pytest.mark.parametrize("order", ["shuffled", "file"])
def test_sequences_are_dealt_as_before_when_the_rows_of_others_change(order: str, sequences: list[str]) -> None:
    findings = checked(*sequences, f"data.split.order={order}")
    assert not_passed(findings) == {}
    assert "rows beyond training's reach changed, 70 kept; 2 fitted things compared" in findings[FITTED].looked_at


@pytest.mark.parametrize(
    ("name", "said"),
    [("fit_scaler", "the scaler of the features"), ("fit_vocabularies", "the vocabulary of 'instrument'")],
)
@pytest.mark.parametrize("order", ["shuffled", "file"])
def test_what_is_fitted_on_all_sequences_is_found(
    order: str, name: str, said: str, sequences: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, name, {"fit_scaler": scaler_of_all, "fit_vocabularies": vocabularies_of_all}[name])
    findings = checked(*sequences, f"data.split.order={order}")
    assert not_passed(findings) == {FITTED: "FAIL"}
    assert findings[FITTED].failures[0] == f"{said}: learned from rows that training must not reach"


# Planted: what is fitted.


def scaler_of_all(kind: str, clip: float | None, features: Any, rows: Any) -> Any:
    return fit_scaler(kind, clip, features, np.flatnonzero(np.isfinite(features).all(axis=1)))


def vocabularies_of_all(table: Table, rows: Any) -> Any:
    return fit_vocabularies(table, np.arange(len(table)))


def targets_of_all(targets: Any, train: Any, window: int) -> Any:
    return labelling.fit_targets(targets, np.arange(max(window, 8), len(targets[0].values) - 8), window)


def context_of_all(matrix: Any, blocks: Any, rows: Any, clip: Any, file: str) -> Any:
    return fit_scaler("standard", clip, matrix, np.arange(len(matrix)))


def weights_of_all(targets: Any, rows: Any, cap: Any) -> Any:
    return {target.spec.name: np.bincount(target.values[target.values >= 0]) / len(rows) for target in targets}


@pytest.mark.parametrize(
    ("name", "leak", "said"),
    [
        ("fit_scaler", scaler_of_all, "the scaler of the features"),
        ("fit_vocabularies", vocabularies_of_all, "the vocabulary of 'sector'"),
        ("fit_context_scaler", context_of_all, "the scaler of the context"),
        ("fit_targets", targets_of_all, "the class borders of 'signal'"),
        ("weights_by_task", weights_of_all, "the class weights of 'signal'"),
    ],
)
def test_what_is_fitted_on_all_rows_is_found(
    name: str, leak: Any, said: str, embedded_part: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = [
        "data.targets.signal={builder: signal, threshold_quantiles: [0.33,0.67]}", "model.heads=[signal]",
        "data.categories=[sector]", "data.context.dense=dense_*", "training.class_weights=balanced",
    ]  # fmt: skip
    monkeypatch.setattr(criterion if name == "weights_by_task" else prepare, name, leak)
    findings = checked(*embedded_part, *overrides)
    assert not_passed(findings) == {FITTED: "FAIL"}
    assert f"{said}: learned from rows that training must not reach" in findings[FITTED].failures


def test_an_instrument_that_only_later_rows_have_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = price_frame(200, ("A", "B", "C"))
    frame = frame.filter((pl.col("instrument") != "C") | (pl.int_range(pl.len()).over("instrument") >= 90))
    frame.write_csv(tmp_path / "t.csv")
    overrides = [f"data.path={tmp_path / 't.csv'}", "data.instrument=instrument", "model.heads=[volatility]"]
    assert not_passed(checked("data=csv", *overrides, "model.time_window=8")) == {}
    monkeypatch.setattr(prepare, "fit_vocabularies", vocabularies_of_all)
    findings = checked("data=csv", *overrides, "model.time_window=8")
    assert findings[FITTED].failures == [
        "the vocabulary of 'instrument': learned from rows that training must not reach"
    ]


def test_labels_that_reach_across_are_found(prices: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    made = prepare.make_split

    def unpurged(*arguments: Any) -> Any:
        split = made(*arguments)
        kept = {part: np.sort(np.concatenate([split.rows[part], split.purged[part]])) for part in split.rows}
        return replace(split, rows=kept)

    monkeypatch.setattr(prepare, "make_split", unpurged)
    findings = checked(*prices)
    assert not_passed(findings) == {BORDERS: "FAIL"}
    assert [text.split(":")[0] for text in findings[BORDERS].failures] == [
        "the labels of 10 rows of 'train' reach into 'valid'",
        "the labels of 10 rows of 'valid' reach into 'test'",
    ]


# Planted: labels.


def test_a_builder_whose_label_is_known_at_t_is_found(prices: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def known(name: str, table: Table, config: Any) -> Target:
        close = table.prices["close"]
        spec = TargetSpec(name=name, kind="regression", dim=1, horizon=config.horizon, labels=("x",))
        return Target(spec=spec, values=(close - lagged(close, 1))[:, None])

    monkeypatch.setitem(TARGET_BUILDERS._entries, "volatility", known)
    (found,) = checked(*prices).values()  # a plug-in's: a run refuses it, so that the check has nothing to look at
    said = "a run refuses it: data.targets.volatility (builder 'volatility'): the label of row "
    assert found.failures[0].startswith(said)
    known.__module__ = "hybrid_trainer.data.planted"  # as if it were built in
    assert checked(*prices)[FUTURE].verdict == "FAIL"


def own_table(folder: Path, label: Callable[[Any, Any], Any]) -> list[str]:
    """Two columns of numbers, a and b, and a label column made of them."""
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(2, 1500))
    pl.DataFrame({"time": np.arange(1500), "a": a, "b": b, "own": label(a, b)}).write_csv(folder / "own.csv")
    return [
        "data=csv", f"data.path={folder / 'own.csv'}", "data.timestamp=time", "data.features=[a,b]",
        "data.targets.own.column=own", "model.heads=[own]", "model.time_window=4",
    ]  # fmt: skip


NUMBER, CLASSES = "data.targets.own.kind=regression", "data.targets.own.kind=classification"


@pytest.mark.parametrize(
    ("label", "kind", "said"),
    [
        (lambda a, b: a * 3 + 1, NUMBER, r"own: R2 0\.9[789]\d"),
        (lambda a, b: np.append(0, np.diff(b)), NUMBER, r"own: R2 0\.9[789]\d"),
        (lambda a, b: np.where(a + 0.1 > 0, "up", "down"), CLASSES, r"own: accuracy (0\.9[789]\d|1\.000)"),
    ],
    ids=["number", "difference", "class"],
)
def test_a_label_that_is_known_at_t_is_warned_of(label: Any, kind: str, said: str, tmp_path: Path) -> None:
    findings = checked(*own_table(tmp_path, label), kind)
    assert not_passed(findings) == {PROBE: "warning"}
    (text,) = findings[PROBE].warnings
    assert re.fullmatch(said + " from the inputs of its own row, above 0.97: is the label known at t\\?", text)


@pytest.mark.parametrize(
    "label",
    [
        lambda a, b: np.append(a[1:], 0),
        lambda a, b: a + np.random.default_rng(1).normal(size=len(a)),
    ],
    ids=["the next row", "half noise"],
)
def test_a_label_that_is_not_known_is_not_warned_of(label: Any, tmp_path: Path) -> None:
    assert not_passed(checked(*own_table(tmp_path, label), NUMBER)) == {}


def test_a_class_that_nearly_all_rows_have_is_guessed_not_known(tmp_path: Path) -> None:
    rare = np.random.default_rng(3).uniform(size=1500) < 0.015
    findings = checked(*own_table(tmp_path, lambda a, b: np.where(rare, "yes", "no")), CLASSES)
    assert not_passed(findings) == {}
    assert float(re.findall(r"accuracy ([\d.]+)", findings[PROBE].measured[0])[0]) > 0.97


@pytest.mark.parametrize(
    ("label", "kind", "more"),
    [
        (lambda a, b: a, NUMBER, []),
        (lambda a, b: np.where(b > 0, "up", "down"), CLASSES, ["data.expressions.side=col('b').sign()"]),
    ],
    ids=["number", "classes under other names"],
)
def test_a_label_that_is_an_input_fails(label: Any, kind: str, more: list[str], tmp_path: Path) -> None:
    findings = checked(*own_table(tmp_path, label), kind, *more)
    assert findings[EQUAL].verdict == "FAIL"
    (text,) = findings[EQUAL].failures
    assert re.fullmatch(r"own: in all of 1,49\d rows the label is the input '(a|side)'", text)


def test_a_label_column_that_is_named_as_an_input_is_refused(tmp_path: Path) -> None:
    overrides = own_table(tmp_path, lambda a, b: a)
    assert __main__.run(["check", *overrides, NUMBER, "data.features=[a,own]"]) == 2


def test_inputs_that_tell_a_shuffled_label_are_found(prices: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    made = prepare.tensors_of

    def telling(*arguments: Any) -> Any:
        tensors = made(*arguments)
        if "volatility" in tensors.targets:
            tensors.features[:, 0] = tensors.targets["volatility"][:, 0].nan_to_num() + tensors.features[:, 0]
        return tensors

    monkeypatch.setattr(prepare, "tensors_of", telling)
    findings = checked(*prices, skip_training=False)
    assert findings[SHUFFLED].verdict == "FAIL", findings[SHUFFLED]
    assert findings[SHUFFLED].failures[0].endswith(": something in the inputs tells the label")


# The command.


def test_the_command_passes_on_its_own_data_and_leaves_nothing(tmp_path: Path) -> None:
    price_frame().write_csv(tmp_path / "prices.csv")
    arguments = ["data=csv", "data.path=prices.csv", "--samples", "3", "data.instrument=instrument", "--skip-training"]
    done = cli(tmp_path, "check", *arguments, "model.heads=[volatility]", "model.time_window=8")
    assert (done.returncode, done.stderr) == (0, "")
    assert "3 times t" in done.stdout and SHUFFLED not in done.stdout
    assert done.stdout.endswith("8 pass; nothing was written\n")
    assert files_below(tmp_path) == ["prices.csv"]


PLUGIN = """
import numpy as np
from hybrid_trainer.data.features import feature

@feature("tomorrow", lookback=1)
def tomorrow(bars):
    return np.append(bars.close[1:], np.nan)
"""


def test_the_command_fails_on_a_plugin_that_looks_ahead(tmp_path: Path) -> None:
    price_frame().write_csv(tmp_path / "prices.csv")
    (tmp_path / "ahead.py").write_text(PLUGIN)
    (tmp_path / "mine.yaml").write_text("plugins: [ahead]\ndata: {extra_features: [tomorrow]}\n")
    named = ["data=csv", "data.path=prices.csv", "data.instrument=instrument", "model.heads=[volatility]"]
    done = cli(tmp_path, "check", *named, "--config", "mine.yaml", python=("-B",))
    assert (done.returncode, done.stderr) == (1, "")
    assert "'tomorrow' reads rows after its own" in re.sub(r"[│\s]+", " ", done.stdout)
    assert done.stdout.endswith("1 FAIL; nothing was written\n")
    assert files_below(tmp_path) == ["ahead.py", "mine.yaml", "prices.csv"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--samples", "0"), "--samples: 0 must be at least 1"),
        (("--seed", "-1"), "--seed: -1 must be at least 0"),
        (("training.epoch=3",), "training.epoch: no such key; did you mean 'training.epochs'?"),
        (("--multirun", "seed=0,1"), "unrecognized arguments: --multirun"),
        (("data=csv", "data.path=none.csv"), "none.csv"),
        (("data.expressions.ahead=col('close').shift(-1)",), "data.expressions.ahead"),
    ],
)
def test_wrong_input_is_one_line(arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert __main__.run(["check", *arguments]) == 2
    error = capsys.readouterr().err
    assert re.fullmatch(r"error: [^\n]+\n", error) and said in error


def test_a_bad_table_is_told_before_torch_is_imported(tmp_path: Path) -> None:
    frame = price_frame(20).with_columns(close=pl.lit("abc"))
    frame.write_csv(tmp_path / "prices.csv")
    named = ("data=csv", "data.path=prices.csv", "data.instrument=instrument")
    done = cli(tmp_path, "check", *named, python=("-X", "importtime"))
    assert done.returncode == 2 and "column 'close'" in done.stderr
    assert not re.search(r"\| +torch$", done.stderr, re.M)


def test_a_large_table_is_looked_at_in_part(prices: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "_MOST_ROWS", 250)
    findings = checked(*prices)
    assert findings[READY].looked_at == "200 of 400 rows, drawn by instrument"
    assert not_passed(findings) == {PROBE: "warning"}  # it is not tried on so few rows, and says so
