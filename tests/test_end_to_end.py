"""The CI study from images to report; then the report's figures against the saved tables, computed by somebody else."""

from __future__ import annotations

import hashlib
import html
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from lib.curation.candidates import open_candidates
from lib.data.errors import DataError
from lib.study import ROOT, load_study
from lib.tables import read_metadata, read_table
from lib.workflow.plan import make_plan

STUDY = load_study("params/ci.yaml")


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """Folder of the finished CI study."""
    root = tmp_path_factory.mktemp("outputs")
    done = subprocess.run([sys.executable, "run_all.py", "params/ci.yaml"], cwd=ROOT, capture_output=True, text=True,
                          env={**os.environ, "OUTPUTS_ROOT": str(root)})
    assert done.returncode == 0, done.stderr + done.stdout
    assert "report: " in done.stdout and "index.html" in done.stdout
    return root / "ci"


@pytest.fixture(scope="module")
def predictions(outputs):
    """All chunks' predictions and the class order."""
    paths = sorted(outputs.glob("07_classifier/*/predictions.parquet"))
    return pd.concat([read_table("predictions", path) for path in paths], ignore_index=True), read_metadata(paths[0])


def pages(outputs):
    """Path → HTML without its style sheet, whose comments name token types such as tracebacks."""
    return {path: re.sub(r"<style>.*?</style>", "", path.read_text(encoding="utf-8"), flags=re.S) for path in outputs.rglob("*.html")}


def test_every_image_is_accounted_for(outputs):
    account = json.loads((outputs / "01_eda" / "metrics.json").read_text())["account"]
    samples = read_table("samples", outputs / "01_eda" / "samples.parquet")
    drawn = {source.title: len(pd.read_csv(outputs / "01_eda" / "images" / source.title / "metadata.csv")) for source in STUDY.data.sources}
    assert {row["dataset"]: row["listed"] for row in account} == drawn
    assert samples["dataset"].value_counts().to_dict() == {row["dataset"]: row["used"] for row in account}


def test_what_is_tested_was_never_trained_on(outputs):
    samples = read_table("samples", outputs / "01_eda" / "samples.parquet")
    assert (samples.loc[samples["dataset"] == "survey", "split"] == "test").all()
    assert (samples.loc[samples["dataset"] == "clinic", "split"] != "test").all()
    assert samples.groupby("patient_id")["split"].nunique().max() == 1
    assert samples.groupby("sha256")["split"].nunique().max() == 1


def test_each_cell_predicts_each_image_once(outputs, predictions):
    table, _ = predictions
    samples = read_table("samples", outputs / "01_eda" / "samples.parquet")
    judged = set(samples.loc[samples["split"] != "train", "image_id"])
    cells = table.groupby(["arm", "seed"])["image_id"]
    assert len(cells) == len(STUDY.classifier.arms) * len(STUDY.classifier.seeds)
    assert all(set(ids) == judged and len(ids) == len(judged) for _, ids in cells)


@pytest.fixture(scope="module")
def drawn(outputs):
    """The `synthetic` table of all shards."""
    return pd.concat([read_table("synthetic", path) for path in sorted(outputs.glob("05_generation/*/synthetic.parquet"))])


def test_curation_judges_what_was_accepted_and_selects_no_more_than_was_wanted(outputs, drawn):
    samples = read_table("samples", outputs / "01_eda" / "samples.parquet")
    assert set(drawn["generator"]) == set(STUDY.generators) == {"diffusion", "gan"}
    for generator in STUDY.generators:
        folder = outputs / "06_curation" / generator
        curated, metrics = read_table("curated", folder / "curated.parquet"), json.loads((folder / "metrics.json").read_text())
        accepted = drawn[drawn["accepted"].astype(bool) & drawn["generator"].eq(generator)].set_index("image_id")["sha256"]
        assert len(accepted) and accepted.sort_index().equals(curated.set_index("image_id")["sha256"].sort_index())
        assert not set(curated["image_id"]) & set(samples["image_id"])
        assert curated["verdict"].isin(["passed", *(check.title for check in STUDY.curation.checks)]).all()
        quota = pd.DataFrame(metrics["quota"])
        assert quota["wanted"].sum() == STUDY.generation.images and quota["generated"].sum() == len(curated)
        tones = curated["tone_key"].astype(object).where(curated["tone_key"].notna(), None)
        for cell in quota.to_dict("records"):
            here = curated[curated["label"].eq(cell["label"]) & (tones.isna() if pd.isna(cell["tone"]) else tones.eq(cell["tone"]))]
            assert here["selected"].sum() == cell["selected"] <= min(cell["wanted"], here["verdict"].eq("passed").sum())
            assert here["random_subset"].sum() == cell["selected"]


def test_curation_looks_at_no_test_image(outputs):
    counts = read_table("samples", outputs / "01_eda" / "samples.parquet")["split"].value_counts()
    for generator in STUDY.generators:
        images = json.loads((outputs / "06_curation" / generator / "metrics.json").read_text())["images"]
        assert (images["train"], images["held_out"]) == (counts["train"], counts["validation"])


