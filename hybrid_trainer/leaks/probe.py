"""Can a label be read off the inputs of its own row? A quick learner tries; nobody sees the future that well.

Shape legend: R decision rows, P inputs of the probe, D numbers of a label.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.tree import DecisionTreeClassifier

from hybrid_trainer.data.dataset import Dataset
from hybrid_trainer.data.forecasts import Forecast
from hybrid_trainer.data.targets import Target
from hybrid_trainer.leaks.finding import Finding, Subject
from hybrid_trainer.leaks.labels import some_labelled

SUSPICIOUS = 0.97  # accuracy, or R2
_ROWS = 8_000  # half of them to learn from
_STRETCHES = 20  # of the calendar, in turn for learning and for judging
_FEWEST = 50
_CLASSES = 30  # boosting grows a tree for each of them in each round: where there are more, one tree for all
_NUMBERS = 4  # of a label that are tried, from the first to the last

Rows = NDArray[np.int64]
Values = NDArray[np.float64]


def not_read_off(subject: Subject) -> Finding:
    """Learn each label from the inputs at t; a warning where it is told too well on rows held out."""
    data = subject.data
    warnings, measured, judged = [], [], 0
    for target in data.targets:
        rows = some_labelled(data, target, subject.generator(), _ROWS)
        fit, judge = _stretches(data, rows, target.spec.horizon)
        if min(len(fit), len(judge)) < _FEWEST:  # short sequences: some to learn from, others to judge by
            odd = data.panel.instrument[rows] % 2 == 1
            fit, judge = rows[~odd], rows[odd]
        if min(len(fit), len(judge)) < _FEWEST:
            warnings.append(f"not tried for {target.spec.name}: {len(rows)} labelled rows are too few")
            continue
        judged += len(judge)
        unit = "accuracy" if target.spec.kind == "classification" else "R2"
        score, suspicious = _score(data, target, fit, judge, subject.seed)
        if score == -np.inf:
            measured.append(f"{target.spec.name}: the labels do not vary")
            continue
        text = f"{target.spec.name}: {unit} {score:.3f}"
        if suspicious:
            warnings.append(f"{text} from the inputs of its own row, above {SUSPICIOUS}: is the label known at t?")
        else:
            measured.append(text)
    return Finding(
        looked_at=f"{judged:,} labels held out; gradient boosting from the inputs at t",
        warnings=warnings,
        measured=measured,
    )


def _stretches(data: Dataset, rows: Rows, horizon: int) -> tuple[Rows, Rows]:
    """Every second stretch of the calendar to learn from, the others to judge by; no label reaches across.

    Stretches, since labels of neighbouring rows overlap: held-out rows drawn one by one would be known from those
    beside them. In turn, since a level that only the last rows have could not be learned from the first ones.
    """
    times, place = np.unique(data.panel.timestamps[rows], return_inverse=True)
    length = max(len(times) // _STRETCHES, 1)
    stretch = place // length
    clear = (place % length) + horizon < length
    return rows[(stretch % 2 == 0) & clear], rows[(stretch % 2 == 1) & clear]


def _score(data: Dataset, target: Target, fit: Rows, judge: Rows, seed: int) -> tuple[float, bool]:
    """Accuracy, or the best R2 of the numbers tried, -inf where nothing varies; and whether it is too good."""
    x_fit, x_judge = _inputs(data, fit), _inputs(data, judge)
    if target.spec.kind == "classification":
        labels, truth = target.at(fit), target.at(judge)
        classes = len(np.unique(labels))
        if classes < 2:
            return -np.inf, False
        prior = float((truth == np.bincount(labels).argmax()).mean())
        learner = HistGradientBoostingClassifier(max_iter=50, early_stopping=False, random_state=seed)
        if classes > _CLASSES:
            learner = DecisionTreeClassifier(random_state=seed)
        accuracy = float((learner.fit(x_fit, labels).predict(x_judge) == truth).mean())
        # A class that nearly all rows have is guessed, not read off: half of what guessing gets wrong must be told.
        return accuracy, accuracy > SUSPICIOUS and 1 - accuracy < (1 - prior) / 2
    labels, truth = _numbers(target, fit), _numbers(target, judge)
    best = -np.inf
    for number in np.unique(np.linspace(0, labels.shape[1] - 1, _NUMBERS).astype(int)).tolist():
        known, spread = np.isfinite(labels[:, number]), float(np.nanvar(truth[:, number]))
        if not known.any() or not spread > 0:
            continue
        learner = HistGradientBoostingRegressor(max_iter=100, early_stopping=False, random_state=seed)
        said = learner.fit(x_fit[known], labels[known, number]).predict(x_judge)
        best = max(best, 1 - float(np.nanmean((said - truth[:, number]) ** 2)) / spread)
    return best, best > SUSPICIOUS


def _inputs(data: Dataset, rows: Rows) -> NDArray[np.float32]:
    """(R, P): features, context and categories of the decision row, and how the features differ from the row before."""
    features = data.tensors.features.numpy()
    parts = [features[rows], features[rows] - features[rows - 1], data.tensors.ids.numpy()[rows].astype(np.float32)]
    if data.tensors.context is not None:
        parts.append(data.tensors.context.numpy()[rows])
    return np.concatenate(parts, axis=1)


def _numbers(target: Target, rows: Rows) -> Values:
    """(R, D): the labels; of a forecast how far they are from the row's own values, which tell a slow column well."""
    labels = np.asarray(target.at(rows), dtype=np.float64)
    if isinstance(target, Forecast):
        labels = labels - np.tile(target.values[rows], target.spec.horizon)
    return labels
