"""The stages of a study: one row each. A new stage is a notebook and a row here.

Which modules of `lib` a stage depends on is not listed: it follows from the notebook's imports (see `sources.py`), so it cannot rot.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lib.classify.arms import find_arm, generators_of
from lib.classify.grid import chunks as classifier_chunks
from lib.study import Study


@dataclass(frozen=True)
class Stage:
    """One notebook of the study."""

    name:     str                                       # also the notebook's and the output folder's name
    question: str                                       # what it answers, for people
    reads:    tuple[str, ...]                           # stages whose outputs it uses
    writes:   tuple[str, ...]                           # tables
    params:   tuple[str, ...]                           # sections (or section.key) of the study it may see
    chunks:   Callable[[Study], dict[str, list[dict]]] | None = None     # fan-out: chunk id → its cells of the grid; {}: one job
    hidden:   tuple[str, ...] = ()                      # keys of its sections that only lay out the grid, or that it does not look at
    gpu:      bool = False                              # takes a GPU when there is one
    images:   bool = False                              # looks into the sources' folders, so it depends on what lies there
    reviewed: bool = False                              # takes in what people said of its images, so it depends on their scores
    assets:   tuple[str, ...] = ()                      # shipped models that it uses and that no parameter names
    section:  str | None = None                         # (dotted) section that asks for this stage; a study without it has no such stage
    needs:    Callable[[tuple[dict, ...]], tuple[str, ...]] | None = None    # of a fan-out: which of `reads` a chunk with these cells uses
    takes:    Callable[[tuple[dict, ...], tuple[dict, ...], Sequence[str]], bool] | None = None
                                                        # whether a chunk uses another, by their cells and the study's generators
    also:     Callable[[tuple[dict, ...]], tuple[str, ...]] | None = None    # which of `hidden` a chunk depends on all the same
    shares:   tuple[str, ...] = ()                      # files that it keeps (where it has them) and that later stages read, like tables
    metrics:  bool = False                              # looks at metrics.json of what it reads, so it depends on it

    def inputs(self, cells: tuple[dict, ...]) -> tuple[str, ...]:
        """Stages whose outputs a chunk uses."""
        return self.reads if self.needs is None else self.needs(cells)

    def uses(self, cells: tuple[dict, ...], other: tuple[dict, ...], generators: Sequence[str]) -> bool:
        """Whether a chunk uses one of another stage that has the cells `other`, in a study with these generators."""
        return self.takes is None or self.takes(cells, other, generators)

    def shown(self, cells: tuple[dict, ...]) -> tuple[str, ...]:
        """Keys of `hidden` that a chunk depends on all the same."""
        return self.also(cells) if self.also and cells else ()

    def asked(self, study: Study) -> bool:
        """Whether the study has this stage."""
        value: object = study
        for key in self.section.split(".") if self.section else ():
            value = getattr(value, key)
            if value is None:
                return False
        return True


def _classifier(study: Study) -> dict[str, list[dict]]:
    return {chunk.id: [cell.record() for cell in chunk.cells] for chunk in classifier_chunks(study.classifier, study.split.folds)}


def _per_fold(study: Study) -> dict[str, list[dict]]:
    """What learns from training images learns anew in every fold; {} without cross-validation."""
    return {f"fold{fold}": [{"fold": fold}] for fold in study.split.fold_numbers}


def _in_folds(study: Study, chunks: dict[str, dict]) -> dict[str, list[dict]]:
    """Chunks of one cell each, in every fold."""
    folds = {f"{name}-": cell for name, (cell,) in _per_fold(study).items()} or {"": {}}
    return {f"{fold}{chunk}": [cell | shown] for fold, shown in folds.items() for chunk, cell in chunks.items()}


def _shards(study: Study) -> dict[str, list[dict]]:
    shards, prefix = study.generation.shards, {"diffusion": "", "gan": "gan-"}
    return _in_folds(study, {f"{prefix[generator]}shard-{shard + 1}-of-{shards}": {"generator": generator, "index": shard, "shards": shards}
                             for generator in study.generators for shard in range(shards)})


def _per_generator(study: Study) -> dict[str, list[dict]]:
    return _in_folds(study, {generator: {"generator": generator} for generator in study.generators})


def _learnt(cells: tuple[dict, ...]) -> tuple[str, ...]:
    """What a shard draws with: a new GAN leaves the images of diffusion as they are."""
    return ("01_eda", "04_wgan_gp") if cells[0]["generator"] == "gan" else ("01_eda", "02_textual_inversion", "03_lora")


def _mixed(cells: tuple[dict, ...]) -> tuple[str, ...]:
    """What an arm is made of: one without generated images stays as it is, whatever a generator does."""
    arm = find_arm(cells[0]["arm"])
    if not arm.adds:
        return ("01_eda",)
    drawn = () if arm.has("on_the_fly") else ("05_generation",) if arm.which == "accepted" else ("05_generation", "06_curation")
    models = {"diffusion": ("02_textual_inversion", "03_lora"), "gan": ("04_wgan_gp",)}[arm.generators[0]] if arm.streams else ()
    return ("01_eda", *models, *drawn)


def _own_generator(cells: tuple[dict, ...], other: tuple[dict, ...], generators: Sequence[str]) -> bool:
    """A new GAN leaves the arms of diffusion as they are, and `collected`, which goes by the study's first generator alone."""
    generator = other[0].get("generator") if other else None
    return generator is None or generator in generators_of(find_arm(cells[0]["arm"]), generators)


