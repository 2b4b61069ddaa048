"""A study: every section, and what must hold across them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import Field, model_validator

from lib.study.data import Data, Groups, Labels, Split
from lib.study.section import Section
from lib.study.work import Classifier, Compute, Explore, Statistics


class Study(Section):
    """Everything a study is."""

    name:       str        = Field(pattern=r"^[a-z][a-z0-9_]*$")
    title:      str
    question:   str        = ""
    compute:    Compute    = Compute()
    data:       Data
    labels:     Labels
    groups:     Groups     = Groups()
    split:      Split      = Split()
    explore:    Explore    = Explore()
    classifier: Classifier = Classifier()
    statistics: Statistics = Statistics()

    @model_validator(mode="after")
    def _across(self):
        arms = self.classifier.arms
        for primary in self.statistics.primary:
            for role in ("arm", "baseline"):
                named = getattr(primary, role)
                if named not in arms:
                    default = "" if role in primary.model_fields_set else "; that is the default: write the comparison that is meant"
                    raise ValueError(f"statistics.primary.{role} is {named!r}, not among classifier.arms ({', '.join(arms)}){default}")
            if primary.arm == primary.baseline:
                raise ValueError("statistics.primary compares an arm with itself")
            if primary.group is not None and primary.group not in self.groups.names:
                raise ValueError(f"statistics.primary.group is {primary.group!r}, not among the groups ({', '.join(self.groups.names)})")
        augmented = [label for label in self.classifier.augmentation.classes if label not in self.labels.names]
        if augmented:
            raise ValueError(f"classifier.augmentation.classes names {', '.join(augmented)}; classes are {', '.join(self.labels.names)}")
        sources = [source.title for source in self.data.sources]
        strange = [name for name in self.labels.conditions if name not in sources]
        if strange:
            raise ValueError(f"labels.conditions names {', '.join(strange)}; sources are {', '.join(sources)}")
        has_test_set = any(source.role == "test_only" for source in self.data.sources)
        if self.split.test == 0 and not has_test_set:
            raise ValueError("split.test is 0 and no source has `role: test_only`, so nothing would be tested")
        if all(source.role == "test_only" for source in self.data.sources):
            raise ValueError("every source is test_only, so nothing would be trained")
        return self

    def as_dict(self) -> dict:
        """Plain values, ready for YAML or JSON."""
        return self.model_dump(mode="json")


def fingerprint(value: Any) -> str:
    """SHA-256 of a plain value's canonical JSON, 16 hex digits."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
