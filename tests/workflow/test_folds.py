"""Cross-validation, planned and run: what learns learns anew in every fold, from nothing that the fold tests."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from lib.curation.review.__main__ import main as review
from lib.data.folds import split_folds
from lib.files import write_json
from lib.stats.inputs import read_predictions
from lib.study import ROOT, Split
from lib.tables import read_metadata, read_table, write_table
from lib.workflow.checks import load_plan
from lib.workflow.forecast import forecast
from lib.workflow.keys import full_key, visible_params
from lib.workflow.stage import Run, open_stage

FOLDS = {                                                               # the CI study, every stage but 11
    "data.sources.1.role": "development", "truth": None, "split.folds": 3,
    "classifier.arms": ["real", "oversampled", "diffusion_curated", "diffusion_and_gan"],
}
PER_FOLD = ("02_textual_inversion", "03_lora", "04_wgan_gp", "05_generation", "06_curation", "07_classifier")


@pytest.fixture
def outputs(tmp_path, monkeypatch):
    """A private outputs folder; the current folder is put back."""
    monkeypatch.setenv("OUTPUTS_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


# ── plan ─────────────────────────────────────────────────────────────────────────────────────────────────────────

def before(plan, job):
    """Everything that a job's results rest on."""
    direct = plan.inputs(job)
    return {other.id: other for one in direct for other in (one, *before(plan, one).values())}


def test_a_job_rests_on_its_own_fold_alone():
    plan = load_plan("params/ci.yaml", FOLDS)
    for stage in PER_FOLD:
        jobs = plan.of(stage)
        assert [job.fold for job in jobs].count(1) == [job.fold for job in jobs].count(2) == len(jobs) / 3
        assert len({job.work for job in jobs}) == 3
        for job in jobs:
            assert f"fold{job.fold}" in job.chunk
            assert {other.fold for other in before(plan, job).values()} - {None} <= {job.fold}
    assert plan.find("01_eda", None).fold is None
    read = {job.id for job in plan.inputs(plan.find("09_statistics", None))}
    assert read >= {job.id for job in plan.of("07_classifier")}


def test_a_curated_set_rests_on_everything_of_its_fold():
    plan = load_plan("params/ci.yaml", FOLDS)
    rests_on = set(before(plan, plan.find("06_curation", "fold2-diffusion")))
    assert rests_on == {"01_eda", "02_textual_inversion/fold2", "03_lora/fold2", "04_wgan_gp/fold2", *(
        f"05_generation/fold2-{shard}-of-2" for shard in ("shard-1", "shard-2", "gan-shard-1", "gan-shard-2"))}


def test_an_arm_rests_on_the_generators_of_its_fold():
    plan = load_plan("params/ci.yaml", FOLDS)
    for job in plan.of("07_classifier"):
        arm, curated = job.cells[0]["arm"], {other.id for other in plan.inputs(job) if other.stage.name == "06_curation"}
        drawn = {"diffusion_curated": ("diffusion",), "diffusion_and_gan": ("diffusion", "gan")}.get(arm, ())
        assert curated == {f"06_curation/fold{job.fold}-{generator}" for generator in drawn}


def test_without_folds_everything_is_called_as_before():
    plan = load_plan("params/ci.yaml", {"generation.shards": 1, "classifier.arms": ["real", "oversampled"]})
    assert [job.id for job in plan.jobs if job.stage.name in PER_FOLD] == [
        "02_textual_inversion", "03_lora", "04_wgan_gp", "05_generation/shard-1-of-1", "05_generation/gan-shard-1-of-1",
        "06_curation/diffusion", "06_curation/gan", "07_classifier/real-small_cnn-2d86bda0", "07_classifier/real-small_cnn-04e9def8",
        "07_classifier/oversampled-small_cnn-6dcb638d", "07_classifier/oversampled-small_cnn-f2689791"]
    assert {job.work.name for job in plan.jobs} == {"work"}
    assert full_key(plan, plan.find("05_generation", None))["cells"] == [{"generator": "diffusion", "index": 0, "shards": 1}]
    assert full_key(plan, plan.find("07_classifier", None))["cells"] == [{"arm": "real", "architecture": "small_cnn", "seed": 0}]
    shown = visible_params(plan.study, plan.find("01_eda", None).stage)
    assert "split.seed" in shown and "split.folds" not in shown


