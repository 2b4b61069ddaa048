"""The policies as a figure and in words, against a table counted by hand."""

import numpy as np
import pandas as pd
import pytest

from lib.report.taxonomy import describe_hits, describe_policies, plot_policies

pytestmark = pytest.mark.filterwarnings("error")
NASTY = "<script>a_b*c$x^2$ \\alpha & 日本"


def rows(question, policy, chosen, **groups):
    """group → (malignant, benign, non_neoplastic, left_out)"""
    return [{"question": question, "policy": policy, "chosen": chosen, "group": group.replace("_", "–"), "images": sum(counts[:3]),
             **dict(zip(("malignant", "benign", "non_neoplastic", "left_out"), counts, strict=True)),
             "malignant_share": counts[0] / sum(counts[:3]) if sum(counts[:3]) else np.nan} for group, counts in groups.items()]


@pytest.fixture
def policies():
    return pd.DataFrame([
        *rows("non-neoplastic", "exclude", False, all=(40, 60, 0, 100), I_II=(30, 30, 0, 10), V_VI=(10, 30, 0, 90)),
        *rows("non-neoplastic", "separate", False, all=(40, 60, 100, 0), I_II=(30, 30, 10, 0), V_VI=(10, 30, 90, 0)),
        *rows("non-neoplastic", "benign", True, all=(40, 160, 0, 0), I_II=(30, 40, 0, 0), V_VI=(10, 120, 0, 0)),
        *rows("actinic keratosis", "malignant", True, all=(40, 160, 0, 0), I_II=(30, 40, 0, 0), V_VI=(10, 120, 0, 0)),
        *rows("actinic keratosis", "benign", False, all=(20, 180, 0, 0), I_II=(10, 60, 0, 0), V_VI=(10, 120, 0, 0)),
        *rows("actinic keratosis", "exclude", False, all=(20, 160, 0, 20), I_II=(10, 40, 0, 20), V_VI=(10, 120, 0, 0)),
    ])


def bars(axes, part):
    return [round(patch.get_width()) for patch in axes.patches if patch.get_gid() == part]


def test_policies_are_drawn_as_counted(policies, draw, texts, fits):
    before = policies.copy()
    figure = plot_policies(policies)
    draw(figure)
    first, shares, second = figure.axes[:3]
    assert bars(first, "malignant") == [40, 40, 40] and bars(first, "left_out") == [100, 0, 0]
    assert bars(first, "non_neoplastic") == [0, 100, 0]
    assert bars(second, "malignant") == [40, 20, 20] and bars(second, "benign") == [160, 180, 160]
    drawn = sorted(round(float(line.get_xdata()[0]), 4) for line in shares.lines if line.get_gid() == "share")
    expected = policies.loc[policies["question"] == "non-neoplastic", "malignant_share"]
    assert drawn == sorted(round(share, 4) for share in expected)
    assert {"▸ count it as benign", "▸ count it as malignant", "a class of its own", "everybody", "I–II", "V–VI"} <= set(texts(figure))
    assert texts(figure, "count").count("40") == 4 and fits(figure)
    pd.testing.assert_frame_equal(policies, before)


def test_policies_in_words(policies):
    assert describe_policies(policies) == [
        "Counted are the 200 images present, before the study's own choice of rows.",
        "Disease that is no tumour: leave it out: 40% of 100 images malignant; a class of its own: 20% of 200 images malignant, 100 in a "
        "class of their own; count it as benign: 20% of 200 images malignant (the study's answer).",
        "The answer matters most in V–VI, where 8% to 25% of the images are malignant, and least in I–II (43% to 50%).",
        "Actinic keratosis: count it as malignant: 20% of 200 images malignant (the study's answer); count it as benign: 10% of 200 images "
        "malignant; leave it out: 11% of 180 images malignant.",
        "The answer matters most in I–II, where 14% to 43% of the images are malignant, and least in V–VI (8% to 8%).",
    ]


def test_small_groups_are_named_not_compared(policies):
    small = pd.concat([policies, pd.DataFrame([
        *rows("non-neoplastic", "exclude", False, III_IV=(3, 0, 0, 30)), *rows("non-neoplastic", "separate", False, III_IV=(3, 0, 30, 0)),
        *rows("non-neoplastic", "benign", True, III_IV=(3, 30, 0, 0))])])
    told = describe_policies(small)
    assert "The answer matters most in V–VI, where 8% to 25% of the images are malignant, and least in I–II (43% to 50%)." in told
    assert "Too few images under at least one answer to compare (fewer than 20): III–IV (3)." in told
    assert any("matters most in III–IV" in sentence for sentence in describe_policies(small, minimum=3))
    assert not any("Too few" in sentence for sentence in describe_policies(policies))
    assert not any("matters most" in sentence for sentence in describe_policies(policies, minimum=500))


def test_the_figure_says_which_images_are_counted(policies, texts):
    assert any("Counted: the 200 images present, before the study's own choice of rows." in text for text in texts(plot_policies(policies)))


def test_a_question_that_changes_nothing_takes_no_room(policies, draw, texts, fits):
    same = policies[policies["question"] == "actinic keratosis"].copy()
    for column in ("images", "malignant", "benign", "left_out", "malignant_share"):
        same[column] = same.groupby("group")[column].transform("first")
    table = pd.concat([policies[policies["question"] == "non-neoplastic"], same])
    assert describe_policies(table)[-1] == "Actinic keratosis: there is none among these images, so the answer changes nothing."
    figure = plot_policies(table)
    draw(figure)
    assert fits(figure) and not any("Actinic" in text for text in texts(figure))
    draw(plot_policies(same))


def test_groups_of_any_name_and_without_images(policies, draw, fits):
    policies["group"] = policies["group"].replace({"I–II": NASTY, "V–VI": "unknown"})
    policies.loc[policies["group"] == NASTY, ["images", "malignant", "benign", "non_neoplastic", "malignant_share"]] = [0, 0, 0, 0, np.nan]
    figure = plot_policies(policies)
    draw(figure)
    assert fits(figure) and not any("matters most" in sentence for sentence in describe_policies(policies))
    everybody = policies[policies["group"] == "all"]
    figure = plot_policies(everybody)
    draw(figure)
    assert fits(figure)


def test_nothing_to_compare(policies, draw):
    draw(plot_policies(None))
    assert describe_policies(None) == ["The taxonomy has no say here: at least one source's diagnoses have no conditions."]
    policies[["images", "malignant", "benign", "non_neoplastic"]] = 0
    draw(plot_policies(policies))
    assert describe_policies(policies) == ["There are no images."]


def test_hits_in_words():
    hits = pd.DataFrame({"rule": ["melanoma", "melanoma", "nevus", "none"], "dataset": ["ddi", "ddi", None, "ddi"],
                         "diagnosis": ["melanoma", "melanoma-in-situ", None, NASTY], "images": [1_200, 1, 0, 3]})
    assert describe_hits(hits) == [
        "1 keyword rule of 2 read 2 diagnoses of 1,201 images in ddi.", "Without a hit: nevus.",
        f"No rule reads {NASTY} (3); the study has to name a condition for each."]
    assert describe_hits(hits.iloc[:0]) == ["No source is read by keyword rules."]
