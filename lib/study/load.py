"""From a YAML file to a study, and every mistake told with its file and line."""

from __future__ import annotations

import difflib
import json
import types
import typing
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lib.study.file import StudyError, read_study_file
from lib.study.model import Study
from lib.study.section import Section

ROOT = Path(__file__).resolve().parents[2]          # the checkout: params/, notebooks/, outputs/ lie here


def load_study(
    path:      str | Path,                       # relative to the current folder or to the checkout
    overrides: dict[str, Any] | None = None,     # {"classifier.epochs": 5}
) -> Study:
    """Read a study file, follow `extends`, apply overrides and check everything.

    Raises StudyError; its message has one line per mistake, each with file and line.
    """
    tree = read_study_file(path, overrides or {}, root=ROOT)
    try:
        study = Study.model_validate(tree.values)
        json.dumps(study.as_dict(), ensure_ascii=False).encode()
    except ValidationError as error:
        raise StudyError("\n".join(_explain(item, tree.places, str(path)) for item in error.errors())) from None
    except UnicodeError:
        raise StudyError(f"{path}: holds half a character (\\ud800 to \\udfff), which no file can store; take it out") from None
    return study


def place_of(key: str, path: str | Path, overrides: dict[str, Any] | None = None) -> str:
    """Where a dotted key is set: "params/demo.yaml:31" or "-p classifier.epochs"; the file alone where it is a default."""
    return _where(tuple(key.split(".")), read_study_file(path, overrides or {}, root=ROOT).places, str(path))


def _explain(item: dict, places: dict[tuple, str], fallback: str) -> str:
    """One pydantic error as `file:line  key: what is wrong, what would work`."""
    path = _as_written(tuple(str(part) for part in item["loc"]), places)
    where = _where(path, places, fallback)
    key, given, kind = ".".join(path) or "study", item.get("input"), item["type"]
    if kind == "extra_forbidden":
        known = _known_keys(path[:-1])
        close = difflib.get_close_matches(path[-1], known, 1, 0.5)
        advice = f"did you mean {close[0]}?" if close else f"known here: {', '.join(known)}"
        return f"{where}  {key}: unknown key; {advice}"
    if kind == "missing":
        return f"{where}  {key}: is needed and not set"
    if kind == "value_error":
        return f"{where}  {key}: {item['msg'].removeprefix('Value error, ')}"
    if kind == "too_short":
        return f"{where}  {key}: has {item['ctx']['actual_length']} entries, expected at least {item['ctx']['min_length']}"
    wanted = item["msg"].partition(", unable to parse")[0].removeprefix("Input should be ").removeprefix("a valid ")
    quotes = "; YAML reads it as another kind of value, so put it in quotes" if kind == "string_type" and _is_plain(given) else ""
    return f"{where}  {key}: got {json.dumps(given, ensure_ascii=False, default=str)}, expected {wanted}{quotes}"


def _is_plain(value: Any) -> bool:
    """A word, number or date that was meant as text: no, on, 010, 1.0, 2020-01-01."""
    return value is not None and not isinstance(value, (dict, list))


def _as_written(path: tuple[str, ...], places: dict[tuple, str]) -> tuple[str, ...]:
    """The path without the number of a list's item where the file has the item itself (one primary comparison needs no list)."""
    for depth in range(1, len(path)):
        if path[depth].isdigit() and path[:depth] in places and not any(known[:depth + 1] == path[:depth + 1] for known in places):
            return path[:depth] + path[depth + 1:]
    return path


def _where(path: tuple[str, ...], places: dict[tuple, str], fallback: str) -> str:
    """The place of a key, or of the closest section around it that is written down."""
    return next((places[path[:n]] for n in range(len(path), 0, -1) if path[:n] in places), fallback)


def _known_keys(path: tuple[str, ...]) -> list[str]:
    """Keys allowed in the section at `path`."""
    model: Any = Study
    for part in path:
        if part.isdigit():
            continue
        field = model.model_fields.get(part)
        model = next((m for m in _models(field.annotation)), None) if field else None
        if model is None:
            return []
    return list(model.model_fields)


def _models(annotation: Any) -> list[type[Section]]:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return [annotation] if issubclass(annotation, Section) else []
    return [model for part in typing.get_args(annotation) for model in _models(part)]
