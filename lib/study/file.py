"""Read a study's YAML and remember where every value stands, so an error can name the file and the line.

`extends: other.yaml` (beside the file) is merged underneath: mappings key by key, anything else replaced, and a key set to null
falls back to its default. Overrides (`-p classifier.epochs=5`) come last and are named as such in errors.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


class StudyError(ValueError):
    """The study file is wrong; the message says where and what would work."""


Place = dict[tuple, str]                                             # path of keys → "file:line"
MOST_VALUES = 100_000                                                # keys and items; a few lines of aliases can unfold to billions


@dataclass
class Tree:
    """Plain values and where each stands."""

    values: dict
    places: Place


def read_study_file(
    path:      str | Path,
    overrides: dict[str, Any],        # dotted key → value; applied last
    *,
    root:      Path,                  # where a relative path is looked for besides the current folder
) -> Tree:
    """Read a YAML file, merge it over what it `extends`, apply overrides. Raises StudyError."""
    tree = _read(_find(path, root), root, seen=())
    for key, value in overrides.items():
        _override(tree, key, value)
    return tree


def parse_override(text: str) -> tuple[str, Any]:
    """`classifier.epochs=5` → ("classifier.epochs", 5); the value is YAML."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise StudyError(f"-p {text}: expected key=value, e.g. -p classifier.epochs=5")
    try:
        return key.strip(), yaml.safe_load(value)
    except yaml.YAMLError:
        raise StudyError(f"-p {text}: {value!r} is not a YAML value; quote it") from None


def written(path: str | Path, root: Path) -> str:
    """A study file's path in the form that means the same in every process: relative to `root` where it lies inside, else absolute."""
    found = next((spot.resolve() for spot in (Path(path), root / path) if spot.is_file()), Path(path))
    return str(found.relative_to(root) if found.is_relative_to(root) else found)


def _find(path: str | Path, root: Path) -> Path:
    given = Path(path)
    for candidate in (given, root / given):
        if candidate.is_file():
            return candidate
    known = sorted(str(p.relative_to(root)) for p in (root / "params").glob("*.yaml"))
    close = difflib.get_close_matches(str(given), known, 1, 0.4)
    raise StudyError(f"{given}: no such study file" + (f"; did you mean {close[0]}?" if close else f"; there are {', '.join(known)}"))


def _read(path: Path, root: Path, seen: tuple[Path, ...]) -> Tree:
    name = written(path, root)
    if path.resolve() in seen:
        raise StudyError(f"{name}: extends itself ({' → '.join(p.name for p in (*seen, path))})")
    try:
        text = path.read_text(encoding="utf-8-sig")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except OSError as error:
        raise StudyError(f"{name}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise StudyError(f"{name}: not UTF-8 text (byte {error.start}); save the file as UTF-8") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise StudyError(f"{name}:{line}  not valid YAML: the character {error.character:#06x} is not allowed; take it out") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{name}:{mark.line + 1}" if mark else name
        raise StudyError(f"{where}  not valid YAML: {getattr(error, 'problem', None) or error}") from None
    except RecursionError:
        raise StudyError(f"{name}: brackets or lists inside one another too deep to read; write it flat") from None
    except ValueError as error:                                      # a date that is none, a number of thousands of digits
        raise StudyError(f"{name}  a value cannot be read ({str(error).partition(';')[0]}); put it in quotes") from None
    if not isinstance(values, dict):
        raise StudyError(f"{name}: expected keys and values, found {'nothing' if values is None else type(values).__name__}")
    places: Place = {}
    try:
        _mark(node, (), name, places)
    except RecursionError:
        raise StudyError(f"{name}: refers to itself (an alias inside its own anchor); write the values out") from None
    parent = values.pop("extends", None)
    if parent is None:
        return Tree(values, places)
    base_path = path.parent / str(parent)
    if not base_path.is_file():
        raise StudyError(f"{places[('extends',)]}  extends: no file {parent} beside {path.name}")
    base = _read(base_path, root, (*seen, path.resolve()))
    return Tree(_merge(base.values, values), {**base.places, **places})


def _mark(node: yaml.Node, path: tuple, name: str, places: Place) -> None:
    """Note the line of every key and list item; refuse a key that is written twice."""
    if len(places) > MOST_VALUES:
        raise StudyError(f"{name}: unfolds to more than {MOST_VALUES:,} values (aliases of aliases?); write out what is meant")
    if isinstance(node, yaml.MappingNode):
        for key_node, value in node.value:
            key = key_node.value
            if (*path, key) in places:
                raise StudyError(f"{name}:{key_node.start_mark.line + 1}  {key}: written twice in the same place; keep one")
            places[(*path, key)] = f"{name}:{key_node.start_mark.line + 1}"
            _mark(value, (*path, key), name, places)
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            places[(*path, str(i))] = f"{name}:{value.start_mark.line + 1}"
            _mark(value, (*path, str(i)), name, places)


def _merge(base: dict, over: dict) -> dict:
    """Mappings merge key by key; anything else is replaced; a key set to null falls back to its default."""
    out = dict(base)
    for key, value in over.items():
        if value is None:
            out.pop(key, None)
        elif isinstance(value, dict) and isinstance(out.get(key), dict):
            out[key] = _merge(out[key], value)
        else:
            out[key] = value
    return out


def _override(tree: Tree, dotted: str, value: Any) -> None:
    keys = dotted.split(".")
    spot: Any = tree.values
    for depth, key in enumerate(keys[:-1]):
        spot = _step(spot, key, dotted, create=True)
        if not isinstance(spot, (dict, list)):
            raise StudyError(f"-p {dotted}: {'.'.join(keys[:depth + 1])} is a single value and has no {keys[depth + 1]}")
    last = keys[-1]
    if isinstance(spot, list):
        _step(spot, last, dotted, create=False)
        spot[int(last)] = value
    else:
        spot[last] = value
    for depth in range(1, len(keys)):
        tree.places.setdefault(tuple(keys[:depth]), f"-p {dotted}")
    tree.places[tuple(keys)] = f"-p {dotted}"


def _step(spot: Any, key: str, dotted: str, create: bool) -> Any:
    if isinstance(spot, list):
        if not key.isdigit() or int(key) >= len(spot):
            raise StudyError(f"-p {dotted}: {key} is not an item of a list of {len(spot)}; items count from 0")
        return spot[int(key)]
    if create and spot.get(key) is None:
        spot[key] = {}
    return spot[key]
