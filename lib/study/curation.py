"""What a study does to keep only good generated images: checks in order, quota, diversity, and when to train again (notebook 06)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from lib.names import look_up
from lib.study.review import Review
from lib.study.section import Section, counts, once, twice

# Name → unit of its score, for messages; lib/curation/checks holds one file per name.
CHECKS: dict[str, str] = {
    "resolution":   "pixels of the shorter side",
    "brightness":   "mean of the picture, 0–1",
    "blur":         "variance of the Laplacian of the grey picture, 0–255 scale",
    "ssim":         "SSIM to the nearest training image of its label, −1 to 1",
    "perceptual":   "perceptual distance to the nearest training image of its label, ≥ 0",
    "realism":      "reach of the real manifold over the distance to it",
    "confidence":   "probability of the asked label, 0–1",
    "agreement":    "probability of the asked label over that of the likeliest, 0–1",
    "tone":         "degrees of ITA off the asked tone",
    "tone_confidence": "probability of the asked tone, 0–1",
    "match":        "cosine to the prompt of the asked label less that to the nearest other label, −2 to 2",
    "duplicate":    "cosine to the most similar accepted image, −1 to 1",
    "memorisation": "distance to the nearest training image, least of three looks; 5 % of held-out real images lie under 1, ≥ 0",
}


class Percentile(Section):
    """A limit that is fitted: this percentile of the same score of real held-out images."""

    percentile: float = Field(ge=0, le=100)


class Check(Section):
    """One check of every generated image, with its limits; what lies outside is rejected, a score at a limit passes."""

    check:      str                                                  # one of CHECKS
    name:       str = ""                                             # in tables; needed where a check comes twice. Default: `check`
    least:      Percentile | float | None = None                     # lower limit: a number in the unit of the score, or fitted
    most:       Percentile | float | None = None                     # upper limit
    per:        Literal["all", "label", "cell"] = "all"              # held-out images of what a limit is fitted on; too few: one step wider
    encoder:    str | None = None                                    # default: curation.encoder (perceptual: curation.perceptual)
    unmeasured: Literal["reject", "keep"] = "reject"                 # images whose score cannot be measured; counted either way

    @field_validator("check")
    @classmethod
    def _known(cls, value):
        look_up("check", value, CHECKS)
        return value

    @field_validator("name")
    @classmethod
    def _plain(cls, value):
        if value and not value.replace("_", "").isalnum():
            raise ValueError(f"got {value!r}; the name becomes a column, so use letters, digits and _")
        return value

    @field_validator("least", "most", mode="before")
    @classmethod
    def _number_or_percentile(cls, value: Any, info: Any) -> Any:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        fitted = (isinstance(value, dict) and set(value) == {"percentile"}) or isinstance(value, Percentile)
        if value is not None and not number and not fitted:
            unit = CHECKS.get(info.data.get("check"), "")
            raise ValueError(f"got {value!r}, expected a number ({unit}) or {{percentile: 0–100}} of real held-out images")
        return value

    @model_validator(mode="after")
    def _limits(self):
        if self.least is None and self.most is None:
            raise ValueError(f"{self.title} has no limit and would pass everything; set least or most, or take the check out")
        both = [getattr(limit, "percentile", limit) for limit in (self.least, self.most)]
        if type(self.least) is type(self.most) and both[0] >= both[1]:
            raise ValueError(f"{self.title}: least is {both[0]:g} and most is {both[1]:g}, so nothing could pass")
        return self

    @property
    def title(self) -> str:
        """The name used in tables."""
        return self.name or self.check


def default_checks() -> list[Check]:
    """Cheap ones first. Each rejects about one in 100 or 200 real images: the hardest to see, class and tone, are given the larger share.

    With a few hundred held-out images the true share still varies around that, to twice as many at times; see `fit_limits`.
    """
    def within(low: float | None, high: float | None) -> dict[str, Percentile]:
        limits = {"least": low, "most": high}
        return {side: Percentile(percentile=value) for side, value in limits.items() if value is not None}

    return [
        Check(check="resolution", least=32),
        Check(check="brightness", least=0.1, most=0.9),              # not fitted: a percentile of mostly light skin would refuse dark skin
        Check(check="blur", **within(0.5, 99.5)),
        Check(check="realism", **within(0.5, None)),
        Check(check="realism", name="texture", encoder="spectrum", **within(0.5, None)),
        Check(check="ssim", **within(None, 99.5)),
        Check(check="perceptual", **within(None, 99.5)),
        Check(check="tone", **within(None, 99)),
        Check(check="tone_confidence", **within(1, None)),
        Check(check="confidence", **within(1, None)),
        Check(check="agreement", **within(1, None)),
        Check(check="match", **within(1, None)),
        Check(check="memorisation", **within(0.5, None)),
        Check(check="duplicate", **within(None, 99.5)),
    ]


class Gate(Section):
    """Past one of these limits a generator should be trained again before its images are used."""

    distance:   float = Field(3.0, gt=0)                             # kernel distance, in units of the upper end of the real-vs-real floor
    diversity:  float = Field(0.6, ge=0, le=1)                       # least perceptual distance within a class, relative to real images
    similarity: float = Field(0.5, ge=0, le=1)                       # least SSIM to the nearest real image, relative to held-out ones
    rejected:   float = Field(0.5, ge=0, le=1)                       # largest share of images that the checks reject
    copies:     float = Field(0.05, ge=0, le=1)                      # largest share of images rejected as memorised


class Curation(Section):
    """Notebook 06: the checks, and which of the images that pass are kept."""

    encoder:        str = "phantom-siglip"                           # image encoder of realism, duplicates, confidence and diversity
    second_encoder: str = "spectrum"                                 # memorisation looks with both, and at the pixels
    perceptual:     str = "phantom-siglip"                           # encoder whose feature maps give the perceptual distance
    held_out:       Literal["validation"] = "validation"             # split that limits are fitted on: generators learn from all of train
    checks:         list[Check] = Field(default_factory=default_checks, min_length=1)    # in order; the first that fails is the verdict
    neighbours:     int  = Field(5, ge=1)                            # k of realism
    quota:          dict[str, dict[str, int]] = {}                   # label → tone → images wanted; empty: generation's, without surplus
    clusters:       int  = Field(8, ge=1)                            # k-means, per cell
    least_per_cluster: int = Field(1, ge=0)                          # taken from each cluster of a cell before the best of the rest
    pca:            int  = Field(32, ge=1)                           # dimensions that clusters are formed in
    random_subset:  bool = True                                      # also mark as many images at random, for the ablation
    gate:           Gate = Gate()
    review:         Review = Review()                                # what people are asked
    seed:           int  = Field(0, ge=0, lt=2**31)

    @field_validator("held_out", mode="before")
    @classmethod
    def _named(cls, value):
        if value != "validation":
            raise ValueError(f"got {value!r}, expected validation: generators have seen every image of train, and test is never looked at; "
                             "for more held-out images make the validation split larger")
        return value

    @field_validator("checks")
    @classmethod
    def _told_apart(cls, value):
        if repeated := twice([check.title for check in value]):
            raise ValueError(f"{repeated[0]} stands there twice; give one a `name`")
        return value

    _counts = field_validator("quota")(counts)

    @model_validator(mode="after")
    def _two(self):
        if self.encoder == self.second_encoder:
            raise ValueError(f"second_encoder is {self.encoder}, as encoder is; copies are looked for with two that differ")
        return self


class SetDistance(Section):
    """Notebook 12: the test of set distances on real images, held against themselves and against spoilt ones."""

    encoders: list[str] = Field(["phantom-siglip", "spectrum"], min_length=1)
    splits:   int       = Field(100, ge=20)                          # halvings, no lesion in both halves
    draws:    int       = Field(99, ge=19)                           # of each test; the smallest p-value is 1/(draws + 1)
    level:    float     = Field(0.05, gt=0, lt=0.5)                  # p-value from which two sets are said to differ
    sizes:    list[Annotated[int, Field(ge=4)]] = Field([50, 100, 200, 500], min_length=1)     # images in each set, for the power
    hue:      float     = Field(0.05, gt=0, le=0.5)                  # turns
    blur:     float     = Field(1.0, gt=0)                           # standard deviation in pixels
    dropped:  list[str] = []                                         # labels that one set lacks
    seed:     int       = Field(0, ge=0, lt=2**31)

    _once = field_validator("encoders", "sizes", "dropped")(once)
