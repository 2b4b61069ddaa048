"""LPIPS from feature maps equals the `lpips` package pair by pair, with the same random backbone on both sides."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision

from lib.encoders.encoder import EncoderError
from lib.encoders.load import load_encoder

lpips = pytest.importorskip("lpips")


def as_lpips_wants(pictures):
    return torch.from_numpy(pictures).permute(0, 3, 1, 2) / 127.5 - 1


def squared(first, second):
    """Plain squared distances, averaged over positions and summed over layers, [N, M]."""
    return sum(((one[:, None].astype(float) - other[None]) ** 2).sum(axis=3).mean(axis=2) for one, other in zip(first, second, strict=True))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("backbone", ["alex", "squeeze"])
def test_equals_the_package_pair_by_pair(backbone, draw):
    encoder = load_encoder(f"lpips-{backbone}-random-0")
    first, second = draw(3, 64, seed=1), draw(2, 64, seed=2)
    found = squared(encoder.feature_maps(first), encoder.feature_maps(second))
    with torch.inference_mode():
        wanted = [[float(encoder.network(as_lpips_wants(one[None]), as_lpips_wants(other[None]))) for other in second] for one in first]
    np.testing.assert_allclose(found, wanted, rtol=1e-4)
    assert encoder.weighted_maps and np.min(wanted) > 0


def test_the_random_backbone_is_named_and_follows_its_seed(pictures):
    first, again, other = (load_encoder(f"lpips-squeeze-random-{seed}") for seed in (0, 0, 1))
    assert first.identity == again.identity and first.identity["model"] == "lpips-squeeze-random-0"
    assert first.identity["sha256"] != other.identity["sha256"]
    vectors = first.embed(pictures)
    assert vectors.dtype == np.float32 and np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(np.concatenate([first.embed(pictures[place:place + 1]) for place in range(9)]), vectors, atol=1e-5)


@pytest.mark.parametrize("backbone, network", [("alex", "alexnet"), ("squeeze", "squeezenet1_1")])
def test_torchvisions_weights_reach_their_layers(backbone, network, monkeypatch, draw):
    """The backbone's last map is one of torchvision's own network with the weights that were fetched."""
    from torchvision.models import get_model_weights

    asked = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        published = getattr(torchvision.models, network)(weights=None).eval()
    monkeypatch.setattr(type(get_model_weights(network).IMAGENET1K_V1), "get_state_dict",
                        lambda self, **options: asked.append(options) or published.state_dict())
    encoder = load_encoder(f"lpips-{backbone}")
    ready = encoder.network.scaling_layer(as_lpips_wants(draw(1, 64)))
    with torch.inference_mode():
        last = encoder.network.net(ready)[-1]
        assert any(layer.shape == last.shape and torch.allclose(layer, last) for layer in _layers(published.features, ready))
    assert encoder.name == f"lpips-{backbone}" and asked == [{"progress": False, "check_hash": True, "weights_only": True}]


def _layers(features, values):
    for layer in features:
        values = layer(values)
        yield values


def test_out_of_reach_or_unknown(tmp_path):
    assert str(tmp_path) not in load_encoder("lpips-alex", fallback="spectrum").note
    with pytest.raises(EncoderError, match=r"curation\.perceptual: 'lpips-alex' needs torchvision's alexnet.*no network here.*alexnet-owt.*"
                                           "phantom-siglip"):
        load_encoder("lpips-alex", key="curation.perceptual")
    with pytest.raises(EncoderError, match="there is no 'lpips-net'; LPIPS has lpips-alex, lpips-vgg, lpips-squeeze"):
        load_encoder("lpips-net")
    with pytest.raises(EncoderError, match="16 × 16 pixels are too small"):
        load_encoder("lpips-squeeze-random-0").feature_maps(np.zeros((1, 16, 16, 3), np.uint8))
