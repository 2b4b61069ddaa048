"""The key of a review: which item of the page is which image. It lies beside the page and is not given to raters."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lib.curation.review.errors import ReviewError
from lib.curation.review.sample import COLUMNS
from lib.files import write_json
from lib.study.review import Scale


@dataclass(frozen=True)
class Key:
    """What a page's ratings are joined with."""

    review:  str                # 12 hex digits: these items with these pictures, on these scales
    scales:  list[Scale]        # as they stood when the page was made
    items:   pd.DataFrame       # columns of `draw_sample`
    notices: list[str]


def review_id(
    items:    pd.DataFrame,
    pictures: Sequence[str],        # hash of each item's pixels, in the order of the items
    scales:   Sequence[Scale],
) -> str:
    """The same for every order of the items, so that pages of several raters belong together."""
    shown = sorted(zip(items["item"], pictures, strict=True))
    text = json.dumps([shown, [scale.model_dump() for scale in scales]])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def write_key(folder: Path, key: Key) -> Path:
    """Write `key-<review>.json`; returns its path."""
    path = folder / f"key-{key.review}.json"
    items = key.items.astype(object).where(key.items.notna(), None)
    write_json(path, {"review": key.review, "scales": [scale.model_dump() for scale in key.scales], "notices": key.notices,
                      "items": items.to_dict("records")})
    return path


def read_key(folder: Path, review: str) -> Key:
    """The key of a page. Raises ReviewError when there is none, naming the pages that there are."""
    path = folder / f"key-{review}.json"
    if not re.fullmatch("[0-9a-f]{12}", review) or not path.is_file():
        known = ", ".join(sorted(one.stem.removeprefix("key-") for one in folder.glob("key-*.json"))) or "none"
        raise ReviewError(f"ratings are of the page {review!r}, whose key is not in {folder} (keys there: {known}); use the study and "
                          "outputs that the page was made from")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Key(content["review"], [Scale(**scale) for scale in content["scales"]],
                   pd.DataFrame(content["items"], columns=COLUMNS), content["notices"])
    except (ValueError, KeyError, TypeError) as error:
        raise ReviewError(f"{path} is damaged ({error}); make the page again with the same study, which writes the same key") from None
