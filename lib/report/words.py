"""Sentences and tables for the report: numbers a clinician reads at a glance, and data that can never act as markup.

Class names, file names and error texts come from outside. `say` and `table` turn every character that HTML, Markdown
or MathJax could act on into plain text.
"""

from __future__ import annotations

import numbers
import re
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import pandas as pd
from IPython.display import HTML, Markdown

from lib.metrics.estimate import Estimate, number

NOTHING = "–"                                       # what a table shows for a missing value
_ENTITY = {ord(c): f"&#{ord(c)};" for c in "&<>\"`*_{}[]#+-=!|~@:/^"}
# MathJax reads the finished page, where an entity is a dollar sign again; in an element of its own it opens no formula.
_ENTITY |= {ord(c): f'<span class="tex2jax_ignore">&#{ord(c)};</span>' for c in "$\\"}


# ── showing ──────────────────────────────────────────────────────────────────────────────────────────────────────

def say(*sentences: str | Iterable[str]) -> Markdown:
    """Show sentences: one as a paragraph, several as a list. Everything in them is shown as written, nothing is markup."""
    flat = list(_flat(sentences))
    if not flat:
        return Markdown("")
    return Markdown(literal(flat[0]) if len(flat) == 1 else "\n".join(f"* {literal(sentence)}" for sentence in flat))


def literal(text: object) -> str:
    """`text` as one line of Markdown or HTML that reads exactly as written."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    line = line.translate(_ENTITY)
    line = re.sub(r"(?i)\bwww\.", lambda match: match[0][:-1] + "&#46;", line)              # no automatic link
    line = re.sub("^http", "&#104;ttp", line)                                                # IPython would fetch it as an address
    return re.sub(r"^(\d+)([.)])", lambda match: f"{match[1]}&#{ord(match[2])};", line)      # no numbered list


def table(
    frame:   pd.DataFrame,
    caption: str | None = None,
    formats: Mapping[str, Callable[[object], str] | str] | None = None,   # column → function, or a format such as ".1f"
    *,
    rows:    int = 200,                                                   # show at most so many
) -> HTML:
    """Show a frame as an HTML table; thousands separated, missing values as "–", every text as written.

    The index is shown when it carries names (anything but a plain 0, 1, 2 …).
    """
    formats = dict(formats or {})
    unknown = [column for column in formats if column not in frame.columns]
    if unknown:
        raise ValueError(f"formats names {join(unknown)}, not among the columns ({join(map(str, frame.columns))})")
    with_index = not (isinstance(frame.index, pd.RangeIndex) and frame.index.name is None)
    shown = frame.head(rows)
    columns = [_cells(shown.iloc[:, i], formats.get(name)) for i, name in enumerate(frame.columns)]
    right = [pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype) for dtype in frame.dtypes]
    heads = ([_name(frame.index.names)] if with_index else []) + [_name(column) for column in frame.columns]
    body = []
    for i in range(len(shown)):
        cells = [f"<th style=\"text-align:left\">{literal(_name(shown.index[i]))}</th>"] if with_index else []
        cells += [f'<td style="text-align:{"right" if right[j] else "left"}">{literal(column[i])}</td>' for j, column in enumerate(columns)]
        body.append(f"<tr>{''.join(cells)}</tr>")
    aligned = ([False] if with_index else []) + right
    head = "".join(f'<th style="text-align:{"right" if r else "left"}">{literal(h)}</th>' for h, r in zip(heads, aligned, strict=True))
    more = len(frame) - len(shown)
    if more > 0:
        body.append(f'<tr><td colspan="{max(len(heads), 1)}">… and {number(more)} more</td></tr>')
    top = f'<caption style="text-align:left;caption-side:top">{literal(caption)}</caption>' if caption else ""
    return HTML(f'<table class="dataframe report">{top}<thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table>')


# ── numbers in words ─────────────────────────────────────────────────────────────────────────────────────────────

def signed(value: float, digits: int = 3) -> str:
    """A difference with its sign: "+0.012", "−0.012", "0.000"."""
    return number(float(value), digits, signed=True)


def estimate(value: float, low: float, high: float, digits: int = 3) -> str:
    """A figure with its interval: "0.874 (0.851–0.896)"; with a negative number "−0.012 (−0.030 to 0.006)"."""
    if _missing(value):
        return "not estimable"
    if _missing(low) or _missing(high):
        return number(float(value), digits)
    return Estimate(float(value), float(low), float(high)).format(digits=digits)


def percent(share: float, digits: int = 0) -> str:
    """0.1234 → "12%". A share that is not quite 0 or 1 is never shown as 0% or 100%."""
    if _missing(share):
        return NOTHING
    smallest, text = 10.0 ** -digits, f"{100 * float(share):.{digits}f}"
    if share > 0 and float(text) == 0:
        return f"under {smallest:.{digits}f}%"
    if share < 1 and float(text) == 100:
        return f"over {100 - smallest:.{digits}f}%"
    return number(float(text), digits) + "%"


def count(how_many: int, one: str, several: str | None = None) -> str:
    """1 → "1 image", 1234 → "1,234 images", 0 → "no images"."""
    word = one if how_many == 1 else several or f"{one}s"
    return f"{'no' if how_many == 0 else number(int(how_many))} {word}"


def join(items: Iterable[object], most: int | None = None, last: str = "and") -> str:
    """["a", "b", "c"] → "a, b and c"; with `most`=1: "a and 2 more"."""
    names = [str(item) for item in items]
    if most is not None and len(names) > most + 1:
        names = [*names[:most], f"{number(len(names) - most)} more"]
    return f" {last} ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def capital(sentence: str) -> str:
    """The sentence with its first letter in upper case, unless it starts with a name that is written as in the study (`gan_curated`)."""
    first = sentence.split(maxsplit=1)[:1]
    return sentence if first and ("_" in first[0] or "+" in first[0]) else sentence[:1].upper() + sentence[1:]


# ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────────

def _flat(sentences: Iterable) -> Iterable[str]:
    for sentence in sentences:
        if isinstance(sentence, str):
            if sentence.strip():
                yield sentence
        else:
            yield from _flat(sentence)


def _missing(value: object) -> bool:
    return value is None or bool(pd.isna(value))


def _name(label: object) -> str:
    parts = label if isinstance(label, (tuple, list, pd.core.indexes.frozen.FrozenList)) else [label]
    return " · ".join("" if part is None else NOTHING if _missing(part) else str(part) for part in parts)


def _cells(column: pd.Series, shape: Callable[[object], str] | str | None) -> list[str]:
    if shape is None:
        known = column.dropna() if pd.api.types.is_float_dtype(column.dtype) else column.iloc[:0]
        if len(known) and np.isfinite(known).all() and (known % 1 == 0).all():         # counts with a gap arrive as floats
            return [NOTHING if _missing(value) else number(int(value)) for value in column.tolist()]
        return [_plain(value) for value in column.tolist()]
    write = shape if callable(shape) else lambda value: format(value, shape).replace("-", "−")
    return [NOTHING if np.ndim(value) == 0 and _missing(value) else str(write(value)) for value in column.tolist()]


def _plain(value: object) -> str:
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, numbers.Real):
        return number(value)
    if np.ndim(value) == 0 and _missing(value):
        return NOTHING
    return str(value)