def _mixing_params(cells: tuple[dict, ...]) -> tuple[str, ...]:
    arm = find_arm(cells[0]["arm"])
    if not arm.adds:
        return ()
    return ("classifier.mixing", *MIXING, *(STREAM + arm.generators if arm.streams else ()))


LEARNING = ("labels.names", "groups", "compute", "data.crop", "data.remove_hair",
            "diffusion.base", "diffusion.prompts", "diffusion.resampling", "diffusion.encoder", "diffusion.image_size", "diffusion.flips")
QUOTA    = tuple(f"generation.{key}" for key in ("images", "over_generation", "classes", "tones", "cells", "domains", "attempts", "shards",
                                                     "generators"))
ASKING   = tuple(f"curation.review.{key}"               # of people, before and after the notebook, and not by it
                 for key in ("images", "real", "which", "acceptance", "raters", "show_label", "seed"))
MIXING   = ("diffusion.resampling.classifier",)         # of the same table, but it is for classifiers
STREAM   = ("groups", "generation")                     # besides the generator's own section: what draws while a classifier trains


STAGES = {stage.name: stage for stage in (
    Stage(
        name     = "01_eda",
        question = "Which images are there, and where are there too few?",
        reads    = (),
        writes   = ("samples",),
        params   = ("data", "labels", "groups", "split", "explore"),
        images   = True,
    ),
    Stage(
        name     = "02_textual_inversion",
        question = "Can new words stand for the cells that the base model has no word for?",
        reads    = ("01_eda",),
        writes   = (),
        params   = (*LEARNING, "diffusion.tokens"),
        chunks   = _per_fold,
        hidden   = MIXING,
        section  = "diffusion.tokens",
        gpu      = True,
    ),
    Stage(
        name     = "03_lora",
        question = "Does the generator learn to draw what the data set lacks?",
        reads    = ("01_eda", "02_textual_inversion"),
        writes   = (),
        params   = (*LEARNING, "diffusion.lora"),
        chunks   = _per_fold,
        hidden   = MIXING,
        section  = "diffusion.lora",
        gpu      = True,
    ),
    Stage(
        name     = "04_wgan_gp",
        question = "What does a network draw that learnt from these images alone?",
        reads    = ("01_eda",),
        writes   = (),
        params   = ("labels.names", "compute", "data.remove_hair", "gan"),
        chunks   = _per_fold,
        section  = "gan",
        gpu      = True,
    ),
    Stage(
        name     = "05_generation",
        question = "What was generated, for whom, and can each image be made again?",
        reads    = ("01_eda", "02_textual_inversion", "03_lora", "04_wgan_gp"),
        writes   = ("synthetic",),
        params   = ("labels.names", "groups", "compute", "data.crop", "data.remove_hair",
                    "diffusion.base", "diffusion.prompts", "diffusion.image_size", "diffusion.flips", "generation"),
        chunks   = _shards,
        needs    = _learnt,
        hidden   = ("generation.shards", "generation.generators"),
        section  = "generation",
        gpu      = True,
    ),
    Stage(
        name     = "06_curation",
        question = "Which generated images are good enough to train on?",
        reads    = ("01_eda", "05_generation"),
        writes   = ("curated",),
        params   = ("curation", "generation", "gan", "diffusion.prompts", "labels.names", "groups", "compute",
                    "data.sources", "data.crop", "data.remove_hair"),
        chunks   = _per_generator,
        hidden   = ("generation.shards", "generation.generators", *ASKING),
        section  = "curation",
        reviewed = True,
        gpu      = True,
    ),
    Stage(
        name     = "07_classifier",
        question = "How well does a classifier do with each arm?",
        reads    = ("01_eda", "02_textual_inversion", "03_lora", "04_wgan_gp", "05_generation", "06_curation"),
        writes   = ("predictions",),
        params   = ("labels.classes", "labels.names", "labels.positive", "classifier", "compute", "data.image_size", "data.crop",
                    "data.remove_hair", "split.seed", *MIXING, *STREAM, "gan", "diffusion.base", "diffusion.prompts",
                    "diffusion.image_size", "diffusion.flips"),
        chunks   = _classifier,
        needs    = _mixed,
        takes    = _own_generator,
        hidden   = ("classifier.arms", "classifier.architectures", "classifier.seeds", "classifier.chunk_size", "classifier.learning_curve",
                    "classifier.mixing", "groups", "generation", "gan", "diffusion"),
        also     = _mixing_params,
        gpu      = True,
    ),
    Stage(
        name     = "08_ablations",
        question = "What does each arm change, for whom, and at what cost?",
        reads    = ("07_classifier",),
        writes   = (),
        params   = ("statistics", "labels.positive", "groups"),
        hidden   = ("statistics.pdf",),
        shares   = ("exchange.csv",),
        metrics  = True,
    ),
    Stage(
        name     = "09_statistics",
        question = "Does it help, for whom, and how sure can we be?",
        reads    = ("01_eda", "02_textual_inversion", "03_lora", "04_wgan_gp", "05_generation", "06_curation", "07_classifier",
                    "08_ablations"),                    # all but 07 for the report of the whole study
        writes   = (),
        params   = ("title", "question", "statistics", "labels.positive", "labels.conditions", "groups", "data.sources"),
        metrics  = True,
    ),
    Stage(
        name     = "10_benchmarks",
        question = "How fast are training, drawing and searching, and how fast could they be?",
        reads    = ("01_eda",),
        writes   = (),
        params   = ("benchmarks", "diffusion", "generation", "gan", "labels.names", "groups", "compute",
                    "data.image_size", "data.crop", "data.remove_hair"),
        section  = "benchmarks",
        gpu      = True,
    ),
    Stage(
        name     = "11_generator_truth",
        question = "Does the generator draw what was asked for?",
        reads    = ("01_eda", "02_textual_inversion", "03_lora"),
        writes   = (),
        params   = ("truth", "diffusion", "generation", "labels.classes", "labels.names", "groups", "compute",
                    "data.image_size", "data.crop", "data.remove_hair"),
        hidden   = (*MIXING, *QUOTA),
        assets   = ("phantom-oracle",),
        section  = "truth",
        gpu      = True,
    ),
    Stage(
        name     = "12_set_distance",
        question = "Can the test of set distances be trusted, and what does it see?",
        reads    = ("01_eda",),
        writes   = (),
        params   = ("set_distance", "labels.names", "compute", "data.image_size", "data.crop", "data.remove_hair"),
        section  = "set_distance",
    ),
    Stage(
        name     = "13_null_truth",
        question = "How often does a study say \"better\" where nothing helps?",
        reads    = (),
        writes   = (),
        params   = ("null_truth", "data", "labels", "groups", "split", "classifier", "statistics", "compute.threads"),
        hidden   = ("classifier.arms", "classifier.learning_curve", "classifier.chunk_size", "statistics.primary", "statistics.metrics",
                    "statistics.permutations", "statistics.power", "statistics.pdf"),
        section  = "null_truth",
    ),
)}
