"""A study seen whole: what the last notebook gathers from the stages before it, and what it must not see."""

from __future__ import annotations

import json
import math

import pandas as pd
import pytest
from matplotlib.figure import Figure

from lib.workflow.index import write_index
from lib.workflow.plan import make_plan
from lib.workflow.stage import open_stage
from lib.workflow.stages import STAGES
from lib.workflow.whole import (
    MOST,
    declare,
    facts_of,
    kept_before,
    metrics_before,
    own_pictures,
    parts_before,
    provenance_of,
    table_before,
)


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """The last notebook of the smallest study, nothing made."""
    monkeypatch.setenv("OUTPUTS_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return open_stage("09_statistics", "params/ci.yaml")


@pytest.fixture
def run(bare):
    """The same with two earlier stages made."""
    run = bare
    for job in run.plan.of("07_classifier"):
        leave(job, findings=[f"{job.chunk} is done."])
    leave(run.plan.find("03_lora", None))
    return run


def leave(job, **metrics) -> None:
    """What a finished job leaves beside its tables."""
    job.folder.mkdir(parents=True, exist_ok=True)
    (job.folder / "record.json").write_text("{}")
    (job.folder / "metrics.json").write_text(json.dumps(metrics))
    (job.folder / "provenance.json").write_text(json.dumps({
        "commit": "abc", "device": "CPU", "params_hash": "p", "overrides": {}, "seconds": 99.5,
        "figures": {"shown": {"caption": "A", "width": 9}},
    }))


def test_the_last_notebook_may_read_every_stage_of_the_path_to_it():
    reads = STAGES["09_statistics"].reads
    assert reads == tuple(name for name in STAGES if name < "09")


def test_findings_and_figures_of_what_is_made(run):
    parts = parts_before(run)
    assert [part.stage for part in parts] == ["03_lora", "07_classifier"]             # in the study's order, without what is not made
    chunks = [job.chunk for job in run.plan.of("07_classifier")]
    blocks = parts[1].blocks
    assert len(chunks) > MOST and [block.title for block in blocks] == [*chunks[:MOST], "The rest"]
    assert blocks[0].sentences == [f"{chunks[0]} is done."] and str(len(chunks) - MOST) in blocks[-1].sentences[0]
    picture = blocks[0].pictures[0]
    assert picture.path == run.plan.of("07_classifier")[0].folder / "figures" / "shown.png" and (picture.caption, picture.width) == ("A", 9)
    assert metrics_before(run)[f"07_classifier/{chunks[0]}"] == {"findings": [f"{chunks[0]} is done."]}


def test_no_timing_and_no_folder_in_the_provenance(run, tmp_path):
    text = json.dumps([provenance_of(run), facts_of(provenance_of(run), "ab")])
    assert "99.5" not in text and "seconds" not in text and str(tmp_path) not in text
    assert set(provenance_of(run)["jobs"]) == {job.id for job in run.plan.of("07_classifier")} | {"03_lora"}
    assert facts_of(provenance_of(run), "ab")["made by"] == "python run_all.py params/ci.yaml"


def test_own_figures_and_what_others_kept(run):
    figure = Figure()
    figure.subplots().plot([0, 1])
    run.figure("one", figure, "First")
    run.figure("two", figure, "Second")
    assert [picture.caption for picture in own_pictures(run)] == ["First", "Second"]
    assert [picture.caption for picture in own_pictures(run, ["two", "none"])] == ["Second"]
    assert all(picture.path.is_file() for picture in own_pictures(run))
    assert kept_before(run, "08_ablations", "exchange.csv") is None
    folder = run.stage_folder("08_ablations")
    folder.mkdir()
    (folder / "exchange.csv").write_text("worth\n40\n")
    pd.testing.assert_frame_equal(kept_before(run, "08_ablations", "exchange.csv"), pd.DataFrame({"worth": [40]}))
    kept = pd.DataFrame({"label": ["NA", "None", "1"], "reason": ["", "", ""], "images": [1.5, math.nan, math.inf],
                         "seeds": pd.array([3, None, 3], dtype="Int64")})
    (folder / "exchange.csv").write_text(kept.to_csv(index=False))
    found = kept_before(run, "08_ablations", "exchange.csv", texts=["label", "reason"])
    assert found["label"].tolist() == ["NA", "None", "1"] and found["reason"].tolist() == [""] * 3
    pd.testing.assert_frame_equal(found[["images", "seeds"]], kept[["images", "seeds"]].astype(float))


def test_a_table_that_the_study_does_not_have(tmp_path, monkeypatch):
    monkeypatch.setenv("OUTPUTS_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    run = open_stage("09_statistics", "params/ci.yaml", {"curation": None, "classifier.arms": ["real", "oversampled"]})
    assert table_before(run, "curated") is None


def test_lists_that_the_outputs_were_judged_by(run):
    assert [declare(run, name) for name in ("a", "a", "b", "a")] == [1, 1, 2, 2]
    assert json.loads((run.work / "declarations.json").read_text()) == {"sha256": ["a", "b", "a"]}


def test_the_front_page_leads_to_what_can_be_passed_on(bare):
    plan = make_plan(bare.plan.study)
    assert "To pass on" not in write_index(plan, "params/ci.yaml", {}).read_text(encoding="utf-8")
    for name in ("report.html", "final_results.json", "cards/gan/README.md"):
        bare.keep(name, "x")
    page = write_index(plan, "params/ci.yaml", {}).read_text(encoding="utf-8")
    assert 'href="09_statistics/report.html"' in page and 'href="09_statistics/cards/gan/README.md"' in page and "report.pdf" not in page