def test_curation_of_a_picture_that_was_altered_names_it(outputs, tmp_path):
    shard = min(outputs.glob("05_generation/gan-*"))
    shutil.copytree(shard / "images", tmp_path / "images")
    synthetic = read_table("synthetic", shard / "synthetic.parquet")
    spoilt = synthetic[synthetic["accepted"].astype(bool)].iloc[-1]
    with (tmp_path / spoilt["path"]).open("ab") as file:
        file.write(b"x")
    samples = read_table("samples", outputs / "01_eda" / "samples.parquet")
    with pytest.raises(DataError, match=rf"{re.escape(spoilt['image_id'])}: .* is not the file that was written; run 05_generation again"):
        open_candidates(samples, synthetic, {}, STUDY, tmp_path, cache=tmp_path)


def test_headline_is_what_scikit_learn_says(outputs, predictions):
    table, header = predictions
    table = table[table["split"] == "test"]
    metrics = json.loads((outputs / "09_statistics" / "metrics.json").read_text())
    per_arm = pd.read_csv(outputs / "09_statistics" / "per_arm.csv")
    everybody = per_arm[(per_arm["metric"] == "auroc") & (per_arm["group"] == "all")].set_index("arm")["value"]
    columns = [f"p_{k}" for k in range(len(header["classes"]))]
    for arm, rows in table.groupby("arm"):
        by_seed = [roc_auc_score(one["y_true"], one[columns].to_numpy(), multi_class="ovr") for _, one in rows.groupby("seed")]
        assert everybody[arm] == pytest.approx(np.mean(by_seed), abs=1e-9)
        shown = next(row for row in metrics["headline"]["rows"] if row[0] == arm)[1]
        assert shown.startswith(f"{np.mean(by_seed):.3f} (")


def test_verdict_follows_from_its_interval(outputs):
    verdict = json.loads((outputs / "09_statistics" / "metrics.json").read_text())["verdicts"][0]
    low, high, margin = verdict["difference"]["low"], verdict["difference"]["high"], STUDY.statistics.primary[0].margin
    if low is None:
        expected = "cannot tell"
    elif -margin < low and high < margin:
        expected = "equivalent"
    else:
        expected = "better" if low > 0 else "worse" if high < 0 else "cannot tell"
    assert verdict["kind"] == expected


def test_generated_images_are_training_images_and_nothing_else(outputs, predictions):
    table, _ = predictions
    curated = pd.concat([read_table("curated", path) for path in outputs.glob("06_curation/*/curated.parquet")])
    for path in outputs.glob("07_classifier/*/training.parquet"):
        training = read_table("training", path)
        added = training[training["synthetic"]]
        selected = curated["selected"] & curated["generator"].eq("diffusion") & ("diffusion_curated" in path.parent.name)
        assert set(added["image_id"]) == set(curated.loc[selected, "image_id"]), path
        assert training["split"].eq("train").all() and not set(training["image_id"]) & set(table["image_id"])


def test_final_results_say_what_the_report_says(outputs):
    final = json.loads((outputs / "09_statistics" / "final_results.json").read_text(encoding="utf-8"))
    metrics = json.loads((outputs / "09_statistics" / "metrics.json").read_text(encoding="utf-8"))
    assert [one["sentence"] for one in final["verdicts"]] == [one["sentence"] for one in metrics["verdicts"]]
    declared = json.dumps([one.model_dump(mode="json") for one in STUDY.statistics.primary], sort_keys=True, ensure_ascii=False,
                          separators=(",", ":"))
    assert final["declared"]["sha256"] == hashlib.sha256(declared.encode()).hexdigest()
    page = (outputs / "09_statistics" / "report.html").read_text(encoding="utf-8")
    assert final["conclusion"] in html.unescape(page)
    assert not re.search(r"""(?:src|href)=["'](?!#|data:)""", page)


def test_threshold_is_the_one_validation_chooses(predictions):
    """Youden's index recomputed from the saved validation rows alone."""
    table, header = predictions
    positive = [header["classes"].index(name) for name in header["positive"]]
    for _, cell in table[table["split"] == "validation"].groupby(["arm", "seed"]):
        score = cell[[f"p_{k}" for k in positive]].sum(axis=1).to_numpy()
        is_positive = cell["y_true"].isin(positive).to_numpy()
        youden = lambda at, s=score, p=is_positive: (s[p] >= at).mean() + (s[~p] < at).mean() - 1        # noqa: E731
        assert youden(cell["threshold"].iloc[0]) == pytest.approx(max(youden(at) for at in score))


def test_pages_are_clean_and_self_contained(outputs):
    assert len(pages(outputs)) == 2 + len(make_plan(STUDY).jobs)         # index.html, the whole report, a page per notebook
    for path, text in pages(outputs).items():
        assert "Traceback" not in text and not re.search(r"[a-z]Warning\b", text), path      # Python's, as UserWarning
        assert "<script" not in text.lower() and not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", text), path


def test_links_and_pictures_lead_somewhere(outputs):
    for path, text in pages(outputs).items():
        links = re.findall(r"""(?:src|href)="([^"#]+)\"""", text)
        assert links
        for link in links:
            if not link.startswith("data:"):
                assert (path.parent / Path(link)).exists(), f"{path.name}: {link}"


def test_figures_are_pictures(outputs):
    figures = list(outputs.rglob("figures/*.png"))
    assert len(figures) >= 12
    for path in figures:
        with Image.open(path) as image:
            assert min(image.size) > 100 and np.asarray(image.convert("L")).std() > 1


def test_no_timing_in_metrics(outputs):
    for path in outputs.rglob("metrics.json"):
        assert "seconds" not in path.read_text(), path
