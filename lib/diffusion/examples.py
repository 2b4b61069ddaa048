"""The images that tokens and adapters learn from: training rows of the sources that the study allows."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from lib.diffusion.words import Words


def training_examples(
    samples: pd.DataFrame,                  # the samples table
    words:   Words,
    *,
    sources: Collection[str] = (),          # names of data sets; empty: every one that has rows of the split. Validation may lack one
    split:   str             = "train",     # or "validation", for what is held out
) -> pd.DataFrame:
    """One row per image: row (its position in `samples` and in the pixels), label, tone (a cell's key, or None), group, domain, dataset.

    Test rows, and so data sets that only test, are never given out. ValueError for a class without training images, naming it, for an
    unknown source, and for another split.
    """
    if split not in ("train", "validation"):
        raise ValueError(f"split is {split!r}; generators see train and, for scores, validation")
    held = samples["split"].eq(split).to_numpy()
    known = sorted(samples.loc[held | (split == "validation") & samples["split"].eq("train"), "dataset"].unique())
    if strange := sorted(set(sources) - set(known)):
        raise ValueError(f"sources names {', '.join(strange)}, which has no {split} rows; with some: {', '.join(known) or 'none'}")
    chosen = held & samples["dataset"].isin(list(sources) or known).to_numpy()
    missing = [label for label in words.classes if label not in set(samples.loc[chosen, "label"])]
    if missing and split == "train":
        where = f" in {', '.join(sorted(sources))}" if sources else ""
        raise ValueError(f"no training image of {', '.join(missing)}{where}; add a source that has some, or leave the class out "
                         "(labels.classes)")
    rows = np.flatnonzero(chosen)
    found = samples.iloc[rows]
    cells = [words.cell_of(*row) for row in zip(found["label"], found["tone"], found["group"], strict=True)]
    examples = pd.DataFrame({
        "row":     rows,
        "label":   found["label"].to_numpy(),
        "tone":    pd.Series([cell.tone for cell in cells], dtype=object),
        "group":   pd.Series([None if pd.isna(group) else group for group in found["group"]], dtype=object),
        "domain":  found["domain"].to_numpy(),
        "dataset": found["dataset"].to_numpy(),
    })
    assert samples["split"].iloc[examples["row"]].eq(split).all(), "a row of another split would be learnt from"
    return examples
