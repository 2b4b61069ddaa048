"""One self-contained report of a whole study: pictures inside, a list of contents, opens from a file; as PDF where there is a browser."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from lib.report.page import write_page
from lib.report.words import table

HERE     = Path(__file__).parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge", "msedge")
PATIENCE = 120                  # seconds that printing may take


@dataclass(frozen=True)
class Picture:
    """A figure that a stage saved."""

    path:    Path
    caption: str
    width:   int                # CSS pixels


@dataclass(frozen=True)
class Block:
    """What stands under one heading: sentences, then tables (caption → frame), then pictures."""

    title:     str                              = ""
    sentences: Sequence[str]                    = ()
    tables:    Mapping[str, pd.DataFrame]       = field(default_factory=dict)
    pictures:  Sequence[Picture]                = ()


@dataclass(frozen=True)
class Part:
    """A part of the report."""

    title:  str                                 # the question that it answers
    stage:  str                                 # where it comes from, e.g. 05_generation
    blocks: Sequence[Block]


def write_report(
    path:       Path,
    *,
    title:      str,
    question:   str,
    verdicts:   Sequence[Mapping],              # kind, sentence
    conclusion: str,                            # the paragraph that puts them together
    parts:      Sequence[Part],
    facts:      Mapping[str, str],              # where everything comes from
) -> Path:
    """Write the report as one HTML file and return its path. A picture whose file is missing is named in its place."""
    templates = Environment(loader=FileSystemLoader(HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    body = templates.get_template("study_report.html").render(
        title=title, question=question, verdicts=verdicts, conclusion=conclusion, parts=parts, facts=facts,
        table=lambda frame, caption: Markup(table(frame, caption or None).data), source=_data_uri,
    )
    write_page(path, title=title, body=body, extra_css=(HERE / "study_report.css").read_text(encoding="utf-8"))
    return path


def find_browser() -> str | None:
    """A browser that prints pages without a window; None where there is none."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def print_page(
    page:    Path,                              # HTML
    pdf:     Path,
    *,
    wanted:  bool       = True,                 # by the study
    browser: str | None = None,                 # default: the first that is found
) -> str:
    """Print a page to PDF; "" on success, else why there is no PDF. An older one is deleted first."""
    pdf.unlink(missing_ok=True)
    if not wanted:
        return "No PDF: the study does not ask for one (statistics.pdf)."
    browser = browser or find_browser()
    if browser is None:
        return "No PDF: no browser was found to print it (Chromium, Chrome or Edge). Open the page and print it from there."
    with tempfile.TemporaryDirectory(prefix="cb-print-", ignore_cleanup_errors=True) as profile:
        printed = Path(profile) / "page.pdf"
        root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []     # root cannot have one; the page is ours
        command = [browser, "--headless", *root, "--disable-gpu", "--no-first-run", "--disable-background-networking",
                   "--disable-component-update", "--disable-sync", f"--user-data-dir={profile}", "--no-pdf-header-footer",
                   f"--print-to-pdf={printed}", page.resolve().as_uri()]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"No PDF: {Path(browser).name} did not print the page ({type(error).__name__}). Open it and print it from there."
        if done.returncode or not printed.is_file():
            return f"No PDF: {Path(browser).name} ended with {done.returncode} and printed nothing. Open the page and print it from there."
        shutil.copyfile(printed, pdf)
    return ""


def _data_uri(picture: Picture) -> str:
    """The picture's bytes as an address; "" where its file is missing."""
    if not picture.path.is_file():
        return ""
    return f"data:image/png;base64,{base64.b64encode(picture.path.read_bytes()).decode('ascii')}"
