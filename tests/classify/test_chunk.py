"""A chunk of cells: the summary table, and what is refused before anything is trained."""

import pytest

from lib.classify.chunk import join_histories, join_predictions, run_cells, summarise
from lib.classify.grid import Cell
from lib.classify.pool import real_pool
from lib.study import Classifier, Compute, Labels

CELLS = [Cell("real", "small_cnn", seed) for seed in (0, 1)]


def run(toy, folder, positive=(), **options):
    labels = Labels(classes={name: [name] for name in toy.classes}, positive=list(positive))
    return run_cells(CELLS, real_pool(toy.samples, toy.pixels), labels, Classifier(**{"epochs": 2, "batch_size": 16, **options}),
                     folder=folder, compute=Compute(device="cpu", threads=1), fingerprint="x")


def test_the_summary_says_how_much_of_the_budget_was_run(toy, tmp_path):
    options = {"epochs": 12, "patience": 1}
    outcomes = run(toy, tmp_path, positive=["blue"], **options)
    summary = summarise(outcomes)
    assert list(summary) == ["seed", "epochs", "steps", "budget", "best", "macro_f1",
                             "temperature", "threshold", "sensitivity", "specificity"]
    per_epoch = -(-(toy.samples["split"] == "train").sum() // 16)
    assert summary["seed"].tolist() == [0, 1] and (summary["budget"] == 12 * per_epoch).all()
    assert (summary["steps"] == summary["epochs"] * per_epoch).all() and (summary["steps"] < summary["budget"]).all()
    assert (summary["epochs"] == (summary["best"] + 1).clip(upper=12)).all()
    for row, outcome in zip(summary.itertuples(), outcomes, strict=True):
        assert row.macro_f1 == outcome.trained.history.set_index("epoch")["macro_f1"][row.best]
        point = outcome.calibration.operating
        assert (row.threshold, row.sensitivity, row.specificity) == (point.threshold, point.sensitivity, point.specificity)
    again = run(toy, tmp_path, positive=["blue"], **options)
    assert all(outcome.trained.reused for outcome in again) and summarise(again).equals(summary)
    assert len(join_histories(outcomes)) == summary["epochs"].sum()
    assert len(join_predictions(outcomes)) == 2 * (toy.samples["split"] != "train").sum()


def test_without_positive_classes_there_is_no_threshold(toy, tmp_path):
    assert summarise(run(toy, tmp_path))[["threshold", "sensitivity", "specificity"]].isna().all(axis=None)


@pytest.mark.parametrize(("lost", "words"), [
    (["blue"], r"validation holds 0 positive and \d+ negative images; a threshold needs both: give split\.validation"),
    (["red", "green"], r"validation holds \d+ positive and 0 negative images; a threshold needs both"),
])
def test_validation_of_one_kind_is_refused_before_training(toy, tmp_path, lost, words):
    lacking = (toy.samples["split"] == "validation") & toy.samples["label"].isin(lost)
    toy.samples.loc[lacking, "split"] = "train"
    with pytest.raises(ValueError, match=words):
        run(toy, tmp_path, positive=["blue"])
    assert not list(tmp_path.iterdir()), "nothing was trained"