def test_folds_belong_to_what_01_depends_on():
    plan = load_plan("params/ci.yaml", FOLDS)
    assert visible_params(plan.study, plan.find("01_eda", None).stage)["split.folds"] == 3


def test_a_forecast_counts_every_fold():
    assert forecast(load_plan("params/ci.yaml", FOLDS)).endswith("; all of it in each of 3 folds")
    assert "folds" not in forecast(load_plan("params/ci.yaml"))


def test_people_are_not_asked_about_several_sets(capsys):
    given = [text for key, value in FOLDS.items() if key != "classifier.arms" for text in ("-p", f"{key}={json.dumps(value)}")]
    assert review(["make", "params/ci.yaml", *given]) == 2
    assert "with split.folds each fold has a curated set" in capsys.readouterr().err


# ── what a notebook sees ─────────────────────────────────────────────────────────────────────────────────────────

def people(count=40):
    """A `samples` table without a split."""
    names = [f"p{p:02d}" for p in range(count)]
    frame = pd.DataFrame({"image_id": names, "cluster_id": names, "patient_id": names, "lesion_id": names, "path": "x.png"})
    rest = {"dataset": "clinic", "domain": "clinical", "diagnosis": "nevus", "tone": 1, "group": "I–II", "sha256": "0" * 64,
            "mask_path": None, "ita": 0.0, "width": 4, "height": 4, "label": ["melanoma" if p % 2 else "nevus" for p in range(count)]}
    kinds = {"group": "str", "mask_path": "str", "tone": "Int8", "width": "Int32", "height": "Int32"}
    return frame.assign(**rest).astype(kinds)


def test_a_notebook_of_a_fold_reads_that_fold(outputs):
    plan = load_plan("params/ci.yaml", FOLDS)
    samples = split_folds(people(), Split(folds=3))
    write_table("samples", samples, plan.find("01_eda", None).folder / "samples.parquet")
    for fold in (1, 2, 3):
        run = open_stage("03_lora", "params/ci.yaml", FOLDS, f"fold{fold}")
        assert run.read("samples")["split"].tolist() == samples[f"split_{fold}"].tolist()
        assert not [name for name in run.read("samples") if name.startswith("split_")]
        folder = plan.find("02_textual_inversion", f"fold{fold}").folder
        write_json(folder / "record.json", {})
        assert run.models("02_textual_inversion") == folder
        assert run.images_of == f"ci-fold{fold}"
    assert open_stage("03_lora", "params/ci.yaml").images_of == "ci"


def test_the_grid_of_a_summary_is_that_of_one_fold():
    whole = {"classifier.arms": ["real", "oversampled"]}
    grids = [open_stage("09_statistics", "params/ci.yaml", overrides).cells_of("07_classifier") for overrides in (whole, FOLDS)]
    for key in ("arm", "architecture", "seed"):
        assert [cell[key] for cell in grids[0]] == [cell[key] for cell in grids[1]][:4]
    assert len(grids[1]) == 8


# ── from images to a verdict ─────────────────────────────────────────────────────────────────────────────────────

SMALLEST = {
    "data.image_size": 32, "groups.minimum_positives": 1, "split.folds": 2, "explore.hair_images": 0,
    "data.sources": [{"dataset": "phantom", "name": "clinic", "phantom": {"patients": 60, "image_size": 32, "seed": 1_400_000}}],
    **dict.fromkeys(("diffusion", "gan", "generation", "curation", "truth")),
    "classifier.arms": ["real", "classical"], "classifier.seeds": [0], "classifier.epochs": 2,
    "statistics.primary": {"metric": "auroc", "arm": "classical", "baseline": "real"}, "statistics.resamples": 100,
    "statistics.permutations": 100,
}


