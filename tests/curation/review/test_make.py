"""From tables and files to pages and key, and from the command line there and back."""

from __future__ import annotations

import base64
import io
import json
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lib.curation.review.__main__ import REVIEW, main
from lib.curation.review.errors import ReviewError
from lib.curation.review.key import read_key
from lib.curation.review.make import make
from lib.curation.review.pictures import LARGEST_PNG, data_uri, picture_hash
from lib.curation.review.record import human_scores, merge_scores
from lib.data.images import content_hash
from lib.study import load_study
from lib.tables import write_table

OPTIONS = ["-p", "curation.review.images=12", "-p", "curation.review.which=all"]


@pytest.fixture
def study(curated, held_out, monkeypatch, tmp_path):
    """The study `ci` with made-up tables: generated squares of 24 px (GAN: 16), real pictures of another size and format."""
    monkeypatch.setenv("OUTPUTS_ROOT", str(tmp_path))
    outputs = tmp_path / "ci"
    rng = np.random.default_rng(0)

    def save(path, shape, **options) -> str:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (*shape, 3)).astype(np.uint8)).save(path, **options)
        return content_hash(path.read_bytes())

    curated = curated.assign(generator=np.where(np.arange(120) % 3, "diffusion", "gan"), path="shard/" + curated["path"], label="nevus")
    curated["sha256"] = [save(outputs / "05_generation" / row.path, (16, 16) if row.generator == "gan" else (24, 24), format="PNG")
                         for row in curated.itertuples()]
    patient = held_out["cluster_id"]
    samples = held_out.assign(label="nevus", dataset="clinic", path=held_out["image_id"] + ".jpg", domain="clinical", diagnosis="nevus",
                              tone=pd.array([None] * 90, dtype="Int8"), patient_id=patient, lesion_id=patient, mask_path=None, ita=20.0,
                              width=50, height=40, split=np.where(np.arange(90) // 2 % 3, "validation", "test"))
    samples = samples.astype({"width": "Int32", "height": "Int32"})
    samples["sha256"] = [save(outputs / "01_eda" / "images" / "clinic" / path, (40, 50), format="JPEG") for path in samples["path"]]
    write_table("curated", curated, outputs / "06_curation" / "diffusion" / "curated.parquet")
    write_table("samples", samples, outputs / "01_eda" / "samples.parquet")
    options = {"curation.review.images": 12, "curation.review.which": "all"}
    return load_study("params/ci.yaml", options), outputs, {"curated": curated, "samples": samples}


def shown(page) -> dict:
    return json.loads(re.search(r'id="data">(.*?)</script>', page.read_text(encoding="utf-8"), re.S)[1])


def pixels(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


def test_pages_of_raters_hold_the_same_pictures_in_orders_of_their_own(study, tmp_path):
    study, outputs, tables = study
    made = make(study, outputs, tmp_path / "pages", raters=["anna", "Bo B."])
    assert [page.name.partition("-")[2][13:] for page in made.pages] == ["anna.html", "Bo-B-.html"] and made.notices == []
    one, two = map(shown, made.pages)
    assert one["review"] == two["review"] and one["rater"] == "anna"
    pictures = [{item["id"]: item["src"] for item in page["items"]} for page in (one, two)]
    assert pictures[0] == pictures[1] and list(pictures[0]) != list(pictures[1])
    key = read_key(tmp_path / "pages", one["review"])
    assert set(key.items["item"]) == set(pictures[0]) and key.items["kind"].value_counts().to_dict() == {"generated": 6, "real": 6}
    real = key.items[key.items["kind"] == "real"]
    assert tables["samples"].set_index("image_id").loc[real["image_id"], "split"].eq("validation").all()


def test_a_picture_tells_by_size_and_format_only_which_generator_it_goes_with(study, tmp_path):
    study, outputs, tables = study
    made = make(study, outputs, tmp_path)
    page = shown(made.pages[0])
    items = read_key(tmp_path, page["review"]).items.set_index("item")
    sizes = {"gan": (16, 16, 3), "diffusion": (24, 24, 3)}
    for item in page["items"]:
        row = items.loc[item["id"]]
        assert item["src"].startswith("data:image/png;base64,") and pixels(item["src"]).shape == sizes[row["generator"]]
        if row["kind"] == "generated":
            path = tables["curated"].set_index("image_id").loc[row["image_id"], "path"]
            assert (pixels(item["src"]) == np.asarray(Image.open(outputs / "05_generation" / path))).all()
    assert {"gan", "diffusion"} == set(items["generator"])


def test_the_same_again_gives_the_same_files_and_other_pictures_another_page(study, tmp_path):
    study, outputs, tables = study
    first = make(study, outputs, tmp_path)
    before = first.pages[0].read_bytes(), first.key.read_bytes()
    again = make(study, outputs, tmp_path)
    assert again == first and (first.pages[0].read_bytes(), first.key.read_bytes()) == before
    renamed = tables["curated"].assign(image_id="new " + tables["curated"]["image_id"])
    write_table("curated", renamed, outputs / "06_curation" / "diffusion" / "curated.parquet")
    other = make(study, outputs, tmp_path)
    assert other.key != first.key and first.pages[0].read_bytes() == before[0]


def test_a_picture_that_is_gone_or_another_is_named(study, tmp_path):
    study, outputs, tables = study
    for path in tables["curated"]["path"]:
        (outputs / "05_generation" / path).write_bytes((outputs / "05_generation" / path).read_bytes() + b" ")
    with pytest.raises(ReviewError, match=r"g\d+\.png is not the picture that 06_curation looked at"):
        make(study, outputs, tmp_path)
    for path in tables["curated"]["path"]:
        (outputs / "05_generation" / path).unlink()
    with pytest.raises(ReviewError, match=r"g\d+\.png cannot be read"):
        make(study, outputs, tmp_path)


@pytest.mark.parametrize(("raters", "message"), [
    (["simulated 2"], "does not begin with simulated"), (["=1"], "a name has up to 40"), (["anna", "Anna"], "anna would share a file"),
])
def test_names_that_would_not_do_are_refused_before_any_work(study, tmp_path, raters, message):
    with pytest.raises(ReviewError, match=message):
        make(*study[:2], tmp_path / "none", raters=raters)
    assert not (tmp_path / "none").exists()


def test_large_pictures_are_sent_as_jpeg_whatever_they_are():
    large = np.full((LARGEST_PNG + 1, LARGEST_PNG + 1, 3), 120, dtype=np.uint8)
    assert data_uri(large).startswith("data:image/jpeg;base64,") and np.abs(pixels(data_uri(large)).astype(int) - 120).max() <= 1
    assert (pixels(data_uri(large[:9, :9])) == 120).all()
    assert picture_hash(large[:4, :6]) != picture_hash(large[:6, :4])


def test_there_and_back_on_the_command_line(study, save_ratings, tmp_path, capsys):
    settings, outputs, tables = study
    assert main(["make", "params/ci.yaml", *OPTIONS, "--raters", "anna", "ben", "cem"]) == 0
    assert capsys.readouterr().out.count("page: ") == 3
    key = read_key(outputs / REVIEW, next((outputs / REVIEW).glob("key-*.json")).stem.removeprefix("key-"))
    files = [str(save_ratings(tmp_path / f"{name}.csv", key, name, 6)) for name in ("anna", "ben", "cem")]
    assert main(["collect", "params/ci.yaml", *OPTIONS, *files]) == 0
    said = capsys.readouterr().out
    assert "Verdict: accepted (mean realism of generated images 6.00, wanted above 5" in said
    scores = pd.read_csv(outputs / REVIEW / f"scores-{key.review}.csv")
    assert scores["human_realism"].eq(6).all() and len(scores) == 6
    merged = merge_scores(tables["curated"], human_scores(outputs / REVIEW, settings.curation.review))
    assert merged["human_mean"].notna().sum() == 6
    write_table("curated", merged, tmp_path / "curated.parquet")            # as its contract allows
    summary = json.loads((outputs / REVIEW / f"summary-{key.review}.json").read_text())
    assert summary["verdict"] == "accepted" and summary["simulated"] is False


def test_what_goes_wrong_is_one_line_and_an_exit_status(study, tmp_path, capsys):
    assert main(["collect", "params/ci.yaml", *OPTIONS, str(tmp_path / "gone.csv")]) == 1
    assert capsys.readouterr().err.strip().endswith("gone.csv: cannot be read (No such file or directory)")
    assert main(["make", "params/ci.yaml", "-p", "curation.review.imges=3"]) == 2
    assert "did you mean images?" in capsys.readouterr().err
    assert main(["make", "params/ci.yaml", "-p", "curation=null"]) == 2
    assert "no section curation" in capsys.readouterr().err
