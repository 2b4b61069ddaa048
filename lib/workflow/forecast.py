"""What generation will take, for `--dry-run`: counts from the study, time from the run before, if there was one."""

from __future__ import annotations

import math
from pathlib import Path

from lib.workflow.keys import read_json
from lib.workflow.plan import Plan


def forecast(plan: Plan) -> str:
    """Images, batches, time and disk in one sentence, or what stands in the way; no model is loaded."""
    from lib.diffusion.estimate import estimate, size_of_base
    from lib.diffusion.places import locate
    from lib.diffusion.words import Words

    study = plan.study
    try:
        words = Words(study.diffusion.prompts, study.labels.names, study.groups)
        size = study.diffusion.image_size or size_of_base(Path(locate(study.diffusion.base.model)))
        return estimate(study.generation, words.classes, words.tones, image_size=size, seconds_per_batch=_measured(plan)).sentence()
    except ValueError as error:                                         # names that collide, a missing base: the stage would stop there
        return str(error)


def _measured(plan: Plan) -> float | None:
    """Seconds per batch of the finished shards, notebook included; None where none is finished."""
    seconds, batches = 0.0, 0
    for job in plan.of("05_generation"):
        origin, made = read_json(job.provenance), read_json(job.folder / "metrics.json")
        if origin and made:
            seconds += origin["seconds"]
            batches += math.ceil(made["attempts"] / made["batch_size"])
    return seconds / batches if batches else None
