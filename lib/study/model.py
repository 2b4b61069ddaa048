"""A study: every section, and what must hold across them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import Field, model_validator

from lib.study.curation import Curation, SetDistance
from lib.study.data import Data, Groups, Labels, Split
from lib.study.gan import Gan
from lib.study.generate import Benchmarks, Diffusion, Generation, Truth
from lib.study.section import Section
from lib.study.work import Classifier, Compute, Explore, NullTruth, Statistics


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
    diffusion:  Diffusion | None  = None                             # null: notebooks 02 and 03 are not run
    gan:        Gan | None        = None                             # null: nor 04
    generation: Generation | None = None                             # null: nor 05
    curation:   Curation | None   = None                             # null: nor 06
    classifier: Classifier = Classifier()
    statistics: Statistics = Statistics()
    benchmarks: Benchmarks | None = None                             # null: notebook 10 is not run
    truth:      Truth | None      = None                             # null: nor 11 (phantoms only)
    set_distance: SetDistance | None = None                          # null: nor 12
    null_truth: NullTruth | None  = None                             # null: nor 13 (phantoms only)

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
        unknown = [label for label in (self.set_distance.dropped if self.set_distance else ()) if label not in self.labels.names]
        if unknown:
            raise ValueError(f"set_distance.dropped names {', '.join(unknown)}; classes are {', '.join(self.labels.names)}")
        self._check_generation()
        sources = [source.title for source in self.data.sources]
        strange = [name for name in self.labels.conditions if name not in sources]
        if strange:
            raise ValueError(f"labels.conditions names {', '.join(strange)}; sources are {', '.join(sources)}")
        has_test_set = any(source.role == "test_only" for source in self.data.sources)
        if self.split.test == 0 and not has_test_set and not self.split.fold_numbers:
            raise ValueError("split.test is 0 and no source has `role: test_only`, so nothing would be tested")
        self._check_folds(has_test_set)
        if not any(source.role == "development" for source in self.data.sources):
            raise ValueError("every source is test_only or kept in reserve, so nothing would be trained; give one `role: development`")
        self._check_learning_curve()
        self._check_null_truth()
        return self

    def _check_null_truth(self) -> None:
        """Worlds are drawn anew after the study's own sources."""
        if not self.null_truth:
            return
        if self.null_truth.group not in self.groups.names:
            raise ValueError(f"null_truth.group is {self.null_truth.group!r}, not among the groups ({', '.join(self.groups.names)})")
        if sorted(source.role for source in self.data.sources if source.phantom) != ["development", "test_only"]:
            raise ValueError("null_truth draws two phantom sources anew, one with `role: development` and one with `role: test_only`; name "
                             "these two, and no others of phantoms")
        if self.labels.column != "diagnosis" or self.groups.column != "tone":
            raise ValueError("null_truth knows diagnoses and skin types alone; leave labels.column and groups.column at their defaults")

    def _check_learning_curve(self) -> None:
        """What the points of a learning curve need."""
        fractions = self.classifier.learning_curve
        if fractions and "real" not in self.classifier.arms:
            raise ValueError("classifier.learning_curve trains arm real on parts of the patients, and classifier.arms lacks it; add real")
        more = [fraction for fraction in fractions if fraction > 1]
        if more and not (self.split.file or any(source.role == "reserve" for source in self.data.sources)):
            raise ValueError(f"classifier.learning_curve asks for {more[0]:g} times the training patients, and no source has "
                             "`role: reserve`; add one, or stay at 1 or less")

    def _check_folds(self, has_test_set: bool) -> None:
        """What does not go together with cross-validation."""
        if not self.split.fold_numbers:
            return
        if has_test_set:
            raise ValueError("split.folds judges every image in turn, and a source with `role: test_only` is the test set already; set "
                             "split.folds to 1, or let that source develop")
        for section in ("benchmarks", "truth"):
            if getattr(self, section):
                raise ValueError(f"{section} looks at one generator, and with split.folds there is one per fold; take {section} out, or "
                                 "set split.folds to 1")
        if self.curation and self.curation.review.keep is not None:
            raise ValueError("curation.review.keep asks people about one set of images, and with split.folds there is one per fold; take "
                             "it out, or set split.folds to 1")

    def _check_generation(self) -> None:
        """What the sections that draw images need of each other."""
        diffusion, generation, labels = self.diffusion, self.generation, self.labels.names
        self._check_gan()
        if self.curation and not generation:
            raise ValueError("curation chooses among the images of 05; add the section `generation`, or take curation out")
        chosen = self.curation.quota if self.curation else {}
        if strange := [label for label in chosen if label not in labels]:
            raise ValueError(f"curation.quota names {', '.join(strange)}; expected {', '.join(labels)}")
        if generation and not (diffusion or self.gan):
            raise ValueError("generation needs to know what draws; add the section `diffusion` or `gan` (an empty one, {}, takes the "
                             "defaults)")
        if self.benchmarks and not (generation and diffusion and diffusion.tokens and diffusion.lora):
            raise ValueError("benchmarks times tokens, LoRA and drawing; add the sections generation and diffusion (with tokens and lora)")
        if self.truth and not (generation and diffusion):
            raise ValueError("truth judges what the study draws; add the sections diffusion and generation, or take truth out")
        if not diffusion:
            return
        tones = {"type": [*"123456"], "group": self.groups.names, "none": []}[diffusion.prompts.by]
        keys = [*tones, *(name for name in self.groups.names if name not in tones), "unknown"]
        tokens, cells = diffusion.tokens, generation.cells if generation else {}
        for key, named, known in (
            ("diffusion.prompts.diagnoses",   diffusion.prompts.diagnoses,                  labels),
            ("diffusion.tokens.initialisers", tokens.initialisers if tokens else (),        labels),
            ("diffusion.tokens.cells",        tokens.cells if tokens else (),               keys),
            ("diffusion.resampling.batches",  diffusion.resampling.batches,                 keys),
            ("generation.classes",            generation.classes if generation else (),     labels),
            ("generation.tones",              generation.tones if generation else (),       tones),
            ("generation.cells",              cells,                                        labels),
            ("curation.quota",                [tone for row in chosen.values() for tone in row], tones),
            ("generation.cells",              [tone for row in cells.values() for tone in row], tones),
        ):
            unknown = [name for name in named if name not in known]
            if unknown:
                raise ValueError(f"{key} names {', '.join(unknown)}; expected {', '.join(known) or 'none'} "
                                 f"(diffusion.prompts.by: {diffusion.prompts.by})")

    def _check_gan(self) -> None:
        """What the GAN and the quota need of each other."""
        gan, generation, labels = self.gan, self.generation, self.labels.names
        sources = [source.title for source in self.data.sources if source.role == "development"]
        for key, named, known in (
            ("gan.classes", gan.classes if gan else (), labels),
            ("gan.sources", gan.sources if gan else (), sources),
        ):
            if unknown := [name for name in named if name not in known]:
                raise ValueError(f"{key} names {', '.join(unknown)}; expected {', '.join(known) or 'none'}")
        if lacking := [name for name in (generation.generators if generation else ()) if getattr(self, name) is None]:
            raise ValueError(f"generation.generators names {lacking[0]}, and the study has no section `{lacking[0]}`")
        if self.generators != ["gan"]:
            return
        if not self.diffusion and (generation.tones or generation.cells):
            raise ValueError("generation.tones and generation.cells ask for skin tones, and a GAN is asked by class alone; set "
                             "generation.classes instead, or add the section `diffusion`")
        asked = generation.cells or generation.classes or dict.fromkeys(labels, 1)
        if undrawn := [label for label in labels if asked.get(label) and label not in gan.labels(labels)]:
            raise ValueError(f"generation asks for {', '.join(undrawn)}, and gan.classes gives {'it' if len(undrawn) == 1 else 'them'} no "
                             "generator; name in generation.classes only classes that have one")

    @property
    def generators(self) -> list[str]:
        """What draws the images of 05; each draws the whole quota."""
        if not self.generation:
            return []
        return self.generation.generators or [name for name in ("diffusion", "gan") if getattr(self, name) is not None]

    def as_dict(self) -> dict:
        """Plain values, ready for YAML or JSON."""
        return self.model_dump(mode="json")


def fingerprint(value: Any) -> str:
    """SHA-256 of a plain value's canonical JSON, 16 hex digits."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
