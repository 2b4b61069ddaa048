"""The section `gan` of a study: what it takes, what it refuses, and what draws the images of 05."""

from __future__ import annotations

import pytest
from small_study import STUDY as GOOD

from lib.study import Gan, StudyError, load_study


@pytest.fixture
def load(tmp_path):
    """A small study with sections added, and overrides."""
    def loaded(sections: str = "", overrides=None):
        path = tmp_path / "s.yaml"
        path.write_text(GOOD + sections, encoding="utf-8")
        return load_study(path, overrides)
    return loaded


def test_defaults_are_those_of_the_paper_and_the_specification(load):
    gan = load("gan: {}\n").gan
    assert (gan.penalty, gan.critic_steps, gan.learning_rate, gan.betas, gan.batch_size) == (10, 5, 1e-4, (0.0, 0.9), 16)
    assert (gan.iterations, gan.latent, gan.checkpoint_every, gan.grid_every, gan.augmentation) == (50_000, 100, 5_000, 1_000, "none")
    assert load().gan is None


@pytest.mark.parametrize("size", [32, 64, 128, 256, 512])
def test_every_power_of_two_is_taken(load, size):
    assert load(f"gan: {{image_size: {size}}}\n").gan.image_size == size


@pytest.mark.parametrize(("override", "message"), [
    ({"gan.image_size": 100},             r"gan\.image_size: got 100, expected a power of two from 32 to 512; the nearest is 128"),
    ({"gan.image_size": 16},              r"the nearest is 32"),
    ({"gan.image_size": 4096},            r"the nearest is 512"),
    ({"gan.betas": [0.5, 1.0]},           r"gan\.betas: got 1\.0, expected less than 1"),
    ({"gan.classes": ["a", "a"]},         r"gan\.classes: lists something twice"),
    ({"gan.classes": ["c"]},              r"gan\.classes names c; expected a, b"),
    ({"gan.sources": ["nowhere"]},        r"gan\.sources names nowhere; expected phantom"),
    ({"gan.batch_size": 1},               r"gan\.batch_size: got 1"),
    ({"gan.crop": "mask"},                r"gan\.crop: got \"mask\", expected 'lesion' or 'whole'"),
    ({"gan.critic_step": 5},              r"gan\.critic_step: unknown key; did you mean critic_steps\?"),
])
def test_what_cannot_be_is_told(load, override, message):
    with pytest.raises(StudyError, match=message):
        load("gan: {}\n", override)


@pytest.mark.parametrize(("sections", "drawn"), [
    ("diffusion: {}\ngeneration: {}\n",                                       ["diffusion"]),
    ("gan: {}\ngeneration: {}\n",                                             ["gan"]),
    ("gan: {}\ndiffusion: {}\ngeneration: {}\n",                              ["diffusion", "gan"]),
    ("gan: {}\ndiffusion: {}\ngeneration: {generators: [gan]}\n",             ["gan"]),
    ("gan: {}\ndiffusion: {}\ngeneration: {generators: [gan, diffusion]}\n",  ["gan", "diffusion"]),
    ("gan: {}\ndiffusion: {}\n",                                              []),
    ("gan: {classes: [a]}\ngeneration: {classes: {a: 1, b: 0}}\n",            ["gan"]),
])
def test_what_draws(load, sections, drawn):
    assert load(sections).generators == drawn


@pytest.mark.parametrize(("sections", "message"), [
    ("generation: {}\n",                                             r"add the section `diffusion` or `gan`"),
    ("gan: {}\ngeneration: {generators: [diffusion]}\n",             r"generators names diffusion, and the study has no section"),
    ("gan: {}\ngeneration: {generators: [gan, gan]}\n",              r"generation\.generators: lists something twice"),
    ("gan: {}\ngeneration: {tones: {\"5\": 1}}\n",                   r"a GAN is asked by class alone; set generation\.classes"),
    ("gan: {classes: [a]}\ngeneration: {}\n",                        r"generation asks for b, and gan\.classes gives it no generator"),
    ("gan: {classes: [a]}\ngeneration: {classes: {b: 1}}\n",         r"generation asks for b"),
    ("gan: {}\ngeneration: {}\nbenchmarks: {}\n",                    r"benchmarks times tokens, LoRA and drawing"),
    ("gan: {}\ngeneration: {}\ntruth: {}\n",                         r"truth judges what the study draws"),
])
def test_sections_that_do_not_fit_together(load, sections, message):
    with pytest.raises(StudyError, match=message):
        load(sections)


def test_labels_keep_the_order_of_the_study():
    assert Gan(classes=["c", "a"]).labels(["a", "b", "c"]) == ["a", "c"]
    assert Gan().labels(["a", "b"]) == ["a", "b"]
