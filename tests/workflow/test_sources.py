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


# Other people's modules are loaded once, and each list of imports then runs in a child of that process: seconds instead of minutes.
LOADER = """
import json, os, sys
import accelerate, matplotlib.pyplot, pandas, peft, sklearn.metrics, torchvision
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer, SiglipModel

for imports in json.load(sys.stdin):
    if os.fork() == 0:
        exec(imports)
        print(json.dumps([name for name in sys.modules if name == 'lib' or name.startswith('lib.')]), flush=True)
        os._exit(0)
    assert os.wait()[1] == 0, imports
"""


def loaded_by(imports):
    """The modules of lib that each of several lists of imports loads in a fresh process."""
    done = subprocess.run([sys.executable, "-c", LOADER], input=json.dumps(imports), cwd=ROOT, capture_output=True, text=True, check=True)
    return [set(json.loads(line)) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def loaded():
    """Notebook → the modules of lib that its imports load, but for those that plumbing loads for its own use (name tables, schemas)."""
    everything = loaded_by([imports_of(notebook) for notebook in NOTEBOOKS])
    plumbing = [{name for name in names if name in PLUMBING or name.startswith("lib.workflow")} for names in everything]
    through = loaded_by(["import " + ", ".join(sorted(names)) for names in plumbing])
    return {notebook: names - parts - only for notebook, names, parts, only in zip(NOTEBOOKS, everything, plumbing, through, strict=True)}


def imports_of(notebook):
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    statements = [node for cell in code for node in ast.parse(cell).body]
    return "\n".join(ast.unparse(node) for node in statements if isinstance(node, (ast.Import, ast.ImportFrom)))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_imported_module_is_counted(notebook, loaded):
    assert loaded[notebook] and loaded[notebook] <= set(notebook_sources(notebook, ROOT))


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
    layers = ["workflow", "report", "stats", "classify", "diffusion", "encoders", "training", "metrics", "data", "phantom", "tables",
              "study", "pretrained", "names", "process", "files"]
    height = {name: -place for place, name in enumerate(layers)}
    height["curation"] = height["stats"]            # side by side: reviews ask stats for intervals
    height["gan"] = height["diffusion"]             # side by side: what draws and what is drawn again is theirs together
    for path in sorted((ROOT / "lib").rglob("*.py")):
        layer = path.relative_to(ROOT / "lib").parts[0].removesuffix(".py")
        if layer == "__init__":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("lib."):
                below = node.module.split(".")[1]
                assert height[below] <= height[layer], f"{path.relative_to(ROOT)} imports {node.module}"
