"""Pairs as pictures, overlap as a table, and sentences that say whether a scene is kept on one side."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lib.data.duplicates import PAIRS, count_overlap
from lib.report.duplicates import describe_overlap, describe_pairs, plot_overlap, plot_pairs
from lib.report.style import ReportFigure

ROWS = [
    ("i0", "i1", "identical", 0.0, "a", "a", True, True), ("i0", "i2", "near", 0.2, "a", "b", False, True),
    ("i2", "i3", "near", 0.5, "b", "b", False, False), ("i3", "i9", "published", np.nan, "b", "a", False, True),
    ("i4", "i5", "embedding", 0.02, "a", "a", True, True),
]


def table_of(rows):
    return pd.DataFrame([(*row, f"{row[0]}.png", f"{row[1]}.png") for row in rows], columns=list(PAIRS))


@pytest.fixture
def world(tmp_path):
    """Pairs, samples with splits (i9 was set aside) and roots with tall, wide and square pictures."""
    for dataset in "ab":
        (tmp_path / dataset).mkdir()
        for k in range(10):
            shape = [(60, 40, 3), (40, 60, 3), (50, 50, 3)][k % 3]
            Image.fromarray(np.random.default_rng(k).integers(0, 256, shape, dtype=np.uint8)).save(tmp_path / dataset / f"i{k}.png")
    samples = pd.DataFrame({"image_id": [f"i{k}" for k in range(6)], "label": "nevus", "cluster_id": ["p0"] * 4 + ["p4"] * 2,
                            "split": ["train"] * 4 + ["test"] * 2})
    return table_of(ROWS), samples, {name: tmp_path / name for name in "ab"}


def texts(figure, gid=None):
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")) if gid in (None, text.get_gid())]


def test_the_most_suspicious_pairs_come_first(world):
    figure = plot_pairs(*world)
    assert isinstance(figure, ReportFigure) and len(figure.axes[0].images) == 10
    assert texts(figure, "doubts") == ["two patients and two sources", "two patients and two labels", "two patients and two sources"]
    captions = [text for text in texts(figure) if "distance 0." in text or text in ("identical", "published list")]
    assert captions == ["published list", "near-duplicate, distance 0.50", "near-duplicate, distance 0.20", "encoder, distance 0.02",
                        "identical"]
    assert "set aside" in texts(figure) and "nevus, test" in texts(figure)
    few = plot_pairs(*world, limit=2)
    assert len(few.axes[0].images) == 4 and "3 more pairs are not shown" in few.get_supxlabel()
    few.savefig(world[2]["a"] / "figure.png")


def test_a_picture_that_is_gone_says_so_and_samples_need_no_split(world):
    pairs, samples, roots = world
    (roots["a"] / "i0.png").unlink()
    figure = plot_pairs(pairs, samples.drop(columns="split"), roots)
    assert len(texts(figure, "gone")) == 2 and "cannot be read" in texts(figure, "gone")[0].replace("\n", " ") and "nevus" in texts(figure)


def test_no_pairs_no_pictures(world):
    assert "No two images were found" in " ".join(texts(plot_pairs(table_of([]), *world[1:])))
    assert describe_pairs(table_of([]), world[1]) == ["No two images were found to show one scene."]


def test_overlap_as_figure_and_sentences(world):
    overlap = count_overlap(world[0], ["a", "b", "c"])
    figure = plot_overlap(overlap)
    assert texts(figure, "pairs") == ["2", "2", "none", "1", "none", "none"]
    assert "1 identical\n1 encoder" in texts(figure) and "1 near-duplicate\n1 published list" in texts(figure)
    assert describe_overlap(overlap) == ["a and b share scenes: 2 images of the one, 2 of the other."]
    assert describe_overlap(count_overlap(world[0].iloc[:1], ["a", "b"])) == ["No image of one source was found in another."]
    assert describe_overlap(count_overlap(world[0], ["a"])) == []
    figure.savefig(world[2]["a"] / "overlap.png")


def test_sentences_answer_the_question(world):
    pairs, samples, _ = world
    assert describe_pairs(pairs, samples) == [
        "5 pairs of images show one scene: 1 identical, 2 near-duplicate (re-encoded, resized, slightly cropped, mirrored or "
        "turned), 1 named by a published list and 1 alike to the encoder.",
        "Of these pairs, 3 are filed under two patients, 2 lie in two sources and 1 carries two labels, of which one is probably wrong.",
        "Each of the 4 pairs of which both images are used lies in one split, so no scene is tested that was seen in training.",
        "Of 1 pair, an image or both were set aside; the list of what is not used gives the reason.",
    ]
    assert "lies in one cluster" in describe_pairs(pairs, samples.drop(columns="split"))[2]
    torn = samples.assign(split=["train", "test", "train", "train", "test", "test"])
    assert "1 pair is torn between splits (first: i0 and i1)." in describe_pairs(pairs, torn)
    assert describe_pairs(pairs.iloc[:1], samples) == [
        "1 pair of images shows one scene: 1 identical.",
        "The pair of which both images are used lies in one split, so no scene is tested that was seen in training."]
    stranger = pairs.iloc[2:3].assign(image_id="i0")
    assert describe_pairs(stranger, samples)[1] == \
        "It is filed under two patients and carries two labels, of which one is probably wrong."


def test_what_two_sources_have_under_one_name(world):
    _, samples, roots = world
    pairs = table_of([("i0", "i0", "same name", np.nan, "a", "b", False, True), ("i1", "i1", "same name", np.nan, "a", "b", False, False),
                      ROWS[1]])
    assert describe_overlap(count_overlap(pairs, ["a", "b"])) == ["a and b share scenes: 2 images of the one, 3 of the other."]
    said = describe_pairs(pairs, samples)
    assert said[0].startswith("3 pairs of images show one scene: 2 under one name in two sources and 1 near-duplicate")
    assert said[2].startswith("The pair of which both images are used") and said[3].startswith("Of 2 pairs, an image or both")
    figure = plot_pairs(pairs, samples, roots)
    assert texts(figure, "doubts") == ["two patients and two sources", "two labels"] and texts(figure).count("not used") == 2
    assert "2 same name" in " ".join(texts(plot_overlap(count_overlap(pairs, ["a", "b"]))))
