"""The accepted images as a Hugging Face `imagefolder`: `load_dataset("imagefolder", data_dir="…/images")` reads pictures and columns."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pandas as pd

from lib.files import write_atomically


def export_imagefolder(
    synthetic: pd.DataFrame,    # the `synthetic` table of one run
    folder:    Path,            # of that run, which the table's paths start from
) -> Path:
    """Write `images/metadata.csv` beside the pictures: file_name (relative to it), then every column that says something.

    Returns its path. FileNotFoundError where a picture is missing, ValueError where one lies outside `images/`.
    """
    kept = synthetic[synthetic["accepted"]]
    root = Path(folder) / "images"
    for path in kept["path"]:
        if PurePosixPath(path).parts[0] != "images":
            raise ValueError(f"{path} lies outside images/; an imagefolder holds its pictures below its metadata.csv")
        if not (Path(folder) / path).is_file():
            raise FileNotFoundError(f"{Path(folder) / path} is missing; run 05_generation again, it draws what is lost")
    names = kept["path"].map(lambda path: PurePosixPath(path).relative_to("images").as_posix())
    columns = [name for name in kept.columns if name not in ("path", "accepted", "reason") and kept[name].notna().any()]
    table = kept[columns].assign(file_name=names)[["file_name", *columns]]
    root.mkdir(parents=True, exist_ok=True)
    path = root / "metadata.csv"
    write_atomically(path, lambda temporary: table.to_csv(temporary, index=False))
    return path
