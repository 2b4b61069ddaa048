"""The base of every part of a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator


class Section(BaseModel):
    """Base of every part of a study: unknown keys are refused, values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        """`epochs: yes` would count as 1."""
        if isinstance(value, bool) and cls.model_fields[info.field_name].annotation in (int, float, int | None):
            raise ValueError(f"got {str(value).lower()} (YAML reads yes, no, on and off so), expected a number")
        return value


def alike(names: list[str]) -> list[str]:
    """Names that differ from another only in spaces or capitals, and so cannot be told apart in a table."""
    plain = [" ".join(name.split()).casefold() for name in names]
    return [name for name, bare in zip(names, plain, strict=True) if plain.count(bare) > 1]


def twice(names: list[str]) -> list[str]:
    """Names that come more than once, each once, sorted."""
    return sorted({name for name in names if names.count(name) > 1})


def once(value: Sequence) -> Sequence:
    """A validator of lists in which nothing may come twice."""
    if len(set(value)) < len(value):
        raise ValueError("lists something twice")
    return value


def shares(value: Mapping[Any, float]) -> Mapping[Any, float]:
    """A validator of shares, which need not add up to 1; an empty table stands for a default."""
    if value and (min(value.values()) < 0 or sum(value.values()) <= 0):
        raise ValueError("expected shares ≥ 0 with a sum above 0")
    return value


def counts(value: Mapping[Any, Mapping[Any, int]]) -> Mapping[Any, Mapping[Any, int]]:
    """A validator of numbers of images, label → tone → count; an empty table stands for a default."""
    every = [count for tones in value.values() for count in tones.values()]
    if every and (min(every) < 0 or sum(every) == 0):
        raise ValueError("expected counts ≥ 0 with a sum above 0")
    return value
