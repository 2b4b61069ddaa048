"""The streams of the cells that one notebook run trains: one process draws for all of them, one after the other."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lib.classify.arms import find_arm
from lib.classify.grid import Cell
from lib.classify.stream import Source, Stream, block_name
from lib.classify.stream_cells import quota_cells
from lib.classify.stream_process import Worker, program
from lib.data.images import content_hash
from lib.diffusion.image_files import put_again
from lib.files import write_atomically, write_json
from lib.pretrained import model_state
from lib.study import fingerprint as digest
from lib.tables import SYNTHETIC

FOLDER = "stream"                       # in the work folder of a cell
_MODELS = ("tokens", "lora", "gan")     # subfolders that 02, 03 and 04 keep their models in
_LAYOUT = {"shards", "generators"}      # keys of generation that change no image
_TOLD   = ["image_id", "split", "dataset", "domain", "label", "tone", "group", "sha256"]    # columns that decide what is drawn

_BLOCKS = ["seed", "block", "label", "tone", "asked", "images", "attempts"]
_WAITS  = ["seed", "epoch", "seconds"]


class Streams:
    """Made by `open_streams`; `close` ends its process."""

    def __init__(self, source: Source, work: Path):
        self.source, self.work = source, work
        self._streams: dict[Cell, Stream] = {}
        self._epochs:  dict[Cell, int]    = {}

    @property
    def mark(self) -> str:
        """A hash of what decides which images a cell of these streams is trained on, for its fingerprint."""
        return digest([self.source.mark, self.source.options.cache])

    def of(self, cell: Cell) -> Stream:
        """The stream of a cell, which draws nothing before its first block is asked for."""
        if cell not in self._streams:
            self._streams[cell] = Stream(self.source, name=cell.name, seed=cell.seed, folder=self.work / cell.name / FOLDER)
        return self._streams[cell]

    def end(self, cell: Cell, epochs: int) -> None:
        """Note that a cell is trained, and how many epochs it took."""
        self.of(cell).end(epochs)
        self._epochs[cell] = epochs

    def close(self) -> None:
        """End the process that draws."""
        self.source.worker.close()

    def table(self, folder: Path) -> pd.DataFrame:
        """The `synthetic` table of all that finished cells were trained on, and its pictures in `folder`, where `path` starts from.

        A picture has a second name there and takes no more room. What was lost since is drawn again. StreamError as of `Stream.block`.
        """
        parts = []
        shutil.rmtree(folder / "images", ignore_errors=True)        # of an earlier run
        for cell, number, table in self._tables():
            for path in table["path"].dropna():
                put_again(self._place(cell, number) / path, folder / path)
            parts.append(table)
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(SYNTHETIC.columns))

    def blocks(self) -> pd.DataFrame:
        """What was asked for and drawn: seed, block, label, tone, asked, images (accepted), attempts.

        A block has the number of the epoch that saw it first, from 1.
        """
        parts = []
        for cell, number, table in self._tables():
            found = table.groupby(["label", "tone_key"], dropna=False, sort=False).agg(
                asked=("image_id", "nunique"), images=("accepted", "sum"), attempts=("attempt", "size")).reset_index()
            parts.append(found.rename(columns={"tone_key": "tone"}).assign(seed=cell.seed, block=number + 1)[_BLOCKS])
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=_BLOCKS)

    def waits(self) -> pd.DataFrame:
        """How long the trainer stood still for the images of an epoch: seed, epoch (from 1), seconds; only of epochs that ran just now."""
        rows = [(cell.seed, epoch + 1, seconds) for cell, stream in self._streams.items() for epoch, seconds in stream.waited.items()]
        return pd.DataFrame(rows, columns=_WAITS)

    def _tables(self) -> list[tuple[Cell, int, pd.DataFrame]]:
        return [(cell, number, table) for cell, epochs in self._epochs.items()
                for number, table in enumerate(self.of(cell).tables(epochs))]

    def _place(self, cell: Cell, number: int) -> Path:
        return self.work / cell.name / FOLDER / block_name(number)


def open_streams(
    cells:   Sequence[Cell],                        # of a chunk, so of one arm
    samples: pd.DataFrame,                          # the samples table
    study:   Any,                                   # what a stage may see of it: what 05 sees, gan, and classifier
    *,
    size:        int,                               # pixels per side that the classifier sees
    roots:       Mapping[str, Path],                # source → its folder
    models:      Callable[[str], Path | None],      # the folder of an earlier stage; None where the study has no such stage
    cache:       Path,
    work:        Path,                              # gets a folder per cell
    fingerprint: Callable[[str], str],              # of a module's sources with all it imports
) -> Streams | None:
    """What the arm draws while it trains, or None for an arm that does not. Nothing is loaded before a block is asked for.

    Only the models of 02 and 03, or of 04, are used, which have learnt from training images alone. ValueError as of `quota_cells`.
    """
    arm = find_arm(cells[0].arm)
    if not (arm.has("on_the_fly") or arm.has("hybrid")):
        return None
    (generator,) = arm.generators
    place, (setting, mark) = work / cells[0].name / FOLDER, _setting(generator, samples, study, models, fingerprint)
    options = study.classifier.mixing.stream
    source = Source(
        worker  = Worker(program("lib.classify.stream_worker", str(place / "setting.json")), place / "worker.log"),
        options = options, cells = quota_cells(study, generator), groups = study.groups, generator = generator, hybrid = arm.has("hybrid"),
        seed    = study.generation.seed, size = size, epochs = study.classifier.epochs, mark = mark,
    )
    write_atomically(place / "samples.parquet", samples.to_parquet)         # as this process sees it: of a fold, its own split
    write_json(place / "setting.json", setting | {
        "samples": str(place / "samples.parquet"), "cache": str(cache), "roots": {name: str(root) for name, root in roots.items()},
    })
    return Streams(source, work)


def _setting(
    generator:   str,
    samples:     pd.DataFrame,
    study:       Any,
    models:      Callable[[str], Path | None],
    fingerprint: Callable[[str], str],
) -> tuple[dict[str, Any], str]:
    """What `lib.classify.stream_worker.open_drawer` needs to know, and a hash of all that decides what it draws."""
    generation, diffusion = study.generation, study.diffusion
    adapter = models("03_lora") if generator == "diffusion" and generation.use_lora else None
    folders = {
        "tokens":  (adapter or models("02_textual_inversion")) if generator == "diffusion" and generation.use_tokens else None,
        "adapter": adapter,
        "gan":     models("04_wgan_gp") if generator == "gan" else None,
    }
    told = {
        "name": study.name, "names": study.labels.names, "groups": study.groups.model_dump(mode="json"),
        "compute": study.compute.model_dump(mode="json"), "generation": generation.model_dump(mode="json", exclude=_LAYOUT),
        "data": {"crop": study.data.crop, "remove_hair": study.data.remove_hair},
        "diffusion": diffusion and {
            "base": diffusion.base.model_dump(mode="json"), "prompts": diffusion.prompts.model_dump(mode="json"),
            "image_size": diffusion.image_size, "flips": diffusion.flips,
        },
    }
    files = {f"{name}/{path.relative_to(folder)}": content_hash(path.read_bytes())
             for name, folder in folders.items() if folder for part in _MODELS for path in sorted((folder / part).rglob("*.safetensors"))}
    base = model_state(diffusion.base.model) if generator == "diffusion" else None
    mark = digest([generator, told, files, base, samples[_TOLD].to_csv(index=False), fingerprint("lib.classify.stream_worker"),
                   study.classifier.mixing.stream.model_dump(mode="json", exclude={"cache"})])
    setting = {"generator": generator, "study": told, "models": {name: folder and str(folder) for name, folder in folders.items()}}
    return setting, mark
