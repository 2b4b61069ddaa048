"""The front page of a study: verdicts, headline table, figures, then where everything comes from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader

from lib.files import write_atomically
from lib.report.page import write_page
from lib.study import fingerprint
from lib.workflow.keys import read_json, why_stale
from lib.workflow.plan import Job, Plan, outputs_root

VERDICT_STAGE = "09_statistics"


def write_index(plan: Plan, study_file: str, overrides: dict[str, Any]) -> Path:
    """Write `outputs/<study>/index.html` from what the stages left, and return its path."""
    path = outputs_root() / plan.study.name / "index.html"
    resolved = yaml.safe_dump(plan.study.as_dict(), sort_keys=False, allow_unicode=True)
    write_atomically(path.with_name("study.yaml"), lambda temporary: temporary.write_text(resolved, encoding="utf-8"))
    jobs = [_job(plan, job) for job in plan.jobs]
    metrics = {job.id: read_json(job.folder / "metrics.json") or {} for job in plan.jobs if read_json(job.record)}
    answer = metrics.get(VERDICT_STAGE, {})
    templates = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
    body = templates.get_template("index.html").render(
        study      = plan.study,
        verdicts   = answer.get("verdicts", []),
        conclusion = answer.get("conclusion", ""),
        whole      = _whole(path.parent),
        outdated   = [f"{job['id']}: {job['state']}" for job in jobs if job["stale"]] if answer else [],
        headline   = _headline(answer.get("headline")),
        failures   = [message["message"] for job in plan.jobs if (message := read_json(job.state("failed")))],
        sections   = _sections(plan, jobs, metrics),
        jobs       = jobs,
        provenance = _provenance(plan, study_file, overrides),
    )
    write_page(path, title=plan.study.title, body=body)
    return path


def _whole(folder: Path) -> list[dict[str, str]]:
    """What the last notebook wrote to be passed on, where it is there."""
    stage = folder / VERDICT_STAGE
    files = {"report.html": "the whole study on one page", "report.pdf": "the same as PDF", "final_results.json": "the figures"}
    files |= {f"cards/{card.parent.name}/README.md": f"card: {card.parent.name}" for card in sorted(stage.glob("cards/*/README.md"))}
    return [{"path": f"{VERDICT_STAGE}/{name}", "title": title} for name, title in files.items() if (stage / name).is_file()]


def _job(plan: Plan, job: Job) -> dict[str, Any]:
    record, origin = read_json(job.record), read_json(job.provenance) or {}
    why = why_stale(plan, job)
    base = os.path.relpath(job.folder, outputs_root() / plan.study.name).replace(os.sep, "/")
    return {
        "id":       job.id,
        "stage":    job.stage.name,
        "made":     record is not None,
        "link":     f"{base}/{job.stage.name}.html",
        "notebook": f"{base}/{job.stage.name}.ipynb",
        "metrics":  f"{base}/metrics.json",
        "tables":   [{"name": name, "path": f"{base}/{name}"} for name in (record or {}).get("tables", [])],
        "figures":  [{"path": f"{base}/figures/{name}.png", **shown} for name, shown in origin.get("figures", {}).items()],
        "seconds":  f"{origin['seconds']:.0f}" if "seconds" in origin else "",
        "memory":   f"{origin['peak_memory_bytes'] / 2**30:.1f} GB" if "peak_memory_bytes" in origin else "",
        "state":    "; ".join(why[:2]) if why else "up to date",
        "stale":    bool(why),
    }


def _sections(plan: Plan, jobs: list[dict], metrics: dict[str, dict]) -> list[dict]:
    """Stages with something to show, the answer first."""
    sections = []
    for name in sorted({job.stage.name for job in plan.jobs}, key=lambda name: (name != VERDICT_STAGE, name)):
        mine = [job for job in jobs if job["stage"] == name and job["made"]]
        if mine:
            shown = [{**job, "findings": metrics[job["id"]].get("findings", [])} for job in mine]
            sections.append({"question": plan.of(name)[0].stage.question, "jobs": shown})
    return sections


def _headline(table: dict | None) -> dict | None:
    return table and {**table, "job": VERDICT_STAGE, "link": f"{VERDICT_STAGE}/{VERDICT_STAGE}.html"}


def _provenance(plan: Plan, study_file: str, overrides: dict[str, Any]) -> list[tuple[str, str]]:
    """What the stages say of themselves: with a stale or failed stage, not the same as what was asked for last."""
    made = [(job.id, origin) for job in plan.jobs if (origin := read_json(job.provenance))]
    rows = [("asked for last", _command(study_file, overrides)), ("its parameters hash", fingerprint(plan.study.as_dict()))]
    for name, shown in (("made by", lambda origin: _command(origin["study"], origin["overrides"])), ("parameters hash", "params_hash"),
                        ("commit", "commit"), ("device", "device"), ("python", "python"), ("packages", "packages")):
        read = shown if callable(shown) else lambda origin, key=shown: origin.get(key, "")
        rows.append((name, "; ".join(sorted({read(origin) for _, origin in made}))))
    rows.append(("seconds, all stages", f"{sum(origin['seconds'] for _, origin in made):.0f}"))
    return rows + [("accepted as still valid", f"{job}: {', '.join(why)}") for job, origin in made for why in origin.get("accepted", [])]


def _command(study_file: str, overrides: dict[str, Any]) -> str:
    return " ".join(["python run_all.py", study_file, *(f"-p {key}={value}" for key, value in overrides.items())])
