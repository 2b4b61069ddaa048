"""Training: it learns, twice the same, finished cells are recognised, test rows stay unseen, failures are explained."""

import json

import numpy as np
import pytest
import torch

from lib.classify.calibrate import calibrate
from lib.classify.fit import best_epoch
from lib.classify.grid import Cell
from lib.classify.images import predict_logits
from lib.classify.models import build_model
from lib.classify.predict import predict
from lib.classify.sampling import Plan
from lib.classify.train import cell_fingerprint, train_cell
from lib.study import Augmentation, Classifier, Compute, Threshold
from lib.tables import write_table
from lib.training.errors import TrainingDivergedError

CPU = Compute(device="cpu", threads=1)
REAL = Cell("real", "small_cnn", 0)


def train(toy, folder, cell=REAL, compute=CPU, fingerprint="x", said=None, progress=None, **options):
    options = Classifier(**{"epochs": 2, "batch_size": 16, **options})
    say = said.append if said is not None else None
    return train_cell(cell, toy.pixels, toy.samples, toy.classes, options, folder=folder, compute=compute, fingerprint=fingerprint, say=say,
                      progress=progress)


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

    monkeypatch.setattr("lib.classify.fit.augment", listen)
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
        return cell_fingerprint(REAL, toy.pixels, samples, toy.classes, Classifier(), CPU, "x")

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
