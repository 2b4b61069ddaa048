"""Do picture and prompt belong together in a model of images and texts, more than the picture and other labels' prompts do?"""

from __future__ import annotations

import numpy as np

from lib.curation.candidates import Candidates
from lib.curation.checks.reference import Meta, Reference
from lib.encoders.encoder import Encoder
from lib.study import Check

META = Meta("cosine to the prompt of the asked label less that to the nearest other label, −2 to 2", (-2, 2), "low",
            "the wrong class, without a trained classifier", own_units=True)


def applies(candidates: Candidates) -> np.ndarray:
    """[N] where words are known."""
    return np.full(len(candidates), candidates.prompts is not None and len(candidates.labels) > 1)


def score(candidates: Candidates, reference: Reference, check: Check) -> np.ndarray:
    """[N] difference of two cosines; NaN where the encoder reads no text."""
    out = np.full(len(candidates), np.nan)
    if not applies(candidates).any() or not len(candidates):
        return out
    encoder = reference.encoder_of(check)
    texts = list(dict.fromkeys(candidates.prompts.ravel()))
    seeing = candidates.encoders(encoder)
    words = reference.keep(("words", seeing.name, tuple(texts)), lambda: text_vectors(seeing, texts))
    if words is None:
        return out
    place = {text: number for number, text in enumerate(texts)}
    cosine = np.stack([vector @ words[[place[text] for text in row]].T
                       for vector, row in zip(candidates.vectors(encoder), candidates.prompts, strict=True)])
    asked = np.array([candidates.labels.index(label) for label in candidates.table["label"]])
    own = cosine[np.arange(len(candidates)), asked]
    cosine[np.arange(len(candidates)), asked] = -np.inf
    return own - cosine.max(axis=1)


def text_vectors(
    encoder: Encoder,
    texts:   list[str],
) -> np.ndarray | None:
    """float32 [N, D] of length 1 in the space of the encoder's picture vectors; None where the model reads no text."""
    import torch
    from transformers import AutoTokenizer
    from transformers.utils import logging as transformers_logging

    from lib.data.embedding import load_image_model
    from lib.data.errors import DataError
    from lib.encoders.transformers_model import TransformersEncoder
    from lib.pretrained import locate, split_revision, without_bars

    if not isinstance(encoder, TransformersEncoder):
        return None
    model_id, revision = split_revision(encoder.name)
    try:
        with without_bars(transformers_logging):
            _, model, _ = load_image_model(locate(model_id), revision=revision, key="curation.checks")
        if not hasattr(model, "get_text_features"):
            return None
        tokenizer = AutoTokenizer.from_pretrained(locate(model_id), **({"revision": revision} if revision else {}))
    except (DataError, OSError, ValueError):        # no tokenizer: a model of images alone
        return None
    with torch.inference_mode():
        tokens = tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt")
        found = model.get_text_features(**{name: tokens[name] for name in ("input_ids", "attention_mask") if name in tokens})
        return torch.nn.functional.normalize(getattr(found, "pooler_output", found).float(), dim=1).numpy()
