"""Small made-up data sets in the layouts of the official releases, for every test that needs images on disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from truth_table import Truth, truth_lines

from lib.data.root import data_root

SKIN, LESION = (225, 190, 165), (110, 70, 50)
PALETTE = [255 - i // 3 for i in range(768)]        # index 0 is white, as in 402 masks of HAM10000


def draw_jpeg(path: Path, seed: int = 0, size: tuple[int, int] = (32, 24), skin: tuple[int, int, int] = SKIN) -> None:
    """A disc on skin with a little noise, so that no two seeds give the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows, columns = np.mgrid[: size[1], : size[0]]
    disc = (rows - size[1] / 2) ** 2 + (columns - size[0] / 2) ** 2 < (min(size) / 4) ** 2
    pixels = np.where(disc[..., None], LESION, skin) + np.random.default_rng(seed).integers(-6, 7, (size[1], size[0], 3))
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path, quality=95)


def draw_mask(path: Path, size: tuple[int, int] = (32, 24), palette: bool = False) -> None:
    """The disc's mask, white inside; with `palette` as a palette image whose raw values are upside down."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows, columns = np.mgrid[: size[1], : size[0]]
    disc = (rows - size[1] / 2) ** 2 + (columns - size[0] / 2) ** 2 < (min(size) / 4) ** 2
    image = Image.fromarray(np.where(disc, 0 if palette else 255, 255 if palette else 0).astype(np.uint8))
    if palette:
        image = image.convert("P")
        image.putdata(np.where(disc, 0, 255).ravel().tolist())
        image.putpalette(PALETTE)
    image.save(path)


def build_ham10000(folder: Path, lesions: int = 28) -> Path:
    """Two images of every lesion in two part folders, seven diagnoses in turn, masks for all, every other one with a palette."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = ["lesion_id,image_id,dx,dx_type,age,sex,localization"]
    for i in range(2 * lesions):
        image_id, dx = f"ISIC_{24306 + i:07d}", ("nv", "mel", "bkl", "bcc", "akiec", "vasc", "df")[i // 2 % 7]
        age, sex = ("0.0", "", "45.0")[i % 3], ("male", "female", "unknown")[i % 3]
        rows.append(f"HAM_{i // 2:07d},{image_id},{dx},histo,{age},{sex},{'unknown' if i % 5 == 0 else 'back'}")
        draw_jpeg(folder / f"HAM10000_images_part_{1 + i % 2}" / f"{image_id}.jpg", i)
        draw_mask(folder / "HAM10000_segmentations_lesion_tschandl" / f"{image_id}_segmentation.png", palette=i % 2 == 0)
    (folder / "HAM10000_metadata.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def build_pad(folder: Path, patients: int = 36, missing: int = 3) -> Path:
    """One or two images per patient, six diagnoses, lesion numbers that patients share, .jpg files though the table says .png."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = ["patient_id,lesion_id,smoke,age,gender,fitspatrick,region,diameter_1,diameter_2,diagnostic,img_id,biopsed"]
    number = 0
    for i in range(patients):
        for _ in range(1 + i % 2):
            image = f"PAT_{i}_{i // 2}_{number}"
            tone = "" if i % 4 == 0 else f"{1 + i % 6}.0"
            rows.append(f"PAT_{i},{i // 2},,55,{'FEMALE' if i % 3 else ''},{tone},FACE,6.0,,"
                        f"{('ACK', 'BCC', 'MEL', 'NEV', 'SCC', 'SEK')[i % 6]},{image}.png,{tone != ''}")
            if number >= missing:
                draw_jpeg(folder / "images" / f"{image}.jpg", 1_000 + number)
                if number % 3:
                    draw_mask(folder / "masks" / f"{image}_mask.png", size=(64, 48))      # masks are larger than the reduced images
            number += 1
    (folder / "metadata.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def build_fitzpatrick(folder: Path, images: int = 30, old: bool = False, drawn: bool = True) -> Path:
    """Three labels, every fifth type unknown; `old`: the old spelling of the type and an unnamed index column."""
    folder.mkdir(parents=True, exist_ok=True)
    header = "md5hash,{},fitzpatrick_centaur,label,nine_partition_label,three_partition_label,qc,url,url_alphanum"
    rows = ["," + header.format("fitzpatrick") if old else header.format("fitzpatrick_scale")]
    for i in range(images):
        label, nine, three = (("psoriasis", "inflammatory", "non-neoplastic"), ("melanoma", "malignant melanoma", "malignant"),
                              ("dermatofibroma", "benign dermal", "benign"))[i % 3]
        name = f"{i:032x}"
        rows.append(f"{f'{i},' if old else ''}{name},{-1 if i % 5 == 0 else 1 + i % 6},3,{label},{nine},{three},,,x.jpg")
        if drawn:
            draw_jpeg(folder / "images" / f"{name}.jpg", 2_000 + i)
    (folder / "fitzpatrick17k.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def build_class_folders(folder: Path, counts: dict[str, int], first_seed: int = 3_000) -> Path:
    """`counts` images in a folder per class."""
    seed = first_seed
    for name, count in counts.items():
        for i in range(count):
            draw_jpeg(folder / name / f"{i:03d}.jpg", seed)
            seed += 1
    return folder


@pytest.fixture
def made_up_ham10000(tmp_path: Path) -> Path:
    """Folder with 56 images of 28 lesions (8 of each diagnosis), as HAM10000 unpacks."""
    return build_ham10000(tmp_path / "ham10000")


@pytest.fixture
def made_up_pad(tmp_path: Path) -> Path:
    """Folder with 54 rows of 36 patients, 51 images, as PAD-UFES-20 unpacks."""
    return build_pad(tmp_path / "pad_ufes_20")


@pytest.fixture
def made_up_fitzpatrick(tmp_path: Path) -> Path:
    """Folder with 30 rows and images of Fitzpatrick17k, new spelling."""
    return build_fitzpatrick(tmp_path / "fitzpatrick17k")


@pytest.fixture
def builders() -> dict[str, Callable]:
    """The builders themselves, by name, for tests that need other sizes or spellings."""
    return {function.__name__: function for function in (
        build_ham10000, build_pad, build_fitzpatrick, build_class_folders, draw_jpeg, draw_mask)}


@pytest.fixture(scope="session")
def real_data() -> Path:
    """DATA_ROOT with the real data sets; the test is skipped where the variable is not set."""
    if not os.environ.get("DATA_ROOT"):
        pytest.skip("DATA_ROOT is not set: the real data are not here")
    return data_root().resolve()


# ── truth tests ──────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.fixture
def report_truth(record_property) -> Callable[..., None]:
    """Add a row to the table that ends the tests' report: what was simulated, what was found, what must hold.

    A row outside what is wanted of intervals and tests (tests/support/truth_table.py) needs a reason: `because`.
    """
    def add(scenario: str, what: str, studies: int, found: float, low: float, high: float, *, because: str = "") -> None:
        row = Truth(scenario, what, studies, float(found), float(low), float(high), because)
        assert because or not row.is_outside, f"{scenario}: {found:.3f} is outside what is wanted, and no reason is given"
        record_property("truth", list(row))
    return add


def pytest_terminal_summary(terminalreporter) -> None:
    """The truth tests as a table, whether they passed or not."""
    rows = [Truth(*value) for kind in ("passed", "failed") for report in terminalreporter.getreports(kind)
            for name, value in report.user_properties if name == "truth"]
    if not rows:
        return
    terminalreporter.section("truth tests: simulated studies, nothing trained")
    for line in truth_lines(rows):
        terminalreporter.write_line(line)
