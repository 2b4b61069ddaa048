"""The tokenizer and the text encoder of phantom-sd: every word of a caption is one token, any other text falls into bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from lib.diffusion.base.captions import words
from lib.diffusion.base.pool import SEED_SD
from lib.training.seeds import seeded

LENGTH = 32             # tokens of a prompt, start and end included
WIDTH  = 128            # of a token's state
_START, _END = "<|startoftext|>", "<|endoftext|>"


def new_tokenizer() -> CLIPTokenizer:
    """A CLIPTokenizer over `captions.words()`; pads with the end token, as Stable Diffusion does."""
    merges = learn_merges(words())
    letters = _byte_letters()
    entries = [*letters, *(letter + "</w>" for letter in letters), *("".join(pair) for pair in merges), _START, _END]
    vocabulary = {entry: number for number, entry in enumerate(entries)}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=LENGTH)


def new_text_encoder(tokenizer: CLIPTokenizer, seed: int = SEED_SD) -> CLIPTextModel:
    """Untrained: three layers of four heads."""
    config = CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=WIDTH, intermediate_size=3 * WIDTH, projection_dim=WIDTH, num_hidden_layers=3,
        num_attention_heads=4, max_position_embeddings=LENGTH, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with seeded(seed, "text encoder"):
        return CLIPTextModel(config)


def learn_merges(vocabulary: Sequence[str]) -> list[tuple[str, str]]:
    """Byte-pair merges in order, until every word is one token (Sennrich et al. 2016, arXiv 1508.07909, algorithm 1; ties by alphabet)."""
    parts = [[*word[:-1], word[-1] + "</w>"] for word in vocabulary]
    merges = []
    while pairs := Counter(pair for word in parts for pair in pairwise(word)):
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        parts = [_merge(word, best) for word in parts]
    return merges


def _merge(word: list[str], pair: tuple[str, str]) -> list[str]:
    merged, place = [], 0
    while place < len(word):
        step = 2 if tuple(word[place:place + 2]) == pair else 1
        merged.append("".join(word[place:place + step]))
        place += step
    return merged


def _byte_letters() -> list[str]:
    """One visible letter per byte, in the order of CLIP's vocabulary (from GPT-2's encoder): bytes without a glyph move up."""
    visible = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [byte for byte in range(256) if byte not in visible]
    return [chr(byte) for byte in visible] + [chr(256 + number) for number in range(len(hidden))]
