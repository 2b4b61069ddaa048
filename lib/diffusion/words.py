"""What is said to the model about a cell, that is a label and a tone: its prompt, and the name of its learnt token."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import total_ordering
from typing import Any

import pandas as pd

from lib.names import look_up
from lib.study import Groups
from lib.study.generate import Prompts

ROMAN = {"1": "i", "2": "ii", "3": "iii", "4": "iv", "5": "v", "6": "vi"}
TYPES = tuple(ROMAN)                                        # Fitzpatrick types, as keys


@total_ordering
@dataclass(frozen=True)
class Cell:
    """A label and a tone: "1" … "6", the name of a group, or None where it is not known."""

    label: str
    tone:  str | None = None

    def __lt__(self, other: Cell) -> bool:
        return (self.label, self.tone or "") < (other.label, other.tone or "")

    @property
    def slug(self) -> str:
        """For names of tokens and files: melanoma-fst-vi, nevus-fst-i-ii, nevus-female, or melanoma where the tone is not known."""
        if self.tone is None:
            return _slug(self.label)
        tone = ROMAN.get(self.tone) or _slug(self.tone)
        fitzpatrick = set(tone.split("-")) <= set(ROMAN.values())
        return f"{_slug(self.label)}-{'fst-' if fitzpatrick else ''}{tone}"


def token_name(cell: Cell) -> str:
    """`<melanoma-fst-vi>`."""
    return f"<{cell.slug}>"


class Words:
    """The words of a study for its labels, tones and domains.

    ValueError where the study gives words for a label or tone that it does not have, or where two cells would get one name.
    """

    def __init__(self, prompts: Prompts, classes: Sequence[str], groups: Groups):
        self.prompts, self.classes = prompts, list(classes)
        self.tones = {"type": list(TYPES), "group": groups.names, "none": []}[prompts.by]       # keys that the study asks for, in order
        self._groups = _keys_of_groups(groups, prompts.by)
        self._tones = _tone_words(groups)
        for label in prompts.diagnoses:
            look_up("class (diffusion.prompts.diagnoses)", label, dict.fromkeys(classes))
        for tone in prompts.tones:
            look_up("tone or group (diffusion.prompts.tones)", tone, self._tones)
        self._tones |= prompts.tones
        _check_names(classes, dict.fromkeys([*self.tones, *self._groups.values()]))

    def cell_of(self, label: str, tone: int | None, group: str | None) -> Cell:
        """The cell of an image. By type: the type where it was annotated, else the tone group, if tone is what `groups` are."""
        if self.prompts.by == "type" and not pd.isna(tone):
            return Cell(label, str(int(tone)))
        return Cell(label, None if pd.isna(group) else self._groups.get(group))

    def diagnosis(self, label: str) -> str:
        """The label in the words of the prompt."""
        return self.prompts.diagnoses.get(label, label)

    def prompt(
        self,
        cell:   Cell,
        domain: str | None,
        tokens: Collection[str] = (),       # names of the tokens that were learnt
    ) -> str:
        """What is asked for: by the cell's own token where it was learnt, else in plain words. KeyError for a tone without words."""
        words = {
            "diagnosis": self.diagnosis(cell.label),
            "tone":      "" if cell.tone is None else self._tones[cell.tone],
            "domain":    "" if domain is None else self.domain(domain),
            "token":     token_name(cell),
        }
        template = self.prompts.template if cell.tone is not None else self.prompts.unknown
        if words["token"] in tokens:
            if cell.tone is None and "{tone}" in self.prompts.token:
                words["diagnosis"] = words["token"]         # the template for an unknown tone, with the token in the label's place
            else:
                template = self.prompts.token
        return " ".join(template.format_map(words).split())

    def negative(self, cell: Cell, domain: str | None) -> str:
        """What guidance leads away from; with the asked tone in it, guidance leaves the tone alone and strengthens the rest."""
        if cell.tone is None and "{tone}" in self.prompts.negative:
            return ""
        tone, camera = ("" if cell.tone is None else self._tones[cell.tone]), ("" if domain is None else self.domain(domain))
        return " ".join(self.prompts.negative.format(tone=tone, domain=camera).split())

    def domain(self, domain: str) -> str:
        """A domain in the words of the prompt."""
        return self.prompts.domains.get(domain, domain)


def asked_tones(study: Any) -> list[str]:
    """Tones that a study asks its generators for: keys of `Words.tones`; none where it has no section `diffusion`."""
    return Words(study.diffusion.prompts, study.labels.names, study.groups).tones if study.diffusion else []


def cells_of(examples: pd.DataFrame) -> list[Cell]:
    """The cell of every row (label, tone), in order."""
    return [Cell(label, None if pd.isna(tone) else tone) for label, tone in zip(examples["label"], examples["tone"], strict=True)]


def prompts_of(examples: pd.DataFrame, words: Words, tokens: Collection[str] = ()) -> list[str]:
    """The prompt of every training example, in order (label, tone, domain; see `training_examples`)."""
    return [words.prompt(cell, domain, tokens) for cell, domain in zip(cells_of(examples), examples["domain"], strict=True)]


def _keys_of_groups(groups: Groups, by: str) -> dict[str, str]:
    """Group → key of the cells of images of which no more is known. By type, a group of one type is that type."""
    if by == "group":
        return {name: name for name in groups.names}
    if by == "none" or groups.column != "tone":
        return {}
    return {name: str(values[0]) if len(values) == 1 else name for name, values in groups.values.items()}


def _tone_words(groups: Groups) -> dict[str, str]:
    """Of types and groups: "fitzpatrick type v", "fitzpatrick type i to ii"; a group of something else is called by its name."""
    words = {tone: f"fitzpatrick type {roman}" for tone, roman in ROMAN.items()}
    for name, values in groups.values.items():
        types = sorted(str(value) for value in values)
        if groups.column != "tone" or not set(types) <= set(TYPES):
            words[name] = name
        elif len(types) == 1:
            words[name] = words[types[0]]
        else:
            words[name] = f"{words[types[0]]} to {ROMAN[types[-1]]}"
    return words


def _check_names(classes: Sequence[str], tones: Iterable[str]) -> None:
    taken: dict[str, Cell] = {}
    for cell in (Cell(label, tone) for label in classes for tone in [None, *tones]):
        other = taken.setdefault(cell.slug, cell)
        if other != cell:
            raise ValueError(f"the tokens of {_said(other)} and {_said(cell)} would both be called {token_name(cell)}; "
                             "rename a class or a group")


def _said(cell: Cell) -> str:
    return repr(cell.label) if cell.tone is None else f"{cell.label!r} and {cell.tone!r}"


def _slug(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).casefold()
    slug = re.sub(r"[\W_]+", "-", "".join(letter for letter in plain if not unicodedata.combining(letter))).strip("-")
    if not slug:
        raise ValueError(f"{text!r} has no letter or digit, so no token can be named after it; rename it")
    return slug
