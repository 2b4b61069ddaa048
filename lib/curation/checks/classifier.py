"""A classifier from training images alone: logistic regression on what is known of each picture, calibrated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.preprocessing import StandardScaler

from lib.classify.calibrate import fit_temperature

_PENALTIES = (0.003, 0.01, 0.1)         # C of the logistic regression; chosen by cross-validated log-loss
_FOLDS = 3


@dataclass(frozen=True)
class LabelModel:
    """Made by `fit_label_model`."""

    labels:      list[str]              # that training images show, sorted
    scaler:      StandardScaler
    model:       LogisticRegression
    temperature: float                  # probabilities are softmax(logits / temperature)

    def probabilities(
        self,
        vectors: np.ndarray,            # [N, D]
    ) -> np.ndarray:
        """[N, labels]; NaN where a vector holds NaN."""
        out = np.full((len(vectors), len(self.labels)), np.nan)
        sound = np.isfinite(vectors).all(axis=1)
        if sound.any():
            out[sound] = _softmax(_logits(self.model, self.scaler.transform(vectors[sound])) / self.temperature)
        return out

    def of_asked(
        self,
        vectors: np.ndarray,            # [N, D]
        labels:  np.ndarray,            # [N] asked
    ) -> tuple[np.ndarray, np.ndarray]:
        """[N] probability of the asked label, and that of the likeliest; NaN for a label that no training image shows."""
        chances = self.probabilities(vectors)
        places = np.array([self.labels.index(label) if label in self.labels else -1 for label in labels], dtype=int)
        asked = np.where(places < 0, np.nan, chances[np.arange(len(labels)), places])
        return asked, chances.max(axis=1, initial=0.0)


def fit_label_model(
    vectors:  np.ndarray,               # [T, D] of training images
    labels:   np.ndarray,               # [T] words; null: not known, and left out
    clusters: np.ndarray,               # [T]
    *,
    seed:     int,
) -> LabelModel | None:
    """Penalty and temperature from folds that keep clusters whole (the temperature as Guo et al. 2017); None where there is one label."""
    sound = np.isfinite(vectors).all(axis=1) & np.array([isinstance(label, str) for label in labels], dtype=bool)
    vectors, labels, clusters = vectors[sound], np.asarray(labels)[sound], clusters[sound]
    names = sorted(set(labels))
    if len(names) < 2:
        return None
    truth = np.array([names.index(label) for label in labels])
    penalty, temperature = _PENALTIES[1], 1.0
    tried = [(_out_of_fold(vectors, truth, clusters, penalty, seed), penalty) for penalty in _PENALTIES]
    if all(logits is not None for logits, _ in tried):
        logits, penalty = min(tried, key=lambda pair: _log_loss(pair[0], truth))
        temperature = fit_temperature(logits, truth)
    scaler, model = _fit(vectors, truth, penalty)
    return LabelModel(names, scaler, model, temperature)


def _fit(vectors: np.ndarray, truth: np.ndarray, penalty: float) -> tuple[StandardScaler, LogisticRegression]:
    scaler = StandardScaler().fit(vectors)
    return scaler, LogisticRegression(C=penalty, max_iter=500).fit(scaler.transform(vectors), truth)


def _out_of_fold(vectors: np.ndarray, truth: np.ndarray, clusters: np.ndarray, penalty: float, seed: int) -> np.ndarray | None:
    """[N, labels] logits by models that did not see the image's cluster; None where a fold would lack a label."""
    folds = min(_FOLDS, len(set(clusters)))
    if folds < 2:
        return None
    logits = np.empty((len(truth), truth.max() + 1))
    for known, unseen in GroupKFold(folds, shuffle=True, random_state=seed).split(vectors, truth, clusters):
        if len(set(truth[known])) <= truth.max():
            return None
        scaler, model = _fit(vectors[known], truth[known], penalty)
        logits[unseen] = _logits(model, scaler.transform(vectors[unseen]))
    return logits


def _logits(model: LogisticRegression, vectors: np.ndarray) -> np.ndarray:
    """[N, labels]; of two labels scikit-learn gives the difference alone."""
    found = model.decision_function(vectors)
    return found if found.ndim == 2 else np.stack([-found / 2, found / 2], axis=1)


def _softmax(logits: np.ndarray) -> np.ndarray:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def _log_loss(logits: np.ndarray, truth: np.ndarray) -> float:
    return float(-np.log(np.maximum(_softmax(logits)[np.arange(len(truth)), truth], 1e-12)).mean())
