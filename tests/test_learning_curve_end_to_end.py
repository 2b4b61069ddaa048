"""A study with a learning curve and a reserve from images to the exchange rate; then its figures against the saved tables."""

import json

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.metrics import roc_auc_score

from lib.tables import read_metadata, read_table
from tests.support.project import Project

EASY = {"image_size": 32, "difficulty": 0.2, "images_per_lesion": [1, 1]}       # so that more patients help, and it shows
CURVE = {
    "extends": "tiny.yaml",
    "name": "curve",
    "title": "What are more patients worth?",
    "data": {"sources": [
        {"dataset": "phantom", "name": "clinic", "phantom": {"patients": 160, **EASY, "seed": 1_400_000}},
        {"dataset": "phantom", "name": "survey", "role": "test_only", "phantom": {"patients": 80, **EASY, "seed": 1_500_000}},
        {"dataset": "phantom", "name": "more", "role": "reserve", "phantom": {"patients": 320, **EASY, "seed": 1_600_000}},
    ]},
    "classifier": {"seeds": [0, 1], "chunk_size": 2, "epochs": 10, "batch_size": 32, "learning_rate": 0.002,
                   "learning_curve": [0.25, 0.5, 1.5]},
}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Folder of the finished study."""
    project = Project.copy(tmp_path_factory.mktemp("curve"))
    (project.root / "params" / "curve.yaml").write_text(yaml.safe_dump(CURVE), encoding="utf-8")
    done = project.run(study="params/curve.yaml")
    assert done.returncode == 0, done.stderr + done.stdout
    return project.outputs / "curve"


def cells(study):
    """fraction → (metrics of its job, its predictions) of arm real."""
    found = {}
    for folder in sorted((study / "07_classifier").iterdir()):
        if (folder / "metrics.json").is_file():
            metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
            if metrics["cells"][0]["arm"] == "real":
                found[metrics["cells"][0].get("fraction", 1)] = metrics, read_table("predictions", folder / "predictions.parquet")
    return found


def test_every_point_of_the_curve_trains_on_its_share_of_the_patients(study):
    samples = read_table("samples", study / "01_eda" / "samples.parquet")
    assert set(samples["split"]) == {"train", "validation", "reserve", "test"}
    assert samples.groupby("dataset")["split"].unique().map(set)[["more", "survey"]].tolist() == [{"reserve"}, {"test"}]
    images = {fraction: metrics["images"]["real"] for fraction, (metrics, _) in cells(study).items()}
    whole = int((samples["split"] == "train").sum())
    assert images[1] == whole
    assert images[0.5] == pytest.approx(whole / 2, rel=0.15) and images[1.5] == pytest.approx(1.5 * whole, rel=0.15)


def test_no_training_looks_at_another_test_image(study):
    """Validation and test images are the same at every point; nothing of the reserve is judged."""
    samples = read_table("samples", study / "01_eda" / "samples.parquet")
    judged = set(samples.loc[samples["split"].isin(["validation", "test"]), "image_id"])
    assert all(set(table["image_id"]) == judged for _, table in cells(study).values())


def test_a_gain_is_the_difference_of_the_arms_and_agrees_with_the_curve(study):
    """The gain in exchange.csv, computed again by scikit-learn; and a worth lies inside its interval."""
    exchange = pd.read_csv(study / "08_ablations" / "exchange.csv")
    row = exchange[(exchange["arm"] == "oversampled") & (exchange["label"] == "all") & (exchange["group"] == "all")].squeeze()
    means = {}
    for path in (study / "07_classifier").glob("*/predictions.parquet"):
        table, classes = read_table("predictions", path), read_metadata(path)["classes"]
        table = table[(table["split"] == "test") & (table["train_fraction"] == 1)]
        for arm, runs in table.groupby("arm"):
            means[arm] = np.mean([[roc_auc_score(run["y_true"] == k, run[f"p_{k}"]) for k in range(len(classes))]
                                  for _, run in runs.groupby("seed")])
    assert row["gain"] == pytest.approx(means["oversampled"] - means["real"], abs=1e-9)
    assert "classifier.learning_curve" not in str(row["reason"])
    known = exchange.dropna(subset=["images", "images_low", "images_high"])
    assert (known["images_low"] <= known["images"]).all() and (known["images"] <= known["images_high"]).all()


def test_the_report_says_whether_the_curve_foresaw_the_reserve(study):
    answer = json.loads((study / "08_ablations" / "metrics.json").read_text(encoding="utf-8"))["answer"]
    foreseen = answer["headlines"][-1]
    assert foreseen["caption"].startswith("More real images") and {row[2] for row in foreseen["rows"]} == {"1.5"}
    assert (study / "08_ablations" / "figures" / "learning_curve.png").stat().st_size > 10_000