def run_notebook(job):
    """Execute the cells of a job's notebook here: the same code as under the engine, without the seconds that a kernel takes to start."""
    names = {"display": lambda *shown: None}
    for cell in json.loads(job.notebook.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), job.notebook.name, "exec"), names)
        if "parameters" in cell["metadata"].get("tags", []):
            names |= {"study": "params/ci.yaml", "overrides": SMALLEST} | ({"chunk": job.chunk} if job.chunk else {})


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Samples, predictions of all folds and the folder of the smallest study, run in two folds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OUTPUTS_ROOT", str(tmp_path_factory.mktemp("folds")))
        patch.chdir(ROOT)
        patch.setattr(Run, "figure", lambda *shown: None)              # as many again as everything else takes
        plan = load_plan("params/ci.yaml", SMALLEST)
        for job in (job for stage in ("01_eda", "07_classifier", "09_statistics") for job in plan.of(stage)):
            run_notebook(job)
        samples = read_table("samples", plan.find("01_eda", None).folder / "samples.parquet").set_index("image_id")
        paths = [job.folder / "predictions.parquet" for job in plan.of("07_classifier")]
        assert len({read_metadata(path)["classes"][0] for path in paths}) == 1
        yield samples, pd.concat([read_table("predictions", path) for path in paths]), plan.find("09_statistics", None).folder


def test_every_image_is_judged_once_by_what_never_saw_its_patient(finished):
    samples, predictions, _ = finished
    for _, test in predictions[predictions["split"].eq("test")].groupby("arm"):
        assert sorted(test["image_id"]) == sorted(samples.index)
    assert set(predictions["fold"]) == {1, 2}
    for fold, rows in predictions.groupby("fold"):
        split = samples[f"split_{fold}"]
        assert split[rows["image_id"]].tolist() == rows["split"].tolist()
        fitted = samples.loc[split.isin(["train", "validation"]), "patient_id"]
        assert not set(fitted) & set(rows.loc[rows["split"].eq("test"), "patient_id"])


def test_each_image_is_judged_at_the_threshold_of_its_fold(finished):
    _, predictions, _ = finished
    test = predictions[predictions["split"].eq("test")]
    of_fold = predictions[predictions["split"].eq("validation")].groupby(["arm", "fold"])["threshold"].unique()
    assert of_fold.map(len).eq(1).all() and of_fold.map(lambda values: values[0]).nunique() == 4
    pooled = read_predictions(predictions, [f"class {k}" for k in range(predictions.filter(regex=r"^p_").shape[1])])
    for (arm, _, _), thresholds in pooled.thresholds.items():
        rows = test[test["arm"].eq(arm)].sort_values("image_id")
        assert thresholds.tolist() == rows["threshold"].tolist()
        assert thresholds.tolist() == [of_fold[arm, fold][0] for fold in rows["fold"]]


def test_the_verdict_rests_on_all_folds(finished):
    samples, _, folder = finished
    per_arm = pd.read_csv(folder / "per_arm.csv")
    everybody = per_arm["group"].eq("all") & per_arm["metric"].eq("auroc")
    assert per_arm.loc[everybody, "n_images"].tolist() == [len(samples)] * 2
    assert json.loads((folder / "metrics.json").read_text())["verdicts"][0]["kind"] in ("better", "worse", "equivalent", "cannot tell")


def test_a_seed_more_is_one_chunk_more_in_every_fold():
    plans = [load_plan("params/ci.yaml", SMALLEST | {"classifier.seeds": seeds}) for seeds in ([0], [0, 1])]
    before, after = ({job.id for job in plan.jobs} for plan in plans)
    assert before < after and len(after - before) == 2 * 2
