"""Notebook 01's figures and sentences, against a table counted by hand."""

import numpy as np
import pandas as pd
import pytest

from lib.report.completeness import count_missing, describe_account, describe_missing, plot_account, plot_missing
from lib.report.eda import count_cells, count_splits, describe_cells, describe_splits, plot_cells, plot_splits
from lib.report.skin_tone import describe_ita, plot_ita

pytestmark = pytest.mark.filterwarnings("error")
NASTY = "<script>a_b*c$x^2$ \\alpha & 日本"
LABELS, GROUPS = ["melanoma", "nevus", NASTY], ["I–II", "V–VI"]


def test_cells_are_counted(samples):
    counts = count_cells(samples, LABELS, GROUPS)
    assert counts.columns.tolist() == ["I–II", "V–VI", "unknown"] and counts.index.tolist() == LABELS
    assert counts.to_numpy().tolist() == [[1, 0, 0], [4, 2, 1], [0, 4, 0]]


def test_cells_are_drawn_as_counted(samples, draw, texts, fits):
    before = samples.copy()
    counts = count_cells(samples, LABELS, GROUPS)
    figure = plot_cells(counts, minimum=2)
    draw(figure)
    assert texts(figure, "count") == ["1", "none", "none", "4", "2", "1", "none", "4", "none"]
    hatched = [patch for patch in figure.axes[0].patches if patch.get_gid() == "under-minimum" and patch.get_hatch()]
    assert [(round(p.get_x() + 0.49), round(p.get_y() + 0.46)) for p in hatched] == [(0, 0), (2, 1)]
    assert any("$x^2$" in text and text.endswith("(4)") for text in texts(figure)), "a dollar sign is a dollar sign"
    assert fits(figure)
    pd.testing.assert_frame_equal(samples, before)


def test_cells_in_words(samples):
    said = describe_cells(count_cells(samples, LABELS, GROUPS), minimum=3)
    assert said == [
        "12 images in 3 classes and 2 groups.",
        "The group of 1 image (8%) is not known.",
        "The largest class, nevus, has 7.0 times as many as the smallest, melanoma (7 against 1).",
        "The largest group, V–VI, has 1.2 times as many as the smallest, I–II (6 against 5).",
        f"No images in 2 of 6 cells of class and group: melanoma / V–VI and {NASTY} / I–II.",
        "Fewer than 3 images in 2 of 6 cells of class and group: "
        "melanoma / I–II (1) and nevus / V–VI (2).",
    ]


def test_cells_without_groups_and_without_gaps(samples):
    samples["group"] = None
    counts = count_cells(samples, LABELS)
    assert counts.columns.tolist() == ["all images"]
    assert describe_cells(counts, minimum=1)[-1] == "Each of the 3 classes has at least 1 image."
    assert describe_cells(counts, minimum=5)[-1].startswith("Fewer than 5 images in 2 of 3 classes: mela")
    even = pd.DataFrame({"label": ["a", "b"], "group": ["g", "g"]})
    assert "All classes present are of the same size (1)." in describe_cells(count_cells(even, ["a", "b"], ["g"]))


def test_labels_that_the_study_does_not_name_are_still_counted(samples):
    counts = count_cells(samples, ["nevus"], ["V–VI"])
    assert counts.to_numpy().sum() == len(samples)


def test_splits(samples, draw, texts, fits):
    by_label = count_splits(samples, "label", LABELS)
    assert by_label.columns.tolist() == ["train", "validation", "test"]
    assert by_label.to_numpy().tolist() == [[1, 0, 0], [4, 1, 2], [2, 1, 1]]
    figure = plot_splits(samples, LABELS)
    draw(figure)
    widths = [round(bar.get_width(), 4) for bar in figure.axes[1].patches]
    assert widths == [1, round(4 / 7, 4), 0.5, 0, round(1 / 7, 4), 0.25, 0, round(2 / 7, 4), 0.25]
    assert "none in validation and test" in texts(figure) and fits(figure)
    assert describe_splits(samples, LABELS) == [
        "Domains: clinical 9 (75%) and phone 3 (25%).",
        "Splits: train 7 (58%), validation 2 (17%) and test 3 (25%).",
        "No validation image of melanoma.", "No test image of melanoma.",
    ]
    no_test = samples[samples["split"] != "test"]
    assert describe_splits(no_test, LABELS)[-1] == "There are no images for test."


def test_ita(samples, draw, texts, fits):
    figure = plot_ita(samples)
    draw(figure)
    shown = texts(figure)
    assert {"I n = 3", "II n = 2", "III n = 0", "V n = 3", "VI n = 2", "not annotated n = 1"} <= set(shown) and fits(figure)
    points = np.sort(np.concatenate([line.get_ydata() for line in figure.axes[0].lines if line.get_marker() == "o"]))
    np.testing.assert_array_equal(points, np.sort(samples["ita"].dropna()))
    # by hand: ten images have both, and all ten lie in their type's band (I 60 50 46, II 40 30, V −10 −15 0, VI −30 −40)
    both = samples.dropna(subset=["ita", "tone"])
    rho = np.corrcoef(both["ita"].rank(), both["tone"].astype(float).rank())[0, 1]
    assert describe_ita(samples) == [
        "Skin colour could not be measured in 1 of 12 images (8%).",
        "1 of 12 images (8%) has no annotated skin type.",
        f"Spearman correlation of ITA and annotated type: −{abs(rho):.2f} (n = 10 images with both). Darker skin has a lower ITA, so full "
        "agreement in rank would be −1.",
        "The ITA group equals the annotated type in 100% of these images and is at most one step away in 100%.",
    ]


