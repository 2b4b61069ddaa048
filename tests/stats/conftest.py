"""Made-up predictions with known structure; nothing is trained."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

GROUPS = np.array(["I–II", "III–IV", "V–VI"])


def make_predictions(
    *,
    patients=90,
    per_patient=3,
    classes=3,
    arms=("real", "oversampled"),
    architectures=("small_cnn",),
    seeds=(0, 1, 2),
    signal=1.0,             # how far the true class stands out
    lift=0.0,               # how much further in each later arm
    seed_noise=0.1,         # spread of the signal between trainings
    own_noise=0.3,          # what an arm's scores do not share with the other arms'
    random=0,
):
    """A `predictions` table: images of a patient share label, group and part of their noise."""
    rng = np.random.default_rng(random)
    images = patients * per_patient
    patient = np.repeat(np.arange(patients), per_patient)
    label = rng.permutation(np.arange(patients) % classes)[patient]
    group = GROUPS[rng.permutation(np.arange(patients) % 3)][patient]
    shared = 0.8 * rng.normal(size=(patients, classes))[patient] + 0.6 * rng.normal(size=(images, classes))
    tables = []
    for a, arm in enumerate(arms):
        for architecture in architectures:
            for seed in seeds:
                score = shared + own_noise * rng.normal(size=shared.shape)
                score[np.arange(images), label] += signal + lift * a + seed_noise * rng.normal()
                p = np.exp(score)
                p /= p.sum(axis=1, keepdims=True)
                tables.append(pd.DataFrame({
                    "image_id": [f"image_{i:05d}" for i in range(images)], "split": "test", "fold": 0, "arm": arm,
                    "architecture": architecture, "seed": seed, "train_fraction": 1.0, "condition": "clean", "target": "label",
                    "y_true": label, **{f"p_{k}": p[:, k] for k in range(classes)}, "threshold": 0.4, "group": group,
                    "cluster_id": [f"patient_{i:04d}" for i in patient],
                }))
    return pd.concat(tables, ignore_index=True)


@pytest.fixture(scope="session")
def make():
    """The function above."""
    return make_predictions


@pytest.fixture(scope="session")
def predictions():
    """Two arms, three seeds, 270 images of 90 patients, three classes; never changed in place."""
    return make_predictions()
