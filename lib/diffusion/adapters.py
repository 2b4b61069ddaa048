"""LoRA adapters of a pipeline's UNet: put in, taken out, saved for any tool that reads diffusers' LoRA files, and loaded with a check."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from diffusers.utils import convert_state_dict_to_diffusers, logging
from peft import LoraConfig
from peft.tuners.lora import LoraLayer
from peft.utils import get_peft_model_state_dict
from safetensors import SafetensorError, safe_open
from torch import nn

from lib.diffusion.class_labels import FILE as CLASS_LABELS_FILE
from lib.diffusion.class_labels import ClassLabels, load_class_labels, remove_class_labels, save_class_labels
from lib.diffusion.hub import file_hash
from lib.files import write_atomically
from lib.training.seeds import seeded

NAME = "counterbalance"                         # of our adapter within the UNet
FILE = "pytorch_lora_weights.safetensors"       # the name that load_lora_weights looks for in a folder


class AdapterError(ValueError):
    """An adapter cannot be put in or loaded; the message says why."""


@dataclass(frozen=True)
class Loaded:
    """What `load_lora` found."""

    layers:       int                       # layers that the adapter changes
    class_labels: ClassLabels | None        # where the adapter was trained with class labels: turns cells into their numbers


def add_lora(
    unet:    nn.Module,             # UNet2DConditionModel; frozen, its device and dtype stay
    *,
    rank:    int,
    alpha:   float,                 # the adapter's output is scaled by alpha / rank
    dropout: float,
    targets: Sequence[str],         # endings of layer names, e.g. "to_q"
    seed:    int,
) -> dict[str, nn.Parameter]:
    """Put a fresh adapter (Hu et al. 2021; A drawn from N(0, 1/rank²), B zero) into the UNet and return its weights, fp32, by name.

    Takes out an earlier one first. AdapterError names a target that no layer of the UNet has, and those it has.
    """
    remove_lora(unet)
    _check_targets(unet, targets)
    unet.requires_grad_(False)
    config = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, init_lora_weights="gaussian", target_modules=list(targets))
    with seeded(seed, "lora"):
        unet.add_adapter(config, adapter_name=NAME)
    trainable = {name: weight for name, weight in unet.named_parameters() if f".{NAME}." in name}
    for weight in trainable.values():
        weight.data = weight.data.float()
    return trainable


def remove_lora(unet: nn.Module) -> None:
    """Take our adapter and its class labels out; without them the base's output is what it was, bit by bit."""
    if NAME in getattr(unet, "peft_config", {}):
        unet.delete_adapters([NAME])
        if not getattr(unet, "peft_config", {}):
            unet.unload_lora()      # no one else's adapter is in: the layers get their own names back
    remove_class_labels(unet)


def lora_weights(unet: nn.Module) -> dict[str, torch.Tensor]:
    """Our adapter under diffusers' names with alpha / rank multiplied in, on the CPU.

    Files of this kind carry no alpha, and readers then take it to be the rank: so the scale belongs in the weights.
    """
    config = unet.peft_config[NAME]
    scale = config.lora_alpha / config.r
    weights = convert_state_dict_to_diffusers(get_peft_model_state_dict(unet, adapter_name=NAME))
    for ours, theirs in (("lora_A", "lora.down"), ("lora_B", "lora.up")):       # left as they are by diffusers outside attention
        weights = {name.replace(f".{ours}.", f".{theirs}."): weight for name, weight in weights.items()}
    return {name: (weight * scale if ".lora.up." in name else weight).detach().cpu().contiguous() for name, weight in weights.items()}


def set_weights(unet: nn.Module, weights: Mapping[str, torch.Tensor]) -> None:
    """The inverse of `lora_weights`: into an adapter of the same shape that is in the UNet, whatever its alpha."""
    config = unet.peft_config[NAME]
    for name, weight in unet.named_parameters():
        if f".{NAME}." in name:
            up = ".lora_B." in name
            saved = weights[name.replace(f".lora_{'B' if up else 'A'}.{NAME}.", f".lora.{'up' if up else 'down'}.")]
            with torch.no_grad():
                weight.copy_(saved * (config.r / config.lora_alpha) if up else saved)


