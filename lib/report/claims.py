"""Claimed, measured here, and why they differ: figures in circulation beside those of a study (notebook 09). They are never targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd
import yaml
from pydantic import TypeAdapter

from lib.report.claim_measures import MEASURES, Evidence
from lib.report.words import count
from lib.study.section import Section

CLAIMS = Path(__file__).parents[1] / "assets" / "claims" / "claims.yaml"
NOT_MEASURED = "not measured in this study"


class Claim(Section):
    """A figure in circulation."""

    claim:    str                       # what is claimed, as a sentence without its figure
    figure:   str
    source:   str                       # who says so, as far as it could be traced
    why:      str                       # why a measured figure may differ
    measured: str | None = None         # a name of MEASURES; None: no table of a study could hold it


def read_claims(
    path:     Path                       = CLAIMS,
    measures: Mapping[str, Callable]     = MEASURES,
) -> list[Claim]:
    """The claims in a YAML list. Raises ValueError where one names a measure that does not exist, or lacks a part."""
    claims = TypeAdapter(list[Claim]).validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))
    for claim in claims:
        if claim.measured is not None and claim.measured not in measures:
            raise ValueError(f"{path.name}: {claim.claim!r} is measured by {claim.measured!r}; known are {', '.join(measures)}")
    return claims


def claims_table(
    claims:   Sequence[Claim],
    evidence: Evidence,
) -> pd.DataFrame:
    """A row per claim: claim (with its source), claimed, measured here, why they differ; NOT_MEASURED where the study is silent."""
    here = [MEASURES[claim.measured](evidence) if claim.measured else "" for claim in claims]
    return pd.DataFrame({
        "claim":          [f"{claim.claim} ({claim.source})" for claim in claims],
        "claimed":        [claim.figure for claim in claims],
        "measured here":  [text or NOT_MEASURED for text in here],
        "why they differ": [claim.why.strip() for claim in claims],
    })


def describe_claims(table: pd.DataFrame) -> list[str]:
    """How many of the claims this study has a figure for."""
    measured = int((table["measured here"] != NOT_MEASURED).sum())
    return [f"Of {count(len(table), 'figure')} in circulation, this study has one of its own for {measured or 'none'}. A difference does "
            "not say who is right: data, networks and definitions differ."]
