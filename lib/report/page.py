"""An executed notebook as one self-contained HTML page: opens from a file, loads nothing from the network."""

from __future__ import annotations

import html
from pathlib import Path
from urllib.parse import quote

from lib.files import write_atomically

CSS = Path(__file__).with_name("page.css")


def notebook_page(
    notebook: Path,          # an executed .ipynb
    *,
    title:    str,
    index:    str,           # link back to the report, relative to the page
) -> Path:
    """Write `<notebook>.html` beside the notebook and return its path."""
    import nbformat
    from nbconvert import HTMLExporter
    from pygments.formatters import HtmlFormatter

    content = nbformat.read(notebook, as_version=4)
    for cell in content.cells:
        if cell.cell_type == "code":
            cell.outputs = _settled(cell.outputs)
    exporter = HTMLExporter(template_name="basic", exclude_input_prompt=True, exclude_output_prompt=True)
    body, _ = exporter.from_notebook_node(content)
    links = f'<a href="{html.escape(index)}">← report</a><a href="{quote(notebook.name)}">this notebook</a>'
    page = notebook.with_suffix(".html")
    write_page(page, title=title, body=f"<nav>{links}{html.escape(title)}</nav><main>{body}</main>",
               extra_css=HtmlFormatter().get_style_defs(".highlight"))
    return page


def write_page(
    path:      Path,
    *,
    title:     str,          # plain text
    body:      str,          # HTML
    extra_css: str = "",
) -> None:
    """A whole HTML page with the house style."""
    text = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{extra_css}\n{CSS.read_text(encoding='utf-8')}</style></head>\n<body>{body}</body></html>\n"
    )
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def _settled(outputs: list) -> list:
    """Outputs as a terminal leaves them: of a line that was written over (a progress bar) its last state, nothing where that is blank."""
    kept = []
    for output in outputs:
        last = kept[-1] if kept else None
        if last is not None and last.output_type == output.output_type == "stream" and last.name == output.name:
            last.text += output.text
        else:
            kept.append(output)
    for output in kept:
        if output.output_type == "stream":
            output.text = "\n".join(line.rsplit("\r", 1)[-1].rstrip() for line in output.text.split("\n"))
    return [output for output in kept if not _is_blank(output)]


def _is_blank(output: dict) -> bool:
    """Streams with nothing left, and widgets, which are dead in a page and would bring a script."""
    if output.output_type == "stream":
        return not output.text.strip()
    return "application/vnd.jupyter.widget-view+json" in output.get("data", {})
