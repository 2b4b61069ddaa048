"""From requests to images: one denoising loop over a fixed batch, each image from its own seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, PNDMScheduler, StableDiffusionPipeline
from diffusers.models.attention_processor import SlicedAttnProcessor
from PIL import Image

from lib.diffusion.anchor import OWN_MEAN, Anchors, Colour, Shape, anchor_image, hex_of
from lib.diffusion.class_labels import ClassLabels
from lib.diffusion.image_prompt import image_adapter_hash, picture_hash
from lib.diffusion.requests import Request, in_slots
from lib.study import Generation
from lib.training.runtime import machine_columns

Pictures = Mapping[str, np.ndarray]         # image id → uint8 [S, S, 3]

# name in the study → class, and what a latent diffusion model needs where its configuration was written for another scheduler
SCHEDULERS: dict[str, tuple[type, dict[str, Any]]] = {
    "dpmsolver++": (DPMSolverMultistepScheduler, {"algorithm_type": "dpmsolver++", "solver_order": 2}),      # Lu et al. 2022, 2211.01095
    "ddim":        (DDIMScheduler,               {"clip_sample": False}),                                    # Song et al. 2021, 2010.02502
    "pndm":        (PNDMScheduler,               {"skip_prk_steps": True}),                                  # Liu et al. 2022, 2202.09778
}
_NAMED  = ("diffusers", "transformers", "peft", "numpy", "pillow")
_DECODE = 2**21         # pixels that the VAE decodes at once: 8 images of 512 px


def make_scheduler(name: str, config: dict[str, Any]) -> Any:
    """A scheduler with the noise schedule of the base's own (`pipeline.scheduler.config`).

    Timesteps are spaced "trailing": the first is the last of training, so that the start is what the network was trained to see there
    (Lin et al. 2023, arXiv 2305.08891, §3.3). ValueError for PNDM with a schedule that ends in pure noise, which it cannot start from.
    """
    if name == "pndm" and config.get("rescale_betas_zero_snr"):
        raise ValueError("generation.scheduler: pndm cannot start where no signal is left, as this base was trained; use ddim, dpmsolver++")
    kind, options = SCHEDULERS[name]
    return kind.from_config(config, timestep_spacing="trailing", **options)


class DiffusionSampler:
    """Draws requests with a Stable Diffusion pipeline (tokens and adapters are loaded before)."""

    def __init__(
        self,
        pipeline:   StableDiffusionPipeline,
        generation: Generation,
        *,
        anchors:    Anchors | None  = None,     # for start: anchored
        pictures:   Pictures | None = None,     # reference images, for generation.image_prompt
        size:       int | None      = None,     # pixels per side; default: the base's own
    ):
        """ValueError where an image prompt lacks its pictures or its IP-Adapter, and where `cpu_offload` finds no GPU."""
        self.pipeline, self.generation, self.pictures = pipeline, generation, pictures
        self.batch_size = generation.batch_size
        self.mode = generation.image_prompt.mode
        self.size = size or pipeline.unet.config.sample_size * pipeline.vae_scale_factor
        self.anchors = anchors if generation.start == "anchored" and self.mode != "img2img" else None
        self.scheduler = make_scheduler(generation.scheduler, pipeline.scheduler.config)
        if generation.attention_slicing:
            pipeline.enable_attention_slicing()
        self.device, self.dtype = offload(pipeline) if generation.cpu_offload else pipeline.unet.device, pipeline.unet.dtype
        if self.mode != "none" and pictures is None:
            raise ValueError(f"generation.image_prompt.mode is {self.mode}; the sampler needs `pictures` to start from")
        if self.mode == "ip_adapter" and pipeline.unet.config.encoder_hid_dim_type != "ip_image_proj":
            raise ValueError("generation.image_prompt.mode is ip_adapter, and no IP-Adapter is loaded into the base; see attach_ip_adapter")
        self._prompts: dict[str, torch.Tensor] = {}
        self._anchor = lru_cache(maxsize=512)(self._encode_anchor)

    @torch.inference_mode()
    def __call__(self, requests: Sequence[Request]) -> list[np.ndarray | None]:
        """Images uint8 [size, size, 3] in the order of `requests`, None where pixels are not finite.

        Up to `batch_size` requests with different slots. An image depends on its own request alone: the batch is always padded to its
        full shape, and each image has its slot. ValueError where two requests share a slot.
        """
        filled = in_slots(requests, self.batch_size)
        training = self.pipeline.unet.training
        self.pipeline.unet.eval()                                   # dropout of a LoRA that is being trained
        try:
            images = self._decode(self._denoise(filled))
        finally:
            self.pipeline.unet.train(training)
            if self.generation.cpu_offload:
                self.pipeline.maybe_free_model_hooks()
        finite = images.isfinite().all(dim=(1, 2, 3)).tolist()
        pixels = (images / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).float().cpu().numpy()
        pixels = (np.nan_to_num(pixels) * 255).round().astype(np.uint8)
        return [pixels[request.slot] if finite[request.slot] else None for request in requests]

    # ── what is recorded ─────────────────────────────────────────────────────────────────────────────────────────

    def describe(self) -> dict[str, Any]:
        """Columns of the `synthetic` table that are the same for every image."""
        generation, image_prompt = self.generation, self.generation.image_prompt
        adapted = bool(getattr(self.pipeline.unet, "peft_config", None))
        attention = self.pipeline.unet.attn_processors.values()
        return {
            "generator": "diffusion", "steps": generation.steps, "guidance": generation.guidance, "scheduler": generation.scheduler,
            "lora_scale": generation.lora_scale if adapted else None, "class_labels": self._class_labels is not None,
            "strength": {"none": None, "img2img": image_prompt.strength, "ip_adapter": image_prompt.scale}[self.mode],
            **self._image_adapter, "attention_slicing": any(isinstance(one, SlicedAttnProcessor) for one in attention),
            "width": self.size, "height": self.size, "batch_size": self.batch_size, **machine_columns(self.device, self.dtype, _NAMED),
        }

    def deciding(self) -> Any:
        """The shades and shapes of the anchors and the kind of image prompt; all else is in the columns and in the hashes of models."""
        if self.anchors is None:
            return [None, [self.mode]]
        shaped = self.anchors.shapes if self.generation.anchor == "shaped" else {}
        shapes = [[*key, *map(bytes.hex, of_cell)] for key, of_cell in shaped.items()]
        return [[[*key, *map(hex_of, shades)] for key, shades in self.anchors.colours.items()], shapes, [self.mode]]

    def trace(self, request: Request) -> dict[str, Any]:
        """Where the image starts."""
        colour = self._colour(request)
        start = "img2img" if self.mode == "img2img" else "plain" if colour is None else "anchored"
        source = None if self.mode == "none" else picture_hash(self.pictures[request.source_image_id])
        shape = None if colour is None else self._shape(request)
        return {"start": start, "anchor_colour": None if colour is None else hex_of(colour), "anchor_shape": shape and shape.hex(),
                "source_sha256": source}

    @cached_property
    def _image_adapter(self) -> dict[str, Any]:
        """Columns that name the IP-Adapter; none without one."""
        options = self.generation.image_prompt
        return {} if self.mode != "ip_adapter" else {
            "image_adapter": options.adapter, "image_adapter_weights": options.weights,
            "image_adapter_sha256": image_adapter_hash(self.pipeline),
        }

    # ── the loop ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _denoise(self, requests: list[Request]) -> torch.Tensor:
        """Latents [B, C, h, w] of a full batch."""
        guided, guidance = self.generation.guidance > 1, self.generation.guidance
        timesteps = self._timesteps()
        latents = self._start(requests, int(timesteps[0]))
        told = {"encoder_hidden_states": self._embeddings(requests, guided), "class_labels": self._classes(requests, guided),
                "added_cond_kwargs": self._image_embeddings(requests, guided)}
        # the scheduler keeps its timesteps on the CPU, where it looks them up; the network gets its own
        for timestep, for_unet in zip(timesteps, timesteps.to(self.device), strict=True):
            doubled = torch.cat([latents, latents]) if guided else latents
            prediction = self.pipeline.unet(doubled, for_unet, **told, return_dict=False)[0]
            if guided:
                without, towards = prediction.chunk(2)
                prediction = without + guidance * (towards - without)          # Ho & Salimans 2022, arXiv 2207.12598, eq. 6
            latents = self.scheduler.step(prediction, timestep, latents, return_dict=False)[0]
        return latents

    def _timesteps(self) -> torch.Tensor:
        """Of this batch; img2img leaves out the first, so that a share `strength` of them remains."""
        self.scheduler.set_timesteps(self.generation.steps)
        if self.mode != "img2img":
            return self.scheduler.timesteps
        steps = self.generation.steps
        skipped = (steps - max(1, int(steps * self.generation.image_prompt.strength))) * self.scheduler.order
        if hasattr(self.scheduler, "set_begin_index"):
            self.scheduler.set_begin_index(skipped)
        return self.scheduler.timesteps[skipped:]

    def _start(self, requests: list[Request], first: int) -> torch.Tensor:
        """Noise, or noise over an image: one in a skin colour, or the reference. Drawn on the CPU, so every device starts alike.

        Over a skin colour the noise has less of a mean: that of 32 × 32 places spreads by 1/32, half of the √ā ≈ 0.07 of the colour that
        is left at the last timestep, and the network reads the two as one.
        """
        side = self.size // self.pipeline.vae_scale_factor
        kept = float(self.scheduler.alphas_cumprod[first])
        parts = []
        for request in requests:
            shape = (1, self.pipeline.unet.config.in_channels, side, side)
            noise = torch.randn(shape, generator=torch.Generator().manual_seed(request.seed)).to(self.device)
            if self.mode == "img2img":
                clean = self._encode(self.pictures[request.source_image_id])
            else:
                colour = self._colour(request)
                clean = None if colour is None else self._anchor(colour, self._shape(request))
                noise = noise if clean is None else noise - (1 - OWN_MEAN) * noise.mean(dim=(2, 3), keepdim=True)
            parts.append(noise if clean is None else kept**0.5 * clean + (1 - kept)**0.5 * noise)
        return torch.cat(parts).to(self.dtype)

    def _decode(self, latents: torch.Tensor) -> torch.Tensor:
        vae, rows = self.pipeline.vae, max(1, _DECODE // self.size**2)
        latents = latents / vae.config.scaling_factor
        return torch.cat([vae.decode(part.to(vae.dtype), return_dict=False)[0] for part in latents.split(rows)])

    # ── what the network is told ─────────────────────────────────────────────────────────────────────────────────

    def _embeddings(self, requests: list[Request], guided: bool) -> torch.Tensor:
        """[B, L, D], or [2B, L, D] with the negative prompts first."""
        prompts = [request.negative_prompt for request in requests] if guided else []
        return torch.cat([self._embedding(prompt) for prompt in (*prompts, *(request.prompt for request in requests))])

    def _embedding(self, prompt: str) -> torch.Tensor:
        if prompt not in self._prompts:
            self._prompts[prompt] = self.pipeline.encode_prompt(prompt, self.device, 1, False)[0]
        return self._prompts[prompt]

    @property
    def _class_labels(self) -> ClassLabels | None:
        module = self.pipeline.unet.class_embedding
        return module if isinstance(module, ClassLabels) else None

    def _classes(self, requests: list[Request], guided: bool) -> torch.Tensor | None:
        if self._class_labels is None:
            return None
        untold = [(None, None)] * len(requests) if guided else []
        return self._class_labels.numbers([*untold, *((request.label, request.tone) for request in requests)]).to(self.device)

    def _image_embeddings(self, requests: list[Request], guided: bool) -> dict[str, Any] | None:
        if self.mode != "ip_adapter":
            return None
        images = [Image.fromarray(np.asarray(self.pictures[request.source_image_id])) for request in requests]
        embeddings = [self.pipeline.prepare_ip_adapter_image_embeds([image], None, self.device, 1, guided)[0] for image in images]
        halves = zip(*(embedding.chunk(2) if guided else (embedding,) for embedding in embeddings), strict=True)
        return {"image_embeds": [torch.cat([part for half in halves for part in half])]}

    def _colour(self, request: Request) -> Colour | None:
        return self.anchors and self.anchors.colour(request.tone, request.group, request.domain, request.seed)

    def _shape(self, request: Request) -> Shape | None:
        return self.anchors.shape(request.label, request.tone, request.seed) if self.generation.anchor == "shaped" else None

    def _encode_anchor(self, colour: Colour, shape: Shape | None) -> torch.Tensor:
        return self._encode(anchor_image(colour, shape, self.size))

    def _encode(self, image: np.ndarray) -> torch.Tensor:
        """uint8 [S, S, 3] → the mean of its scaled latents [1, C, h, w], float32."""
        vae = self.pipeline.vae
        pixels = torch.from_numpy(np.array(image)).to(self.device).permute(2, 0, 1)[None].to(vae.dtype) / 127.5 - 1
        return (vae.encode(pixels).latent_dist.mean * vae.config.scaling_factor).float()


def offload(pipeline: StableDiffusionPipeline) -> torch.device:
    """Let the models wait on the CPU, each until the GPU needs it; the GPU. ValueError where the pipeline is on no GPU."""
    if pipeline.unet.device.type == "cuda":
        pipeline.enable_model_cpu_offload(gpu_id=pipeline.unet.device.index)
    elif not getattr(pipeline, "_all_hooks", None):                 # those of an earlier sampler
        raise ValueError("generation.cpu_offload keeps models in main memory while a GPU draws, and this run has no GPU; set it to false")
    return pipeline._execution_device
