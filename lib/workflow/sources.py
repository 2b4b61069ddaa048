"""Which modules of `lib` a notebook really uses, and a hash of what they say.

The import graph is read from the source text, function-level imports included, so it needs no import and costs milliseconds.
Comments and layout do not count: modules are hashed by their syntax tree.
"""

from __future__ import annotations

import ast
import hashlib
import json
from functools import cache
from pathlib import Path

# Plumbing decides what runs, never what comes out: editing it makes nothing stale. Parameter *values* are hashed apart (`keys.py`).
PLUMBING = ("lib.study", "lib.workflow")


def notebook_sources(notebook: Path, root: Path) -> dict[str, str]:
    """Module name → hash, for every `lib` module the notebook imports, directly or not, sorted by name."""
    trees = [ast.parse(_python(cell)) for cell in _code_cells(notebook)]
    return _hashes({name for tree in trees for name in _imports(tree, root)}, root)


def module_sources(module: str, root: Path) -> dict[str, str]:
    """The same for one module and all it imports."""
    return _hashes({module}, root)


def notebook_hash(notebook: Path) -> str:
    """Hash of a notebook's cells; outputs, execution counts and metadata do not count."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return _digest(json.dumps([[cell["cell_type"], "".join(cell["source"])] for cell in cells]))


def _hashes(start: set[str], root: Path) -> dict[str, str]:
    seen: dict[str, str] = {}
    todo = set(start)
    while todo:
        name = todo.pop()
        if name in seen or any(f"{name}.".startswith(f"{part}.") for part in PLUMBING):
            continue
        path = _path(name, root)
        seen[name] = _module_hash(path, path.stat().st_mtime_ns)
        todo |= _module_imports(path, path.stat().st_mtime_ns, root)
    return dict(sorted(seen.items()))


@cache
def _module_hash(path: Path, _changed: int) -> str:
    return _digest(ast.dump(ast.parse(path.read_text(encoding="utf-8"))))


@cache
def _module_imports(path: Path, _changed: int, root: Path) -> frozenset[str]:
    return frozenset(_imports(ast.parse(path.read_text(encoding="utf-8")), root))


def _imports(tree: ast.AST, root: Path) -> set[str]:
    """`lib` modules named in import statements; a package counts with its own __init__."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    parents = {".".join(name.split(".")[:n]) for name in names for n in range(1, name.count(".") + 2)}
    return {name for name in parents if name.split(".")[0] == "lib" and _path(name, root).is_file()}


def _path(module: str, root: Path) -> Path:
    base = root.joinpath(*module.split("."))
    return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")


def _code_cells(notebook: Path) -> list[str]:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def _python(source: str) -> str:
    """A cell without IPython's own lines (`%matplotlib`, `!ls`)."""
    return "\n".join("" if line.lstrip().startswith(("%", "!", "?")) else line for line in source.splitlines())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
