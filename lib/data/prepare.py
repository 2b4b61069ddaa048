"""From a study's sources to its samples: draw what is drawn, take in, split, and leave the evidence beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from lib.data.adapters import phantom
from lib.data.errors import DataError
from lib.data.folds import split_folds
from lib.data.intake import Intake, take_in
from lib.data.split import assign_splits
from lib.data.split_file import reuse_splits
from lib.data.state import split_path
from lib.files import write_atomically
from lib.study import Data, Groups, Labels, Split


def draw_sources(
    data:     Data,
    roots:    Mapping[str, Path],                       # source title → its folder
    *,
    progress: Callable[..., None] | None = None,        # called with (images drawn, images), source by source
    workers:  int = 1,                                  # processes; any number draws the same
) -> None:
    """Draw the phantom sources of a study; images that lie there already, drawn by the same code and options, are kept."""
    for source in data.sources:
        if source.phantom is not None:
            phantom.draw(source, Path(roots[source.title]), progress=progress, workers=workers)


def bring_in(
    data:      Data,
    labels:    Labels,
    groups:    Groups,
    roots:     Mapping[str, Path],                      # source title → its folder
    path:      Path,                                    # of quarantine.csv, written also when there is an error
    *,
    root:      Path | None = None,                      # DATA_ROOT, where the published lists of duplicates lie; default: data_root()
    cache:     Path | None = None,                      # folder for what is dear to compute again (embeddings)
    threads:   int = 1,
    progress:  Callable[[int, int], None] | None = None,
) -> Intake:
    """`take_in`, with the list of what is not used written to `path` whatever happens. Raises DataError."""
    try:
        intake = take_in(
            data.sources, labels, groups, roots, rows=data.rows, duplicates=data.duplicates, pairs_root=root, cache=cache,
            shared_images=data.shared_images, threads=threads, quarantine_path=path, progress=progress,
        )
    except DataError as error:
        _keep(getattr(error, "quarantine", None), path)
        raise
    _keep(intake.quarantine, path)
    return intake


def split_samples(
    samples: pd.DataFrame,      # of bring_in: without a split
    data:    Data,
    split:   Split,
    root:    Path,              # DATA_ROOT, where split.file lies
) -> pd.DataFrame:
    """The `samples` table: every image with its split (one per fold, see lib/data/folds.py), dealt anew or read from `split.file`.

    Raises DataError, also where `split.file` is absolute or leads out of `root`.
    """
    test_only, reserve = ([source.title for source in data.sources if source.role == role] for role in ("test_only", "reserve"))
    if split.fold_numbers:
        return split_folds(samples, split, reserve=reserve)
    path = split_path(split, root)
    if path is not None:
        return samples.assign(split=reuse_splits(samples, path, test_only=test_only, reserve=reserve)[0])
    shares = {"train": split.train, "validation": split.validation, "test": split.test}
    return samples.assign(split=assign_splits(samples, shares, split.seed, test_only=test_only, reserve=reserve))


def _keep(quarantine: pd.DataFrame | None, path: Path) -> None:
    if quarantine is not None:
        write_atomically(path, lambda temporary: quarantine.to_csv(temporary, index=False))
