"""Shapes, channels and parameter counts at 256 px as the specification has them; norms, conditions, memory layout."""

import pytest
import torch
from torch import nn

from lib.gan.networks import Critic, Generator, widths
from lib.training.seeds import seeded


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def shapes(network, given, kinds):
    """Shape after each layer of `kinds`."""
    seen = []
    hooks = [module.register_forward_hook(lambda module, inputs, output: seen.append(tuple(output.shape[1:])))
             for module in network.modules() if isinstance(module, kinds)]
    with torch.no_grad():
        network(given)
    for hook in hooks:
        hook.remove()
    return seen


def test_at_256_px_layers_and_parameters_are_those_of_the_specification():
    generator, critic = Generator(256), Critic(256)
    up = [(512, 8), (256, 16), (128, 32), (64, 64), (32, 128), (3, 256)]
    assert shapes(generator, torch.zeros(2, 100), nn.ConvTranspose2d) == [(channels, size, size) for channels, size in up]
    down = [(32, 128), (64, 64), (128, 32), (256, 16), (512, 8), (1024, 4), (1, 1)]
    assert shapes(critic, torch.zeros(1, 3, 256, 256), nn.Conv2d) == [(channels, size, size) for channels, size in down]
    between = 16 * (1024 * 512 + 512 * 256 + 256 * 128 + 128 * 64 + 64 * 32)         # 4 × 4 kernels from width to width, 11,173,888
    # 100 numbers to 16 places of 1024; a gain and an offset for each width; the last layer has a bias
    assert count(generator) == 100 * 16 * 1024 + 2 * (1024 + 512 + 256 + 128 + 64 + 32) + between + 16 * 32 * 3 + 3 == 12_817_859
    assert count(critic) == 16 * 3 * 32 + 32 + between + 2 * (64 + 128 + 256 + 512 + 1024) + 16 * 1024 == 11_195_808


@pytest.mark.parametrize(("size", "expected"), [(32, [128, 64, 32]), (64, [256, 128, 64, 32]), (512, [2048, 1024, 512, 256, 128, 64, 32])])
def test_other_sizes_double_from_the_same_last_width(size, expected):
    assert widths(size, 16) == expected and widths(size, 8) == [width // 2 for width in expected]


@pytest.mark.parametrize(("size", "nearest"), [(48, 32), (100, 128), (1024, 512), (16, 32)])
def test_a_size_that_is_no_power_of_two_names_the_nearest(size, nearest):
    with pytest.raises(ValueError, match=rf"image_size is {size}; .*one of 32, 64, 128, 256, 512; the nearest is {nearest}"):
        Generator(size)


@pytest.mark.parametrize("size", [32, 64, 128])
def test_images_fill_their_range_and_scores_have_none(size):
    images = Generator(size, latent=8, features=2)(torch.randn(4, 8))
    assert images.shape == (4, 3, size, size) and images.abs().max() < 1
    assert Critic(size, features=2)(images).shape == (4,)


def test_layout_stays_channels_last_all_the_way():
    generator, critic = (network.to(memory_format=torch.channels_last) for network in (Generator(32, 8, 4), Critic(32, 4)))
    layouts = []
    for network in (generator, critic):
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.BatchNorm2d | nn.GroupNorm):
                module.register_forward_hook(lambda module, inputs, output: layouts.append(
                    output.is_contiguous(memory_format=torch.channels_last)))
    critic(generator(torch.randn(2, 8)))
    assert len(layouts) == 12 and all(layouts)


def test_norms_stand_where_the_specification_has_them_and_the_critics_is_instance_norm():
    critic = Critic(64, features=4)
    assert [norm.num_channels for norm in critic.norms] == [16, 32, 64]              # not after the first convolution, nor the last
    hidden = torch.randn(3, 16, 5, 5)
    with torch.no_grad():
        critic.norms[0].bias.normal_()
    instance = nn.InstanceNorm2d(16, affine=True)
    instance.load_state_dict(critic.norms[0].state_dict())
    assert torch.allclose(critic.norms[0](hidden), instance(hidden), atol=1e-6)


def test_the_critic_sees_each_image_alone():
    critic, images = Critic(32, features=2), torch.randn(6, 3, 32, 32)
    assert torch.allclose(critic(images), torch.cat([critic(image[None]) for image in images]), atol=1e-5)


def test_initial_weights_are_narrow():
    with seeded(0, "test"):
        networks = Generator(64), Critic(64)
    for module in (module for network in networks for module in network.modules()):
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            assert abs(module.weight.std().item() - 0.02) < 0.002 and (module.bias is None or not module.bias.any())
        if isinstance(module, nn.BatchNorm2d | nn.GroupNorm):
            assert abs(module.weight.mean().item() - 1) < 0.02 and not module.bias.any()


# ── several classes ──────────────────────────────────────────────────────────────────────────────────────────────

def test_classes_share_weights_but_for_gains_and_offsets():
    plain, conditional = Generator(32, 8, 2), Generator(32, 8, 2, classes=3)
    assert count(conditional) - count(plain) == (3 - 1) * 2 * sum(widths(32, 2))
    labels, noise = torch.tensor([0, 1, 2, 0]), torch.randn(1, 8).expand(4, 8)
    images = conditional(noise, labels)
    assert torch.allclose(images[0], images[1])                # no class differs before training
    with torch.no_grad():
        conditional.norms[1].gain.weight[1] = 2.0
    images = conditional.eval()(noise, labels)
    assert torch.allclose(images[0], images[2]) and torch.allclose(images[0], images[3]) and not torch.allclose(images[0], images[1])


def test_the_critics_projection_is_that_of_the_paper():
    critic, images, labels = Critic(32, features=2, classes=3), torch.randn(4, 3, 32, 32), torch.tensor([2, 0, 1, 1])
    features = []
    critic.score.register_forward_hook(lambda module, inputs, output: features.append((inputs[0], output)))
    scores = critic(images, labels)
    summed, unconditional = features[0][0].sum(dim=(2, 3)), features[0][1].flatten()
    expected = [unconditional[i] + critic.classify.weight[labels[i]] @ summed[i] for i in range(4)]
    assert torch.allclose(scores, torch.stack(expected), atol=1e-5)


@pytest.mark.parametrize("network", [lambda: Generator(32, 8, 2, classes=2)(torch.zeros(2, 8)),
                                     lambda: Critic(32, 2, classes=2)(torch.zeros(2, 3, 32, 32))])
def test_a_conditional_network_asks_for_classes(network):
    with pytest.raises(ValueError, match="give the class number of each image"):
        network()
