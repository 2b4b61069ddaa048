"""A study file as a plan, with every name in it checked against what the library knows."""

from __future__ import annotations

from typing import Any

from lib.classify.architectures import find_architecture
from lib.classify.arms import check_arm, check_mixing
from lib.data.conditions import check_conditions
from lib.data.info import find_info
from lib.data.pools import check_pools
from lib.names import look_up
from lib.study import Study, StudyError, load_study, place_of
from lib.workflow.plan import Plan, make_plan


def load_plan(
    study_file: str,                             # relative to the current folder or to the checkout
    overrides:  dict[str, Any] | None = None,    # {"classifier.epochs": 5}
) -> Plan:
    """Read a study and lay out its jobs. Raises StudyError with file and line, unknown arms, networks, data sets and metrics included."""
    study = load_study(study_file, overrides)
    for key, check in CHECKS.items():
        try:
            check(study)
        except ValueError as error:
            text = str(error).removeprefix(f"{key}: ")
            raise StudyError(f"{place_of(key, study_file, overrides)}  {key}: {text}") from None
    return make_plan(study)


def _sources(study: Study) -> None:
    for source in study.data.sources:
        find_info(source.dataset)
        if source.phantom and (source.phantom.class_shares or source.phantom.domain_shares):
            from lib.phantom.camera import DOMAINS
            from lib.phantom.lesions import DIAGNOSES

            for name in source.phantom.class_shares:
                look_up("phantom diagnosis", name, dict.fromkeys(DIAGNOSES))
            for name in source.phantom.domain_shares:
                look_up("phantom domain", name, DOMAINS)
    check_pools(study.data.sources, study.data.shared_images)


def _conditions(study: Study) -> None:
    check_conditions(study.labels)


def _arms(study: Study) -> None:
    for arm in study.classifier.arms:
        check_arm(arm, study)


def _architectures(study: Study) -> None:
    for name in study.classifier.architectures:
        find_architecture(name)


def _metrics(study: Study) -> None:
    from lib.metrics.registry import get_measure

    for name in study.statistics.metrics:
        get_measure(name)


def _primary(study: Study) -> None:
    from lib.metrics.registry import get_measure

    for primary in study.statistics.primary:
        if get_measure(primary.metric).needs_positive and not study.labels.positive:
            raise ValueError(f"{primary.metric} needs to know which classes are positive; name them in labels.positive")


def _truth(study: Study) -> None:
    if study.truth and (study.diffusion.prompts.by != "type" or any(source.dataset != "phantom" for source in study.data.sources)):
        raise ValueError("it is known of phantoms alone, type by type; take `truth` out, or use phantoms and diffusion.prompts.by: type")


CHECKS = {
    "data.sources":              _sources,
    "labels.conditions":         _conditions,
    "classifier.arms":           _arms,
    "classifier.mixing":         check_mixing,
    "classifier.architectures":  _architectures,
    "statistics.metrics":        _metrics,
    "statistics.primary.metric": _primary,
    "truth":                     _truth,
}
