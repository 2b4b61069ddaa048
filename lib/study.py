"""A study is one YAML file; these models say what may stand in it (DESIGN §4).

Frozen pydantic models, unknown keys refused. Reading, `extends` and overrides are in `lib/study_file.py`.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import types
import typing
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from lib.study_file import StudyError, read_study_file

ROOT = Path(__file__).resolve().parent.parent       # the checkout: params/, notebooks/, outputs/ lie here


class Section(BaseModel):
    """Base of every part of a study: unknown keys are refused, values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


# ── what the data are ────────────────────────────────────────────────────────────────────────────────────────────

class PhantomOptions(Section):
    """How a phantom data set is drawn (see `lib/phantom`)."""

    patients:           int                    = Field(400, ge=1)
    lesions_per_patient: tuple[int, int]       = (1, 3)              # inclusive range
    images_per_lesion:  tuple[int, int]        = (1, 2)              # inclusive range
    image_size:         int                    = Field(64, ge=32, le=512)
    seed:               int                    = Field(1_000_000, ge=0)   # studies use 1,000,000 and above
    difficulty:         float                  = Field(0.5, ge=0, le=1)   # 0: textbook pictures, 1: classes hardly differ
    class_shares:       dict[str, float]       = {}                  # diagnosis → share; empty: equal
    tone_shares:        dict[int, float]       = {}                  # Fitzpatrick type 1–6 → share; empty: equal
    domain_shares:      dict[str, float]       = {}                  # domain → share; empty: equal
    confound:           float                  = Field(0.0, ge=0, le=1)   # extra chance of a ruler beside a melanoma
    artefacts:          bool                   = True                # hair, ruler, gel, vignette, blur, JPEG: on or off

    @field_validator("lesions_per_patient", "images_per_lesion")
    @classmethod
    def _range(cls, value):
        if not 1 <= value[0] <= value[1]:
            raise ValueError("expected [low, high] with 1 ≤ low ≤ high")
        return value

    @field_validator("class_shares", "tone_shares", "domain_shares")
    @classmethod
    def _shares(cls, value):
        if value and (min(value.values()) < 0 or sum(value.values()) <= 0):
            raise ValueError("expected shares ≥ 0 with a sum above 0")
        return value

    @field_validator("tone_shares")
    @classmethod
    def _tones(cls, value):
        if not set(value) <= set(range(1, 7)):
            raise ValueError("expected Fitzpatrick types 1 to 6 as keys")
        return value


class Source(Section):
    """One data set of a study."""

    dataset:         str                                             # an adapter's name, see lib/data/info.py
    name:            str | None                   = None             # how tables call it; default: the data set's name
    folder:          str | None                   = None             # under DATA_ROOT; default: the data set's own folder name
    role:            Literal["development", "test_only"] = "development"
    domain:          str | None                   = None             # image_folder: the domain of all its images
    table:           str | None                   = None             # image_folder: CSV in the folder (else class folders)
    columns:         dict[str, str]               = {}               # image_folder: our column → the CSV's column
    max_quarantined: float                        = Field(0.01, ge=0, le=1)   # share of the images present that may be refused
    max_missing:     float                        = Field(1.0, ge=0, le=1)    # share of the images listed that the folder may lack
    phantom:         PhantomOptions | None        = None

    @property
    def title(self) -> str:
        """The name used in tables."""
        return self.name or self.dataset

    @model_validator(mode="after")
    def _phantom_only(self):
        if (self.phantom is not None) != (self.dataset == "phantom"):
            raise ValueError("the key `phantom` belongs to sources with `dataset: phantom`, and these need it")
        if (self.table or self.columns) and self.dataset != "image_folder":
            raise ValueError("`table` and `columns` belong to sources with `dataset: image_folder`")
        return self


class Data(Section):
    """Which images, at which size."""

    sources:    list[Source] = Field(min_length=1)
    image_size: int          = Field(64, ge=16, le=1024)             # pixels; what classifiers see
    crop:       Literal["whole", "lesion"] = "whole"                 # lesion: square around the mask, whole image where none
    rows:       int | None   = Field(None, ge=1)                     # use only so many images of each source (a quick look)

    @model_validator(mode="after")
    def _unique(self):
        names = [source.title for source in self.sources]
        if len(set(names)) < len(names):
            raise ValueError(f"two sources are called the same ({', '.join(names)}); give each a `name`")
        return self


