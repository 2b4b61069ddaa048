"""Training: it learns, twice the same, finished cells are recognised, test rows stay unseen, failures are explained."""

import errno
import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from accelerate import Accelerator

from lib.classify import fit
from lib.classify.arms import find_arm
from lib.classify.calibrate import calibrate
from lib.classify.feed import Feed
from lib.classify.fit import best_epoch, learning_rate_share, losses_by_cell
from lib.classify.grid import Cell
from lib.classify.images import predict_logits
from lib.classify.models import build_model
from lib.classify.pool import Block, real_pool
from lib.classify.predict import predict
from lib.classify.sampling import Plan, plan_arm
from lib.classify.train import cell_fingerprint, train_cell
from lib.study import Augmentation, Classifier, Compute, Threshold
from lib.tables import write_table
from lib.training.errors import TrainingDivergedError

CPU = Compute(device="cpu", threads=1)
REAL = Cell("real", "small_cnn", 0)


def train(toy, folder, cell=REAL, compute=CPU, fingerprint="x", said=None, progress=None, **options):
    options = Classifier(**{"epochs": 2, "batch_size": 16, **options})
    say = said.append if said is not None else None
    return train_cell(cell, real_pool(toy.samples, toy.pixels), toy.classes, options, folder=folder, compute=compute,
                      fingerprint=fingerprint, say=say, progress=progress)


def assert_equal_weights(first, second):
    for (name, left), right in zip(first.model.state_dict().items(), second.model.state_dict().values(), strict=True):
        assert torch.equal(left, right), name


class Guarded:
    """Pixels that fail the test when a test row is read."""

    def __init__(self, pixels, forbidden):
        self.pixels, self.forbidden = pixels, set(forbidden.tolist())
        self.dtype, self.ndim, self.shape = pixels.dtype, pixels.ndim, pixels.shape

    def __getitem__(self, rows):
        assert not self.forbidden & set(np.atleast_1d(rows).tolist()), "a test row was read"
        return self.pixels[rows]


@pytest.mark.parametrize("arm", ["real", "classical", "oversampled"])
def test_it_learns_a_toy_problem_and_predicts_it(toy, tmp_path, arm):
    trained = train(toy, tmp_path, Cell(arm, "small_cnn", 1), epochs=5)
    calibration = calibrate(trained, toy.pixels, toy.samples, toy.classes, rule=Threshold(), positive=["blue"])
    predictions = predict(trained, calibration, toy.pixels, toy.samples, toy.classes)
    write_table("predictions", predictions, tmp_path / "predictions.parquet", {"classes": toy.classes, "positive": ["blue"]})
    assert set(predictions["image_id"]) == set(toy.samples.loc[toy.samples["split"] != "train", "image_id"])
    probabilities = predictions[["p_0", "p_1", "p_2"]].to_numpy()
    test = (predictions["split"] == "test").to_numpy()
    assert (probabilities.argmax(axis=1) == predictions["y_true"])[test].mean() >= 0.95
    assert probabilities.sum(axis=1) == pytest.approx(1, abs=1e-12)
    truth = predictions["image_id"].map(toy.samples.set_index("image_id")["label"]).map(toy.classes.index)
    assert (truth == predictions["y_true"]).all()
    assert predictions["threshold"].nunique() == 1 and (predictions["arm"] == arm).all() and (predictions["seed"] == 1).all()
    without = calibrate(trained, toy.pixels, toy.samples, toy.classes, rule=Threshold())
    assert predict(trained, without, toy.pixels, toy.samples, toy.classes)["threshold"].isna().all()


def test_predictions_do_not_depend_on_the_batch(toy, tmp_path):
    trained = train(toy, tmp_path, epochs=1)
    calibration = calibrate(trained, toy.pixels, toy.samples, toy.classes, rule=Threshold())
    whole, single = (predict(trained, calibration, toy.pixels, toy.samples, toy.classes, batch_size=size) for size in (256, 1))
    names = ["p_0", "p_1", "p_2"]
    assert np.abs(whole[names].to_numpy() - single[names].to_numpy()).max() < 1e-6


