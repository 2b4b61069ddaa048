"""The `predictions` table of one trained cell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lib.classify.calibrate import Calibration
from lib.classify.images import Pixels, check_pixels, predict_logits, softmax
from lib.classify.sampling import label_indices
from lib.classify.train import Trained


def predict(
    trained:     Trained,
    calibration: Calibration,
    pixels:      Pixels,           # uint8 [N, S, S, 3], in the order of `samples`
    samples:     pd.DataFrame,     # the samples table
    classes:     Sequence[str],    # class order
    *,
    condition:  str = "clean",     # or the distortion that `pixels` went through
    target:     str = "label",
    batch_size: int = 256,         # speed and memory only
) -> pd.DataFrame:
    """A row per validation and test image with calibrated probabilities p_0 … p_k that sum to 1, in the order of `samples`.

    `threshold` is on the summed probability of the positive classes and NaN where the study names none.
    """
    check_pixels(pixels, len(samples))
    rows = np.flatnonzero(samples["split"].isin(["validation", "test"]).to_numpy())
    judged = samples.iloc[rows].reset_index(drop=True)
    probabilities = softmax(predict_logits(trained.model, pixels, rows, batch_size=batch_size), calibration.temperature)
    return pd.DataFrame({
        "image_id":       judged["image_id"],
        "split":          judged["split"],
        "fold":           np.full(len(rows), trained.cell.fold, dtype=np.int8),
        "arm":            trained.cell.arm,
        "architecture":   trained.cell.architecture,
        "seed":           np.full(len(rows), trained.cell.seed, dtype=np.int32),
        "train_fraction": float(trained.cell.fraction),
        "condition":      condition,
        "target":         target,
        "y_true":         label_indices(judged, classes).astype(np.int16),
        **{f"p_{k}": probabilities[:, k] for k in range(len(classes))},
        "threshold":      calibration.operating.threshold if calibration.operating else np.nan,
        **{column: judged[column] for column in ("diagnosis", "tone", "group", "patient_id", "lesion_id", "cluster_id")},
    }).astype({"fold": "Int8", "seed": "Int32", "y_true": "Int16"})
