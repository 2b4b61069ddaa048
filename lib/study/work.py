"""What a study does with its images: machine, exploration, classifier, statistics."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from lib.study.section import Section, once


class Compute(Section):
    """How the machine is used. Threads change floating-point results, so they belong to the study."""

    threads:   int                           = Field(1, ge=1)        # per job
    device:    Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["no", "fp16", "bf16"] = "no"                  # mixed precision of training; what drawing holds its weights in


class Explore(Section):
    """Notebook 01."""

    grid_per_cell: int = Field(2, ge=1, le=12)                       # pictures shown per class × group
    hair_images:   int = Field(600, ge=0)                            # on how many pictures hair is measured; 0: none


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


class Stream(Section):
    """Images that are drawn while a classifier trains (switches on_the_fly and hybrid)."""

    block:  int = Field(64, ge=1)                                    # drawn for each epoch
    cache:  int = Field(256, ge=1)                                   # the newest so many are trained on
    images: int | None = Field(None, ge=1)                           # drawn in all; the cache stays as it is then. Default: no end


Under = Annotated[float, Field(ge=0, lt=1)]


class Mixing(Section):
    """How generated images are mixed with real ones: the settings of the switches of lib/classify/arms.py.

    Every real image weighs 1. Of each key of `shares`, generated images weigh n·s/(1 − s) together, n being its real training images; those
    that fall under no key, or under one without real images, weigh 1 each.
    """

    shares:      dict[str, Under]      = {}                          # tone or group → share; empty: diffusion.resampling.classifier
    replace:     float                 = Field(0.5, ge=0, le=1)      # chance of a real image to be replaced where there is one of its cell
    ramp:        float                 = Field(0.25, ge=0, le=1)     # share of the epochs over which the generated share grows
    range:       tuple[Under, Under]   = (0.1, 0.6)                  # bounds of the share that is drawn for each batch
    mixup:       float                 = Field(0.5, ge=0.01, le=10)  # α of the Beta distribution of the blend
    minority:    list[str]             = []                          # labels or groups; empty: cells under the mean number of real images
    pretrain:    float                 = Field(0.3, ge=0.01, le=0.95)    # share of the epochs on generated images alone
    adversarial: float                 = Field(0.1, ge=0, le=10)     # weight of the reversed gradient, reached half-way
    stream:      Stream                = Stream()

    @field_validator("range")
    @classmethod
    def _bounds(cls, value):
        if not value[0] < value[1]:
            raise ValueError("expected [low, high] with 0 ≤ low < high < 1")
        return value


Seed = Annotated[int, Field(ge=0, lt=2**31)]                         # the tables keep seeds in 32 bits
Fraction = Annotated[float, Field(gt=0, le=16)]                      # of the training patients


class Classifier(Section):
    """Notebook 07. The grid is arms × architectures × seeds."""

    arms:          list[str]     = Field(["real", "classical", "oversampled"], min_length=1)
    architectures: list[str]     = Field(["small_cnn"], min_length=1)
    seeds:         list[Seed]    = Field([0, 1, 2], min_length=1)
    learning_curve: list[Fraction] = []                              # arm real on these multiples of the training patients; > 1: reserve
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
    mixing:        Mixing        = Mixing()

    _unique = field_validator("arms", "architectures", "seeds", "learning_curve")(once)


class Primary(Section):
    """A comparison that a study is decided on, written down before it runs."""

    metric:   str        = "auroc"                                   # a name of lib/metrics
    group:    str | None = None                                      # None: everybody
    arm:      str        = "oversampled"
    baseline: str        = "real"
    margin:   float      = Field(0.02, gt=0)                         # a difference smaller than this does not matter


class Statistics(Section):
    """Notebook 09."""

    primary:      list[Primary] = Field([Primary()], min_length=1)   # one may be written without the list; Holm's correction over several
    metrics:      list[str]     = Field(["auroc", "macro_f1", "balanced_accuracy", "sensitivity", "specificity"], min_length=1)
    minimum_sensitivity: float  = Field(0.8, ge=0, lt=1)             # partial_auroc: the area above this sensitivity
    resamples:    int           = Field(2_000, ge=100)
    permutations: int           = Field(1_000, ge=100)               # of group labels, for the null of gaps
    confidence:   float         = Field(0.95, gt=0.5, lt=1)
    power:        float         = Field(0.8, gt=0.5, lt=1)           # for the smallest difference that could have been found
    seed:         int           = 0
    pdf:          bool          = True                               # the report also as PDF, where a browser is found to print it

    @field_validator("primary", mode="before")
    @classmethod
    def _listed(cls, value):
        return [value] if isinstance(value, dict | Primary) else value

    @field_validator("primary")
    @classmethod
    def _once(cls, value):
        compared = [(one.metric, one.group, one.arm, one.baseline) for one in value]
        if len(set(compared)) < len(compared):
            raise ValueError("declares one comparison twice")
        return value


class NullTruth(Section):
    """Notebook 13: the whole way to a verdict, many times over, where the generator is worth nothing, and where it is worth something."""

    repeats:    int    = Field(40, ge=2)
    first_seed: int    = Field(1_800_000, ge=1_000_000)              # of the worlds; each repeat has ten numbers of its own
    images:     int    = Field(120, ge=2)                            # that the honest and the shuffled generator add
    group:      str    = "V–VI"                                      # whose images these are; judged beside everybody
    metric:     str    = "auroc"                                     # a name of lib/metrics
    margin:     float  = Field(0.02, gt=0)                           # as of a primary comparison
    limit:      float  = Field(0.05, gt=0, lt=1)                     # largest share of "better" where nothing helps
