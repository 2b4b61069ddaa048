"""What a study says about its images: sources, labels, groups, split."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from lib.study.section import Section, alike, shares


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

    _shares = field_validator("class_shares", "tone_shares", "domain_shares")(shares)

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
    role:            Literal["development", "test_only", "reserve"] = "development"   # reserve: kept back, see lib/classify/fractions.py
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


class Duplicates(Section):
    """Pictures that are the same scene under several names; they stay on one side of every split."""

    near:       bool       = True                                    # also re-encoded, resized, slightly cropped and mirrored copies
    encoder:    str | None = None                                    # Hub id or folder of an image encoder; none: pixels alone
    similarity: float      = Field(0.97, gt=0, le=1)                 # cosine of two embeddings from which on pictures count as one scene
    pairs:      list[str]  = []                                      # CSVs under DATA_ROOT with published pairs (two columns of image ids)


class Data(Section):
    """Which images, at which size."""

    sources:       list[Source] = Field(min_length=1)
    image_size:    int          = Field(64, ge=16, le=1024)          # pixels; what classifiers see
    crop:          Literal["whole", "lesion"] = "whole"              # lesion: square around the mask, whole image where none
    remove_hair:   bool         = False                              # paint over dark hairs before classifiers see the images
    rows:          int | None   = Field(None, ge=1)                  # use only so many images of each source (a quick look)
    shared_images: Literal["refuse", "first_source"] = "refuse"      # what to do with sources that share images
    duplicates:    Duplicates   = Duplicates()

    @model_validator(mode="after")
    def _unique(self):
        names = [source.title for source in self.sources]
        if len(set(names)) < len(names):
            raise ValueError(f"two sources are called the same ({', '.join(names)}); give each a `name`")
        return self


class Labels(Section):
    """What is to be told apart."""

    column:     str                       = "diagnosis"              # or condition, target (lib/data/taxonomy.py), or a column of the table
    classes:    dict[str, list[str]]      = Field(min_length=2)      # label → values of `column`
    exclude:    list[str]                 = []                       # values left out on purpose (counted)
    positive:   list[str]                 = []                       # labels that count as "act now" for the threshold
    conditions: dict[str, dict[str, str]] = {}                       # source → its diagnosis → condition, where the taxonomy has no word
    ak_policy:  Literal["malignant", "benign", "exclude"]              = "malignant"    # actinic keratosis in `target`
    non_neoplastic_policy: Literal["benign", "separate", "exclude"]    = "benign"       # in `target`; separate: a value of its own

    @model_validator(mode="after")
    def _consistent(self):
        values = [value for group in self.classes.values() for value in group]
        twice = sorted({value for value in values + self.exclude if (values + self.exclude).count(value) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} stands twice in classes/exclude; a value belongs to one label")
        if not all(label.strip() for label in self.classes):
            raise ValueError("a class has no name; give it one")
        if same := alike(self.names):
            raise ValueError(f"the classes {' and '.join(map(repr, same))} differ only in spaces or capitals; nobody could tell them apart")
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
        if same := alike(self.names):
            raise ValueError(f"the groups {' and '.join(map(repr, same))} differ only in spaces or capitals; nobody could tell them apart")
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
    folds:      int        = Field(1, ge=1, le=100)                  # > 1: each part is the test set once; train : validation is kept

    @model_validator(mode="after")
    def _whole(self):
        if abs(self.train + self.validation + self.test - 1) > 1e-9:
            raise ValueError(f"train + validation + test is {self.train + self.validation + self.test:g}, expected 1")
        if self.folds > 1 and self.file:
            raise ValueError("file names one split and folds asks for several; take one of the two out")
        return self

    @property
    def fold_numbers(self) -> range:
        """1 … folds; empty without cross-validation."""
        return range(1, self.folds + 1) if self.folds > 1 else range(0)
