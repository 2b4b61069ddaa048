"""The imagefolder: the rules of the `datasets` loader, and nothing that was refused."""

import json
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from lib.diffusion.export import export_imagefolder


def table(folder: Path) -> pd.DataFrame:
    rows = []
    for i in range(3):
        path = f"images/melanoma-fst-vi/demo-{i}.png"
        if i != 1:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8)).save(folder / path)
        rows.append({"image_id": f"demo-{i}", "path": None if i == 1 else path, "label": "melanoma", "prompt": 'a "photo", of\nskin',
                     "tone": 6, "group": None,
                     "accepted": i != 1, "reason": "too dark" if i == 1 else None, "versions": json.dumps({"torch": "2"})})
    return pd.DataFrame(rows)


def test_every_file_name_exists_and_every_picture_is_named(tmp_path):
    path = export_imagefolder(table(tmp_path), tmp_path)
    assert path == tmp_path / "images" / "metadata.csv"
    metadata = pd.read_csv(path)
    pictures = {file.relative_to(path.parent).as_posix() for file in path.parent.rglob("*.png")}
    assert list(metadata["file_name"]) == sorted(pictures) and metadata.columns[0] == "file_name"
    assert {"path", "accepted", "reason", "group"}.isdisjoint(metadata.columns)
    assert metadata["prompt"].tolist() == ['a "photo", of\nskin'] * 2 and metadata["tone"].tolist() == [6, 6]


def test_a_missing_picture_and_one_outside(tmp_path):
    synthetic = table(tmp_path)
    (tmp_path / synthetic["path"].iloc[0]).unlink()
    with pytest.raises(FileNotFoundError, match="run 05_generation again"):
        export_imagefolder(synthetic, tmp_path)
    with pytest.raises(ValueError, match="outside images/"):
        export_imagefolder(synthetic.assign(path="other/x.png"), tmp_path)
    assert not (tmp_path / "images" / "metadata.csv").exists()


def test_a_run_without_an_accepted_image_gives_a_header_alone(tmp_path):
    synthetic = table(tmp_path).iloc[[1]]
    assert pd.read_csv(export_imagefolder(synthetic, tmp_path)).empty
