"""New words in a pipeline's vocabulary: rows of their own beside a matrix that stays as it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain

import torch
from diffusers import StableDiffusionPipeline
from torch.nn import Parameter, functional


def vector_names(token: str, vectors: int) -> list[str]:
    """The vocabulary's words for a token's vectors, as diffusers names them: <x>, <x>_1, <x>_2."""
    return [token, *(f"{token}_{number}" for number in range(1, vectors))]


def add_tokens(pipeline: StableDiffusionPipeline, embeddings: Mapping[str, torch.Tensor]) -> None:
    """Put tokens (name → [vectors, D]) into tokenizer and text encoder; every other row keeps its bits.

    ValueError for a token that is there already, or whose vectors do not fit this text encoder; then nothing is changed.
    """
    tokenizer, text_encoder = pipeline.tokenizer, pipeline.text_encoder
    check_new(pipeline, {token: len(rows) for token, rows in embeddings.items()})
    wide = text_encoder.get_input_embeddings().embedding_dim
    for token, rows in embeddings.items():
        if rows.dim() != 2 or rows.shape[1] != wide:
            raise ValueError(f"{token} has vectors of shape {list(rows.shape)}, the text encoder of {_name(pipeline)} takes "
                             f"[vectors, {wide}]; it was learnt on another base model")
    names = [name for token, rows in embeddings.items() for name in vector_names(token, len(rows))]
    if not names:
        return
    tokenizer.add_tokens(names)
    text_encoder.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    matrix = text_encoder.get_input_embeddings().weight.requires_grad_(False)
    matrix[tokenizer.convert_tokens_to_ids(names)] = torch.cat(list(embeddings.values())).to(matrix)


def check_new(pipeline: StableDiffusionPipeline, vectors: Mapping[str, int]) -> None:
    """ValueError where the tokenizer knows one of the words that these tokens need (token → number of vectors)."""
    known = pipeline.tokenizer.get_vocab()
    for token, count in vectors.items():
        for name in vector_names(token, count):
            if name in known:
                raise ValueError(f"tokens: {name!r} is already in the tokenizer of {_name(pipeline)}; rename the class or group that it is "
                                 "called after, or load the base afresh if it was learnt before")


class TrainedRows:
    """Inside a `with`, the vectors of some tokens train as a parameter of their own; at its end they are written into the matrix.

    The matrix itself has no gradient and is never copied: where a text holds one of the tokens, the row that was looked up is
    replaced by the parameter's. So no optimiser and no weight decay can touch another row.
    """

    def __init__(self, pipeline: StableDiffusionPipeline, tokens: Iterable[str]):
        tokenizer = pipeline.tokenizer
        known, self._names = tokenizer.get_vocab(), {}
        for token in tokens:
            if token not in known:
                raise ValueError(f"{token!r} is not in the tokenizer of {_name(pipeline)}; add it first")
            count = 1
            while f"{token}_{count}" in known:
                count += 1
            self._names[token] = vector_names(token, count)
        self._embedding = pipeline.text_encoder.get_input_embeddings()
        matrix = self._embedding.weight
        self._ids = torch.tensor(tokenizer.convert_tokens_to_ids([*chain.from_iterable(self._names.values())]), device=matrix.device)
        self._place = torch.full((len(matrix),), -1, device=matrix.device)          # of an id among the rows
        self._place[self._ids] = torch.arange(len(self._ids), device=matrix.device)
        self.rows = Parameter(matrix.detach()[self._ids].float().clone())           # [all vectors, D], fp32 whatever the matrix is

    def __enter__(self) -> TrainedRows:
        self._hook = self._embedding.register_forward_hook(self._replace)
        return self

    def __exit__(self, *_: object) -> None:
        self._hook.remove()
        with torch.no_grad():
            self._embedding.weight[self._ids] = self.rows.to(self._embedding.weight.dtype)

    def _replace(self, _: torch.nn.Module, inputs: tuple[torch.Tensor], found: torch.Tensor) -> torch.Tensor:
        place = self._place[inputs[0]]
        own = functional.embedding(place.clamp(min=0), self.rows).to(found.dtype)
        return torch.where((place >= 0)[..., None], own, found)

    def embeddings(self) -> dict[str, torch.Tensor]:
        """Token → its present vectors [vectors, D], float32 on the CPU."""
        parts = self.rows.detach().cpu().clone().split([len(names) for names in self._names.values()])
        return dict(zip(self._names, parts, strict=True))

    def vocabulary_norms(self) -> torch.Tensor:
        """Lengths of the vectors of all other words, on the CPU."""
        return self._embedding.weight.detach()[self._place < 0].float().norm(dim=1).cpu()


def initial_vectors(pipeline: StableDiffusionPipeline, words: str, vectors: int) -> torch.Tensor:
    """Where a token starts: the mean of the vectors of `words`, as often as asked [vectors, D]. ValueError where there are no words."""
    ids = pipeline.tokenizer(words, add_special_tokens=False)["input_ids"]
    if not ids:
        raise ValueError(f"tokens: an initialiser is {words!r}, which holds no word; give it one (diffusion.tokens.initialisers)")
    return pipeline.text_encoder.get_input_embeddings().weight.detach()[ids].float().mean(dim=0).repeat(vectors, 1)


def _name(pipeline: StableDiffusionPipeline) -> str:
    return str(pipeline.config.get("_name_or_path") or "the base model").rstrip("/").split("/")[-1]