def test_two_runs_are_bit_equal_and_another_seed_is_not(toy, tmp_path):
    cell = Cell("classical", "small_cnn", 3)
    first, second = train(toy, tmp_path / "a", cell), train(toy, tmp_path / "b", cell)
    other = train(toy, tmp_path / "c", Cell("classical", "small_cnn", 4))
    assert_equal_weights(first, second)
    assert (tmp_path / "a/training.json").read_bytes() == (tmp_path / "b/training.json").read_bytes()
    assert (tmp_path / "a/model.safetensors").read_bytes() == (tmp_path / "b/model.safetensors").read_bytes()
    assert first.history["train_loss"].tolist() != other.history["train_loss"].tolist()


def test_arms_of_one_seed_start_from_the_same_weights_and_draw_the_same_order(toy, tmp_path):
    quiet = Augmentation(rotation=0, flips=False, brightness=0, contrast=0, saturation=0, hue=0, translate=0, scale=(1, 1))
    real, classical = train(toy, tmp_path / "a"), train(toy, tmp_path / "b", Cell("classical", "small_cnn", 0), augmentation=quiet)
    assert_equal_weights(real, classical)


def test_the_classical_arm_sees_other_pictures(toy, tmp_path):
    real, classical = train(toy, tmp_path / "a", epochs=1), train(toy, tmp_path / "b", Cell("classical", "small_cnn", 0), epochs=1)
    assert real.history["train_loss"].tolist() != classical.history["train_loss"].tolist()


def test_every_step_draws_its_own_changes(toy, tmp_path, monkeypatch):
    drawn = []

    def listen(images, options, generator):
        drawn.append(float(torch.rand(1, generator=generator)))
        return images

    monkeypatch.setattr("lib.classify.feed.augment", listen)
    train(toy, tmp_path, Cell("classical", "small_cnn", 0))
    assert len(drawn) > 6 and len(set(drawn)) == len(drawn)


def test_every_epoch_has_its_own_order(toy, tmp_path, monkeypatch):
    orders, draw = [], Plan.batches

    def listen(plan, *parts):
        orders.append(np.concatenate(draw(plan, *parts)).tolist())
        return draw(plan, *parts)

    monkeypatch.setattr(Plan, "batches", listen)
    train(toy, tmp_path)
    assert len(orders) == 2 and orders[0] != orders[1]


def test_logits_are_those_of_evaluation_mode(toy):
    model, rows = build_model("small_cnn", 3), np.arange(8)
    first = predict_logits(model.train(), toy.pixels, rows)
    assert np.array_equal(first, predict_logits(model.eval(), toy.pixels, rows))


def test_rows_of_the_test_split_are_never_looked_at(toy, tmp_path):
    reference = train(toy, tmp_path / "a", Cell("oversampled", "small_cnn", 0))
    hidden = (toy.samples["split"] == "test").to_numpy()
    toy.pixels = Guarded(toy.pixels, np.flatnonzero(hidden))
    toy.samples.loc[hidden, ["label", "group", "diagnosis", "sha256"]] = "poison"
    trained = train(toy, tmp_path / "b", Cell("oversampled", "small_cnn", 0))
    calibrate(trained, toy.pixels, toy.samples, toy.classes, rule=Threshold(), positive=["blue"])
    assert_equal_weights(reference, trained)


def test_a_finished_cell_is_loaded_not_trained(toy, tmp_path):
    steps = []
    first = train(toy, tmp_path, progress=lambda step, of, row: steps.append((step, of)))
    assert not first.reused and max(steps)[0] == max(steps)[1] and not (tmp_path / "checkpoints").exists()
    steps.clear()
    said = []
    irrelevant = {"seeds": [0, 7], "arms": ["real"], "checkpoint_every": 2, "threshold": Threshold(rule="f1"),
                  "augmentation": Augmentation(rotation=5)}
    second = train(toy, tmp_path, progress=lambda step, of, row: steps.append(step), said=said, **irrelevant)
    assert second.reused and not steps and not said
    assert_equal_weights(first, second)
    assert first.history.equals(second.history) and first.best_epoch == second.best_epoch and first.class_weights == second.class_weights


