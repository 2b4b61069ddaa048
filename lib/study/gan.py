"""What a study does to draw images with a network of its own: WGAN-GP (Gulrajani et al. 2017, arXiv 1704.00028), notebook 04."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from lib.study.section import Section, once

Beta  = Annotated[float, Field(ge=0, lt=1)]
SIZES = (32, 64, 128, 256, 512)                                      # pixels


class Gan(Section):
    """Notebook 04: generator, critic, and how long they are trained."""

    classes:       list[str]         = []                            # labels that get a generator; empty: all
    conditional:   bool              = False                         # one model of all classes, projection critic; false: a run for each
    sources:       list[str]         = []                            # only images of these sources; empty: all of development
    image_size:    int               = 64                            # pixels: a power of two, 32 to 512
    crop:          Literal["lesion", "whole"] = "lesion"             # lesion: square around the mask, whole image where none (counted)
    margin:        float             = Field(0.25, ge=0, le=2)       # skin around the lesion, as a share of its longer side
    flips:         bool              = True                          # mirror and turn real images: a lesion has no upper side
    augmentation:  Literal["none", "differentiable"] = "none"        # of real and drawn images alike (Zhao et al. 2020)
    latent:        int               = Field(100, ge=1)
    features_g:    int               = Field(16, ge=1)               # the generator's last hidden layer has twice as many channels
    features_d:    int               = Field(16, ge=1)               # so has the critic's first
    penalty:       float             = Field(10.0, ge=0)             # λ of the gradient penalty
    critic_steps:  int               = Field(5, ge=1)                # per generator step
    iterations:    int               = Field(50_000, ge=1)           # generator steps
    batch_size:    int               = Field(16, ge=2)
    learning_rate: float             = Field(1e-4, gt=0)
    betas:         tuple[Beta, Beta] = (0.0, 0.9)                    # of Adam
    ema:           float             = Field(0.999, ge=0, lt=1)      # decay of the averaged generator, which is the one that draws
    checkpoint_every: int            = Field(5_000, ge=1)            # iterations
    grid_every:    int               = Field(1_000, ge=1)            # iterations
    quality_every: int               = Field(0, ge=0)                # iterations; 0: only at the end
    quality_images: int              = Field(256, ge=4)              # drawn for each judgement
    encoder:       str               = "phantom-siglip"              # image encoder of the judgement
    compile:       bool              = False                         # torch.compile of both networks, but for the penalty
    seed:          int               = Field(0, ge=0, lt=2**31)

    _once = field_validator("classes")(once)

    @field_validator("image_size")
    @classmethod
    def _power_of_two(cls, value):
        if value not in SIZES:
            nearest = min(SIZES, key=lambda size: abs(size - value))
            raise ValueError(f"got {value}, expected a power of two from {SIZES[0]} to {SIZES[-1]}; the nearest is {nearest}")
        return value

    def labels(
        self,
        names: list[str],               # labels of the study
    ) -> list[str]:
        """Those that get a generator, in the study's order."""
        return [name for name in names if not self.classes or name in self.classes]
