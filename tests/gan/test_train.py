"""A run: killed and gone on bit-equal, finished and reused, watched, and what it refuses."""

import errno
import importlib.util
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import lib.files
from lib.gan.model import load_generator
from lib.gan.step import MEASURES, Duel
from lib.gan.train import train_gan
from lib.study import Compute
from lib.training.errors import TrainingDivergedError

SCRIPT = Path(__file__).with_name("resume_script.py")
CPU = Compute(device="cpu", threads=1)


class StoppedError(Exception):
    """Stands for a run that ends without warning."""


def run(pixels, folder, options, *, stop_after=None, labels="disc", fingerprint="x", compute=CPU, **calls):
    """Train; raise StoppedError after iteration `stop_after`; returns the outcome and the iterations that were trained."""
    trained = []

    def progress(done, iterations, row):
        trained.append(done)
        if done == stop_after:
            raise StoppedError

    labels = [labels] * len(pixels) if isinstance(labels, str) else labels
    outcome = train_gan(pixels, labels, options, folder=folder, fingerprint=fingerprint, compute=compute, progress=progress, **calls)
    return outcome, trained


def assert_same_outcome(first, second):
    names = sorted(path.relative_to(first).as_posix() for path in first.rglob("*") if path.is_file())
    assert names == sorted(path.relative_to(second).as_posix() for path in second.rglob("*") if path.is_file())
    assert {"generator.safetensors", "generator.json", "grids/iteration-00000024.png"} <= set(names)
    assert not any("checkpoints" in name for name in names)
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


# ── going on ─────────────────────────────────────────────────────────────────────────────────────────────────────