def test_another_configuration_or_a_damaged_file_is_said_and_trained_again(toy, tmp_path):
    train(toy, tmp_path, epochs=1)
    for change in ({"learning_rate": 2e-3, "fingerprint": "x"}, {"learning_rate": 2e-3, "fingerprint": "y"}, {"fingerprint": "y"}):
        said = []
        assert not train(toy, tmp_path, said=said, epochs=1, **change).reused
        assert len(said) == 1 and "another configuration" in said[0]
    model = tmp_path / "model.safetensors"
    for damage in (lambda: model.write_bytes(model.read_bytes()[:-1]), model.unlink, lambda: (tmp_path / "training.json").write_text("{")):
        damage()
        said = []
        assert not train(toy, tmp_path, said=said, epochs=1, fingerprint="y").reused and len(said) == 1 and "training again" in said[0]
        assert train(toy, tmp_path, epochs=1, fingerprint="y").reused


def test_the_fingerprint_follows_the_training_data_only(toy):
    def mark(samples):
        return cell_fingerprint(REAL, real_pool(samples, toy.pixels), toy.classes, Classifier(), CPU, "x")

    for split, differs in (("train", True), ("validation", True), ("test", False)):
        for column, value in (("label", "green"), ("group", "new"), ("sha256", "1" * 64)):
            changed = toy.samples.copy()
            changed.loc[changed.index[(changed["split"] == split) & (changed["label"] != "green")][0], column] = value
            assert (mark(changed) != mark(toy.samples)) == differs, (split, column)


def test_training_stops_after_patience_and_keeps_the_best_epoch(toy, tmp_path):
    trained = train(toy, tmp_path, epochs=12, patience=2)
    scores = trained.history["macro_f1"].tolist()
    assert trained.best_epoch == scores.index(max(scores)) + 1
    assert len(scores) == min(12, trained.best_epoch + 2)
    shorter = train(toy, tmp_path / "again", epochs=12, patience=1)
    if len(shorter.history) == trained.best_epoch + 1:                 # the same epochs up to the best one: the same weights are kept
        assert_equal_weights(trained, shorter)


def test_best_epoch_is_the_first_of_equals():
    assert best_epoch([]) == 0
    assert best_epoch([{"macro_f1": 0.2}, {"macro_f1": 0.5}, {"macro_f1": 0.5}, {"macro_f1": 0.4}]) == 2


def test_a_loss_that_is_no_number_names_what_to_change(toy, tmp_path):
    with pytest.raises(TrainingDivergedError, match=r"real-small_cnn-seed0: .* in epoch 1; lower classifier\.learning_rate \(now 1e\+30\)"):
        train(toy, tmp_path, learning_rate=1e30)
    with pytest.raises(TrainingDivergedError, match=r"set compute\.precision: no \(now bf16\)"):
        train(toy, tmp_path, learning_rate=1e30, compute=Compute(device="cpu", precision="bf16"))
    assert not (tmp_path / "training.json").exists()


def test_unusable_data_is_said(toy, tmp_path):
    pixels = toy.pixels
    for toy.pixels, words in ((pixels[:-1], "159 images and samples 160 rows"), (pixels.astype(float), "uint8"), (pixels[..., 0], "uint8")):
        with pytest.raises(ValueError, match=words):
            train(toy, tmp_path)
    toy.pixels = pixels
    toy.samples["split"] = toy.samples["split"].replace("validation", "test")
    with pytest.raises(ValueError, match="no validation rows"):
        train(toy, tmp_path)


def test_the_record_is_plain_json_with_a_row_per_epoch(toy, tmp_path):
    toy.samples = toy.samples[(toy.samples["split"] == "train") | (toy.samples["label"] == "red")]       # validation: one class, no AUROC
    toy.pixels = toy.pixels[toy.samples.index]
    toy.samples = toy.samples.reset_index(drop=True)
    trained = train(toy, tmp_path)
    record = json.loads((tmp_path / "training.json").read_text())
    assert [row["epoch"] for row in record["history"]] == [1, 2] and record["history"][0]["auroc"] is None
    assert trained.history["auroc"].isna().all() and train(toy, tmp_path).history["auroc"].isna().all()
    assert set(trained.history) == {"epoch", "learning_rate", "train_loss", "validation_loss", "macro_f1", "auroc"}


# ── arms with generated images ───────────────────────────────────────────────────────────────────────────────────────

def mix(pool, folder, arm, said=None, stream=None, progress=None, **options):
    options = Classifier(**{"epochs": 2, "batch_size": 16, **options})
    return train_cell(Cell(arm, "small_cnn", 0), pool, ["red", "green", "blue"], options, folder=folder, compute=CPU, fingerprint="x",
                      say=said.append if said is not None else None, stream=stream, progress=progress)


