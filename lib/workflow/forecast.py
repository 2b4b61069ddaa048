"""What generation will take, for `--dry-run`: counts from the study, time from the run before, if there was one."""

from __future__ import annotations

import math
from pathlib import Path

from lib.study import Prompts
from lib.workflow.keys import read_json
from lib.workflow.plan import Plan


def forecast(plan: Plan) -> str:
    """Images, batches, time and disk in one sentence, or what stands in the way; no model is loaded."""
    from lib.diffusion.estimate import estimate, size_of_base
    from lib.diffusion.quota import by_class, quota
    from lib.diffusion.words import Words
    from lib.pretrained import locate

    study, said = plan.study, []
    try:
        words = Words(study.diffusion.prompts if study.diffusion else Prompts(by="none"), study.labels.names, study.groups)
        if "diffusion" in study.generators:
            size = study.diffusion.image_size or size_of_base(Path(locate(study.diffusion.base.model)))
            said.append(estimate(study.generation, words.classes, words.tones, image_size=size,
                                 seconds_per_batch=_measured(plan)).sentence())
        if "gan" in study.generators:
            cells = by_class(quota(study.generation, words.classes, words.tones), study.gan.labels(words.classes))
            said.append(f"{cells['images'].sum():,} images of {len(cells)} classes by GAN")
        if study.split.fold_numbers:
            said.append(f"all of it in each of {study.split.folds} folds")
        return "; ".join(said)
    except ValueError as error:                                         # names that collide, a missing base: the stage would stop there
        return str(error)


def _measured(plan: Plan) -> float | None:
    """Seconds per batch of diffusion's finished shards, notebook included; None where none is finished."""
    seconds, batches = 0.0, 0
    for job in (job for job in plan.of("05_generation") if job.cells[0]["generator"] == "diffusion"):
        origin, made = read_json(job.provenance), read_json(job.folder / "metrics.json")
        if origin and made:
            seconds += origin["seconds"]
            batches += math.ceil(made["attempts"] / made["batch_size"])
    return seconds / batches if batches else None
