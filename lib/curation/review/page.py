"""One self-contained page for one rater: works from a file, asks nothing of the network, and does not know which picture is real."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from lib.study.review import Scale

HERE    = Path(__file__).parent
ENLARGE = 6                     # a picture is shown at most so many times its size
SHOWN   = (320, 640)            # and between these, in CSS pixels, where the window allows


def make_page(
    *,
    review:   str,                          # of `review_id`
    title:    str,                          # plain text, like all that follows
    scales:   Sequence[Scale],
    items:    Sequence[str],                # names of the items in the order of this page
    pictures: Sequence[str],                # data URI of each
    size:     int,                          # pixels of the largest picture's side
    labels:   Sequence[str] | None = None,  # shown above each picture; None: nothing is
    rater:    str                  = "",    # whose page it is; empty: the page asks
) -> str:
    """The page as HTML. Its content security policy allows this very script and style and nothing from anywhere."""
    rows = [{"id": item, "src": picture} for item, picture in zip(items, pictures, strict=True)]
    for row, label in zip(rows, labels or (), strict=labels is not None):
        row["label"] = label
    side = min(max(ENLARGE * size, SHOWN[0]), SHOWN[1])
    data = {"review": review, "rater": rater, "side": side, "scales": [scale.model_dump() for scale in scales], "items": rows}
    script, style = ((HERE / name).read_text(encoding="utf-8") for name in ("page.js", "page.css"))
    templates = Environment(loader=FileSystemLoader(HERE), autoescape=True)
    return templates.get_template("page.html").render(
        title       = title,
        rater       = rater,
        items       = len(rows),
        scales      = len(scales),
        low         = min(scale.low for scale in scales),
        high        = max(scale.high for scale in scales),
        data        = Markup(as_script_data(data)),
        script      = Markup(script),
        style       = Markup(style),
        script_hash = _policy_hash(script),
        style_hash  = _policy_hash(style),
    )


def as_script_data(value: object) -> str:
    """JSON in which no text can end the script element or open a comment: <, > and & are written as escapes."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _policy_hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"
