"""The diversity loss against a plain loop over pairs, its gradient, and its memory."""

from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from lib.diffusion.diversity import ClassDiversity
from lib.diffusion.losses import Denoised, NoiseSchedule
from lib.training.seeds import torch_generator

CLASSES = ["melanoma", "nevus"]
SCHEDULE = NoiseSchedule(torch.linspace(0.99, 0.05, 10), "epsilon")
CPU = torch.device("cpu")


class Decoder:
    """Stands where the autoencoder stands: three channels of the latents, doubled by the scaling factor."""

    config = SimpleNamespace(scaling_factor=0.5, shift_factor=None)

    def decode(self, latents, return_dict):
        return (latents[:, :3],)


def embed(images):
    return F.normalize(F.adaptive_avg_pool2d(images, 2).flatten(1) + 0.1, dim=1)


def denoised(number, size=4, requires_grad=False):
    generator = torch_generator(0, "diversity", number)
    prediction = torch.randn(size, 4, 6, 6, generator=generator).requires_grad_(requires_grad)
    return Denoised(torch.zeros(()), torch.randn(size, 4, 6, 6, generator=generator), prediction,
                    torch.randint(10, (size,), generator=generator), SCHEDULE)


def diversity(pool=3):
    return ClassDiversity(Decoder(), embed, CLASSES, pool=pool, device=CPU)


LABELS = [["nevus", "melanoma", "nevus", "nevus"], ["melanoma", "nevus", "nevus", "melanoma"], ["nevus"] * 4, ["melanoma"] * 4]


def key(vector, weight):
    return round(float(weight), 5), round(float(vector.sum()), 4)


@pytest.mark.parametrize("pool", [2, 3, 16])
def test_it_is_the_formula(pool):
    ours, memory = diversity(pool), {name: [] for name in CLASSES}
    for number, labels in enumerate(LABELS):
        batch = denoised(number)
        value = ours.loss(batch, labels)
        vectors = embed((batch.clean * 2)[:, :3].clamp(-1, 1))
        weights = SCHEDULE.alphas_cumprod[batch.timesteps]
        for i, label in enumerate(labels):
            memory[label] = [*memory[label], (number, i, vectors[i], weights[i])][-pool:]
        if pool > 3:            # a batch fits: every image of it is remembered
            total = 0.0
            for i, label in enumerate(labels):
                others = [(w, v @ vectors[i]) for n, j, v, w in memory[label] if (n, j) != (number, i)]
                total += weights[i] * sum(w * s for w, s in others) / sum(w for w, _ in others) if others else 0.0
            torch.testing.assert_close(value, total / len(labels))
        for kind, label in enumerate(CLASSES):      # and what is remembered are the latest
            held = zip(ours.embeddings[kind], ours.weights[kind], strict=True)
            assert {key(v, w) for v, w in held if w > 0} == {key(v, w) for _, _, v, w in memory[label]}


def test_alone_in_its_class_nothing_is_asked():
    assert diversity().loss(denoised(0, 2), ["nevus", "melanoma"]) == 0


def test_a_step_down_its_gradient_makes_predictions_differ():
    batch = denoised(0, requires_grad=True)
    value = diversity().loss(batch, ["nevus"] * 4)
    value.backward()
    assert batch.prediction.grad.abs().sum() > 0
    moved = Denoised(batch.loss, batch.noisy, batch.prediction.detach() - 0.5 * batch.prediction.grad, batch.timesteps, SCHEDULE)
    assert diversity().loss(moved, ["nevus"] * 4) < value


def test_its_memory_can_be_saved_and_restored():
    whole, half = diversity(), diversity()
    for number, labels in enumerate(LABELS[:2]):
        whole.loss(denoised(number), labels)
        half.loss(denoised(number), labels)
    resumed = diversity()
    with torch.no_grad():
        for name, value in half.state.items():
            resumed.state[name].copy_(value)
    assert not any(value.requires_grad for value in whole.state.values())
    for number, labels in enumerate(LABELS[2:], start=2):
        assert torch.equal(whole.loss(denoised(number), labels), resumed.loss(denoised(number), labels))
