"""What a job depends on, what it was made from, and therefore why it is stale.

A key is plain JSON: the notebook's hash, the hash of every module it imports, the parameter values it may see, its cells of the grid,
what lies in the image folders (01), the files of pretrained models, and a hash of what it reads of each input job. A finished job keeps
its key in `record.json`; it is stale when the two differ, or when something it made is missing or altered, and for no other reason.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from lib.classify.arms import find_arm
from lib.data.errors import DataError
from lib.study import ROOT, Study, fingerprint
from lib.workflow.plan import Job, Plan, outputs_root
from lib.workflow.sources import module_sources, notebook_hash, notebook_sources
from lib.workflow.stages import Stage

MODELS = ("diffusion.base.model", "diffusion.encoder", "gan.encoder", "curation.encoder", "curation.second_encoder", "curation.perceptual",
          "generation.image_prompt.adapter")                # that name models


def visible_params(study: Study, stage: Stage, cells: tuple[dict, ...] = ()) -> dict[str, Any]:
    """The parameter values that a stage (a chunk with these cells) depends on, as dotted leaves: {"split.seed": 42, …}."""
    leaves = dict(_leaves(study.as_dict()))
    leaves["labels.names"] = study.labels.names                         # in order: the meaning of p_0 … p_k
    leaves["groups.names"] = study.groups.names
    if not study.split.fold_numbers:
        leaves.pop("split.folds")                                       # a study without folds is as it was before there were any
    shown = {key: value for key, value in leaves.items() if _under(key, stage.params)}
    return {key: value for key, value in shown.items() if not _under(key, stage.hidden) or _under(key, stage.shown(cells))}


def full_key(plan: Plan, job: Job) -> dict[str, Any]:
    """Everything the job depends on, as it is now; an input that is not made yet has the hash None."""
    return {
        "notebook": notebook_hash(job.notebook),
        "sources":  notebook_sources(job.notebook, ROOT) | _drawing(job.cells),
        "params":   visible_params(plan.study, job.stage, job.cells),
        "cells":    list(job.cells),
        "inputs":   {other.id: outputs_hash(other, metrics=job.stage.metrics) for other in plan.inputs(job)},
        "folders":  _folders(plan.study) if job.stage.images else {},
        "models":   _models(plan.study, job.stage, job.cells),
        "reviews":  _reviews(plan.study) if job.stage.reviewed else {},
    }


def _drawing(cells: tuple[dict, ...]) -> dict[str, str]:
    """The modules of what draws while an arm trains: a process of its own that the notebook starts by name, so no import leads to them."""
    streams = any(find_arm(cell["arm"]).streams for cell in cells if "arm" in cell)
    return module_sources("lib.classify.stream_worker", ROOT) if streams else {}


def _models(study: Study, stage: Stage, cells: tuple[dict, ...]) -> dict[str, str]:
    """The files of the pretrained models that the stage may see, by the key that names each; of other shipped ones by their name."""
    from lib.pretrained import ModelError, model_state

    def state(model: str) -> str:
        try:
            return model_state(model)
        except ModelError as error:                                     # the stage itself says so to the reader
            return f"unusable: {error}"

    shown = visible_params(study, stage, cells)
    named = {key: shown[key] for key in MODELS if shown.get(key)} | {name: name for name in stage.assets}
    starts = {find_arm(cell["arm"]).start for cell in cells if "arm" in cell} - {""}
    named |= {f"classifier.{start}": start for start in sorted(starts)}
    if "curation.checks" in shown:
        named |= {f"curation.checks.{check.title}.encoder": check.encoder for check in study.curation.checks if check.encoder}
    return {key: state(model) for key, model in named.items()}


def _reviews(study: Study) -> dict[str, str]:
    """What people said of the stage's images, by file: scores and summaries that `lib.curation.review collect` wrote."""
    folder = outputs_root() / study.name / "06_curation" / "review"
    return {path.name: file_hash(path) for path in sorted([*folder.glob("scores-*.csv"), *folder.glob("summary-*.json")])}


