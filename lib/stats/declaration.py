"""What a study declared before it ran, in a form that cannot be changed unnoticed: one hash of the whole list."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from lib.study import Primary


def declaration_hash(
    primaries: Sequence[Primary],       # in the study's order, which is part of what was declared
) -> str:
    """SHA-256 of the list as canonical JSON (keys sorted, no spaces, defaults written out), 64 hex digits."""
    return hashlib.sha256(declaration_text(primaries).encode()).hexdigest()


def declaration_text(primaries: Sequence[Primary]) -> str:
    """What is hashed: anybody can do so with `sha256sum`."""
    return json.dumps([one.model_dump(mode="json") for one in primaries], sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def add_declaration(
    seen:   Sequence[str],      # hashes of the lists that these outputs were judged by so far, oldest first
    latest: str,
) -> list[str]:
    """The same with the latest at its end, unless it is the last one already."""
    return [*seen] if seen and seen[-1] == latest else [*seen, latest]
