"""Make a base model of the phantom world anew: `python -m lib.diffusion.base.build phantom-sd | phantom-siglip | phantom-oracle`.

Pictures are drawn, the model is trained, measured on pictures that nobody trained on, and saved with its card into lib/assets.
A run that was stopped goes on where it was. phantom-siglip and phantom-sd are judged by the oracle, so that one comes first.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from lib.process import cores

NAMES = ("phantom-oracle", "phantom-siglip", "phantom-sd")


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and build."""
    parser = argparse.ArgumentParser(prog="python -m lib.diffusion.base.build", description=__doc__.split("\n", 1)[0])
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--threads", type=int, default=min(3, cores()), help="CPU threads to train with (default: %(default)s)")
    parser.add_argument("--minutes", type=float, help="end the training after so many; not for phantom-sd, whose parts have fixed steps")
    given = parser.parse_args(arguments)
    if given.threads < 1:
        parser.error("--threads: at least 1")
    if given.name == "phantom-sd":
        if given.minutes is not None:
            parser.error("--minutes is not for phantom-sd; stop it at any time, the same command goes on")
        from lib.diffusion.base import phantom_sd
        phantom_sd.build(processes=given.threads, workers=given.threads)
        return
    import torch

    from lib.diffusion.base import oracle, siglip
    torch.set_num_threads(given.threads)
    builder = {"phantom-oracle": oracle.build, "phantom-siglip": siglip.build}[given.name]
    builder(minutes=given.minutes, workers=given.threads)


if __name__ == "__main__":
    main()