def _folders(study: Study) -> dict[str, str]:
    """What lies in the sources' folders now: names, sizes, times of change and the content of tables."""
    from lib.data.root import data_root
    from lib.data.sources import source_folders
    from lib.data.state import source_state

    root = data_root()
    try:
        return source_state(study.data, study.split, source_folders(study.data.sources, root=root), root)
    except DataError as error:                                          # the stage itself says so to the reader
        return {"unusable": str(error)}


def outputs_hash(
    job:     Job,
    *,
    metrics: bool = False,          # for a reader that looks at metrics.json too: its numbers, and its findings for the study's report
) -> str | None:
    """One hash over what crosses from a finished job to later ones, or None: tables, models and the files that its stage shares.

    Nothing else crosses: a restyled figure makes nothing stale.
    """
    record = read_json(job.record)
    if not record:
        return None
    also = [name for name in (*job.stage.shares, *(["metrics.json"] if metrics else [])) if name in record["outputs"]]
    return fingerprint({name: record["outputs"][name] for name in record["tables"] + record.get("models", []) + also})


def why_stale(plan: Plan, job: Job) -> list[str]:
    """Reasons to run the job, for people; empty when it is up to date. Inputs that are stale themselves are not looked through."""
    record = read_json(job.record)
    if record is None:
        return ["not made yet"]
    damage = damaged(job, record)
    if damage:
        return damage
    return differences(record["key"], full_key(plan, job))


def damaged(job: Job, record: dict) -> list[str]:
    """Outputs that are missing, are not what the job left, or were made with a model that stood in for one that can be had now."""
    reasons = _arrived(job)
    for name, digest in record["outputs"].items():
        path = job.folder / name
        if not path.is_file():
            reasons.append(f"{name} is missing")
        elif file_hash(path) != digest:
            reasons.append(f"{name} was altered")
    beside = (job.executed, job.executed.with_suffix(".html"), job.provenance)
    return reasons + [f"{path.name} is missing" for path in beside if not path.is_file()]


def _arrived(job: Job) -> list[str]:
    """Models that the job did without (`stand_ins` of its metrics: what the caches held of each) and whose files have changed since."""
    from lib.pretrained import fetched

    lacked = (read_json(job.folder / "metrics.json") or {}).get("stand_ins", {})
    return [f"{model} can be had now, and another model stood in for it" for model, held in lacked.items() if fetched(model) != held]


def differences(old: dict, new: dict) -> list[str]:
    """What changed from one key to the other, a phrase each."""
    reasons = []
    if old["notebook"] != new["notebook"]:
        reasons.append("the notebook changed")
    reasons += [f"{name} {how}" for name, how in _changes(old["sources"], new["sources"])]
    for name, how in _changes(old["params"], new["params"]):
        shown = f"{_short(old['params'][name])} → {_short(new['params'][name])}" if how == "changed" else how
        reasons.append(f"{name} {shown}")
    for part in ("folders", "models", "reviews"):
        reasons += [f"files of {name} {how}" for name, how in _changes(old.get(part, {}), new.get(part, {}))]
    reasons += [f"input {name} {how}" for name, how in _changes(old["inputs"], new["inputs"])]
    if old["cells"] != new["cells"]:
        reasons.append("its part of the grid changed")
    return reasons or (["made by an earlier version of the workflow"] if old != new else [])


def file_hash(path: Path) -> str:
    """SHA-256 of a file, 16 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def read_json(path: Path) -> dict | None:
    """The JSON object in a file; None when the file is missing or cut short."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None


def _leaves(value: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """Mappings are opened; lists and single values are leaves."""
    if isinstance(value, dict) and value:
        return [leaf for key, inner in value.items() for leaf in _leaves(inner, f"{prefix}.{key}" if prefix else str(key))]
    return [(prefix, value)]


def _under(key: str, prefixes: tuple[str, ...]) -> bool:
    return any(key == prefix or key.startswith(prefix + ".") for prefix in prefixes)


def _changes(old: dict, new: dict) -> list[tuple[str, str]]:
    gone = [(name, "is gone") for name in old if name not in new]
    come = [(name, "is new") for name in new if name not in old]
    return [(name, "changed") for name in new if name in old and old[name] != new[name]] + come + gone


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else text[:37] + "…"