def test_sigkill_between_iterations_and_while_writing(discs, tmp_path):
    np.save(tmp_path / "pixels.npy", discs)
    command = [sys.executable, str(SCRIPT), str(tmp_path / "killed"), str(tmp_path / "pixels.npy")]
    plans = ["after:3", "after:9", "writing:14", "writing:16", "after:23"]       # 14 is a checkpoint, 16 a grid
    done = subprocess.run([*command, *plans], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    signals, begins = zip(*(map(int, line.split()) for line in done.stdout.splitlines()), strict=True)
    assert signals == (9,) * 5 and begins == (1, 1, 8, 8, 15)                    # each went on from the last whole checkpoint
    specification = importlib.util.spec_from_file_location("resume_script", SCRIPT)
    script = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(script)
    resumed, trained = run(discs, tmp_path / "killed", script.OPTIONS, quality=script.score)
    whole, _ = run(discs, tmp_path / "whole", script.OPTIONS, quality=script.score)
    assert trained[0] == 22
    assert_same_outcome(tmp_path / "killed", tmp_path / "whole")
    assert resumed.history.equals(whole.history) and list(resumed.grids) == [8, 16, 24]


@pytest.mark.parametrize("options", [{"conditional": True}, {"checkpoint_every": 5}])
def test_going_on_ends_bit_equal(discs, small, tmp_path, options):
    labels = ["a", "b", "b"] * 4 if "conditional" in options else "disc"
    with pytest.raises(StoppedError):
        run(discs, tmp_path / "killed", small(**options), stop_after=17, labels=labels)
    _, trained = run(discs, tmp_path / "killed", small(**options), labels=labels)
    assert trained[0] == (15 if "conditional" in options else 16)
    run(discs, tmp_path / "whole", small(**options), labels=labels)
    if "conditional" in options:
        assert_same_outcome(tmp_path / "killed", tmp_path / "whole")
    else:                                                   # how often a checkpoint is written changes nothing that is kept but the options
        run(discs, tmp_path / "other", small())
        weights = [(tmp_path / name / "generator.safetensors").read_bytes() for name in ("killed", "whole", "other")]
        assert weights[0] == weights[1] == weights[2]


def test_a_damaged_checkpoint_is_passed_over(discs, small, tmp_path):
    with pytest.raises(StoppedError):
        run(discs, tmp_path / "killed", small(), stop_after=15)
    newest = max((tmp_path / "killed/checkpoints").iterdir())
    newest.write_bytes(newest.read_bytes()[:-100])
    said = []
    _, trained = run(discs, tmp_path / "killed", small(), say=said.append)
    assert trained[0] == 8 and len(said) == 1 and newest.name in said[0]
    run(discs, tmp_path / "whole", small())
    assert_same_outcome(tmp_path / "killed", tmp_path / "whole")


def test_a_full_disk_is_explained_wherever_it_is_met_and_nothing_is_lost(discs, small, tmp_path, monkeypatch):
    """Each time the next file finds no room; the run goes on from the checkpoint that the message names."""
    to_disk, folder = lib.files._to_disk, tmp_path / "full"
    for name, after, kept in [("step-0000000007.safetensors", 7, None), ("iteration-00000016.png", 16, 14),
                              ("step-0000000021.safetensors", 21, 14), ("generator.safetensors", 24, 24), ("generator.json", 24, 24)]:
        def full(path, name=name):
            if path.name.startswith(f".{name}."):
                raise OSError(errno.ENOSPC, "No space left on device")
            to_disk(path)

        stays = f"The checkpoint of iteration {kept} stays in {folder / 'checkpoints'}" if kept else "No checkpoint was written before"
        monkeypatch.setattr(lib.files, "_to_disk", full)
        with pytest.raises(OSError, match=rf"gan: the disk is full after iteration {after}\. {stays}\. Free some space and run the same"):
            run(discs, folder, small())
        assert max((path.name for path in (folder / "checkpoints").iterdir()), default=None) == (kept and f"step-{kept:010d}.safetensors")
    monkeypatch.undo()
    _, trained = run(discs, folder, small())
    assert trained == []                                                         # all was trained, only the files were lacking
    run(discs, tmp_path / "whole", small())
    assert_same_outcome(folder, tmp_path / "whole")


def test_what_is_finished_is_reused_and_another_configuration_trains_again(discs, small, tmp_path):
    first, trained = run(discs, tmp_path / "a", small())
    assert not first.reused and trained == list(range(1, 25))
    again, trained = run(discs, tmp_path / "a", small(checkpoint_every=3), quality=lambda *given: pytest.fail("it is finished"))
    assert again.reused and trained == [] and again.history.equals(first.history) and again.grids == first.grids
    assert again.model.sha256 == first.model.sha256
    said, changed = [], discs.copy()
    changed[0, 0, 0, 0] ^= 1
    for pixels, options, fingerprint in ((changed, small(), "x"), (discs, small(seed=1), "x"), (discs, small(), "y")):
        with pytest.raises(StoppedError):
            run(pixels, tmp_path / "a", options, fingerprint=fingerprint, stop_after=1, say=said.append)
    assert len(said) == 3 and all("trained under another configuration" in text for text in said)
    assert list((tmp_path / "a/grids").iterdir()) == []                          # those of the other run are gone
    (tmp_path / "a/generator.safetensors").write_bytes(b"")
    with pytest.raises(StoppedError):
        run(discs, tmp_path / "a", small(), stop_after=1, say=said.append)
    assert "is not the file that generator.json describes" in said[-1] and "training again" in said[-1]


# ── watching ─────────────────────────────────────────────────────────────────────────────────────────────────────

def test_the_history_holds_means_and_scores_and_goes_to_the_log(discs, small, tmp_path, monkeypatch):
    measures, iterate = [], Duel.iterate

    def noted(self, iteration):
        measures.append(iterate(self, iteration))
        return measures[-1]

    monkeypatch.setattr(Duel, "iterate", noted)
    logged, asked = [], []

    def quality(model, iteration):
        asked.append((iteration, model.draw(torch.zeros(1, 4)).shape))
        return iteration / 10 if iteration < 24 else None

    outcome, _ = run(discs, tmp_path, small(quality_every=12), quality=quality, log=lambda mark, row: logged.append(row))
    history = outcome.history
    assert history.columns.tolist() == ["iteration", *MEASURES, "diversity", "quality"]
    assert history["iteration"].tolist() == [10, 12, 20, 24] == [row["iteration"] for row in logged]
    assert asked == [(12, (1, 32, 32, 3)), (24, (1, 32, 32, 3))]
    assert history["quality"].tolist()[1] == 1.2 and history["quality"].isna().tolist() == [True, False, True, True]
    expected = torch.stack(measures[12:20]).double().mean(dim=0)
    assert np.allclose(history.loc[2, list(MEASURES)].astype(float), expected)
    assert (history["diversity"] > 0).all()
    assert np.allclose(history["critic_loss"], history["penalty"] - history["wasserstein"], atol=1e-4)


def test_the_averaged_generator_is_what_is_kept(discs, small, tmp_path):
    outcome, _ = run(discs, tmp_path, small(), labels=None)
    loaded = load_generator(tmp_path)
    noise = torch.randn(3, 4)
    assert np.array_equal(outcome.model.draw(noise), loaded.draw(noise)) and loaded.sha256 == outcome.model.sha256
    assert outcome.model.classes == ("image",) and list(outcome.grids) == [8, 16, 24]


def test_it_learns_what_the_images_look_like(discs, small, tmp_path):
    """After some hundred steps the mean picture is nearer than grey, and border and middle differ as they do in the discs."""
    options = small(features_g=2, features_d=2, batch_size=16, learning_rate=2e-3, iterations=80, ema=0.9, critic_steps=3, betas=(0.5, 0.9))
    outcome, _ = run(discs, tmp_path, options)
    drawn, real = (images.mean(axis=0).astype(float) for images in (outcome.model.draw(torch.randn(64, 4)), discs))
    assert np.abs(drawn - real).mean() < 0.6 * np.abs(127.5 - real).mean()
    middle, border = drawn[12:20, 12:20].mean(), drawn[:3].mean()
    assert border - middle > 0.3 * (real[:3].mean() - real[12:20, 12:20].mean())


# ── what it refuses ──────────────────────────────────────────────────────────────────────────────────────────────

def test_images_that_cannot_be_trained_on_are_explained(discs, small, tmp_path):
    holed = discs.astype(np.float32)
    holed[3, 0, 0, 0] = math.nan
    for pixels, message in (
        (discs[:1], r"gan: 1 image to learn from, at least 2 are needed .*leave the class out of gan\.classes"),
        (discs[:0], r"gan: 0 image to learn from"),
        (discs[:, :16, :16], r"images have 16×16 pixels and gan\.image_size is 32; crop them to 32×32, or set gan\.image_size"),
        (discs[:, :16], r"images have 16×32 pixels"),
        ([discs[0], discs[1][:16, :24]], r"images of 2 sizes \(16×24, 32×32\); expected one array of equal squares, as lib\.gan\.crops"),
        (holed, r"image 3 holds NaN; expected uint8 pixels\. Take the image out, or read it again"),
        (discs.astype(np.float32), r"expected pixels uint8 \[N, S, S, 3\], got float32 \[12, 32, 32, 3\]"),
        (discs[..., 0], r"expected pixels uint8"),
    ):
        with pytest.raises(ValueError, match=message):
            run(pixels, tmp_path / "never", small())
    assert not (tmp_path / "never").exists()


def test_labels_that_do_not_fit_are_explained(discs, small, tmp_path):
    for labels, options, message in (
        (["a"] * 6 + ["b"] * 6, small(), r"images of 2 classes \(a, b\); train each alone, or set gan\.conditional: true"),
        (["a"] * 11 + ["b"], small(conditional=True), "1 image of b to learn from, at least 2 are needed"),
        (["a"] * 3, small(), "3 labels for 12 images"),
    ):
        with pytest.raises(ValueError, match=message):
            run(discs, tmp_path / "never", options, labels=labels)


def test_a_loss_that_is_no_number_names_the_iteration_and_keeps_the_last_good_checkpoint(discs, small, tmp_path, monkeypatch):
    iterate = Duel.iterate
    monkeypatch.setattr(Duel, "iterate", lambda self, iteration: iterate(self, iteration) * (math.nan if iteration == 16 else 1))
    with pytest.raises(TrainingDivergedError, match=r"gan: the critic loss is nan in iteration 17; lower gan\.learning_rate "
                                                    r"\(now 0\.0001\)\. The checkpoint of iteration 14 stays in"):
        run(discs, tmp_path, small())
    kept = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert kept == ["step-0000000007.safetensors", "step-0000000014.safetensors"]
    with pytest.raises(TrainingDivergedError, match=r"or set compute\.precision: no \(now bf16\)\. No checkpoint was written before"):
        monkeypatch.setattr(Duel, "iterate", lambda self, iteration: iterate(self, iteration) * math.inf)
        run(discs, tmp_path / "other", small(), compute=Compute(device="cpu", precision="bf16"))
