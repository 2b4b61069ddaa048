"""A notebook opened cold in JupyterLab, from its own folder, runs top to bottom, or says which command makes what it lacks."""

from __future__ import annotations

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from project import Project

from lib.workflow.checks import load_plan


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy whose demo study is tiny."""
    project = Project.copy(tmp_path_factory.mktemp("cold"))
    tiny = (project.root / "params" / "tiny.yaml").read_text(encoding="utf-8")
    (project.root / "params" / "base.yaml").write_bytes((project.root / "params" / "demo.yaml").read_bytes())
    ci = (project.root / "params" / "ci.yaml").read_text(encoding="utf-8")
    (project.root / "params" / "ci.yaml").write_text(ci.replace("extends: demo.yaml", "extends: base.yaml"), encoding="utf-8")
    (project.root / "params" / "demo.yaml").write_text(tiny.replace("name: tiny", "name: demo"), encoding="utf-8")
    return project


def open_cold(project, name, monkeypatch, chunk=None):
    """Execute a notebook as JupyterLab would: kernel in notebooks/, nothing set; as it stands, or with `chunk` typed in."""
    monkeypatch.setenv("PYTHONPATH", str(project.root))
    monkeypatch.delenv("OUTPUTS_ROOT", raising=False)
    monkeypatch.delenv("COUNTERBALANCE_HEADLESS", raising=False)
    folder = project.root / "notebooks"
    notebook = nbformat.read(folder / f"{name}.ipynb", as_version=4)
    if chunk:
        cell = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
        cell.source = cell.source.replace("chunk = None", f"chunk = {chunk!r}")
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook


def test_without_its_input_it_names_the_command(project, monkeypatch):
    with pytest.raises(CellExecutionError, match=r"python run_all\.py params/demo\.yaml --until 01_eda"):
        open_cold(project, "07_classifier", monkeypatch)


def test_all_run_in_order_with_no_edit(project, monkeypatch):
    open_cold(project, "01_eda", monkeypatch)
    first, *others = [job.chunk for job in load_plan(str(project.root / "params" / "demo.yaml")).of("07_classifier")]
    made = open_cold(project, "07_classifier", monkeypatch)               # the first chunk
    assert first in str(made.cells) and others
    for chunk in others:
        open_cold(project, "07_classifier", monkeypatch, chunk)
    last = open_cold(project, "09_statistics", monkeypatch)
    assert "AUROC" in str(last.cells)