def save_lora(
    weights:      Mapping[str, torch.Tensor],       # of lora_weights
    folder:       Path,
    *,
    class_labels: ClassLabels | None = None,
) -> Path:
    """Write FILE into `folder`, which `pipe.load_lora_weights(folder)` of plain diffusers loads, and class labels beside it."""
    path = Path(folder) / FILE

    def write(temporary: Path) -> None:
        StableDiffusionPipeline.save_lora_weights(temporary.parent, unet_lora_layers=dict(weights), weight_name=temporary.name)

    write_atomically(path, write)
    if class_labels is None:
        (path.parent / CLASS_LABELS_FILE).unlink(missing_ok=True)
    else:
        save_class_labels(class_labels, path.parent / CLASS_LABELS_FILE)
    return path


def adapter_hash(folder: Path) -> str:
    """SHA-256 of FILE; where class labels lie beside it, of both hashes one after the other."""
    parts = [Path(folder) / FILE, Path(folder) / CLASS_LABELS_FILE]
    hashes = [file_hash(path) for path in parts if path.is_file()]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def load_lora(
    pipeline: StableDiffusionPipeline,
    folder:   Path,                         # of save_lora
    scale:    float = 1.0,                  # 0: the base; 1: as trained
) -> Loaded:
    """Put a saved adapter in place of any earlier one of ours and make sure that it is at work.

    AdapterError when the file is missing or damaged, or when not every one of its layers is in this UNet.
    """
    folder = Path(folder)
    wanted = _layers_in(folder / FILE)
    remove_lora(pipeline.unet)
    try:
        with _quiet():
            pipeline.load_lora_weights(folder, weight_name=FILE, adapter_name=NAME)
        found = active_layers(pipeline.unet)
    except (ValueError, RuntimeError, KeyError) as error:
        remove_lora(pipeline.unet)
        raise AdapterError(f"{folder / FILE} does not fit this base model: {str(error).splitlines()[0][:200]}") from None
    if found != wanted:
        remove_lora(pipeline.unet)
        raise AdapterError(f"{folder / FILE} changes {wanted} layers, of which this UNet has {found}; "
                           "it was trained with another base model")
    pipeline.set_adapters([NAME], [scale])
    pipeline.unet.requires_grad_(False)         # loading marks the adapter as trainable
    labels = folder / CLASS_LABELS_FILE
    try:
        return Loaded(found, load_class_labels(pipeline.unet, labels) if labels.is_file() else None)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        remove_lora(pipeline.unet)
        raise AdapterError(f"{labels} cannot be used ({str(error).splitlines()[0][:200]}); run notebook 03 again") from None


@contextmanager
def _quiet() -> Iterator[None]:
    """diffusers warns that the file holds nothing for the text encoder, which is as it should be."""
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


def active_layers(unet: nn.Module) -> int:
    """Layers in which our adapter is at work."""
    layers = [module for module in unet.modules() if isinstance(module, LoraLayer)]
    return sum(NAME in layer.lora_A and NAME in layer.active_adapters and not layer.disable_adapters for layer in layers)


def _layers_in(path: Path) -> int:
    try:
        with safe_open(path, framework="pt") as file:
            return len([name for name in file.keys() if name.endswith("lora.down.weight")])     # noqa: SIM118 (not a mapping)
    except FileNotFoundError:
        raise AdapterError(f"{path} is missing; notebook 03 writes it") from None
    except (SafetensorError, OSError) as error:
        raise AdapterError(f"{path} is damaged ({error}); run notebook 03 again") from None


def _check_targets(unet: nn.Module, targets: Sequence[str]) -> None:
    layers = [name for name, module in unet.named_modules() if isinstance(module, (nn.Linear, nn.Conv2d))]
    names = [name.removesuffix(".base_layer") for name in layers if ".lora_" not in name]       # another adapter may be in
    for target in targets:
        if not any(name == target or name.endswith("." + target) for name in names):
            endings = Counter(_ending(name) for name in names)
            has = ", ".join(f"{ending} ({count})" for ending, count in endings.most_common())
            raise AdapterError(f"diffusion.lora.targets: {target!r} matches no layer of the UNet; it has {has}")


def _ending(name: str) -> str:
    """"to_out.0" of "….attn1.to_out.0": the last part that is a word, with the numbers after it."""
    parts = name.split(".")
    start = max(place for place, part in enumerate(parts) if not part.isdigit())
    return ".".join(parts[start:])