def test_ita_groups_that_differ_from_the_type(samples):
    samples["tone"] = pd.array([1, 1, 3, 2, 3, 5, 6, None, 5, 6, 6, 5], dtype="Int8")         # II and I called III
    assert describe_ita(samples)[-1] == (
        "The ITA group equals the annotated type in 80% of these images and is at most one step away in 90%.")


def test_ita_that_cannot_be_correlated(samples, draw):
    samples["tone"] = pd.array([None] * 12, dtype="Int8")
    draw(plot_ita(samples))
    assert describe_ita(samples)[-1] == "The correlation of measured colour and annotated type cannot be computed (no images with both)."
    samples["tone"] = pd.array([3] * 12, dtype="Int8")
    assert describe_ita(samples)[-1].endswith("(one of them never varies).")
    samples["ita"] = np.nan
    draw(plot_ita(samples))


def test_missing(samples, draw, texts, fits):
    before = samples.copy()
    missing = count_missing(samples)
    assert missing.to_dict("list") == {
        "fact": ["lesion mask", "skin type", "group", "lesion", "measured skin colour (ITA)", "domain", "patient"],
        "missing": [12, 1, 1, 1, 1, 0, 0], "images": [12] * 7, "share": [1.0] + [1 / 12] * 4 + [0.0, 0.0],
    }
    figure = plot_missing(missing)
    draw(figure)
    assert "100%  (12 of 12)" in texts(figure) and "8%  (1 of 12)" in texts(figure) and fits(figure)
    assert describe_missing(missing) == [
        "Not known: lesion mask for 100% (12 of 12), skin type for 8% (1 of 12), group for 8% (1 of 12), lesion for 8% (1 of 12) and "
        "measured skin colour (ITA) for 8% (1 of 12).",
        "Known for every image: domain and patient.",
    ]
    whole = count_missing(samples, ["domain", "image_id"])
    draw(plot_missing(whole))
    assert describe_missing(whole) == ["Nothing is missing: domain and image_id are known for every image."]
    pd.testing.assert_frame_equal(samples, before)


def test_account(account, draw, texts, fits):
    figure = plot_account(account)
    draw(figure)
    assert "100 listed: 79 used, 20 excluded and 1 refused" in texts(figure) and fits(figure)
    used = [bar.get_width() for bar in figure.axes[0].patches[:2]]
    np.testing.assert_allclose(used, [0.79, 0.18])
    said = describe_account(account)
    assert said == [
        "ham: of 100 listed images, 79 used (79%), 20 excluded (20%) and 1 refused (1%).",
        f"{NASTY}: of 50 listed images, 9 used (18%), 1 excluded (2%) and 40 missing (80%).",
        "Every image present is accounted for: 110 present = 88 used + 22 excluded or refused.",
    ]
    account.loc[0, "used"] = 78
    assert describe_account(account)[-1] == "The account does not add up: 110 present, 87 used and 22 excluded or refused."


def test_nothing_at_all(samples, account, draw):
    none = samples.iloc[:0]
    for figure in (plot_cells(count_cells(none, LABELS, GROUPS)), plot_cells(count_cells(none, [], [])), plot_splits(none, LABELS),
                   plot_ita(none), plot_missing(count_missing(none)), plot_account(account.iloc[:0])):
        draw(figure)
    assert describe_cells(count_cells(none, LABELS, GROUPS)) == ["There are no images to count."]
    assert describe_splits(none, LABELS) == describe_ita(none) == describe_missing(count_missing(none)) == ["There are no images."]
    assert describe_account(account.iloc[:0]) == ["No data set was read."]


def test_many_long_names(draw, fits):
    rng = np.random.default_rng(0)
    labels = [f"a rather long name of a diagnosis, the {i}th, $x_{i}$" for i in range(12)]
    groups = [f"group with a name {i}" for i in range(6)]
    columns = {"label": labels, "group": [*groups, None], "domain": groups, "split": ["train", "test"]}
    samples = pd.DataFrame({name: rng.choice(np.array(values, dtype=object), 4000) for name, values in columns.items()})
    for figure in (plot_cells(count_cells(samples, labels, groups)), plot_splits(samples, labels)):
        draw(figure)
        assert fits(figure)


def test_sizes_that_hardly_differ():
    told = describe_cells(pd.DataFrame({"unknown": [100, 103]}, index=["a", "b"]))
    assert "The largest class, b, has about as many as the smallest, a (103 against 100)." in told
