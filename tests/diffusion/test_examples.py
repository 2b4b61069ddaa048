"""What generators may learn from: training rows only, of the sources that the study names."""

import pytest

from lib.diffusion.examples import training_examples
from lib.diffusion.words import Words
from lib.study.generate import Prompts


@pytest.fixture
def words(tiny_samples):
    return Words(tiny_samples.prompts, tiny_samples.classes, tiny_samples.groups)


def test_every_training_row_and_no_other(tiny_samples, words):
    examples = training_examples(tiny_samples.samples, words)
    assert examples["row"].tolist() == list(range(24)) and examples.index.tolist() == list(range(24))
    first = examples.iloc[[0, 2, 4]]
    assert first["tone"].tolist() == ["1", "5", None] and first["group"].tolist() == ["I–II", "V–VI", None]
    for column in ("label", "domain", "dataset"):
        assert examples[column].tolist() == tiny_samples.samples[column].iloc[:24].tolist()
    assert training_examples(tiny_samples.samples, words, split="validation")["row"].tolist() == list(range(24, 32))


def test_by_group_the_tone_is_the_group(tiny_samples):
    words = Words(Prompts(by="group"), tiny_samples.classes, tiny_samples.groups)
    assert training_examples(tiny_samples.samples, words)["tone"].iloc[:6].tolist() == ["I–II", "I–II", "V–VI", "V–VI", None, None]


def test_only_the_named_sources(tiny_samples, words):
    samples = tiny_samples.samples.copy()
    samples.loc[0, "dataset"] = "third"
    assert training_examples(samples, words, sources=["toy"])["dataset"].unique().tolist() == ["toy"]
    with pytest.raises(ValueError, match=r"sources names toys, which has no train rows; with some: other, third, toy"):
        training_examples(samples, words, sources=["toys"])
    with pytest.raises(ValueError, match=r"no training image of nevus in third; add a source"):
        training_examples(samples, words, sources=["third"])


def test_what_is_held_out_is_of_the_same_sources(tiny_samples, words):
    held_out = training_examples(tiny_samples.samples, words, sources=["other"], split="validation")
    assert held_out["row"].tolist() == [24, 28] and set(held_out["dataset"]) == {"other"}
    samples = tiny_samples.samples.copy()
    samples.loc[0, "dataset"] = "third"                             # too small to have validation rows: the others' are scored
    assert training_examples(samples, words, sources=["other", "third"], split="validation")["row"].tolist() == [24, 28]
    with pytest.raises(ValueError, match="sources names toys, which has no validation rows"):
        training_examples(samples, words, sources=["toys"], split="validation")


def test_a_source_that_only_tests_is_never_learnt_from(tiny_samples, words):
    samples = tiny_samples.samples.assign(dataset="toy")
    samples.loc[32, "dataset"] = "judge"
    with pytest.raises(ValueError, match="judge, which has no train rows"):
        training_examples(samples, words, sources=["judge"])
    with pytest.raises(ValueError, match="split is 'test'; generators see train"):
        training_examples(samples, words, split="test")


def test_a_class_without_images_is_named(tiny_samples, words):
    samples = tiny_samples.samples[tiny_samples.samples["label"] == "nevus"]
    with pytest.raises(ValueError, match=r"no training image of melanoma; add a source that has some, or leave the class out"):
        training_examples(samples, words)
    assert len(training_examples(samples, words, split="validation")) == 4
