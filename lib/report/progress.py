"""Progress bars for the callbacks that trainers and readers take. Plain text: a widget would leave a script in the page."""

from __future__ import annotations

from collections.abc import Callable


def bar(what: str, unit: str = "image") -> Callable[..., None]:
    """A callback that draws a bar: `(done, total, …)`, or `(share)` from 0 to 1. When `done` falls back, a new bar starts."""
    from tqdm import tqdm

    state: dict = {"bar": None, "done": 0}

    def advance(done: float, total: int | None = None, *_: object) -> None:
        if total is None:
            done, total = round(100 * done), 100
        if state["bar"] is None or done < state["done"] or total != state["bar"].total:
            if state["bar"] is not None:
                state["bar"].close()
            state["bar"] = tqdm(total=total, desc=what, unit=unit, mininterval=0.5, leave=False)
            state["done"] = 0
        state["bar"].update(done - state["done"])
        state["done"] = done
        if done >= total:
            state["bar"].close()

    return advance