def test_a_share_of_nothing_trains_the_network_of_real_images(small, mixed, tmp_path):
    assert_equal_weights(train(small, tmp_path / "real"), mix(mixed, tmp_path / "mixed", "diffusion_curated+ratio=0"))


def test_a_head_without_weight_changes_nothing_and_one_with_weight_does(mixed, tmp_path):
    plain, idle, working = (mix(mixed, tmp_path / name, f"diffusion_curated{name}") for name in ("", "+adversarial=0", "+adversarial=2"))
    assert_equal_weights(plain, idle)
    assert plain.history["train_loss"].tolist() != working.history["train_loss"].tolist()
    assert set(torch.nn.Module.state_dict(plain.model)) == set(working.model.state_dict())


def test_after_a_pretraining_the_rate_is_a_tenth_and_patience_waits_for_it(mixed, tmp_path):
    trained = mix(mixed, tmp_path, "diffusion_curated+pretrain=0.5", epochs=4, patience=1, learning_rate=1e-3)
    per_epoch = trained.budget // 4
    rates = [learning_rate_share(step, steps=trained.budget, alone=2 * per_epoch) for step in range(trained.budget)]
    told = [1e-3 * rates[(epoch + 1) * per_epoch - 1] for epoch in range(len(trained.history))]
    assert trained.history["learning_rate"].tolist() == pytest.approx(told)
    assert max(rates[:2 * per_epoch]) == 1 and max(rates[2 * per_epoch:]) == pytest.approx(0.1)
    assert len(trained.history) >= 3                                    # it does not stop before real images were shown


def test_a_pretraining_on_drawn_images_alone_has_its_own_rate_and_patience_waits_for_it(small, tmp_path):
    arm, pool = "diffusion_curated+pretrain=0.5+hybrid", real_pool(small.samples, small.pixels)         # nothing was curated
    trained = mix(pool, tmp_path, arm, stream=Stub(), epochs=4, patience=1, learning_rate=1e-3)
    per_epoch = trained.budget // 4
    rates = [learning_rate_share((epoch + 1) * per_epoch - 1, steps=trained.budget, alone=2 * per_epoch) for epoch in range(4)]
    assert trained.history["learning_rate"].tolist() == pytest.approx([1e-3 * rate for rate in rates[:len(trained.history)]])
    assert len(trained.history) >= 3
    idle = mix(pool, tmp_path / "idle", "diffusion_curated+pretrain=0.5", epochs=2)                     # nothing to pretrain on at all
    assert_equal_weights(idle, train(small, tmp_path / "real"))


def test_blended_images_are_the_two_pictures_in_their_shares(mixed):
    options = Classifier(batch_size=16, mixing={"mixup": 0.4})
    arm = find_arm("diffusion_curated+mixup")
    plan = plan_arm("diffusion_curated+mixup", mixed, ["red", "green", "blue"], options, {})
    chosen = plan.batches(0, 0)[0]
    batch = Feed(plan, mixed, arm, options, 0, Accelerator(cpu=True)).batch(5, chosen)
    places, partners, shares = plan.mix.partners(chosen, 5, 0)
    assert 0 < len(places) < 16
    expected = mixed.pixels[plan.rows[chosen]].astype(float)
    real = shares[:, None, None, None]
    expected[places] = (1 - real) * expected[places] + real * mixed.pixels[plan.rows[partners]]
    assert np.abs(batch.images.permute(0, 2, 3, 1).numpy() * 255 - expected).max() < 1e-3
    assert batch.added.numpy()[places] == pytest.approx(1 - shares) and not np.delete(batch.added.numpy(), places).any()


class Stub:
    """A stream whose blocks follow from the epoch; remembers which losses it was given."""

    def __init__(self):
        self.given = {}

    def block(self, epoch, losses):
        self.given[epoch] = dict(losses)
        rng = np.random.default_rng(epoch)
        return Block(rng.integers(0, 255, (12, 16, 16, 3), dtype=np.uint8), ["blue"] * 12, ["6"] * 12, ["dark"] * 12)


