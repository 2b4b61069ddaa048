"""The denoising loss against diffusers' own schedulers and training script, and against values worked out by hand."""

import pytest
import torch
from diffusers import DDPMScheduler, PNDMScheduler
from diffusers.training_utils import compute_snr

from lib.diffusion.losses import NoiseSchedule, denoising_loss
from lib.training.seeds import torch_generator

PREDICTIONS = ("epsilon", "v_prediction")


def scheduler(prediction="epsilon", **options):
    """The schedule of Stable Diffusion 1.5."""
    return DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type=prediction, **options)


def batch(seed=0, size=6):
    generator = torch_generator(seed, "test")
    return torch.randn(size, 4, 5, 3, generator=generator), torch.randn(size, 2, 8, generator=generator)


class Network:
    """Stands where the UNet stands: any function of what it is given."""

    def __init__(self, dtype=torch.float32):
        self.dtype, self.seen = dtype, []

    def __call__(self, noisy, timesteps, *, encoder_hidden_states, class_labels, return_dict):
        self.seen.append((noisy, timesteps, encoder_hidden_states, class_labels))
        return ((noisy.tanh() + timesteps[:, None, None, None] / 1000).to(self.dtype),)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_schedule_is_that_of_diffusers(prediction):
    theirs, (clean, _) = scheduler(prediction), batch()
    ours, noise, timesteps = NoiseSchedule.of(theirs), torch.randn_like(clean), torch.tensor([0, 1, 250, 500, 998, 999])
    noisy = theirs.add_noise(clean, noise, timesteps)
    wanted = noise if prediction == "epsilon" else theirs.get_velocity(clean, noise, timesteps)
    torch.testing.assert_close(ours.add_noise(clean, noise, timesteps), noisy)
    torch.testing.assert_close(ours.target(clean, noise, timesteps), wanted)
    torch.testing.assert_close(ours.snr(timesteps), compute_snr(theirs, timesteps))
    torch.testing.assert_close(ours.clean(noisy, wanted, timesteps), clean, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_clean_latents_agree_with_a_step_of_the_scheduler(prediction):
    theirs, (noisy, _) = scheduler(prediction, clip_sample=False), batch()
    guess = torch.randn_like(noisy)
    for t in (3, 400, 999):
        step = theirs.step(guess, t, noisy).pred_original_sample
        torch.testing.assert_close(NoiseSchedule.of(theirs).clean(noisy, guess, torch.full((6,), t)), step, atol=1e-5, rtol=1e-4)


def test_any_scheduler_of_a_pipeline_gives_the_same_schedule():
    theirs = PNDMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    assert torch.equal(NoiseSchedule.of(theirs).alphas_cumprod, NoiseSchedule.of(scheduler()).alphas_cumprod)


def test_a_network_that_predicts_something_else_is_refused():
    with pytest.raises(ValueError, match="prediction_type 'sample'; training knows epsilon and v_prediction"):
        NoiseSchedule.of(scheduler("sample"))


def test_weights_by_hand():
    # ā of 1/2, 4/5, 10/11 and 0 mean a ratio of 1, 4, 10 and 0
    kept = torch.tensor([1 / 2, 4 / 5, 10 / 11, 0.0])
    timesteps = torch.arange(4)
    torch.testing.assert_close(NoiseSchedule(kept, "epsilon").min_snr_weights(timesteps, 5), torch.tensor([1, 1, 0.5, 1]))
    torch.testing.assert_close(NoiseSchedule(kept, "v_prediction").min_snr_weights(timesteps, 5), torch.tensor([1 / 2, 4 / 5, 5 / 11, 0]))
    torch.testing.assert_close(NoiseSchedule(kept, "epsilon").noisy_end_weights(timesteps, 1.5), torch.tensor([1.5, 5 / 4, 11 / 10, 1.5]))
    torch.testing.assert_close(NoiseSchedule(kept, "v_prediction").noisy_end_weights(timesteps, 1.5), torch.ones(4))


def test_weighted_the_error_of_the_noise_is_that_of_v():
    theirs, (clean, words) = scheduler(), batch()
    schedule, network = NoiseSchedule.of(theirs), Network()
    ours = denoising_loss(network, schedule, clean, words, generator=torch_generator(1, "noise"), noisy_end=1e9)
    kept = schedule.alphas_cumprod[ours.timesteps][:, None, None, None]
    spread = (1 - kept).sqrt()
    v = [kept.sqrt() * noise - spread * image for noise, image in (
        (ours.prediction, ours.clean), ((ours.noisy - kept.sqrt() * clean) / spread, clean))]
    torch.testing.assert_close(ours.loss, torch.nn.functional.mse_loss(*v), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("gamma", [None, 1.0, 5.0])
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_loss_is_that_of_the_published_training_script(prediction, gamma):
    """The lines of diffusers' examples/text_to_image/train_text_to_image_lora.py that come after the noise is drawn."""
    theirs, (clean, words) = scheduler(prediction), batch()
    network = Network()
    ours = denoising_loss(network, NoiseSchedule.of(theirs), clean, words, generator=torch_generator(1, "noise"), min_snr_gamma=gamma)

    generator = torch_generator(1, "noise")
    timesteps = torch.randint(1000, (6,), generator=generator)
    noise = torch.randn(clean.shape, generator=generator)
    target = noise if prediction == "epsilon" else theirs.get_velocity(clean, noise, timesteps)
    noisy = theirs.add_noise(clean, noise, timesteps)
    guess = network(noisy, timesteps, encoder_hidden_states=words, class_labels=None, return_dict=False)[0]
    if gamma is None:
        wanted = torch.nn.functional.mse_loss(guess, target)
    else:
        snr = compute_snr(theirs, timesteps)
        weights = torch.stack([snr, gamma * torch.ones_like(timesteps)], dim=1).min(dim=1)[0]
        weights = weights / (snr if prediction == "epsilon" else snr + 1)
        loss = torch.nn.functional.mse_loss(guess, target, reduction="none")
        wanted = (loss.mean(dim=list(range(1, len(loss.shape)))) * weights).mean()
    torch.testing.assert_close(ours.loss, wanted)
    torch.testing.assert_close(ours.clean, NoiseSchedule.of(theirs).clean(ours.noisy, guess, timesteps))


def test_offset_noise_moves_whole_channels_and_nothing_else():
    schedule, (clean, words) = NoiseSchedule.of(scheduler()), batch()
    plain, moved = (denoising_loss(Network(), schedule, clean, words, generator=torch_generator(2, "n"), offset_noise=share)
                    for share in (0.0, 0.1))
    assert torch.equal(plain.timesteps, moved.timesteps)
    spread = (1 - schedule.alphas_cumprod[plain.timesteps]).sqrt()[:, None, None, None]
    offset = (moved.noisy - plain.noisy) / spread
    torch.testing.assert_close(offset, offset.mean(dim=(2, 3), keepdim=True).expand_as(offset), atol=1e-4, rtol=1e-3)
    assert 0.05 < offset.mean(dim=(2, 3)).std() < 0.2


def test_it_depends_on_the_generator_alone_and_passes_everything_on():
    schedule, (clean, words) = NoiseSchedule.of(scheduler()), batch()
    networks = [Network(), Network()]
    first, second = (denoising_loss(network, schedule, clean, words, generator=torch_generator(3, "n"), class_labels=torch.arange(6))
                     for network in networks)
    assert torch.equal(first.loss, second.loss)
    _, _, seen_words, seen_labels = networks[0].seen[0]
    assert seen_words is words and torch.equal(seen_labels, torch.arange(6))


def test_the_loss_is_float32_whatever_the_network_computes_in():
    schedule, (clean, words) = NoiseSchedule.of(scheduler()), batch()
    assert denoising_loss(Network(torch.bfloat16), schedule, clean, words, generator=torch_generator(0, "n")).loss.dtype == torch.float32
