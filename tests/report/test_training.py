"""Notebook 07's figures and sentences: against scikit-learn and tables counted by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from lib.report.answers import read_answers
from lib.report.calibration import count_reliability, describe_reliability, plot_reliability
from lib.report.confusion import count_confusion, describe_confusion, plot_confusion
from lib.report.curves import describe_curves, operating_points, plot_curves, plot_positive, pr_points, roc_points
from lib.report.training import best_epoch, describe_training, plot_training

pytestmark = pytest.mark.filterwarnings("error")
NASTY = "<script>a_b*c$x^2$ \\alpha & 日本"
CLASSES = ["melanoma", "nevus", NASTY]


def make_history(**runs) -> pd.DataFrame:
    """seed_0=([train losses], [validation losses], [macro-F1]), …"""
    return pd.concat([
        pd.DataFrame({"seed": int(name[-1]), "epoch": range(1, len(train) + 1), "train_loss": train, "validation_loss": validation,
                      "macro_f1": f1, "auroc": 0.5, "learning_rate": 1e-3})
        for name, (train, validation, f1) in runs.items()
    ], ignore_index=True)


def make_predictions(rows: list[tuple[int, int, list[float]]], threshold: float | None = 0.5, **columns) -> pd.DataFrame:
    """Rows (seed, y_true, probabilities)."""
    frame = pd.DataFrame([{"seed": seed, "y_true": y, **{f"p_{k}": p for k, p in enumerate(ps)}} for seed, y, ps in rows])
    return frame.assign(arm="real", architecture="small_cnn", split="test", fold=0, train_fraction=1.0, threshold=threshold, **columns)


def drawn_at_random(classes: int, images: int, seeds: int = 2, threshold: float = 0.4) -> pd.DataFrame:
    rng = np.random.default_rng(classes)
    y = np.r_[np.arange(classes), rng.integers(classes, size=images - classes)]
    rows = [(seed, label, list(rng.dirichlet(1 + 3 * (np.arange(classes) == label)))) for seed in range(seeds) for label in y]
    return make_predictions(rows, threshold)


# ── training ─────────────────────────────────────────────────────────────────────────────────────────────────────

def test_training_in_words():
    history = make_history(
        seed_0=([2, 1, 0.5, 0.2], [2, 1, 1.2, 1.5], [0.1, 0.5, 0.6, 0.4]),          # overfits after epoch 2; best at 3
        seed_1=([2, 1, 0.9], [2, 1, 0.9], [0.1, 0.3, 0.5]),                         # still improving
    )
    assert describe_training(history) == [
        "2 runs of 3 to 4 epochs; best validation macro-F1 at epoch 3.",
        "The last epoch was the best in 1 of 2 runs (seed 1): still improving when training ended; consider more epochs.",
        "A sign of overfitting in 1 of 2 runs (seed 0): while training loss fell, validation loss rose, from 1.00 (epoch 2) to "
        "1.50 (epoch 4).",
    ]


@pytest.mark.parametrize(("train", "validation", "f1", "expected"), [
    ([2.0, 1, 0.5], [1.0, 1, 1.04], [0.3, 0.5, 0.4], ["1 run of 3 epochs; best validation macro-F1 at epoch 2."]),      # rise under 5 %
    ([2.0, 1, 1.5], [1.0, 0.5, 1.04], [0.3, 0.5, 0.4], ["1 run of 3 epochs; best validation macro-F1 at epoch 2."]),    # both rise
    ([1.0, 1.1, 1.2], [1.0, 1, 1], [0.3, 0.2, 0.2], [
        "1 run of 3 epochs; best validation macro-F1 at epoch 1.",
        "The training loss never fell below its first value in seed 0: nothing was learned there.",
    ]),
    ([1.0, np.nan], [1.0, 1], [0.3, np.nan], ["1 run of 2 epochs; best validation macro-F1 at epoch 1.",
                                              "The loss was not a finite number in some epoch of seed 0."]),
    ([1.0], [1.0], [0.3], ["1 run of 1 epoch; best validation macro-F1 at epoch 1."]),
    ([1.0], [1.0], [np.nan], ["1 run of 1 epoch."]),
])
def test_training_cases(train, validation, f1, expected, draw):
    history = make_history(seed_0=(train, validation, f1))
    if len(history) < 3:
        draw(plot_training(history))            # one point, gaps, nothing known
    assert describe_training(history) == expected


def test_training_is_drawn_with_best_epochs(draw, texts, fits):
    history = make_history(seed_0=([2, 1, 0.5], [2, 1, 1], [0.1, 0.5, 0.5]), seed_1=([2, 1], [2, 1], [0.1, 0.3]))
    shuffled = history.sample(frac=1, random_state=0)
    before = shuffled.copy()
    figure = plot_training(shuffled)
    draw(figure)
    lines = [line for line in figure.axes[2].lines if line.get_gid() is None]
    assert [line.get_ydata().tolist() for line in sorted(lines, key=lambda line: -len(line.get_xdata()))] == [[0.1, 0.5, 0.5], [0.1, 0.3]]
    best = {(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in figure.axes[2].lines if line.get_gid() == "best"}
    assert best == {(2, 0.5), (2, 0.3)}, "the first of equal epochs is the best"
    assert {"seed 0", "seed 1"} <= set(texts(figure)) and fits(figure)
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["1", "2", "3"]
    assert best_epoch(history[history["seed"] == 0]) == 2
    pd.testing.assert_frame_equal(shuffled, before)


def test_training_of_several_arms_and_of_none(draw, texts, fits):
    one = make_history(seed_0=([2, 1], [2, 1], [0.1, 0.3]), seed_1=([2, 1], [2, 1], [0.1, 0.3]))
    both = pd.concat([one.assign(arm="real", architecture="x"), one.assign(arm=NASTY, architecture="x")])
    figure = plot_training(both)
    draw(figure)
    assert "real" in texts(figure) and any("$x^2$" in text for text in texts(figure)) and fits(figure)
    assert describe_training(both)[0] == "4 runs of 2 epochs; best validation macro-F1 at epoch 2."
    draw(plot_training(one.iloc[:0]))
    assert describe_training(one.iloc[:0]) == ["No epoch was trained."]


# ── confusion ────────────────────────────────────────────────────────────────────────────────────────────────────

def test_confusion_is_the_mean_over_seeds(draw, texts, fits):
    a, b, c = [0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]
    predictions = make_predictions([(0, 0, a), (0, 0, b), (0, 1, b), (1, 0, b), (1, 0, b), (1, 1, c)])
    before = predictions.copy()
    counts = count_confusion(predictions, CLASSES)
    assert counts.to_numpy().tolist() == [[0.5, 1.5, 0], [0, 0.5, 0.5], [0, 0, 0]]
    figure = plot_confusion(counts)
    draw(figure)
    assert texts(figure, "count") == ["0.5", "1.5", "0.5", "0.5"] and fits(figure)
    assert texts(figure, "share") == ["25%", "75%", "50%", "50%"]
    assert describe_confusion(counts) == [
        "The most probable class is the right one for 33% of 3 images (mean of 2 seeds).",
        "Most often mistaken: melanoma called nevus, 75% of its images (1.5 of 2, mean of 2 seeds).",
        f"There are no images of {NASTY} here.",
    ]
    pd.testing.assert_frame_equal(predictions, before)


def test_confusion_without_error_and_with_a_silent_class(draw):
    right = make_predictions([(0, 0, [0.8, 0.2]), (0, 1, [0.2, 0.8])])
    assert describe_confusion(count_confusion(right, ["a", "b"])) == [
        "The most probable class is the right one for 100% of 2 images (one seed).", "No image was called by a wrong class."]
    one_sided = make_predictions([(0, 0, [0.8, 0.2]), (0, 1, [0.7, 0.3])])
    assert describe_confusion(count_confusion(one_sided, ["a", "b"]))[-1] == "No image was called b."
    empty = count_confusion(right.iloc[:0], ["a", "b"])
    draw(plot_confusion(empty))
    assert describe_confusion(empty) == ["There are no predictions to compare."]


def test_three_seeds_do_not_blur_whole_numbers():
    predictions = pd.concat([make_predictions([(seed, 0, [0.8, 0.2])] * 7 + [(seed, 1, [0.2, 0.8])] * 3) for seed in range(3)])
    assert describe_confusion(count_confusion(predictions, ["a", "b"]))[0].endswith("100% of 10 images (mean of 3 seeds).")


@pytest.mark.parametrize(("column", "values"), [
    ("arm", ["real", "other"]), ("split", ["test", "validation"]), ("architecture", ["a", "b"]),
])
def test_mixed_rows_are_refused(column, values):
    predictions = make_predictions([(0, 0, [0.8, 0.2]), (0, 1, [0.2, 0.8])]).assign(**{column: values})
    with pytest.raises(ValueError, match=f"several values of {column}"):
        count_confusion(predictions, ["a", "b"])


def test_too_many_classes_for_the_columns():
    with pytest.raises(ValueError, match="p_2 not there"):
        read_answers(make_predictions([(0, 0, [0.8, 0.2])]), CLASSES)


# ── curves ───────────────────────────────────────────────────────────────────────────────────────────────────────

@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=30).filter(lambda rows: len(dict(rows)) == 2))
def test_curves_equal_scikit_learn(rows):
    truth, score = np.array([kind for kind, _ in rows]), np.array([value for _, value in rows]) / 5
    false, true, _ = metrics.roc_curve(truth, score, drop_intermediate=False)
    np.testing.assert_allclose(np.c_[roc_points(truth, score)], np.c_[false, true])
    precision, recall, _ = metrics.precision_recall_curve(truth, score)
    ours_recall, ours_precision = pr_points(truth, score)
    np.testing.assert_allclose(np.c_[ours_recall, ours_precision][::-1], np.c_[recall, precision][:-1])


def test_curves_show_scikit_learns_auroc_and_the_operating_point(draw, texts, fits):
    predictions = drawn_at_random(3, 60)
    before = predictions.copy()
    figure = plot_curves(predictions, CLASSES)
    draw(figure)
    parts = [predictions[predictions["seed"] == seed] for seed in (0, 1)]
    for k, name in enumerate(CLASSES[:2]):
        area = np.mean([metrics.roc_auc_score(part["y_true"] == k, part[f"p_{k}"]) for part in parts])
        assert f"{name}  {area:.3f} (n = {(parts[0]['y_true'] == k).sum()})" in texts(figure)
    assert fits(figure)
    figure = plot_positive(predictions, CLASSES, ["melanoma"])
    draw(figure)
    points = [line for line in figure.axes[0].lines if line.get_gid() == "operating-point"]
    for part, point in zip(parts, points, strict=True):
        truth, called = part["y_true"] == 0, part["p_0"] >= 0.4
        assert point.get_ydata()[0] == pytest.approx(metrics.recall_score(truth, called))
        assert point.get_xdata()[0] == pytest.approx(1 - metrics.recall_score(~truth, ~called))
    assert fits(figure)
    found = np.mean([metrics.recall_score(part["y_true"] == 0, part["p_0"] >= 0.4) for part in parts])
    spared = np.mean([metrics.recall_score(part["y_true"] != 0, part["p_0"] < 0.4) for part in parts])
    assert describe_curves(predictions, CLASSES, ["melanoma"])[-1] == (
        f"At the threshold chosen on validation images, {found * 100:.0f}% of the positive images "
        f"(n = {(parts[0]['y_true'] == 0).sum()}) are found and {spared * 100:.0f}% of the others are left alone (mean of 2 seeds).")
    pd.testing.assert_frame_equal(predictions, before)


def test_curves_in_words():
    rows = [(0, [0.9, 0.1, 0.0]), (0, [0.6, 0.4, 0.0]), (1, [0.7, 0.3, 0.0]), (1, [0.2, 0.8, 0.0])]     # two-class AUROC 3/4
    predictions = make_predictions([(0, y, p) for y, p in rows], threshold=None)
    assert describe_curves(predictions, CLASSES, ["melanoma"]) == [
        "AUROC against the rest (one seed): 0.750 for melanoma and nevus.", f"No AUROC for {NASTY}: there are no images of it here."]


def test_curves_that_cannot_be_drawn(draw, texts):
    one_class = make_predictions([(0, 0, [0.9, 0.1]), (0, 0, [0.4, 0.6])])
    both, none = ["a", "b"], one_class.iloc[:0]
    for figure in (plot_curves(one_class, both), plot_positive(one_class, both, ["a"]), plot_positive(one_class, both, []),
                   plot_curves(none, both), plot_positive(none, both, ["a"])):
        draw(figure)
        assert len(texts(figure)) == 2
    assert describe_curves(one_class, ["a", "b"]) == ["No class has both images of it and images of others, so there is no AUROC."]
    with pytest.raises(ValueError, match="positive names c; classes are a and b"):
        plot_positive(one_class, ["a", "b"], ["c"])


def test_no_threshold_no_point(draw):
    figure = plot_positive(drawn_at_random(3, 20, threshold=None), CLASSES, ["melanoma", "nevus"])
    draw(figure)
    assert not [line for line in figure.axes[0].lines if line.get_gid() == "operating-point"]
    assert operating_points([], [0]).empty


def test_operating_points_by_hand():
    rows = [(0, 0, [0.6, 0.2, 0.2]), (0, 0, [0.2, 0.6, 0.2]), (0, 0, [0.1, 0.1, 0.8]), (0, 2, [0.3, 0.2, 0.5]), (0, 2, [0.1, 0.1, 0.8]),
            (1, 2, [0.1, 0.1, 0.8])]
    points = operating_points(read_answers(make_predictions(rows), CLASSES), [0, 1])
    assert list(points) == ["seed", "threshold", "sensitivity", "specificity", "precision"] and points["seed"].tolist() == [0, 1]
    np.testing.assert_allclose(points.iloc[:, 1:], [[0.5, 2 / 3, 1 / 2, 2 / 3], [0.5, np.nan, 1, np.nan]])


def test_twelve_classes_with_long_names(draw, fits):
    classes = [f"a rather long name of a diagnosis, the {i}th, $x_{i}$" for i in range(12)]
    predictions = drawn_at_random(12, 200)
    for figure in (plot_confusion(count_confusion(predictions, classes)), plot_curves(predictions, classes),
                   plot_positive(predictions, classes, classes[:5]),
                   plot_reliability(count_reliability(predictions, classes, classes[:5]))):
        draw(figure)
        assert fits(figure)


# ── calibration ──────────────────────────────────────────────────────────────────────────────────────────────────

def test_reliability_by_hand(draw, texts, fits):
    rows = [(0, 0, [0.05, 0.95])] * 2 + [(0, 1, [0.05, 0.95])] * 18 + [(0, 0, [0.75, 0.25])] * 10 + [(0, 1, [1.0, 0.0])]
    bins = count_reliability(make_predictions(rows), ["a", "b"], ["a"])
    assert bins["images"].tolist() == [20, 0, 0, 0, 0, 0, 0, 10, 0, 1]
    np.testing.assert_allclose(bins.loc[[0, 7, 9], ["predicted", "observed"]], [[0.05, 0.1], [0.75, 1], [1, 0]])
    figure = plot_reliability(bins)
    draw(figure)
    assert texts(figure, "images") == ["20", "10", "1"] and fits(figure)
    hollow = [line.get_markerfacecolor() == "white" for line in figure.axes[0].lines if line.get_gid() == "bin"]
    assert hollow == [False, False, True]
    error, bias = (20 * 0.05 + 10 * 0.25 + 1) / 31, (-20 * 0.05 - 10 * 0.25 + 1) / 31
    assert describe_reliability(bins) == [
        f"Predicted probability and observed share differ by {error:.3f} on average over 3 bins (expected calibration error, one seed); "
        f"predicted minus observed is −{-bias:.3f} overall.",
        "Among bins with at least 10 images, the furthest off is 0.7 to 0.8: 75% predicted, 100% observed (10 images).",
    ]


def test_reliability_of_the_most_probable_class_and_of_nothing(draw):
    predictions = make_predictions([(0, 0, [0.8, 0.2]), (0, 1, [0.9, 0.1])])
    bins = count_reliability(predictions, ["a", "b"], bins=2)
    assert bins["images"].tolist() == [0, 2] and bins["observed"].iloc[1] == 0.5 and bins["predicted"].iloc[1] == pytest.approx(0.85)
    assert bins.attrs == {"of": "the most probable class", "over": "one seed"}
    assert describe_reliability(bins)[-1] == "No bin has 10 images, so no single bin can be judged."
    nothing = count_reliability(predictions.iloc[:0], ["a", "b"])
    draw(plot_reliability(nothing))
    assert describe_reliability(nothing) == ["There are no predictions to compare."]
