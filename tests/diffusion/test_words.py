"""Prompts, tokens' names and cells: what the study says, what is unknown, and what would be confused."""

import pandas as pd
import pytest

from lib.diffusion.words import Cell, Words, prompts_of, token_name
from lib.study import Groups
from lib.study.generate import Prompts

CLASSES = ["melanoma", "basal cell carcinoma"]
SEX = Groups(column="sex", values={"women": ["female"], "men": ["male"]})


def words(classes=CLASSES, groups=None, **prompts):
    return Words(Prompts(**prompts), classes, groups or Groups())


@pytest.mark.parametrize(("cell", "name"), [
    (Cell("melanoma", "6"), "<melanoma-fst-vi>"),
    (Cell("nevus", "I–II"), "<nevus-fst-i-ii>"),
    (Cell("basal cell carcinoma", "1"), "<basal-cell-carcinoma-fst-i>"),
    (Cell("melanoma"), "<melanoma>"),
    (Cell("Crème brûlée", "men"), "<creme-brulee-men>"),
])
def test_names_of_tokens(cell, name):
    assert token_name(cell) == name


def test_a_label_without_a_letter_cannot_name_a_token():
    with pytest.raises(ValueError, match=r"'!!' has no letter or digit"):
        words(["!!", "nevus"])


def test_cells_have_an_order_also_without_a_tone():
    cells = [Cell("b", "2"), Cell("a", "6"), Cell("a"), Cell("b"), Cell("a", "1")]
    assert sorted(cells) == [Cell("a"), Cell("a", "1"), Cell("a", "6"), Cell("b"), Cell("b", "2")]


def test_prompts_by_type():
    by_type = words()
    assert by_type.prompt(Cell("melanoma", "5"), "dermoscopic") == "a dermoscopic photo of melanoma on fitzpatrick type v skin"
    assert by_type.prompt(Cell("melanoma"), "clinical") == "a clinical photo of melanoma"
    assert by_type.prompt(Cell("melanoma", "5"), None) == "a photo of melanoma on fitzpatrick type v skin"
    learnt = ["<melanoma-fst-v>", "<melanoma>"]
    assert by_type.prompt(Cell("melanoma", "5"), "clinical", learnt) == "a clinical photo of <melanoma-fst-v>"
    assert by_type.prompt(Cell("melanoma"), "clinical", learnt) == "a clinical photo of <melanoma>"
    assert by_type.prompt(Cell("melanoma", "6"), "clinical", learnt) == "a clinical photo of melanoma on fitzpatrick type vi skin"
    assert by_type.tones == ["1", "2", "3", "4", "5", "6"]


def test_prompts_by_group():
    by_group = words(by="group")
    assert by_group.prompt(Cell("melanoma", "V–VI"), "clinical") == "a clinical photo of melanoma on fitzpatrick type v to vi skin"
    assert by_group.tones == ["I–II", "III–IV", "V–VI"]
    by_sex = words(groups=SEX, by="group", template="{diagnosis} of {tone}", unknown="{diagnosis}")
    assert by_sex.prompt(Cell("melanoma", "women"), "clinical") == "melanoma of women"


def test_the_study_may_choose_every_word():
    own = words(diagnoses={"melanoma": "black mole"}, tones={"6": "deep brown"}, domains={"clinical": "phone"},
                token="{domain} {token} on {tone} skin")
    assert own.prompt(Cell("melanoma", "6"), "clinical") == "a phone photo of black mole on deep brown skin"
    assert own.prompt(Cell("melanoma", "6"), "clinical", ["<melanoma-fst-vi>"]) == "phone <melanoma-fst-vi> on deep brown skin"
    assert own.prompt(Cell("melanoma"), "clinical", ["<melanoma>"]) == "a phone photo of <melanoma>"     # no tone to fill in


def test_words_for_what_does_not_exist_are_refused():
    with pytest.raises(ValueError, match=r"no class \(diffusion\.prompts\.diagnoses\) is called 'melanom'; did you mean melanoma\?"):
        words(diagnoses={"melanom": "x"})
    with pytest.raises(ValueError, match=r"no tone or group \(diffusion\.prompts\.tones\) is called '7'"):
        words(tones={"7": "x"})


def test_two_cells_with_one_name_are_refused():
    with pytest.raises(ValueError, match=r"'basal cell' and 'basal-cell' would both be called <basal-cell>"):
        words(["basal cell", "basal-cell"])
    with pytest.raises(ValueError, match=r"'a' and '1' and 'a fst i' would both be called <a-fst-i>; rename"):
        words(["a", "a fst i"])


def test_the_cell_of_an_image():
    by_type, by_group = words(), words(by="group")
    assert by_type.cell_of("melanoma", 6, "V–VI") == Cell("melanoma", "6")
    assert by_type.cell_of("melanoma", pd.NA, "V–VI") == Cell("melanoma", "V–VI")      # as fine as it was annotated
    assert by_type.cell_of("melanoma", pd.NA, None) == Cell("melanoma")
    assert by_group.cell_of("melanoma", 6, "V–VI") == Cell("melanoma", "V–VI")
    assert by_group.cell_of("melanoma", 6, None) == Cell("melanoma")
    assert words(groups=SEX).cell_of("melanoma", pd.NA, "women") == Cell("melanoma")   # a sex is no tone
    single = Groups(values={"light": [1, 2, 3], "VI": [6]})
    assert words(groups=single).cell_of("melanoma", None, "VI") == Cell("melanoma", "6")


def test_prompts_of_examples_keep_their_order():
    examples = pd.DataFrame({"label": ["melanoma"] * 3, "tone": ["5", None, "6"], "domain": ["clinical"] * 3})
    assert prompts_of(examples, words(), ["<melanoma-fst-vi>"]) == [
        "a clinical photo of melanoma on fitzpatrick type v skin", "a clinical photo of melanoma", "a clinical photo of <melanoma-fst-vi>"]


def test_a_study_without_tones_asks_for_classes_alone():
    words = Words(Prompts(by="none"), ["granulating", "closing"], Groups(column="sex", values={"female": ["female"]}))
    assert words.tones == [] and words.cell_of("closing", 5, "female") == Cell("closing")
    assert words.prompt(Cell("closing"), "clinical") == "a clinical photo of closing"
