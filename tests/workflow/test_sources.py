"""The import graph that staleness rests on, against what Python really imports."""

from __future__ import annotations

import ast
import json
import subprocess
import sys

import pytest

from lib.study import ROOT
from lib.workflow.sources import PLUMBING, module_sources, notebook_hash, notebook_sources
from lib.workflow.stages import STAGES

NOTEBOOKS = [ROOT / "notebooks" / f"{name}.ipynb" for name in STAGES]


@pytest.fixture
def checkout(tmp_path):
    """A small tree of modules: lib/a imports lib/b inside a function, lib/c nothing."""
    (tmp_path / "lib").mkdir()
    files = {"__init__": "", "a": "import os\ndef f():\n    from lib import b\n", "b": "X = 1\n", "c": "Y = 1\n"}
    for name, text in files.items():
        (tmp_path / "lib" / f"{name}.py").write_text(text)
    return tmp_path


def write_notebook(path, *cells, **metadata):
    path.write_text(json.dumps({"cells": [{"cell_type": "code", "source": cell, "outputs": []} for cell in cells], "metadata": metadata}))
    return path


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_imported_module_is_counted(notebook):
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    statements = [node for cell in code for node in ast.parse(cell).body]
    imports = "\n".join(ast.unparse(node) for node in statements if isinstance(node, (ast.Import, ast.ImportFrom)))
    script = f"import sys\n{imports}\nprint(*[name for name in sys.modules if name == 'lib' or name.startswith('lib.')])"
    loaded = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    plumbing = {name for name in loaded if name in PLUMBING or name.startswith("lib.workflow")}
    really = set(loaded) - plumbing - _only_through(plumbing)
    assert really <= set(notebook_sources(notebook, ROOT))


def _only_through(plumbing):
    """Modules that plumbing loads for its own use (name tables, schemas); what a notebook uses it imports itself."""
    script = f"import sys, {', '.join(sorted(plumbing))}\nprint(*[name for name in sys.modules if name.startswith('lib.')])"
    return set(subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split())


def test_functions_imports_count_and_strangers_do_not(checkout):
    notebook = write_notebook(checkout / "n.ipynb", "from lib.a import f\nimport json\n")
    assert set(notebook_sources(notebook, checkout)) == {"lib", "lib.a", "lib.b"}


def test_magic_lines_are_skipped(checkout):
    notebook = write_notebook(checkout / "n.ipynb", "%matplotlib inline\n!ls\nimport lib.c\n")
    assert set(notebook_sources(notebook, checkout)) == {"lib", "lib.c"}


def test_a_change_of_meaning_changes_the_hash_and_a_remark_does_not(checkout):
    before = module_sources("lib.a", checkout)
    (checkout / "lib" / "b.py").write_text("# why\nX   =  1\n")
    assert module_sources("lib.a", checkout) == before
    (checkout / "lib" / "b.py").write_text("X = 22\n")
    after = module_sources("lib.a", checkout)
    assert after["lib.b"] != before["lib.b"] and after["lib.a"] == before["lib.a"]


def test_outputs_and_metadata_do_not_count_and_cells_do(tmp_path):
    plain = write_notebook(tmp_path / "a.ipynb", "1 + 1")
    marked = write_notebook(tmp_path / "b.ipynb", "1 + 1", kernelspec={"name": "other"})
    other = write_notebook(tmp_path / "c.ipynb", "1 + 2")
    assert notebook_hash(plain) == notebook_hash(marked) != notebook_hash(other)


def test_plumbing_is_left_out():
    for notebook in NOTEBOOKS:
        assert not [name for name in notebook_sources(notebook, ROOT) if name.startswith(("lib.workflow", "lib.study"))]


def test_imports_run_one_way():
    """DESIGN §2: a layer imports only layers below it."""
    layers = ["workflow", "report", "stats", "classify", "diffusion", "training", "metrics", "data", "phantom", "tables", "study",
              "names", "process", "files"]
    height = {name: -place for place, name in enumerate(layers)}
    height["gan"] = height["diffusion"]             # side by side: what draws and what is drawn again is theirs together
    for path in sorted((ROOT / "lib").rglob("*.py")):
        layer = path.relative_to(ROOT / "lib").parts[0].removesuffix(".py")
        if layer == "__init__":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("lib."):
                below = node.module.split(".")[1]
                assert height[below] <= height[layer], f"{path.relative_to(ROOT)} imports {node.module}"
