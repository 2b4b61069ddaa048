"""Captions: what they say, how often they leave something out, and that the tokenizer knows every word."""

from collections import Counter

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import CLIPTokenizer

from lib.diffusion.base.captions import BARE, EMPTY, NO_TONE, caption, vary_caption, words
from lib.diffusion.base.text import LENGTH, learn_merges, new_text_encoder, new_tokenizer
from lib.phantom.camera import DOMAINS
from lib.phantom.lesions import DIAGNOSES
from lib.phantom.tone import TYPES

SCENE = {"diagnosis": "seborrheic_keratosis", "tone": 3, "domain": "dermoscopic"}


def test_a_caption_says_what_is_asked():
    assert caption(SCENE) == "a dermoscopic photo of seborrheic keratosis on fitzpatrick type iii skin"
    assert caption(SCENE, tone=False, domain=False) == "a photo of seborrheic keratosis"
    assert caption(SCENE, diagnosis=False) == "a dermoscopic photo of a skin lesion on fitzpatrick type iii skin"


@pytest.mark.parametrize("wrong", [{"diagnosis": "wart"}, {"tone": 7}, {"domain": "x-ray"}])
def test_an_unknown_word_is_told(wrong):
    with pytest.raises(KeyError, match=str(next(iter(wrong.values())))):
        caption(SCENE | wrong)


def test_captions_vary_by_the_stated_shares():
    generator = np.random.default_rng(0)
    said = Counter(vary_caption(SCENE, generator) for _ in range(20_000))
    assert abs(said[""] / 20_000 - EMPTY) < 0.01
    assert abs(said["seborrheic keratosis"] / 20_000 - BARE) < 0.01
    told = sum(count for text, count in said.items() if "photo" in text)
    assert abs(sum(count for text, count in said.items() if "photo" in text and "type" not in text) / told - NO_TONE) < 0.01


def test_every_word_of_every_caption_is_one_token():
    tokenizer = new_tokenizer()
    captions = [caption({"diagnosis": d, "tone": t, "domain": c}) for d in DIAGNOSES for t in TYPES for c in DOMAINS]
    for text in [*captions, *words()]:
        assert len(tokenizer(text).input_ids) == len(text.split()) + 2
    assert max(len(tokenizer(text).input_ids) for text in captions) < LENGTH - 8        # room for a longer prompt


def test_any_other_text_falls_into_bytes_and_comes_back():
    tokenizer = new_tokenizer()
    for text in ["zebra", "naïve", "日本語", "melanomas", "a photo of <x>"]:
        numbers = tokenizer(text).input_ids
        assert tokenizer.unk_token_id not in numbers[1:-1]
        assert tokenizer.decode(numbers, skip_special_tokens=True).replace(" ", "") == text.replace(" ", "")


def test_new_tokens_can_be_added_and_survive_a_save(tmp_path):
    tokenizer = new_tokenizer()
    before = len(tokenizer)
    assert tokenizer.add_tokens(["<melanoma-fst-vi>"]) == 1
    tokenizer.save_pretrained(tmp_path)
    again = CLIPTokenizer.from_pretrained(tmp_path)
    assert again("a photo of <melanoma-fst-vi>").input_ids[-2] == before
    assert again.model_max_length == LENGTH
    assert again.pad_token_id == again.eos_token_id


def test_merges_agree_with_the_tokenizers_library():
    vocabulary = ["low", "lower", "newest", "widest", "ow", "we"]
    merges = learn_merges(vocabulary)
    letters = sorted({letter for word in vocabulary for letter in word})
    entries = [*letters, *(letter + "</w>" for letter in letters), *("".join(pair) for pair in merges)]
    model = models.BPE(vocab={entry: number for number, entry in enumerate(entries)}, merges=merges, end_of_word_suffix="</w>")
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    assert tokenizer.encode(" ".join(vocabulary)).tokens == [word + "</w>" for word in vocabulary]


def test_the_text_encoder_pools_at_the_end_token():
    tokenizer = new_tokenizer()
    config = new_text_encoder(tokenizer).config
    assert (config.eos_token_id, config.vocab_size, config.max_position_embeddings) == (tokenizer.eos_token_id, len(tokenizer), LENGTH)
