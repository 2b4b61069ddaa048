"""A generator on disk and back: the same images; what is missing, damaged or mixed up is explained."""

import json

import numpy as np
import pytest
import torch

from lib.gan.model import CARD, WEIGHTS, GanModel, GeneratorError, load_generator, load_generators, read_card, save_generator
from lib.gan.networks import Generator
from lib.training.seeds import seeded, torch_generator


def made(classes=0, seed=0):
    with seeded(seed, "weights"):
        generator = Generator(32, 4, 2, classes)
        with torch.no_grad():
            generator(torch.randn(64, 4), torch.randint(classes, (64,)) if classes else None)         # statistics of its norms
    return generator.eval()


def noise(count=5):
    return torch.randn(count, 4, generator=torch_generator(0, "noise"))


def test_what_is_saved_draws_the_same_when_loaded(tmp_path):
    save_generator(tmp_path, made(), {"iterations": 3}, ["nevus"])
    model = load_generator(tmp_path)
    assert np.array_equal(model.draw(noise()), GanModel(made(), ("nevus",)).draw(noise()))
    assert model.classes == ("nevus",) and model.image_size == 32 and model.latent == 4 and len(model.sha256) == 64
    assert read_card(tmp_path)["config"] == {"iterations": 3}
    assert sorted(path.name for path in tmp_path.iterdir()) == [CARD, WEIGHTS]


def test_images_are_the_generators_output_in_bytes():
    generator = made()
    with torch.no_grad():
        expected = ((generator(noise()).double() + 1) * 127.5).round().permute(0, 2, 3, 1).numpy()
    images = GanModel(generator, ("nevus",)).draw(noise())
    assert images.dtype == np.uint8 and images.shape == (5, 32, 32, 3) and np.abs(images - expected).max() <= 1


def test_an_image_does_not_depend_on_its_batch():
    model = GanModel(made(), ("nevus",))
    one_by_one = np.concatenate([model.draw(noise()[i:i + 1]) for i in range(5)])
    assert np.abs(model.draw(noise()).astype(int) - one_by_one).max() <= 1          # last bits of a sum depend on the batch's shape


def test_a_conditional_model_draws_the_class_that_is_asked_for(tmp_path):
    generator = made(classes=2)
    with torch.no_grad():
        generator.norms[-1].offset.weight[1] += 1.0
    save_generator(tmp_path, generator, {}, ["akiec", "nevus"])
    model = load_generator(tmp_path)
    mixed = model.draw(noise(2).clone(), ["nevus", "akiec"])
    assert np.abs(mixed[0].astype(int) - model.draw(noise(2), ["nevus"] * 2)[0]).max() <= 1
    assert np.abs(mixed[1].astype(int) - model.draw(noise(2), ["akiec"] * 2)[1]).max() <= 1
    assert not np.array_equal(model.draw(noise(2), ["nevus"] * 2), model.draw(noise(2), ["akiec"] * 2))
    with pytest.raises(ValueError, match="draws akiec, nevus; say which"):
        model.draw(noise())
    with pytest.raises(ValueError, match="does not draw 'melanoma'; it draws akiec, nevus"):
        model.draw(noise(1), ["melanoma"])
    with pytest.raises(ValueError, match="1 labels for 5 rows of noise"):
        model.draw(noise(), ["nevus"])


def test_a_folder_for_each_class(tmp_path):
    save_generator(tmp_path / "b", made(), {}, ["nevus"])
    save_generator(tmp_path / "a", made(classes=2), {}, ["akiec", "df"])
    models = load_generators(tmp_path)
    assert list(models) == ["akiec", "df", "nevus"] and models["akiec"] is models["df"]
    save_generator(tmp_path / "c", made(), {}, ["df"])
    with pytest.raises(GeneratorError, match=r"c: another folder of .* draws 'df' as well"):
        load_generators(tmp_path)
    with pytest.raises(GeneratorError, match="there is no generator in any folder of it; run 04_wgan_gp"):
        load_generators(tmp_path / "nowhere")


@pytest.mark.parametrize("name", [CARD, WEIGHTS])
def test_a_missing_file_is_named(tmp_path, name):
    save_generator(tmp_path, made(), {}, ["nevus"])
    (tmp_path / name).unlink()
    with pytest.raises(GeneratorError, match=rf"there is no generator \({name} is missing\); run 04_wgan_gp"):
        load_generator(tmp_path)


def test_weights_that_are_not_the_cards_are_refused(tmp_path):
    save_generator(tmp_path / "a", made(), {}, ["nevus"])
    save_generator(tmp_path / "b", made(seed=1), {}, ["nevus"])
    (tmp_path / "a" / WEIGHTS).write_bytes((tmp_path / "b" / WEIGHTS).read_bytes())
    with pytest.raises(GeneratorError, match=r"is not the file that generator\.json describes"):
        load_generator(tmp_path / "a")


def test_a_card_that_is_cut_short_or_of_another_network_is_refused(tmp_path):
    save_generator(tmp_path, made(), {}, ["nevus"])
    card = json.loads((tmp_path / CARD).read_text())
    (tmp_path / CARD).write_text(json.dumps(card | {"shape": card["shape"] | {"features": 3}}))
    with pytest.raises(GeneratorError, match="does not fit the network"):
        load_generator(tmp_path)
    (tmp_path / CARD).write_text(json.dumps(card)[:40])
    with pytest.raises(GeneratorError, match=r"generator\.json cannot be read .*; run 04_wgan_gp again"):
        load_generator(tmp_path)
