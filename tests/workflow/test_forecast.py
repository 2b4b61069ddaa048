"""What `--dry-run` says about generation, before any model is loaded."""

from __future__ import annotations

import json

import pytest

from lib.files import write_json
from lib.workflow.checks import load_plan
from lib.workflow.forecast import forecast


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """A study of 60 images in batches of 16 whose base draws 32 px."""
    monkeypatch.setenv("OUTPUTS_ROOT", str(tmp_path / "outputs"))
    for part, config in (("unet", {"sample_size": 8}), ("vae", {"block_out_channels": [8, 8, 16]})):
        (tmp_path / "base" / part).mkdir(parents=True)
        (tmp_path / "base" / part / "config.json").write_text(json.dumps(config))
    return load_plan("params/demo.yaml", {
        "diffusion.base.model": str(tmp_path / "base"), "generation.images": 60, "generation.over_generation": 1,
        "generation.batch_size": 16, "generation.attempts": 3,
    })


def test_counts_and_disk_need_no_model(plan):
    said = forecast(plan)
    assert said.startswith("60 images of 14 cells in 4 batches, time unknown") and "12 batches at most" in said
    assert "about 153 kB" in said                                       # 60 × (0.7 · 3 · 32² + 400) bytes


def test_time_comes_from_the_run_before(plan):
    job = plan.of("05_generation")[0]
    write_json(job.provenance, {"seconds": 50.0})
    write_json(job.folder / "metrics.json", {"attempts": 65, "batch_size": 16})
    assert "about 40 s" in forecast(plan)                               # 5 batches took 50 s; 4 are asked for


def test_names_that_collide_are_told():
    classes = {"a b": ["melanoma"], "a-b": ["nevus"]}
    plan = load_plan("params/demo.yaml", {"labels.classes": classes, "labels.positive": ["a b"]})
    assert "would both be called <a-b>" in forecast(plan)


def test_a_base_that_is_not_there_is_told(plan, monkeypatch, tmp_path):
    from lib import pretrained

    monkeypatch.setitem(pretrained.ASSETS, "phantom-sd", tmp_path / "none")
    assert "python -m lib.diffusion.base.build phantom-sd" in forecast(load_plan("params/demo.yaml"))
