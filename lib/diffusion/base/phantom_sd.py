"""phantom-sd: a Stable Diffusion pipeline in miniature, made from nothing but drawn pictures of skin types I to IV.

It stands where Stable Diffusion 1.5 stands: the same parts, the same noise schedule, the same calls. What it lacks is what a study
of fairness needs a base to lack: it has never seen types V and VI.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import torch
from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import CLIPTextModel

from lib.diffusion.base import autoencoder, perceptor, phantom_sd_report, unet
from lib.diffusion.base.loop import Outcome
from lib.diffusion.base.parallel import Part, side_by_side
from lib.diffusion.base.pool import SEED_PERCEPTOR, SEED_SD, Pool, draw_pool
from lib.diffusion.base.text import new_text_encoder, new_tokenizer
from lib.files import write_atomically, write_json
from lib.training.checkpoints import delete_checkpoints
from lib.training.seeds import derive_seed

FOLDER = Path(__file__).parents[2] / "assets" / "phantom_sd"
STATE  = Path("outputs/.state/phantom-sd")
TYPES_SEEN = (1, 2, 3, 4)

_IMAGES         = 48_000        # for the autoencoder, and the first _LATENTS of them for the UNet
_LATENTS        = 30_000
_PERCEPTOR      = 16_000        # pictures of the perceptor's own pool
_STEPS          = {"autoencoder": 1_600, "decoder": 1_600, "unet": 3_200, "unet again": 2_800}
_RATE_AGAIN     = 7e-4
_NORMALISED_ON  = 2_000         # pictures whose latents get zero mean and unit variance


def build(
    folder:    Path = FOLDER,
    *,
    state:     Path = STATE,        # checkpoints and finished parts; delete it to begin anew
    processes: int  = 3,            # of one thread each; with another number the weights differ a little
    workers:   int  = 2,            # processes that draw
) -> dict:
    """Draw, train, save and measure phantom-sd; returns what was measured. Run again, it goes on where it stopped."""
    _pools(workers)
    for stage in (learn_perceptor, learn_autoencoder, encode_pool, learn_unet, learn_unet_again, sharpen_decoder):
        side_by_side(partial(stage, state), processes)
    save(state, folder)
    side_by_side(partial(judge, state, folder), processes)
    return report(state, folder)


def learn_perceptor(state: Path, part: Part) -> None:
    """→ perceptor.safetensors, made by one process."""
    target = state / "perceptor.safetensors"
    if target.is_file() or part.rank > 0:
        return
    model = perceptor.fit(_pools()[0], state=state / "perceptor")
    write_atomically(target, lambda temporary: save_file(model.state_dict(), temporary))
    delete_checkpoints(state / "perceptor")


def learn_autoencoder(state: Path, part: Part) -> None:
    """→ autoencoder/, its latents normalised."""
    if (state / "autoencoder.json").is_file():
        return
    pool, model = _pools()[1], autoencoder.new_autoencoder()
    checkpoints = state / "autoencoder-steps"
    outcome = autoencoder.fit(model, pool, _perceptor(state), state=checkpoints, steps=_STEPS["autoencoder"], part=part)
    autoencoder.normalise_latents(model, pool.pixels[:_NORMALISED_ON])
    _finish(state, "autoencoder", outcome, part, {"autoencoder": model})


def encode_pool(state: Path, part: Part) -> None:
    """→ latents-<part>.safetensors: mean and spread of the latents of every so many-th picture."""
    target = state / f"latents-{part.rank}-of-{part.of}.safetensors"
    if target.is_file():
        return
    model = AutoencoderKL.from_pretrained(state / "autoencoder").eval().to(memory_format=torch.channels_last)
    latents = autoencoder.encode(model, _pools()[1].pixels[:_LATENTS][part.rank::part.of])
    mean, spread = (values.half().contiguous() for values in latents)
    write_atomically(target, lambda temporary: save_file({"mean": mean, "spread": spread}, temporary))


def learn_unet(state: Path, part: Part) -> None:
    """→ unet/ and text_encoder/."""
    if (state / "unet.json").is_file():
        return
    tokenizer = new_tokenizer()
    model, text_encoder = unet.new_unet(), new_text_encoder(tokenizer)
    outcome = unet.fit(
        model, text_encoder, tokenizer, _latents(state, part.of), _pools()[1].scenes[:_LATENTS],
        state=state / "unet-steps", steps=_STEPS["unet"], part=part,
    )
    _finish(state, "unet", outcome, part, {"unet": model, "text_encoder": text_encoder})


def learn_unet_again(state: Path, part: Part) -> None:
    """→ again/: both trained on from there with other batches and a lower rate, which sharpens what the first round left blurred."""
    if (state / "unet again.json").is_file():
        return
    model = UNet2DConditionModel.from_pretrained(state / "unet")
    text_encoder = CLIPTextModel.from_pretrained(state / "text_encoder")
    outcome = unet.fit(
        model, text_encoder, new_tokenizer(), _latents(state, part.of), _pools()[1].scenes[:_LATENTS],
        state=state / "unet again-steps", steps=_STEPS["unet again"], learning_rate=_RATE_AGAIN, even=0,
        seed=derive_seed(SEED_SD, "again"), part=part,
    )
    _finish(state, "unet again", outcome, part, {"again/unet": model, "again/text_encoder": text_encoder})


def sharpen_decoder(state: Path, part: Part) -> None:
    """→ vae/: the autoencoder with a decoder that was trained on, for the same latents."""
    if (state / "decoder.json").is_file():
        return
    model = AutoencoderKL.from_pretrained(state / "autoencoder")
    outcome = autoencoder.fit(
        model, _pools()[1], _perceptor(state), state=state / "decoder-steps", steps=_STEPS["decoder"], only_decoder=True, part=part,
    )
    _finish(state, "decoder", outcome, part, {"vae": model})


def save(state: Path, folder: Path) -> None:
    """The parts as one pipeline in half precision, which `StableDiffusionPipeline.from_pretrained(folder)` loads."""
    tokenizer = new_tokenizer()
    pipeline = StableDiffusionPipeline(
        vae=AutoencoderKL.from_pretrained(state / "vae", torch_dtype=torch.float16),
        unet=UNet2DConditionModel.from_pretrained(state / "again" / "unet", torch_dtype=torch.float16),
        text_encoder=CLIPTextModel.from_pretrained(state / "again" / "text_encoder", dtype=torch.float16), tokenizer=tokenizer,
        scheduler=PNDMScheduler(**unet.NOISE, set_alpha_to_one=False, skip_prk_steps=True, steps_offset=1),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder)
    # transformers would load the text encoder in the precision it finds, and diffusers the rest in full;
    # the folder that a part was trained in means nothing elsewhere
    for part, precision in (("text_encoder", {"dtype": "float32"}), ("vae", {}), ("unet", {})):
        config = json.loads((folder / part / "config.json").read_text())
        write_json(folder / part / "config.json", {key: value for key, value in config.items() if key != "_name_or_path"} | precision)
    # For programs that read the vocabulary as CLIP shipped it.
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    write_json(folder / "tokenizer" / "vocab.json", model["vocab"])
    lines = ["#version: 0.2", *(pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"])]
    (folder / "tokenizer" / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def judge(state: Path, folder: Path, part: Part) -> None:
    """→ measured/: one file per measure, the processes taking turns."""
    for what in phantom_sd_report.MEASURES[part.rank::part.of]:
        target = state / "measured" / f"{what}.json"
        if not target.is_file():
            write_json(target, phantom_sd_report.measure(folder, what))


def report(state: Path, folder: Path) -> dict:
    """Write card.md and measured.json from what `judge` measured; returns the latter."""
    table = {what: json.loads((state / "measured" / f"{what}.json").read_text()) for what in phantom_sd_report.MEASURES}
    table["training"] = {name: json.loads((state / f"{name}.json").read_text()) for name in _STEPS}
    pipeline = StableDiffusionPipeline.from_pretrained(folder)
    parts = {"UNet": pipeline.unet, "autoencoder": pipeline.vae, "text encoder": pipeline.text_encoder}
    table["parameters"] = {name: sum(weight.numel() for weight in model.parameters()) for name, model in parts.items()}
    table["seeds"] = {"training": SEED_SD, "perceptor": SEED_PERCEPTOR}
    write_json(folder / "measured.json", table)
    write_atomically(folder / "card.md", lambda temporary: temporary.write_text(phantom_sd_report.card(table), encoding="utf-8"))
    return table


def training_pool(workers: int = 1) -> Pool:
    """What autoencoder, text encoder and UNet learnt from."""
    return draw_pool("phantom-sd", _IMAGES, seed=SEED_SD, types=TYPES_SEEN, workers=workers)


def _pools(workers: int = 1) -> tuple[Pool, Pool]:
    """Of the perceptor, and of everything else."""
    return draw_pool("perceptor", _PERCEPTOR, seed=SEED_PERCEPTOR, types=TYPES_SEEN, workers=workers), training_pool(workers)


def _perceptor(state: Path) -> perceptor.Perceptor:
    model = perceptor.Perceptor()
    model.load_state_dict(load_file(state / "perceptor.safetensors"))
    return model.eval().requires_grad_(False)


def _latents(state: Path, processes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and spread in the order of the pool."""
    parts = [load_file(state / f"latents-{rank}-of-{processes}.safetensors") for rank in range(processes)]
    whole = []
    for name in ("mean", "spread"):
        together = torch.empty(sum(len(part[name]) for part in parts), *parts[0][name].shape[1:], dtype=torch.float16)
        for rank, part in enumerate(parts):
            together[rank::processes] = part[name]
        whole.append(together)
    return whole[0], whole[1]


def _finish(state: Path, name: str, outcome: Outcome, part: Part, models: dict) -> None:
    """The first process saves; its note comes last and says that the models are whole."""
    if part.rank == 0:
        for folder, model in models.items():
            model.save_pretrained(state / folder)
        write_json(state / f"{name}.json", {"steps": outcome.steps, "minutes": outcome.minutes, "loss": outcome.loss, "processes": part.of})
    part.wait()
    if part.rank == 0:
        delete_checkpoints(state / f"{name}-steps")
