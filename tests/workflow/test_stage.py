"""What a notebook may see, and what it leaves behind."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from lib.tables import SYNTHETIC, write_table
from lib.workflow.stage import StageError, open_stage


@pytest.fixture
def outputs(tmp_path, monkeypatch):
    """A private outputs folder; the current folder is put back."""
    monkeypatch.setenv("OUTPUTS_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_undeclared_parameters_are_refused(outputs):
    run = open_stage("01_eda", "params/ci.yaml")
    assert run.study.split.train == 0.8
    assert run.study.name == "ci"
    with pytest.raises(StageError, match=r"01_eda reads study\.classifier but does not declare it"):
        _ = run.study.classifier


def test_parts_of_a_section(outputs):
    run = open_stage("07_classifier", "params/ci.yaml")
    assert run.study.data.image_size == 64
    with pytest.raises(StageError, match=r"study\.data\.sources"):
        _ = run.study.data.sources


def test_a_missing_input_names_the_command(outputs):
    run = open_stage("07_classifier", "params/ci.yaml", {"classifier.epochs": 2})
    with pytest.raises(StageError, match=r"python run_all\.py params/ci\.yaml --until 01_eda -p classifier\.epochs=2"):
        run.read("samples")


def test_an_unknown_chunk_lists_the_known(outputs):
    with pytest.raises(ValueError, match="has no chunk 'x' in this study; it has real-small_cnn"):
        open_stage("07_classifier", "params/ci.yaml", None, "x")


def test_finish_writes_metrics_files_and_the_marker_last(outputs):
    run = open_stage("09_statistics", "params/ci.yaml")
    figure = Figure()
    figure.subplots().plot([0, 1])
    shown = run.figure("line", figure, "A line")
    run.keep("table.csv", "a,b\n")
    run.finish(metrics={"value": 1.5})
    marker = json.loads((run.folder / "finished.json").read_text())
    assert set(marker["outputs"]) == {"figures/line.png", "metrics.json", "table.csv"}
    width = Image.open(run.folder / "figures" / "line.png").width
    assert marker["figures"] == {"line": {"caption": "A line", "width": round(width * 96 / 150)}} and marker["tables"] == []
    assert shown.alt == "A line" and shown.data == (run.folder / "figures" / "line.png").read_bytes()


def test_figures_of_an_earlier_version_go_only_when_the_new_one_ends(outputs):
    figure = Figure()
    old = open_stage("09_statistics", "params/ci.yaml")
    old.figure("old", figure, "")
    old.finish(metrics={})
    new = open_stage("09_statistics", "params/ci.yaml")
    new.figure("new", figure, "")
    assert (new.folder / "figures" / "old.png").is_file()
    new.finish(metrics={})
    assert [path.name for path in (new.folder / "figures").iterdir()] == ["new.png"]


def test_the_same_figure_has_the_same_bytes(outputs):
    run = open_stage("09_statistics", "params/ci.yaml")
    both = []
    for name in ("a", "b"):
        figure = Figure()
        figure.subplots().plot([0, 1])
        both.append(run.figure(name, figure, "").data)
    assert both[0] == both[1]


def test_finish_refuses_other_tables_than_declared(outputs):
    run = open_stage("01_eda", "params/ci.yaml")
    with pytest.raises(StageError, match=r"01_eda declares samples in lib/workflow/stages\.py but finishes with no table"):
        run.finish(metrics={})
    with pytest.raises(StageError, match="but finishes with predictions"):
        run.finish(metrics={}, predictions=pd.DataFrame())
    assert not (run.folder / "finished.json").exists()


def test_metrics_must_be_plain_numbers(outputs):
    run = open_stage("09_statistics", "params/ci.yaml")
    with pytest.raises(ValueError):
        run.finish(metrics={"value": float("nan")})
    assert not (run.folder / "finished.json").exists()


def test_opening_again_withdraws_the_marker(outputs):
    run = open_stage("09_statistics", "params/ci.yaml")
    run.finish(metrics={})
    open_stage("09_statistics", "params/ci.yaml")
    assert not (run.folder / "finished.json").exists()


def test_fingerprint_follows_the_module_and_the_values(outputs):
    run = open_stage("07_classifier", "params/ci.yaml")
    marks = {run.fingerprint("lib.classify.train"), run.fingerprint("lib.classify.train", "lesion"), run.fingerprint("lib.stats.compare")}
    assert len(marks) == 3
    assert run.fingerprint("lib.classify.train") == run.fingerprint("lib.classify.train")


def test_a_section_that_the_study_lacks_is_none_where_the_stage_may_see_it(outputs):
    overrides = {"diffusion": None, "truth": None, "generation.tones": {}, "classifier.arms": ["real", "oversampled"]}
    study = open_stage("05_generation", "params/ci.yaml", overrides).study
    assert study.diffusion is None
    with pytest.raises(StageError, match=r"05_generation reads study\.benchmarks but does not declare it"):
        study.benchmarks                                                # noqa: B018


def test_paths_of_several_chunks_lead_to_their_files(outputs):
    """Each shard's table has paths from its own folder; read together they start from the stage's."""
    reader = open_stage("05_generation", "params/ci.yaml", {"generation.generators": ["diffusion"]}, "shard-1-of-2")
    for job in reader.plan.of("05_generation"):
        rows = pd.DataFrame([synthetic_row(job.chunk, 1, None), synthetic_row(job.chunk, 2, "images/a.png")])
        write_table("synthetic", rows.astype({name: str(column.dtype) for name, column in SYNTHETIC.columns.items()}),
                    job.folder / "synthetic.parquet")
        (job.folder / "images").mkdir()
        (job.folder / "images" / "a.png").write_text(job.chunk)
    together = reader.read("synthetic")
    assert together["path"].isna().tolist() == [True, False] * 2
    found = [(reader.stage_folder("05_generation") / path).read_text() for path in together["path"].dropna()]
    assert found == ["shard-1-of-2", "shard-2-of-2"] == together.loc[together["accepted"], "image_id"].tolist()


def synthetic_row(image_id, attempt, path):
    digest = "0" * 64
    return dict.fromkeys(SYNTHETIC.columns) | {
        "image_id": image_id, "attempt": attempt, "path": path, "sha256": path and digest, "accepted": path is not None,
        "reason": None if path else "too dark", "generator": "gan", "label": "nevus", "diagnosis": "nevus", "domain": "clinical", "seed": 0,
        "base_model": "stub", "base_sha256": digest, "class_labels": False, "width": 8, "height": 8, "batch_size": 4, "slot": 0,
        "threads": 1, "device": "cpu", "dtype": "float32", "versions": "{}"}
