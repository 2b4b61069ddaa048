"""Committed notebooks: no outputs, a question first, flat parameters, short cells."""

from __future__ import annotations

import ast
import json
import re
import statistics

import pytest

from lib.study import ROOT
from lib.workflow.stages import STAGES

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def cells(path, kind):
    return [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == kind]


def source(cell):
    return "".join(cell["source"])


def test_every_stage_has_its_notebook_and_no_other():
    assert [path.stem for path in NOTEBOOKS] == list(STAGES)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestNotebook:
    def test_is_free_of_output(self, path):
        assert not [cell for cell in cells(path, "code") if cell["outputs"] or cell["execution_count"]]

    def test_starts_with_a_question_and_what_it_reads(self, path):
        first = source(json.loads(path.read_text(encoding="utf-8"))["cells"][0])
        assert re.match(rf"# {path.stem[:2]} · .*\?\n", first) and "Reads" in first and "rites" in first and "Demo:" in first

    def test_has_one_flat_parameters_cell(self, path):
        tagged = [cell for cell in cells(path, "code") if "parameters" in cell["metadata"].get("tags", [])]
        assert len(tagged) == 1
        assert all(isinstance(node, ast.Assign) and not isinstance(node.value, ast.Call) for node in ast.parse(source(tagged[0])).body)

    def test_a_stage_with_chunks_opens_the_one_it_is_given(self, path):
        if STAGES[path.stem].chunks:
            code = "\n".join(source(cell) for cell in cells(path, "code"))
            assert re.search(r"^chunk = None$", code, re.M) and f'open_stage("{path.stem}", study, overrides, chunk)' in code

    def test_cells_are_short(self, path):
        lengths = sorted(len(source(cell).splitlines()) for cell in cells(path, "code"))
        assert statistics.median(lengths) <= 6 and lengths[int(0.9 * (len(lengths) - 1))] <= 15

    def test_imports_do_not_fill_a_screen(self, path):
        most = 23 if path.stem == "01_eda" else 15
        importing = [source(cell) for cell in cells(path, "code") if re.search(r"^(from|import) ", source(cell), re.M)]
        assert importing and max(len(text.splitlines()) for text in importing) <= most

    def test_holds_no_loop(self, path):
        trees = [ast.parse(source(cell)) for cell in cells(path, "code")]
        assert not [node for tree in trees for node in ast.walk(tree) if isinstance(node, (ast.For, ast.While))]

    def test_ends_with_claims_and_the_marker(self, path):
        code = [source(cell) for cell in cells(path, "code")]
        assert any(line.startswith("assert ") for line in code[-2].splitlines())
        assert code[-1].rstrip().splitlines()[-1].startswith("run.finish(")

    def test_no_figure_is_typed_into_prose(self, path):
        prose = " ".join(source(cell) for cell in cells(path, "markdown")[1:])
        assert not re.search(r"\d\.\d{2}", prose)
