"""Networks: every name gives one logit per class at small sizes, every weight learns, missing ImageNet weights are explained."""

import re
from urllib.error import URLError

import pytest
import torch
from torchvision import models as torchvision_models

from lib.classify.architectures import ARCHITECTURES
from lib.classify.models import IMAGENET_MEAN, IMAGENET_STD, build_model


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_small_pictures_give_one_logit_per_class(name):
    model = build_model(name, 5).eval()
    with torch.inference_mode():
        for size in (32, 64):
            assert model(torch.rand(2, 3, size, size)).shape == (2, 5)


@pytest.mark.parametrize("size", [16, 32, 64, 128])
def test_every_weight_of_the_small_network_learns(size):
    torch.manual_seed(0)
    model = build_model("small_cnn", 3)
    torch.nn.functional.cross_entropy(model(torch.rand(8, 3, size, size)), torch.arange(8) % 3).backward()
    assert all(weight.grad is not None and weight.grad.abs().max() > 0 for weight in model.parameters())
    assert 200_000 <= sum(weight.numel() for weight in model.parameters()) <= 400_000


def test_the_network_sees_imagenet_normalised_colours():
    model = build_model("small_cnn", 2)
    seen = []
    model.network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    images = torch.rand(2, 3, 32, 32)
    model.eval()(images)
    expected = (images - torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1)) / torch.tensor(IMAGENET_STD).view(1, 3, 1, 1)
    assert torch.allclose(seen[0], expected, atol=1e-5)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match="no network is called 'vgg'; known: small_cnn, resnet18, resnet50, densenet121"):
        build_model("vgg", 2)


def test_unreachable_imagenet_weights_are_explained(monkeypatch):
    def offline(*args, **options):
        raise URLError("no route to host")

    monkeypatch.setattr(torchvision_models._api, "load_state_dict_from_url", offline)
    with pytest.raises(ValueError, match=r"resnet18: .*classifier\.pretrained: false, or place the file at .*resnet18.*\.pth"):
        build_model("resnet18", 2, pretrained=True)


def test_densenets_old_layer_names_are_understood_and_nothing_is_unpickled(monkeypatch):
    source = torchvision_models.densenet121()
    old = {re.sub(r"\.(norm|conv)([12])\.", r".\1.\2.", key): value for key, value in source.state_dict().items()}
    assert "features.denseblock1.denselayer1.norm.1.weight" in old

    def published(*args, **options):
        assert options["weights_only"] is True and options["check_hash"] is True
        return old

    monkeypatch.setattr(torchvision_models._api, "load_state_dict_from_url", published)
    built = build_model("densenet121", 2, pretrained=True).network
    assert torch.equal(built.features.denseblock1.denselayer2.conv1.weight, source.features.denseblock1.denselayer2.conv1.weight)
    assert built.classifier.out_features == 2
