"""Cards in the format of the Hugging Face Hub, written from a study's tables: one per generator, one for the generated images.

A card is Markdown with a YAML head. Names and texts from a study are escaped, so none of them acts as markup.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from lib.report.card_data import (
    counts_table,
    describe_checks,
    describe_licences,
    learnt_from,
    licence_identifier,
    reader_notes,
    size_category,
    sources_table,
)
from lib.report.words import count, join, number
from lib.study import Source

STAGES = {"diffusion": ("02_textual_inversion", "03_lora"), "gan": ("04_wgan_gp",)}     # what each generator learnt in
KINDS = {
    "diffusion": ("low-rank adapter and new words for a text-to-image diffusion model", "diffusers", "text-to-image",
                  ["lora", "textual-inversion", "diffusion"]),
    "gan":       ("generator of a WGAN-GP", "pytorch", "unconditional-image-generation", ["gan", "wgan-gp"]),
}
USE = ("Further training images for classifiers of these classes, beside real ones, and research on whether that helps.",)
NOT_FOR = (
    "Diagnosis or advice of any kind.",
    "Judging a classifier: generated images belong in no validation or test set.",
    "Statements about how a disease looks, or about groups of people. What is drawn is what the generator learnt from few images.",
    "Replacing collected images of the groups that lack them.",
)


@dataclass(frozen=True)
class Made:
    """What a card is written from."""

    study:     str                                              # its name
    title:     str
    labels:    Sequence[str]
    groups:    Sequence[str]
    sources:   Sequence[Source]
    samples:   pd.DataFrame
    synthetic: pd.DataFrame | None               = None         # of all generators; None: the study draws nothing
    curated:   pd.DataFrame | None               = None
    metrics:   Mapping[str, Mapping]             = field(default_factory=dict)    # job → its metrics.json
    commit:    str                               = "unknown"

    @property
    def generators(self) -> list[str]:
        """Those that drew images."""
        return [] if self.synthetic is None else list(self.synthetic["generator"].unique())


def cards(made: Made) -> dict[str, str]:
    """Every card by its path, each the README.md of a folder as the Hub wants it; none where the study draws nothing."""
    if not made.generators:
        return {}
    return {f"cards/{generator}/README.md": model_card(made, generator) for generator in made.generators} | {
        "cards/images/README.md": dataset_card(made)}


def model_card(made: Made, generator: str) -> str:
    """The card of what one generator learnt. Raises KeyError for a generator that is not in KINDS."""
    from huggingface_hub import ModelCardData

    kind, library, task, tags = KINDS[generator]
    drawn = made.synthetic[made.synthetic["generator"] == generator]
    bases = _values(drawn["base_model"]) if generator == "diffusion" else []
    licence, name = licence_identifier(made.sources, bases)
    head = ModelCardData(
        license=licence, license_name=name, library_name=library, pipeline_tag=task, base_model=bases[0] if bases else None,
        tags=[*tags, "counterbalance"], datasets=[source.dataset for source in learnt_from(made.sources)],
        model_name=f"{made.study}: {kind}",
    )
    train = made.samples[made.samples["split"] == "train"]
    hashes = {name: _values(drawn[name]) for name in ("base_model", "base_revision", "base_sha256", "token_sha256", "adapter_sha256")}
    return _card(head, f"{made.title}: {generator}", {
        "What this is": [f"A {kind}, trained in the study {made.study} on training images; validation images only scored it, test images "
                         "were never seen.",
                         *(f"{name.replace('_', ' ')}: {join(values, 3)}" for name, values in hashes.items() if values),
                         f"Files: the folders {join([f'{stage}/' for stage in STAGES[generator]])} of the study's outputs."],
        "Training images": [sources_table(made.sources, made.samples), counts_table(train, made.labels, made.groups)],
        "Training": _training(made, generator),
        "What it draws": _drawn(made, generator),
        "Intended use": list(USE),
        "Not for": list(NOT_FOR),
        "Where it fails": _failures(made, generator),
        "Licence and limits": describe_licences(made.sources, bases),
        "Provenance": [f"Code at commit {made.commit}. Every generated image can be made again from its row in synthetic.parquet."],
    })


def dataset_card(made: Made) -> str:
    """The card of the generated images of all generators, with how many the checks let pass."""
    from huggingface_hub import DatasetCardData

    accepted = made.synthetic[made.synthetic["accepted"]]
    bases = _values(made.synthetic.loc[made.synthetic["generator"] == "diffusion", "base_model"])
    licence, name = licence_identifier(made.sources, bases)
    head = DatasetCardData(
        license=licence, **({"license_name": name} if name else {}), pretty_name=f"{made.study}: generated images",
        annotations_creators=["machine-generated"], size_categories=[size_category(len(accepted))],
        task_categories=["image-classification"], tags=["synthetic", "imagefolder", "counterbalance"],
    )
    parts = {}
    for generator, part in accepted.groupby("generator", sort=False):
        parts[f"Images by {generator}"] = [counts_table(part, made.labels, made.groups), *_drawn(made, str(generator))]
        parts[f"Where {generator} fails"] = _failures(made, str(generator))
    return _card(head, f"{made.title}: generated images", {
        "What this is": [f"{count(len(accepted), 'image')} drawn by {join(made.generators)} in the study {made.study}. The label of an "
                         "image is what was asked for, not what anybody saw in it.",
                         "Each folder images/ under 05_generation/ is an imagefolder with a metadata.csv, which "
                         "load_dataset(\"imagefolder\", data_dir=…) reads. What the checks say of each image is in curated.parquet of "
                         "06_curation."],
        **parts,
        "What was learnt from": [sources_table(made.sources, made.samples), *reader_notes(made.sources)],
        "Intended use": list(USE),
        "Not for": list(NOT_FOR),
        "Licence and limits": describe_licences(made.sources, bases),
        "Provenance": [f"Code at commit {made.commit}. Prompt, seed, model hashes and versions stand in each image's row."],
    })


def _training(made: Made, generator: str) -> list[str]:
    said = []
    for job, metrics in made.metrics.items():
        if job.split("/")[0] not in STAGES[generator]:
            continue
        if "steps" in metrics:
            trained, kept = (number(metrics["steps"][name]) for name in ("trained", "kept"))
            said.append(f"{job}: {trained} steps trained, those of step {kept} kept.")
        for name, one in metrics.get("generators", {}).items():
            said.append(f"{job}, {name}: {number(one['iterations'])} iterations on {count(one['images'], 'image')}.")
        said += [f"{job}: {finding}" for finding in metrics.get("findings", ())]
    return said or ["Nothing was recorded."]


def _drawn(made: Made, generator: str) -> list[str]:
    """How the images were made, from the table; several values are named."""
    part = made.synthetic[made.synthetic["generator"] == generator]
    how = {name: _values(part[name]) for name in ("scheduler", "start", "steps", "guidance", "strength", "dtype")}
    kept = part["accepted"]
    said = [f"{number(int(kept.sum()))} images in {count(len(part), 'attempt')}, {part['width'].max()} × {part['height'].max()} pixels.",
            *(f"{name}: {join(values, 4)}" for name, values in how.items() if values)]
    if made.curated is not None and (mine := made.curated[made.curated["generator"] == generator]).size:
        said.append(f"Selected for training: {number(int(mine['selected'].sum()))} of {number(len(mine))}.")
    return said


def _failures(made: Made, generator: str) -> list[str]:
    """What the checks and the notebooks found wrong with a generator's images."""
    said = [finding for job, metrics in made.metrics.items() if job.startswith("06_curation/") and metrics.get("generator") == generator
            for finding in metrics.get("findings", ())]
    mine = None if made.curated is None else made.curated[made.curated["generator"] == generator]
    checks = describe_checks(mine) if mine is not None and len(mine) else ["No check looked at them."]
    return [*checks, *said, *reader_notes(made.sources)]


def _values(column: pd.Series) -> list[str]:
    return [str(value) for value in column.dropna().unique()]


def _card(head, title: str, sections: Mapping[str, Iterable]) -> str:
    """The head, a title, and each section as a list of sentences and tables."""
    lines = ["---", head.to_yaml(line_break="\n").strip(), "---", "", f"# {escape(title)}"]
    for name, content in sections.items():
        lines += ["", f"## {escape(name)}", ""]
        for item in content:
            lines += ["", *_table(item), ""] if isinstance(item, pd.DataFrame) else [f"* {escape(item)}"]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


def _table(frame: pd.DataFrame) -> list[str]:
    rows = [list(frame.columns), ["---"] * len(frame.columns)]
    rows += [[number(cell) if isinstance(cell, float) else str(cell) for cell in row] for row in frame.itertuples(index=False)]
    return [f"| {' | '.join(map(escape, row))} |" for row in rows]


def escape(text: object) -> str:
    """`text` as one line of Markdown that reads as written."""
    line = " ".join(str(text).split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", line)
