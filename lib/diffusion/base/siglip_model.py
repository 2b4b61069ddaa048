"""phantom-siglip's towers, tokenizer and files, as `transformers` has them for SigLIP (Zhai et al. 2023, arXiv 2303.15343)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from scipy.fft import idctn
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch.nn import functional
from transformers import PreTrainedTokenizerFast, SiglipConfig, SiglipImageProcessor, SiglipModel, SiglipProcessor

from lib.diffusion.base import captions
from lib.files import write_atomically
from lib.training.seeds import seeded

SIZE    = 64            # pixels per side
CONTEXT = 24            # tokens of a caption, with its end
_PATCH  = 8
_WIDTH  = 192           # = 3 · 8 · 8, so a patch goes in whole
_KEPT   = 0.5           # of the patches of a picture, where only a part is looked at (Li et al. 2023, arXiv 2212.00794)


def new_model(vocabulary: int, *, seed: int) -> SiglipModel:
    """Fresh weights. The patch embedding starts as the cosine transform of a patch, which keeps everything in it."""
    config = SiglipConfig(
        text_config={
            "vocab_size": vocabulary, "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4,
            "max_position_embeddings": CONTEXT, "projection_size": _WIDTH, "pad_token_id": 0, "bos_token_id": None, "eos_token_id": 0,
        },
        vision_config={
            "image_size": SIZE, "patch_size": _PATCH, "hidden_size": _WIDTH, "intermediate_size": 2 * _WIDTH, "num_hidden_layers": 6,
            "num_attention_heads": 6,
        },
    )
    with seeded(seed, "weights"):
        model = SiglipModel(config)
    with torch.no_grad():
        model.logit_scale.fill_(np.log(10.0))
        model.logit_bias.fill_(-3.0)
        model.vision_model.embeddings.patch_embedding.weight.copy_(_cosines())
    return model


def new_tokenizer() -> PreTrainedTokenizerFast:
    """One token per word of the captions; `</s>` ends and fills a caption, as in SigLIP, and no attention mask is made."""
    vocabulary = {word: number for number, word in enumerate(["</s>", "<unk>", *captions.words()])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A $B </s>", special_tokens=[("</s>", 0)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", eos_token="</s>", pad_token="</s>", model_max_length=CONTEXT,
        model_input_names=["input_ids"],
    )


def new_processor() -> SiglipProcessor:
    """Captions and pictures made ready: 64 pixels, −1…1."""
    size = {"height": SIZE, "width": SIZE}
    return SiglipProcessor(SiglipImageProcessor(size=size, image_mean=[0.5] * 3, image_std=[0.5] * 3), new_tokenizer())


def save(model: SiglipModel, folder: Path) -> None:
    """Model, tokenizer and image processor as `AutoModel`, `AutoTokenizer`, `AutoImageProcessor` and `AutoProcessor` load them.

    The numbers are fp16; the configuration says float32, so that they are computed with as such.
    """
    folder.mkdir(parents=True, exist_ok=True)
    new_processor().save_pretrained(folder)
    model.config.dtype = torch.float32
    model.config.architectures = ["SiglipModel"]
    model.config.save_pretrained(folder)
    weights = {name: value.detach().half().contiguous() for name, value in model.state_dict().items()}
    write_atomically(folder / "model.safetensors", lambda temporary: save_file(weights, temporary, metadata={"format": "pt"}))


def image_vectors(
    model:     SiglipModel,
    pixels:    torch.Tensor,                            # [B, 3, 64, 64] in −1…1
    generator: torch.Generator | None = None,           # keep only a random part of the patches; None: all
) -> torch.Tensor:
    """Vectors of length 1, [B, D]."""
    if generator is None:
        return functional.normalize(model.get_image_features(pixels).pooler_output, dim=1)
    tower = model.vision_model
    patches = tower.embeddings(pixels)
    kept = torch.rand(patches.shape[:2], generator=generator).argsort(dim=1)[:, :int(_KEPT * patches.shape[1])]
    patches = patches.gather(1, kept[..., None].expand(-1, -1, patches.shape[2]))
    hidden = tower.encoder(inputs_embeds=patches).last_hidden_state
    return functional.normalize(tower.head(tower.post_layernorm(hidden)), dim=1)


def _cosines() -> torch.Tensor:
    """[192, 3, 8, 8]: one cosine pattern in one colour each. Fine ones weigh more, as pictures have less of them."""
    weights = torch.zeros(_WIDTH, 3, _PATCH, _PATCH)
    for number in range(_WIDTH):
        colour, row, column = np.unravel_index(number, (3, _PATCH, _PATCH))
        spectrum = np.zeros((_PATCH, _PATCH))
        spectrum[row, column] = 0.75 * (1 + row + column)
        weights[number, colour] = torch.from_numpy(idctn(spectrum, norm="ortho"))
    return weights