def test_a_stream_is_asked_before_every_epoch_with_the_losses_of_the_one_before(small, mixed, tmp_path):
    stub, whole = Stub(), tmp_path / "whole"
    trained = mix(mixed, whole, "diffusion_curated+hybrid", stream=stub, epochs=3)
    assert list(stub.given) == [0, 1, 2] and not stub.given[0]
    rows = small.samples[small.samples["split"] == "validation"]
    cells = {(label, None if pd.isna(key) else key) for label, key in zip(rows["label"], rows["group"], strict=True)}
    assert cells - {(label, None) for label in small.classes} <= set(stub.given[1]) and stub.given[1] != stub.given[2]
    again = Stub()

    def stop(step, steps, row):
        if row and row["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mix(mixed, tmp_path / "broken", "diffusion_curated+hybrid", stream=again, epochs=3, progress=stop)
    resumed = Stub()
    assert_equal_weights(trained, mix(mixed, tmp_path / "broken", "diffusion_curated+hybrid", stream=resumed, epochs=3))
    assert resumed.given == {2: stub.given[2]}
    for arm, stream in (("diffusion_curated+hybrid", None), ("diffusion_curated", stub)):
        with pytest.raises(ValueError, match="an arm that draws while it trains needs a stream, and no other arm takes one"):
            mix(mixed, tmp_path, arm, stream=stream)


def test_validation_of_a_stream_keeps_the_class_weights_of_the_pool_it_began_with(mixed, small, tmp_path):
    arm = "diffusion_curated+hybrid"
    trained = mix(mixed, tmp_path, arm, stream=Stub(), epochs=2)
    plan = plan_arm(arm, mixed, small.classes, Classifier(epochs=2, batch_size=16), {})
    assert list(trained.class_weights.values()) == plan.class_weights.tolist()
    streamed = plan_arm(arm, mixed.with_block(Stub().block(0, {})), small.classes, Classifier(epochs=2, batch_size=16), {})
    assert streamed.class_weights[2] < plan.class_weights[2]            # of training, whose blocks are all blue


def test_several_processes_are_refused_a_stream(mixed, tmp_path, monkeypatch):
    monkeypatch.setattr("lib.classify.train.prepare_machine", lambda compute: SimpleNamespace(num_processes=2))
    with pytest.raises(ValueError, match=r"hybrid-small_cnn-seed0: .* by one process, and 2 were started; run it without"):
        mix(mixed, tmp_path, "diffusion_curated+hybrid", stream=Stub())


def test_losses_by_cell_are_means_by_tone_and_by_group():
    rows = pd.DataFrame({"label": ["a", "a", "a", "b"], "tone": pd.array([6, 5, None, None], dtype="Int8"),
                         "group": ["V–VI", "V–VI", "V–VI", None]})
    assert losses_by_cell(rows, np.array([1.0, 2.0, 6.0, 4.0])) == {("a", "6"): 1, ("a", "5"): 2, ("a", "V–VI"): 3, ("b", None): 4}


def test_the_fingerprint_follows_the_generated_images_and_the_switches_that_are_on(mixed, generated, small):
    def mark(arm="diffusion_curated", pool=mixed, shares=None, **mixing):
        return cell_fingerprint(Cell(arm, "small_cnn", 0), pool, small.classes, Classifier(mixing=mixing), CPU, "x", shares or {})

    assert mark() == mark(mixup=0.3) and mark("diffusion_curated+mixup") != mark("diffusion_curated+mixup", mixup=0.3)
    assert mark() != mark(shares={"6": 0.3}) and mark() != mark("diffusion_random")
    assert mark() != mark(pool=generated(real_pool(small.samples, small.pixels), count=39))
    real = real_pool(small.samples, small.pixels)
    assert mark("real", real) == mark("real", real, shares={"6": 0.3}, mixup=0.3)


@pytest.mark.parametrize("place", ["lib.classify.fit.save_checkpoint", "lib.classify.train.save_cell"])
def test_a_full_disk_is_said_with_what_stays(small, tmp_path, monkeypatch, place):
    right, calls = fit.save_checkpoint, []

    def full(folder, *given, **more):
        calls.append(1)
        if place.endswith("save_cell") or len(calls) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return right(folder, *given, **more)

    monkeypatch.setattr(place, full)
    with pytest.raises(OSError, match=r"classifier: the disk is full after epoch 2\. The checkpoint of epoch [12] stays in "):
        train(small, tmp_path)
    monkeypatch.undo()
    steps = []
    assert not train(small, tmp_path, progress=lambda step, of, row: steps.append(step)).reused
    assert not steps or min(steps) > 1                                  # nothing that was saved is trained again
