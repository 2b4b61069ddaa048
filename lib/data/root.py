"""Where the data sets lie. Only the standard library is imported: the download's --help imports this, too."""

from __future__ import annotations

import os
from pathlib import Path

_CHECKOUT = Path(__file__).resolve().parents[2]


def data_root() -> Path:
    """The folder of all data sets: the environment variable DATA_ROOT, else data/ in the checkout.

    A relative DATA_ROOT is read from the checkout, not from the working directory: the runner, the engine's jobs and the notebooks'
    kernels each have another one, and all of them must find the same folder.
    """
    return _CHECKOUT / (os.environ.get("DATA_ROOT") or "data")