class Labels(Section):
    """What is to be told apart."""

    column:   str                  = "diagnosis"
    classes:  dict[str, list[str]] = Field(min_length=2)             # label → values of `column`
    exclude:  list[str]            = []                              # values left out on purpose (counted)
    positive: list[str]            = []                              # labels that count as "act now" for the threshold

    @model_validator(mode="after")
    def _consistent(self):
        values = [value for group in self.classes.values() for value in group]
        twice = sorted({value for value in values + self.exclude if (values + self.exclude).count(value) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} stands twice in classes/exclude; a value belongs to one label")
        if not all(label.strip() for label in self.classes):
            raise ValueError("a class has no name; give it one")
        unknown = [label for label in self.positive if label not in self.classes]
        if unknown:
            raise ValueError(f"positive names {', '.join(unknown)}, which is not a class; classes are {', '.join(self.classes)}")
        if len(self.positive) == len(self.classes):
            raise ValueError("positive names every class; leave at least one negative")
        return self

    @property
    def names(self) -> list[str]:
        """Class order of every probability column."""
        return list(self.classes)


class Groups(Section):
    """Whom the classifier must serve equally."""

    column: str                          = "tone"
    values: dict[str, list[int | str]]   = Field(default={"I–II": [1, 2], "III–IV": [3, 4], "V–VI": [5, 6]}, min_length=1)
    minimum_positives: int               = Field(20, ge=1)           # fewer test images of a class × group: "not estimable"

    @model_validator(mode="after")
    def _consistent(self):
        taken = [name for name in self.values if name.strip().lower() in ("", "all", "everybody", "unknown")]
        if taken:
            raise ValueError(f"a group cannot be called {taken[0]!r}: tables use that word for everybody or for nobody; choose another")
        values = [str(value) for group in self.values.values() for value in group]
        twice = sorted({value for value in values if values.count(value) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} stands in two groups; a value belongs to one")
        return self

    @property
    def names(self) -> list[str]:
        """Group order of tables and figures."""
        return list(self.values)


class Split(Section):
    """Train, validation and test: whole patients, stratified by label × group."""

    train:      float      = Field(0.7, gt=0, lt=1)
    validation: float      = Field(0.15, gt=0, lt=1)
    test:       float      = Field(0.15, ge=0, lt=1)                 # 0 where a test_only source is the test set
    seed:       int        = 42
    file:       str | None = None                                    # CSV under DATA_ROOT (cluster_id, split) to reuse a split

    @model_validator(mode="after")
    def _whole(self):
        if abs(self.train + self.validation + self.test - 1) > 1e-9:
            raise ValueError(f"train + validation + test is {self.train + self.validation + self.test:g}, expected 1")
        return self


# ── what is done with them ───────────────────────────────────────────────────────────────────────────────────────

class Compute(Section):
    """How the machine is used. Threads change floating-point results, so they belong to the study."""

    threads:   int                           = Field(1, ge=1)        # per job
    device:    Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["no", "fp16", "bf16"] = "no"                  # mixed precision of training


class Explore(Section):
    """Notebook 01."""

    grid_per_cell: int = Field(2, ge=1, le=12)                       # pictures shown per class × group


class Threshold(Section):
    """How the operating point is chosen on validation."""

    rule:  Literal["youden", "f1", "sensitivity"] = "youden"
    value: float = Field(0.9, gt=0, lt=1)                            # wanted sensitivity, for rule: sensitivity


class Augmentation(Section):
    """The classical augmentation arm; defaults of the rare-lesion study."""

    rotation:   float                = Field(30, ge=0, le=180)       # degrees, ±
    flips:      bool                 = True
    brightness: float                = Field(0.2, ge=0, lt=1)
    contrast:   float                = Field(0.2, ge=0, lt=1)
    saturation: float                = Field(0.2, ge=0, lt=1)
    hue:        float                = Field(0.1, ge=0, le=0.5)      # turns
    translate:  float                = Field(0.1, ge=0, lt=1)        # share of the image, ±
    scale:      tuple[float, float]  = (0.9, 1.1)
    classes:    list[str]            = []                            # labels to augment; empty: all

    @field_validator("scale")
    @classmethod
    def _range(cls, value):
        if not 0 < value[0] <= value[1]:
            raise ValueError("expected [low, high] with 0 < low ≤ high")
        return value


Seed = Annotated[int, Field(ge=0, lt=2**31)]                         # the tables keep seeds in 32 bits


class Classifier(Section):
    """Notebook 07. The grid is arms × architectures × seeds."""

    arms:          list[str]     = Field(["real", "classical", "oversampled"], min_length=1)
    architectures: list[str]     = Field(["small_cnn"], min_length=1)
    seeds:         list[Seed]    = Field([0, 1, 2], min_length=1)
    chunk_size:    int           = Field(3, ge=1)                    # cells of the grid that one notebook run trains
    epochs:        int           = Field(12, ge=1)
    batch_size:    int           = Field(32, ge=2)
    learning_rate: float         = Field(1e-3, gt=0)
    weight_decay:  float         = Field(1e-4, ge=0)
    patience:      int           = Field(10, ge=1)                   # epochs without a better validation macro-F1
    class_weights: bool          = True                              # from the arm's own counts
    pretrained:    bool          = False                             # ImageNet weights (torchvision architectures)
    checkpoint_every: int        = Field(1, ge=1)                    # epochs
    threshold:     Threshold     = Threshold()
    augmentation:  Augmentation  = Augmentation()

    @field_validator("arms", "architectures", "seeds")
    @classmethod
    def _unique(cls, value):
        if len(set(value)) < len(value):
            raise ValueError("lists something twice")
        return value


class Primary(Section):
    """The one comparison a study is decided on, written down before it runs."""

    metric:   str        = "auroc"                                   # a name of lib/metrics
    group:    str | None = None                                      # None: everybody
    arm:      str        = "oversampled"
    baseline: str        = "real"
    margin:   float      = Field(0.02, gt=0)                         # a difference smaller than this does not matter


class Statistics(Section):
    """Notebook 09."""

    primary:    Primary   = Primary()
    metrics:    list[str] = Field(["auroc", "macro_f1", "balanced_accuracy", "sensitivity", "specificity"], min_length=1)
    resamples:  int       = Field(2_000, ge=100)
    confidence: float     = Field(0.95, gt=0.5, lt=1)
    seed:       int       = 0


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
        primary, arms = self.statistics.primary, self.classifier.arms
        for role in ("arm", "baseline"):
            if getattr(primary, role) not in arms:
                raise ValueError(f"statistics.primary.{role} is {getattr(primary, role)!r}, not among classifier.arms ({', '.join(arms)})")
        if primary.arm == primary.baseline:
            raise ValueError("statistics.primary compares an arm with itself")
        if primary.group is not None and primary.group not in self.groups.names:
            raise ValueError(f"statistics.primary.group is {primary.group!r}, not among the groups ({', '.join(self.groups.names)})")
        augmented = [label for label in self.classifier.augmentation.classes if label not in self.labels.names]
        if augmented:
            raise ValueError(f"classifier.augmentation.classes names {', '.join(augmented)}; classes are {', '.join(self.labels.names)}")
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


# ── loading ──────────────────────────────────────────────────────────────────────────────────────────────────────

def load_study(
    path:      str | Path,                       # relative to the current folder or to the checkout
    overrides: dict[str, Any] | None = None,     # {"classifier.epochs": 5}
) -> Study:
    """Read a study file, follow `extends`, apply overrides and check everything.

    Raises StudyError; its message has one line per mistake, each with file and line.
    """
    tree = read_study_file(path, overrides or {}, root=ROOT)
    try:
        return Study.model_validate(tree.values)
    except ValidationError as error:
        raise StudyError("\n".join(_explain(item, tree.places, str(path)) for item in error.errors())) from None


def place_of(key: str, path: str | Path, overrides: dict[str, Any] | None = None) -> str:
    """Where a dotted key is set: "params/demo.yaml:31" or "-p classifier.epochs"; the file alone where it is a default."""
    return _where(tuple(key.split(".")), read_study_file(path, overrides or {}, root=ROOT).places, str(path))


# ── explaining ───────────────────────────────────────────────────────────────────────────────────────────────────

def _explain(item: dict, places: dict[tuple, str], fallback: str) -> str:
    """One pydantic error as `file:line  key: what is wrong, what would work`."""
    path = tuple(str(part) for part in item["loc"])
    where = _where(path, places, fallback)
    key, given, kind = ".".join(path) or "study", item.get("input"), item["type"]
    if kind == "extra_forbidden":
        known = _known_keys(path[:-1])
        close = difflib.get_close_matches(path[-1], known, 1, 0.5)
        advice = f"did you mean {close[0]}?" if close else f"known here: {', '.join(known)}"
        return f"{where}  {key}: unknown key; {advice}"
    if kind == "missing":
        return f"{where}  {key}: is needed and not set"
    if kind == "value_error":
        return f"{where}  {key}: {item['msg'].removeprefix('Value error, ')}"
    if kind == "too_short":
        return f"{where}  {key}: has {item['ctx']['actual_length']} entries, expected at least {item['ctx']['min_length']}"
    wanted = item["msg"].partition(", unable to parse")[0].removeprefix("Input should be ").removeprefix("a valid ")
    return f"{where}  {key}: got {json.dumps(given, ensure_ascii=False, default=str)}, expected {wanted}"


def _where(path: tuple[str, ...], places: dict[tuple, str], fallback: str) -> str:
    """The place of a key, or of the closest section around it that is written down."""
    return next((places[path[:n]] for n in range(len(path), 0, -1) if path[:n] in places), fallback)


def _known_keys(path: tuple[str, ...]) -> list[str]:
    """Keys allowed in the section at `path`."""
    model: Any = Study
    for part in path:
        if part.isdigit():
            continue
        field = model.model_fields.get(part)
        model = next((m for m in _models(field.annotation)), None) if field else None
        if model is None:
            return []
    return list(model.model_fields)


def _models(annotation: Any) -> list[type[Section]]:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return [annotation] if issubclass(annotation, Section) else []
    return [model for part in typing.get_args(annotation) for model in _models(part)]
