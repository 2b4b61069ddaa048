"""A run that is killed, however often and wherever, ends bit-equal with one that was not."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lib.classify.grid import Cell
from lib.classify.pool import real_pool
from lib.classify.train import train_cell
from lib.study import Classifier, Compute

SCRIPT = Path(__file__).with_name("resume_script.py")
CPU = Compute(device="cpu", threads=1)


class StoppedError(Exception):
    """Stands for a run that ends without warning."""


def run(toy, folder, stop_after=None, arm="classical", said=None, pool=None, **options):
    """Train; raise StoppedError after epoch `stop_after`; returns the first step that was taken."""
    taken = []

    def progress(step, steps, row):
        taken.append(step)
        if row and row["epoch"] == stop_after:
            raise StoppedError

    options = Classifier(**{"epochs": 5, "batch_size": 16, "patience": 10, **options})
    cell, say = Cell(arm, options.architectures[0], 0), said.append if said is not None else None
    train_cell(cell, pool or real_pool(toy.samples, toy.pixels), toy.classes, options, folder=folder, compute=CPU, fingerprint="x",
               progress=progress, say=say)
    return taken[0]


def assert_same_outcome(first: Path, second: Path):
    for name in ("model.safetensors", "training.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    for folder in (first, second):
        assert sorted(path.name for path in folder.rglob("*")) == ["model.safetensors", "training.json"]


def test_sigkill_inside_and_between_epochs_and_while_writing(toy, tmp_path):
    np.save(tmp_path / "pixels.npy", toy.pixels)
    toy.samples.to_parquet(tmp_path / "samples.parquet")
    per_epoch = -(-int((toy.samples["split"] == "train").sum()) // 16)
    command = [sys.executable, str(SCRIPT), str(tmp_path / "killed"), str(tmp_path), f"inside:{per_epoch + 2}", "between:2", "writing:4"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    signals, begins = zip(*(map(int, line.split()) for line in done.stdout.splitlines()), strict=True)
    assert signals == (9, 9, 9)
    begins = [*begins, run(toy, tmp_path / "killed")]
    assert begins == [1, per_epoch + 1, 2 * per_epoch + 1, 3 * per_epoch + 1]       # each went on from the last whole checkpoint
    run(toy, tmp_path / "whole")
    assert_same_outcome(tmp_path / "killed", tmp_path / "whole")


def test_resuming_between_rare_checkpoints_repeats_the_epochs_in_between(toy, tmp_path):
    with pytest.raises(StoppedError):
        run(toy, tmp_path / "killed", stop_after=3, checkpoint_every=2, arm="oversampled")
    per_epoch = -(-int((toy.samples["split"] == "train").sum()) // 16)
    assert run(toy, tmp_path / "killed", checkpoint_every=2, arm="oversampled") == 2 * per_epoch + 1
    run(toy, tmp_path / "whole", arm="oversampled")
    assert_same_outcome(tmp_path / "killed", tmp_path / "whole")


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(toy, tmp_path):
    with pytest.raises(StoppedError):
        run(toy, tmp_path / "killed", stop_after=3)
    newest = max((tmp_path / "killed/checkpoints").iterdir())
    newest.write_bytes(newest.read_bytes()[:-100])
    said = []
    per_epoch = -(-int((toy.samples["split"] == "train").sum()) // 16)
    assert run(toy, tmp_path / "killed", said=said) == 2 * per_epoch + 1
    assert len(said) == 1 and newest.name in said[0]
    run(toy, tmp_path / "whole")
    assert_same_outcome(tmp_path / "killed", tmp_path / "whole")


def test_checkpoints_of_another_configuration_are_not_used(toy, tmp_path):
    with pytest.raises(StoppedError):
        run(toy, tmp_path / "changed", stop_after=2, learning_rate=5e-4)
    said = []
    assert run(toy, tmp_path / "changed", said=said) == 1
    assert said and all("another configuration" in text for text in said)
    run(toy, tmp_path / "whole")
    assert_same_outcome(tmp_path / "changed", tmp_path / "whole")


def test_a_network_with_dropout_resumes_bit_equal(toys, tmp_path):
    toy = toys(count=30)
    options = {"architectures": ["mobilenet_v3_large"], "epochs": 2, "batch_size": 8}
    with pytest.raises(StoppedError):
        run(toy, tmp_path / "killed", stop_after=1, **options)
    assert run(toy, tmp_path / "killed", **options) > 1
    run(toy, tmp_path / "whole", **options)
    assert_same_outcome(tmp_path / "killed", tmp_path / "whole")


@pytest.mark.parametrize("switches", ["range+minority+mixup+pretrain+adversarial", "replace+ramp"])
def test_every_way_of_mixing_resumes_bit_equal(small, mixed, tmp_path, switches):
    options = {"arm": f"diffusion_curated+{switches}", "pool": mixed, "epochs": 3}
    with pytest.raises(StoppedError):
        run(small, tmp_path / "killed", stop_after=2, **options)
    assert run(small, tmp_path / "killed", **options) > 1
    run(small, tmp_path / "whole", **options)
    assert_same_outcome(tmp_path / "killed", tmp_path / "whole")
