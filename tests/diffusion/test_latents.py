"""Cached latents are what the VAE says, made once; text embeddings are those of the pipeline."""

import errno
import os

import numpy as np
import pytest
import torch

from lib.diffusion.latents import Latents, encode, encode_prompts, prompt_ids


@pytest.fixture
def latents(tiny_pipeline, tiny_samples, tmp_path):
    return encode(tiny_pipeline.vae, tiny_samples.pixels, cache=tmp_path)


def test_mean_and_spread_are_those_of_the_vae(tiny_pipeline, tiny_samples, latents):
    images = torch.from_numpy(tiny_samples.pixels).permute(0, 3, 1, 2) / 255 * 2 - 1
    assert images.min() >= -1 and images.max() <= 1
    with torch.no_grad():
        drawn = tiny_pipeline.vae.encode(images).latent_dist
    assert len(latents) == 33 and latents.mean.dtype == np.float32
    assert np.allclose(latents.mean, 0.5 * drawn.mean.numpy(), atol=1e-5)
    assert np.allclose(latents.std, 0.5 * drawn.std.numpy(), atol=1e-5)


def test_a_draw_has_their_mean_and_spread_and_follows_the_generator(latents):
    rows = np.array([3] * 4000)
    drawn = latents.sample(rows, torch.Generator().manual_seed(0))
    assert torch.allclose(drawn.mean(0), torch.tensor(latents.mean[3]), atol=5 * latents.std[3].max() / 4000 ** 0.5)
    assert torch.allclose(drawn.std(0), torch.tensor(latents.std[3]), rtol=0.1)
    assert torch.equal(drawn, latents.sample(rows, torch.Generator().manual_seed(0)))


def test_chosen_rows_come_in_the_asked_order(tiny_pipeline, tiny_samples, latents, tmp_path):
    chosen = encode(tiny_pipeline.vae, tiny_samples.pixels, np.array([7, 2, 30]), cache=tmp_path)
    assert np.allclose(chosen.mean, latents.mean[[7, 2, 30]], atol=1e-5)


def test_with_flips_a_draw_is_of_any_of_eight_views_of_the_image(tiny_pipeline, tiny_samples, latents, tmp_path):
    told = []
    both = encode(tiny_pipeline.vae, tiny_samples.pixels, flips=True, cache=tmp_path, progress=lambda done, of: told.append((done, of)))
    assert len(both) == 33 and both.views == 8 and told[-1] == (33, 33)
    assert np.allclose(both.mean[::8], latents.mean, atol=1e-5)                      # the first view is the image as it is
    images = torch.from_numpy(tiny_samples.pixels[5].copy()).permute(2, 0, 1)
    views = {key: torch.rot90(images.flip(2) if mirrored else images, turns, (1, 2))
             for key, (mirrored, turns) in enumerate([(m, t) for m in (False, True) for t in range(4)])}
    with torch.no_grad():
        wanted = tiny_pipeline.vae.encode(torch.stack(list(views.values())) / 255 * 2 - 1).latent_dist.mean.numpy() * 0.5
    found = {next(key for key in views if np.allclose(one, wanted[key], atol=1e-5)) for one in both.mean[5 * 8:6 * 8]}
    assert found == set(views)
    calm = Latents(both.mean, np.zeros_like(both.std), 8)
    drawn = calm.sample(np.array([5] * 200), torch.Generator().manual_seed(0))
    assert len(np.unique(drawn.numpy().round(5), axis=0)) == 8
    assert all(np.isclose(both.mean[40:48], one, atol=1e-6).all(axis=(1, 2, 3)).any() for one in drawn.numpy())


def test_they_are_made_once_and_again_when_anything_differs(tiny_pipeline, tiny_samples, tmp_path):
    vae, pixels, told = tiny_pipeline.vae, tiny_samples.pixels.copy(), []

    def made(**options):
        told.clear()
        encode(vae, pixels, cache=tmp_path, progress=lambda done, of: told.append((done, of)), **options)
        return bool(told)

    assert made() and told[-1] == (33, 33) and not made()
    pixels[4, 0, 0, 0] ^= 1
    assert made()
    with torch.no_grad():
        vae.encoder.conv_in.weight[0, 0, 0, 0] += 1e-3
    assert made() and made(batch_size=4) and made(flips=True) and not made()
    for path in tmp_path.glob("*.npy"):
        path.write_bytes(path.read_bytes()[:500])        # cut short
    assert made() and not made()


def test_a_disk_without_room_is_an_error_before_anything_is_written(tiny_pipeline, tiny_samples, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match=r"the disk has no room for 0 MB of encoded images; free some space") as error:
        encode(tiny_pipeline.vae, tiny_samples.pixels, cache=tmp_path)
    assert error.value.errno == errno.ENOSPC and [path.suffix for path in tmp_path.iterdir()] == [".lock"]

    def never(*_):
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "posix_fallocate", never)       # some file systems cannot reserve
    assert len(encode(tiny_pipeline.vae, tiny_samples.pixels, cache=tmp_path)) == 33


def test_the_batch_size_changes_nothing_but_rounding(tiny_pipeline, tiny_samples, latents, tmp_path):
    assert np.allclose(encode(tiny_pipeline.vae, tiny_samples.pixels, cache=tmp_path, batch_size=3).mean, latents.mean, atol=1e-5)


def test_a_size_that_does_not_fit_is_refused(tiny_pipeline, tiny_samples, tmp_path):
    with pytest.raises(ValueError, match=r"uint8 \[30, 30, 3\]; the VAE takes uint8 \[S, S, 3\] with S a multiple of 4"):
        encode(tiny_pipeline.vae, tiny_samples.pixels[:, :30, :30], cache=tmp_path)


def test_prompts_are_encoded_as_the_pipeline_does_it(tiny_pipeline):
    prompts = ["a photo of melanoma", "", "a photo of melanoma", "a dermoscopic photo of nevus on fitzpatrick type vi skin"]
    found = encode_prompts(tiny_pipeline.tokenizer, tiny_pipeline.text_encoder, prompts)
    assert list(found) == [prompts[0], "", prompts[3]]
    for prompt, embedding in found.items():
        wanted, _ = tiny_pipeline.encode_prompt(prompt, "cpu", 1, False)
        assert torch.allclose(embedding, wanted[0], atol=1e-5) and not embedding.requires_grad


def test_a_token_with_several_vectors_is_written_out(tiny_pipeline):
    tiny_pipeline.load_textual_inversion({"<x>": torch.randn(3, 32)})
    ids = prompt_ids(tiny_pipeline.tokenizer, ["a photo of <x> skin"])[0].tolist()
    assert [one for one in ids if one > tiny_pipeline.tokenizer.eos_token_id] == sorted(
        tiny_pipeline.tokenizer.convert_tokens_to_ids(["<x>", "<x>_1", "<x>_2"]))


def test_a_prompt_that_would_be_cut_off_is_refused(tiny_pipeline):
    with pytest.raises(ValueError, match=r"has 19 tokens and the text encoder reads 16; shorten diffusion\.prompts"):
        encode_prompts(tiny_pipeline.tokenizer, tiny_pipeline.text_encoder, [" ".join(["melanoma"] * 17)])
