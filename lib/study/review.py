"""What people are asked about generated images: how many they see, on which scales, and when the set counts as accepted."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from lib.study.section import Section, twice

# Columns of the tables that scales get a column in.
TAKEN = ("review", "rater", "item", "kind", "image_id", "sha256", "label", "group", "generator", "mean", "raters", "simulated")


class Scale(Section):
    """One criterion, rated with a digit key."""

    name:     str = Field(pattern=r"^[a-z][a-z0-9_]*$")              # in tables
    question: str = ""                                               # what the rater reads; empty: the name
    low:      int = Field(1, ge=0, le=8)                             # worst
    high:     int = Field(7, ge=1, le=9)                             # best
    worst:    str = ""                                               # what the ends mean, in a few words
    best:     str = ""

    @field_validator("name")
    @classmethod
    def _free(cls, value):
        if value in TAKEN:
            raise ValueError(f"{value} is a column of the tables already; choose another name")
        return value

    @model_validator(mode="after")
    def _range(self):
        if self.low >= self.high:
            raise ValueError(f"{self.name}: low is {self.low} and high is {self.high}; expected low < high")
        return self

    @property
    def points(self) -> list[int]:
        """Ratings that may be given."""
        return list(range(self.low, self.high + 1))


REALISM = Scale(name="realism", question="How real does this picture look?", worst="clearly artificial", best="a real photograph")


class Acceptance(Section):
    """When raters count as having accepted the generated images."""

    scale: str | None = None                                         # name of the scale; null: the first
    mean:  float      = 5.0                                          # the mean over generated images must be above this …
    under: float      = 3.0                                          # … and ratings under this …
    share: float      = Field(0.10, gt=0, le=1)                      # … must be a smaller share than this


class Review(Section):
    """`python -m lib.curation.review`: a page for people, and what came back."""

    images:     int | None = Field(500, ge=2)                        # generated and real ones together; null: all
    real:       float = Field(0.5, ge=0, lt=1)                       # share of real held-out images among them
    which:      Literal["selected", "passed", "all"] = "selected"    # of the generated ones that notebook 06 looked at
    scales:     list[Scale] = Field([REALISM], min_length=1)
    acceptance: Acceptance | None = Acceptance()                     # null: no verdict
    keep:       float | None = None                                  # least mean over raters and scales of an image that stays; null: all.
                                                                     # Scales must then share one range: a mean over several has no unit
    raters:     int = Field(3, ge=1)                                 # fewer give figures and no verdict
    show_label: bool = False                                         # name above each picture what it is meant to show
    seed:       int = Field(0, ge=0, lt=2**31)

    @field_validator("scales")
    @classmethod
    def _told_apart(cls, value):
        if repeated := twice([scale.name for scale in value]):
            raise ValueError(f"{repeated[0]} stands there twice; give every scale a name of its own")
        return value

    @model_validator(mode="after")
    def _on_the_scale(self):
        low, high = self.scales[0].low, self.scales[0].high
        if self.keep is not None and len({(scale.low, scale.high) for scale in self.scales}) > 1:
            runs = ", ".join(f"{scale.name} {scale.low} to {scale.high}" for scale in self.scales)
            raise ValueError(f"keep is a limit on the mean over all scales, and theirs differ in range ({runs}); give all the same low and "
                             "high, or keep: null")
        if self.keep is not None and not low <= self.keep <= high:
            raise ValueError(f"keep is {self.keep:g}, and the scales run from {low} to {high}")
        if not self.acceptance:
            return self
        names, wanted = [scale.name for scale in self.scales], self.acceptance
        if wanted.scale is not None and wanted.scale not in names:
            raise ValueError(f"acceptance.scale is {wanted.scale!r}, not among the scales ({', '.join(names)})")
        scale = self.judged
        if not (scale.low <= wanted.mean < scale.high and scale.low < wanted.under <= scale.high):
            raise ValueError(f"acceptance asks for a mean above {wanted.mean:g} and few ratings under {wanted.under:g}, and {scale.name} "
                             f"runs from {scale.low} to {scale.high}; set acceptance.mean and .under on that scale, or acceptance: null")
        return self

    @property
    def judged(self) -> Scale:
        """The scale that acceptance is about."""
        named = self.acceptance.scale if self.acceptance else None
        return next(scale for scale in self.scales if named in (None, scale.name))
