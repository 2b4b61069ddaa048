"""Plan, keys, events, GPU pool, board and front page."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
import time

import pytest

from lib.files import write_json
from lib.study import ROOT, StudyError
from lib.workflow.board import Board
from lib.workflow.checks import load_plan
from lib.workflow.events import events_file, listen, tell
from lib.workflow.gpu import count_gpus, gpu_slot, visible_devices
from lib.workflow.index import write_index
from lib.workflow.keys import differences, file_hash, full_key, outputs_hash, read_json, visible_params, why_stale
from lib.workflow.plan import make_plan
from lib.workflow.runner import waiting
from lib.workflow.stages import STAGES

PLAIN = {"classifier.arms": ["real", "oversampled"]}                     # without generated images


@pytest.fixture
def outputs(tmp_path, monkeypatch):
    """A private outputs folder."""
    monkeypatch.setenv("OUTPUTS_ROOT", str(tmp_path))
    return tmp_path


def pretend_made(plan, job, content="x"):
    """Leave what a finished job leaves."""
    job.folder.mkdir(parents=True, exist_ok=True)
    outputs = {}
    for name in [f"{table}.parquet" for table in job.stage.writes]:
        (job.folder / name).write_text(content)
        outputs[name] = file_hash(job.folder / name)
    for path in (job.executed, job.executed.with_suffix(".html"), job.provenance):
        path.write_text("{}")
    write_json(job.record, {"key": full_key(plan, job), "outputs": outputs, "tables": sorted(outputs), "models": []})


# ── plan and keys ────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.parametrize(("override", "message"), [
    ({"data.sources.0.dataset": "ham1000", "data.sources.0.phantom": None}, r"did you mean ham10000\?"),
    ({"data.sources.0.phantom.class_shares": {"nevos": 1}},     r"no phantom diagnosis is called 'nevos'; did you mean nevus"),
    ({"data.sources.0.phantom.domain_shares": {"xray": 1}},     r"no phantom domain is called 'xray'"),
    ({"data.sources.0": {"dataset": "ham10000"}, "data.sources.1": {"dataset": "isic_2019", "role": "test_only"}},
     r"share images: .*shared_images: first_source"),
    ({"classifier.arms": ["real", "oversampled", "diffusion_curated", "clasical"]}, r"-p classifier\.arms  classifier\.arms: .*classical"),
    ({"labels.conditions": {"clinic": {"x": "navus"}}},         r"labels\.conditions.*nevus"),
    ({"classifier.architectures": ["resnet19"]},                r"classifier\.architectures: .*resnet18"),
    ({"statistics.metrics": ["auROC2"]},                        r"no metric is called 'auROC2'; did you mean auroc"),
    ({"labels.positive": [], "statistics.primary": {"metric": "sensitivity"}}, r"name them in labels\.positive"),
])
def test_names_nobody_knows(override, message):
    with pytest.raises(StudyError, match=message):
        load_plan("params/demo.yaml", override)


def test_stages_see_only_what_they_declare():
    plan = load_plan("params/ci.yaml")
    shown = visible_params(plan.study, STAGES["07_classifier"])
    assert "classifier.epochs" in shown and "data.image_size" in shown and "labels.positive" in shown
    assert not {"classifier.seeds", "classifier.arms", "data.rows", "statistics.resamples"} & set(shown)


@pytest.mark.parametrize(("change", "stale"), [
    ({"diffusion.resampling.classifier": {"5": 0.1}}, set()),                              # of the arms of 07
    ({"diffusion.resampling.batches": {"5": 0.1}},    {"02_textual_inversion", "03_lora", "11_generator_truth"}),
    ({"diffusion.tokens.steps": 7},                   {"02_textual_inversion", "11_generator_truth"}),    # 03 follows from its tokens
    ({"data.image_size": 48},                         {"01_eda", "07_classifier", "11_generator_truth"}),
    ({"generation.attempts": 9},                      {"05_generation", "06_curation"}),
    ({"generation.shards": 3},                        set()),
    ({"generation.steps": 5},                         {"05_generation", "06_curation", "11_generator_truth"}),
    ({"generation.generators": ["gan"]} | PLAIN,      set()),
    ({"gan.penalty": 1},                              {"04_wgan_gp", "06_curation"}),
    ({"statistics.pdf": True},                        {"09_statistics"}),
    ({"title": "Another"},                            {"09_statistics"}),    # printed in the study's report
    ({"question": "Why?"},                            {"09_statistics"}),
    ({"data.remove_hair": True}, {"02_textual_inversion", "03_lora", "04_wgan_gp", "05_generation", "06_curation", "07_classifier",
                                  "11_generator_truth", "01_eda"}),
    ({"compute.threads": 2},     {"02_textual_inversion", "03_lora", "04_wgan_gp", "05_generation", "06_curation", "07_classifier",
                                  "11_generator_truth"}),
])
def test_a_stage_depends_on_what_it_looks_at(change, stale):
    studies = [load_plan("params/ci.yaml", override).study for override in ({}, change)]
    shown = {name: [visible_params(study, stage) for study in studies] for name, stage in STAGES.items() if stage.asked(studies[0])}
    assert {name for name, (before, after) in shown.items() if before != after} == stale


def test_a_shard_needs_only_what_draws_it():
    plan = load_plan("params/ci.yaml", {"generation.shards": 2})
    assert [job.chunk for job in plan.of("05_generation")] == ["shard-1-of-2", "shard-2-of-2", "gan-shard-1-of-2", "gan-shard-2-of-2"]
    needs = {job.chunk: {other.id for other in plan.inputs(job)} for job in plan.of("05_generation")}
    assert needs["shard-2-of-2"] == {"01_eda", "02_textual_inversion", "03_lora"}
    assert needs["gan-shard-1-of-2"] == {"01_eda", "04_wgan_gp"}
    alone = load_plan("params/ci.yaml", {"generation.generators": ["gan"]} | PLAIN)
    assert {job.chunk for job in alone.of("05_generation")} == {"gan-shard-1-of-2", "gan-shard-2-of-2"}


def test_stages_that_others_wait_for_go_first():
    counts = waiting(STAGES.values())
    chain = ["01_eda", "02_textual_inversion", "03_lora", "05_generation", "06_curation", "07_classifier"]
    assert all(counts[before] == counts[after] + 1 for before, after in itertools.pairwise(chain))
    assert counts["07_classifier"] == 2 and counts["11_generator_truth"] == 0
    assert waiting([STAGES["03_lora"], STAGES["05_generation"]]) == {"03_lora": 1, "05_generation": 0}


def test_pretrained_models_count_by_their_files(tmp_path, monkeypatch):
    from lib import pretrained

    (tmp_path / "adapter").mkdir()
    plan = load_plan("params/ci.yaml", {"generation.image_prompt.adapter": str(tmp_path / "adapter")})
    monkeypatch.setitem(pretrained.ASSETS, "phantom-oracle", tmp_path / "oracle")
    (tmp_path / "oracle").mkdir()

    def models(stage):
        return full_key(plan, plan.find(stage, None))["models"]

    before = {stage: models(stage) for stage in ("05_generation", "11_generator_truth")}
    (tmp_path / "adapter" / "weights.safetensors").write_bytes(b"1")
    (tmp_path / "oracle" / "weights.safetensors").write_bytes(b"1")
    changed = {stage: {key for key, state in models(stage).items() if state != before[stage][key]} for stage in before}
    assert changed == {"05_generation": {"generation.image_prompt.adapter"},
                       "11_generator_truth": {"generation.image_prompt.adapter", "phantom-oracle"}}


def test_curation_depends_on_what_it_takes_from_reviews_and_on_every_encoder_that_is_named(outputs):
    def shown(**review):
        return visible_params(load_plan("params/ci.yaml", {"curation": {"review": review}}).study, STAGES["06_curation"])

    before = shown()
    assert before == shown(images=7, real=0.2, which="all", raters=9, show_label=True, seed=3, acceptance=None)
    assert before != shown(keep=4) and before != shown(scales=[{"name": "beauty"}])
    checks = [{"check": "blur", "least": 1}, {"check": "realism", "name": "other", "least": 1, "encoder": "some/model@v1"}]
    plan = load_plan("params/ci.yaml", {"curation": {"checks": checks}})
    job = plan.find("06_curation", "gan")
    assert "curation.checks.other.encoder" in full_key(plan, job)["models"]
    summary = job.folder.parent / "review" / f"summary-{'0' * 12}.json"
    write_json(summary, {"verdict": "accepted"})
    assert list(full_key(plan, job)["reviews"]) == [summary.name]


def test_a_stand_in_counts_until_the_model_itself_can_be_had(outputs, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(outputs / "torch"))
    plan = load_plan("params/ci.yaml", {"curation": {"encoder": "inception"}})
    job = plan.find("06_curation", "gan")
    pretend_made(plan, job)
    write_json(job.folder / "metrics.json", {"stand_ins": {"inception": []}})
    assert why_stale(plan, job) == []
    weights = outputs / "torch" / "hub" / "checkpoints" / "pt_inception-2015-12-05-6726825d.pth"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"1")
    assert why_stale(plan, job) == ["inception can be had now, and another model stood in for it"]
    write_json(job.folder / "metrics.json", {"stand_ins": {"inception": [f"{weights.name} 1"]}})     # there, and unusable
    assert why_stale(plan, job) == []
    write_json(job.folder / "metrics.json", {"stand_ins": {}})
    assert why_stale(plan, job) == []                                       # fetched while the stage ran: nothing stood in


def test_staleness_goes_by_content(outputs):
    plan = load_plan("params/ci.yaml")
    eda, chunk = plan.find("01_eda", None), plan.find("07_classifier", None)
    assert why_stale(plan, eda) == ["not made yet"]
    pretend_made(plan, eda)
    pretend_made(plan, chunk)
    assert why_stale(plan, eda) == why_stale(plan, chunk) == []
    pretend_made(plan, eda, "x")                                         # made again, the same
    assert why_stale(plan, chunk) == []
    pretend_made(plan, eda, "y")
    assert why_stale(plan, chunk) == ["input 01_eda changed"]
    (eda.folder / "samples.parquet").unlink()
    assert why_stale(plan, eda) == ["samples.parquet is missing"]


@pytest.mark.parametrize(("name", "stale"), [
    ("exchange.csv", ["09_statistics"]),                                 # of 08, for the conclusion and the report
    ("metrics.json", ["09_statistics"]),
    ("per_run.csv",  []),                                                # kept for people
])
def test_what_later_stages_read_beside_tables_counts(outputs, name, stale):
    plan = load_plan("params/ci.yaml")
    before, after = plan.find("08_ablations", None), [plan.find("09_statistics", None)]
    for content in ("x", "y", None):
        pretend_made(plan, before)
        pretend_made(plan, after[0])
        assert why_stale(plan, after[0]) == []
        record = read_json(before.record)
        write_json(before.record, record | {"outputs": record["outputs"] | ({name: content} if content else {})})
        assert [job.id for job in after if why_stale(plan, job)] == (stale if content else [])


def test_metrics_count_only_for_who_looks_at_them(outputs):
    plan = load_plan("params/ci.yaml")
    chunk, readers = plan.find("07_classifier", None), [plan.find(name, None) for name in ("08_ablations", "09_statistics")]
    eda = plan.find("01_eda", None)
    for job in (eda, chunk, *readers):
        pretend_made(plan, job)
    assert not any(why_stale(plan, job) for job in readers)
    for job, stale in ((eda, [readers[1]]), (chunk, readers)):
        record = read_json(job.record)
        write_json(job.record, record | {"outputs": record["outputs"] | {"metrics.json": "other"}})
        assert [other for other in readers if why_stale(plan, other)] == stale
    assert full_key(plan, chunk)["inputs"] == read_json(chunk.record)["key"]["inputs"]


def test_an_arm_that_streams_depends_on_what_draws():
    plan = load_plan("params/ci.yaml", {"classifier.arms": ["real", "oversampled", "gan_uncurated", "gan_uncurated+on_the_fly"]})
    sources = {job.cells[0]["arm"]: full_key(plan, job)["sources"] for job in plan.of("07_classifier")}
    drawing = {"lib.classify.stream_worker", "lib.diffusion.generate", "lib.gan.sampler"}
    assert drawing <= set(sources["gan_uncurated+on_the_fly"]) and set(sources["real"]) < set(sources["gan_uncurated+on_the_fly"])
    assert sources["real"] == sources["gan_uncurated"] and "lib.classify.stream_worker" not in sources["real"]


@pytest.mark.parametrize(("generators", "used"), [
    (["diffusion", "gan"], "diffusion"), (["gan", "diffusion"], "diffusion"), (["gan"], "gan"),
])
def test_what_was_collected_goes_by_one_generator(generators, used):
    stage = STAGES["07_classifier"]
    assert [name for name in generators if stage.uses(({"arm": "collected"},), ({"generator": name},), generators)] == [used]
    assert all(stage.uses(({"arm": "synthetic_only"},), ({"generator": name},), generators) for name in generators)


def test_the_order_of_classes_counts(outputs):
    plan = load_plan("params/rare_lesion_small.yaml")
    chunk = plan.find("07_classifier", None)
    pretend_made(plan, plan.find("01_eda", None))
    pretend_made(plan, chunk)
    classes = {"dermatofibroma": ["dermatofibroma"], "nevus": ["nevus"]}
    study = plan.study.model_copy(update={"labels": plan.study.labels.model_copy(update={"classes": classes})})
    assert any("labels.names" in reason for reason in why_stale(make_plan(study), chunk))


def test_a_record_cut_short_counts_as_none(outputs):
    plan = load_plan("params/ci.yaml")
    eda = plan.find("01_eda", None)
    pretend_made(plan, eda)
    eda.record.write_text(eda.record.read_text()[:40])
    assert why_stale(plan, eda) == ["not made yet"] and outputs_hash(eda) is None


def test_reasons_are_phrases():
    old = {"notebook": "1", "sources": {"lib.a": "1", "lib.b": "1"}, "params": {"x": 1, "gone": 2}, "cells": [], "inputs": {"01": "1"},
           "folders": {"photos": "1"}}
    new = {"notebook": "2", "sources": {"lib.a": "2", "lib.c": "1"}, "params": {"x": 5}, "cells": [1], "inputs": {"01": "2"},
           "folders": {"photos": "2"}}
    assert differences(old, new) == [
        "the notebook changed", "lib.a changed", "lib.c is new", "lib.b is gone", "x 1 → 5", "gone is gone",
        "files of photos changed", "input 01 changed", "its part of the grid changed",
    ]
    assert differences(old, old) == []
    assert differences({key: value for key, value in old.items() if key != "folders"}, old | {"folders": {}}) == [
        "made by an earlier version of the workflow",
    ]


# ── events, GPUs, board ──────────────────────────────────────────────────────────────────────────────────────────

def test_events_are_heard_once_and_whole(outputs):
    tell("ci", "01_eda", "started")
    with events_file("ci").open("a") as file:
        file.write('{"job": "half')
    heard, position = listen(events_file("ci"), 0)
    assert [event["event"] for event in heard] == ["started"]
    with events_file("ci").open("a") as file:
        file.write('", "event": "done", "time": 1}\n')
    heard, position = listen(events_file("ci"), position)
    assert heard == [{"job": "half", "event": "done", "time": 1}]
    assert listen(events_file("ci"), position)[0] == []
    assert listen(outputs / "none", 0) == ([], 0)


def test_gpus_are_never_shared(tmp_path):
    held, clashes = set(), []

    def work():
        for _ in range(5):
            with gpu_slot(2, tmp_path, poll=0.001) as index:
                if index in held:
                    clashes.append(index)
                held.add(index)
                time.sleep(0.002)
                held.discard(index)

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clashes == []
    with gpu_slot(0, tmp_path) as index:
        assert index is None


@pytest.mark.parametrize(("named", "count", "second"), [("3,5", 2, "5"), ("GPU-a, GPU-b", 2, "GPU-b"), ("", 0, "1")])
def test_gpus_are_the_ones_we_were_given(named, count, second, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert count_gpus() == count and visible_devices(1) == second and visible_devices(None) == ""


def test_no_driver_means_no_gpu(monkeypatch, tmp_path):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert count_gpus() == 0


def test_a_gpu_is_free_again_after_an_error(tmp_path):
    with pytest.raises(RuntimeError), gpu_slot(1, tmp_path):
        raise RuntimeError
    with gpu_slot(1, tmp_path) as index:
        assert index == 0


def test_board_prints_plain_lines_into_a_log(outputs, capsys):
    plan = load_plan("params/ci.yaml")
    board = Board(plan.study, list(plan.jobs), {"01_eda": ["a", "b", "c"]})
    board.update([{"job": "01_eda", "event": "started", "time": 1.0}, {"job": "01_eda", "event": "cell", "cell": 3, "time": 1.5},
                  {"job": "01_eda", "event": "done", "time": 2.0}])
    board.close()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"ci: {len(plan.jobs)} jobs, 1 to run"
    assert "running (a; b; 1 more)" in lines[1] and lines[2].endswith("done") and len(lines) == 3


# ── front page ───────────────────────────────────────────────────────────────────────────────────────────────────

def test_text_from_data_never_acts_as_markup(outputs):
    evil = "<script>alert(1)</script>"
    plan = load_plan("params/ci.yaml", {"title": evil})
    for job in plan.jobs:
        pretend_made(plan, job)
        write_json(job.folder / "metrics.json", {"findings": [evil]})
        origin = {"figures": {"f": {"caption": evil, "width": evil}}, "accepted": [[evil]], "seconds": 1.0, "peak_memory_bytes": 2**30,
                  "study": evil, "overrides": {evil: evil}, "params_hash": evil, "commit": evil}
        write_json(job.folder / "provenance.json", origin)
    last = plan.find("09_statistics", None)
    write_json(last.folder / "metrics.json", {
        "verdicts": [{"kind": evil, "sentence": evil}], "findings": [evil],
        "headline": {"caption": evil, "columns": [evil], "rows": [[evil]], "interval": evil},
    })
    page = write_index(plan, f"params/{evil}.yaml", {"title": evil}).read_text(encoding="utf-8")
    assert "<script" not in page.lower()
    assert page.count("&lt;script&gt;") >= 8


def test_an_old_verdict_is_said_to_be_old(outputs):
    plan = load_plan("params/ci.yaml")
    origin = {"study": "params/ci.yaml", "overrides": {}, "seconds": 1.0, "params_hash": "old"}
    for job in plan.jobs:
        pretend_made(plan, job)
        write_json(job.folder / "metrics.json", {"verdicts": [{"kind": "better", "sentence": "Better."}]})
        write_json(job.provenance, origin)
    fresh = write_index(plan, "params/ci.yaml", {}).read_text(encoding="utf-8")
    assert "Better." in fresh and "earlier run" not in fresh
    other = load_plan("params/ci.yaml", {"classifier.epochs": 99})
    old = write_index(other, "params/ci.yaml", {"classifier.epochs": 99}).read_text(encoding="utf-8")
    assert "From an earlier run" in old and "classifier.epochs 3 → 99" in old and "old" in old
    assert "epochs: 99" in (outputs / "ci" / "study.yaml").read_text(encoding="utf-8")


def test_front_page_of_a_study_that_never_ran(outputs):
    page = write_index(load_plan("params/ci.yaml"), "params/ci.yaml", {}).read_text(encoding="utf-8")
    assert "not made yet" in page and "https://" not in page


# ── command line ─────────────────────────────────────────────────────────────────────────────────────────────────

def run_all(*arguments, **environment):
    command = [sys.executable, "run_all.py", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, **environment})


def test_help_loads_nothing_heavy():
    script = "\n".join(["import sys", "from lib.workflow.cli import main", "try: main(['--help'])", "except SystemExit: pass",
                        "print(*sys.modules, file=sys.stderr)"])
    loaded = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True).stderr.split()
    assert not {"numpy", "pandas", "pydantic", "yaml", "rich", "torch", "matplotlib"} & set(loaded)


@pytest.mark.parametrize("arguments", [
    ["params/nowhere.yaml"], ["-p", "nonsense"], ["-p", "clasifier.epochs=1"], ["--only", "12"], ["--jobs", "0"], ["--gpus", "-1"],
    ["--nope"], ["--jobs", "x"], ["--only", "01", "--until", "07"],
])
def test_wrong_command_lines_end_with_2(arguments):
    answer = run_all(*arguments)
    assert answer.returncode == 2 and answer.stderr and "Traceback" not in answer.stderr


def test_dry_run_and_status_run_nothing(outputs):
    for flag in ("--dry-run", "--status"):
        answer = run_all("params/ci.yaml", flag, OUTPUTS_ROOT=str(outputs))
        assert answer.returncode == 0 and "01_eda" in answer.stdout and "not made yet" in answer.stdout
    assert not (outputs / "ci").exists()


def test_only_without_its_inputs_names_the_fix(outputs):
    answer = run_all("params/ci.yaml", "--only", "09", OUTPUTS_ROOT=str(outputs))
    assert answer.returncode == 1 and "run with --until 09_statistics instead of --only" in answer.stderr


def test_read_json_of_nothing(tmp_path):
    assert read_json(tmp_path / "none.json") is None
    (tmp_path / "half.json").write_text(json.dumps({"a": 1})[:-2])
    assert read_json(tmp_path / "half.json") is None
