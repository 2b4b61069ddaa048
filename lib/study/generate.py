"""What a study does to draw images: base model, prompts, token and LoRA training, resampling, and the quota of generation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from lib.study.section import Section, counts, once, shares

Share = Annotated[float, Field(ge=0, le=1)]


class Base(Section):
    """The pretrained pipeline that learns: the shipped phantom-sd, a Hub id, or a folder."""

    model:    str        = "phantom-sd"
    revision: str | None = None                                      # of a Hub model: commit, tag or branch
    variant:  str | None = None                                      # "fp16" where the Hub offers it


class Prompts(Section):
    """Words for a cell. {diagnosis}, {tone}, {domain} and {token} are filled in; what is unknown takes the template without it."""

    by:         Literal["type", "group", "none"] = "type"            # asked for: Fitzpatrick type, the study's group, or the class alone
    template:   str            = "a {domain} photo of {diagnosis} on {tone} skin"
    unknown:    str            = "a {domain} photo of {diagnosis}"   # where the tone is not known
    token:      str            = "a {domain} photo of {token}"       # where a token was learnt for the cell
    negative:   str            = ""                                  # may hold {tone} and {domain}; for an unknown tone it is then left out
    diagnoses:  dict[str, str] = {}                                  # label → words; default: the label itself
    tones:      dict[str, str] = {}                                  # "1" … "6", or a group's name → words; default: "fitzpatrick type i" …
    domains:    dict[str, str] = {}                                  # domain → word; default: the domain itself

    @model_validator(mode="after")
    def _complete(self):
        for key, needs, may in (("template", {"diagnosis", "tone"}, {"domain"}), ("unknown", {"diagnosis"}, {"domain"}),
                                ("token", {"token"}, {"domain", "tone", "diagnosis"})):
            text = getattr(self, key)
            used = {part for part in ("diagnosis", "tone", "domain", "token") if "{" + part + "}" in text}
            if text.count("{") != text.count("}") or text.count("{") != sum(text.count("{" + part + "}") for part in used):
                raise ValueError(f"{key} is {text!r}; fields are {{diagnosis}}, {{tone}}, {{domain}} and {{token}}")
            if needs - used:
                raise ValueError(f"{key} lacks {{{min(needs - used)}}}")
            if used - needs - may:
                raise ValueError(f"{key} cannot use {{{min(used - needs - may)}}}")
        left = self.negative.replace("{tone}", "").replace("{domain}", "")
        if "{" in left or "}" in left:
            raise ValueError(f"negative is {self.negative!r}; fields are {{tone}} and {{domain}}")
        return self


class Training(Section):
    """What token and LoRA training share."""

    steps:            int   = Field(2_000, ge=1)                     # optimiser steps
    batch_size:       int   = Field(4, ge=1)
    accumulation:     int   = Field(1, ge=1)                         # batches per optimiser step
    learning_rate:    float = Field(1e-4, gt=0)
    warmup:           int   = Field(0, ge=0)                         # optimiser steps
    weight_decay:     float = Field(1e-2, ge=0)
    max_grad_norm:    float = Field(1.0, gt=0)
    min_snr_gamma:    float | None = Field(None, gt=0)               # weight min(SNR, γ)/SNR (Hang et al. 2023); none: 1
    noisy_end:        float = Field(1.0, ge=1)                       # weight 1/ᾱ of a timestep, at most so much; 1: none
    offset_noise:     float = Field(0.0, ge=0, le=1)                 # a share of noise that is constant over each channel
    gradient_checkpointing: bool = False
    checkpoint_every: int   = Field(250, ge=1)                       # optimiser steps
    validate_every:   int   = Field(0, ge=0)                         # optimiser steps; 0: only at the end
    validation_images: int  = Field(42, ge=2)                        # drawn at fixed seeds each time, dealt over the cells
    patience:         int   = Field(0, ge=0)                         # validations without a better score before it stops; 0: never
    seed:             int   = Field(0, ge=0, lt=2**31)

    @model_validator(mode="after")
    def _scored_in_time(self):
        if self.patience and not 0 < self.validate_every < self.steps:
            raise ValueError(f"patience is {self.patience}, and validate_every: {self.validate_every} scores only the last of "
                             f"{self.steps:,} steps, so it would never stop early; set validate_every to a part of steps, or patience: 0")
        return self

    @model_validator(mode="after")
    def _warm_in_time(self):
        if self.warmup and self.warmup >= self.steps:
            default = "" if "warmup" in self.model_fields_set else ", its default,"
            raise ValueError(f"warmup is {self.warmup}{default} and steps is {self.steps:,}, so the learning rate would still be rising "
                             "when training ends; set warmup well below steps, or to 0")
        return self


class Tokens(Training):
    """Notebook 02, textual inversion: one token per diagnosis × tone."""

    steps:         int            = Field(2_000, ge=1)
    accumulation:  int            = Field(2, ge=1)
    learning_rate: float          = Field(5e-4, gt=0)
    warmup:        int            = Field(100, ge=0)
    weight_decay:  float          = Field(0.0, ge=0)                 # it would shrink a token also in steps that do not show it
    vectors:       int            = Field(1, ge=1, le=16)            # per token
    cells:         list[str]      = []                               # tones (or groups) that get tokens; empty: all
    minimum_images: int           = Field(1, ge=1)                   # training images that a cell needs
    initialisers:  dict[str, str] = {}                               # label → word; default: its diagnosis words
    sources:       list[str]      = []                               # only images of these sources; empty: all of development
    retraction:    bool           = False                            # scale learnt rows back to the norm of their initialiser


class Lora(Training):
    """Notebook 03: low-rank adapters on the attention of the UNet."""

    steps:         int         = Field(10_000, ge=1)
    learning_rate: float       = Field(1e-4, gt=0)
    min_snr_gamma: float | None = Field(5.0, gt=0)
    rank:          int         = Field(16, ge=1)
    alpha:         float       = Field(32, gt=0)
    dropout:       float       = Field(0.1, ge=0, lt=1)
    restarts:      int         = Field(3, ge=1)                      # cosine cycles
    targets:       list[str]   = Field(["to_q", "to_k", "to_v", "to_out.0"], min_length=1)
    joint_steps:   int         = Field(0, ge=0)                      # refinement of tokens and LoRA together after `steps`
    joint_learning_rate: float = Field(5e-5, gt=0)
    prompt_dropout: float      = Field(0.1, ge=0, lt=1)              # share of empty prompts, for classifier-free guidance
    class_labels:  bool        = False                               # also tell the UNet label and tone as added vectors
    sources:       list[str]   = []                                  # only images of these sources; empty: all of development


class Diversity(Section):
    """Class-diversity loss on image embeddings of a batch, and the pool it compares with."""

    weight: float = Field(0.0, ge=0)                                 # λ; the spec's 0.1; 0: off
    pool:   int   = Field(16, ge=2)                                  # recent predictions of a class that are kept


class Resampling(Section):
    """The three levels at which scarce tones are shown more often, in one table. Keys are tones 1–6, or names of groups."""

    batches:    dict[str, Share] = {}                                # level 1, training batches: key → share; empty: as they come
    diversity:  Diversity        = Diversity()                       # level 2
    classifier: dict[str, Share] = {}                                # level 3: share of synthetic images (arms of 07)

    @field_validator("batches")
    @classmethod
    def _positive(cls, value):
        if value and sum(value.values()) <= 0:
            raise ValueError("every share is 0; give at least one tone a share above 0")
        return value


class Diffusion(Section):
    """Notebooks 02 and 03."""

    base:       Base          = Base()
    prompts:    Prompts       = Prompts()
    tokens:     Tokens | None = Tokens()                             # null: no textual inversion
    lora:       Lora | None   = Lora()                               # null: no LoRA
    resampling: Resampling    = Resampling()
    encoder:    str           = "phantom-siglip"                     # image encoder of score and diversity; a Hub id may have "@revision"
    image_size: int | None    = Field(None, ge=32, le=1024)          # of training and drawing; default: the base model's own
    flips:      bool          = False                                # learn from images mirrored and turned as well


class ImagePrompt(Section):
    """A reference image of the cell beside the prompt."""

    mode:     Literal["none", "img2img", "ip_adapter"] = "none"
    strength: float      = Field(0.6, gt=0, lt=1)                    # img2img: share of the noise put on; from 0.75 skin colour changes
    scale:    float      = Field(0.6, gt=0, le=1)                    # ip_adapter: weight of the image
    adapter:  str | None = None                                      # ip_adapter: Hub id or folder
    weights:  str | None = None                                      # ip_adapter: file in it


class Generation(Section):
    """Notebook 05: how many images of which cell, and how they are drawn."""

    images:          int              = Field(60_000, ge=1)          # wanted after curation, all cells together
    over_generation: float            = Field(1.5, ge=1)             # so many times as many are drawn
    generators:      list[Literal["diffusion", "gan"]] = []          # each draws the whole quota; empty: every one the study has
    classes:         dict[str, float] = {}                           # label → share; empty: equal
    tones:           dict[str, float] = {}                           # tone (or group) → share; empty: equal over those of the study
    cells:           dict[str, dict[str, int]] = {}                  # label → tone → images: exact counts in place of the shares
    domains:         dict[str, float] = {}                        # domain → share; empty: as in the training images
    attempts:        int              = Field(3, ge=1)               # per image, until the cheap checks accept it
    steps:           int              = Field(50, ge=1, le=1000)
    guidance:        float            = Field(7.5, ge=1)             # 1: none
    scheduler:       Literal["dpmsolver++", "ddim", "pndm"] = "dpmsolver++"
    start:           Literal["anchored", "plain"] = "anchored"       # where a tone is asked (DECISIONS 18)
    anchor:          Literal["shaped", "flat"] = "shaped"            # what lies under that start: the cell's shape on skin, or skin
    use_tokens:      bool             = True
    use_lora:        bool             = True
    lora_scale:      float            = Field(1.0, ge=0, le=2)
    image_prompt:    ImagePrompt      = ImagePrompt()
    brightness:      tuple[float, float] = (0.02, 0.98)              # cheap check: mean of the image, 0–1
    minimum_contrast: float           = Field(0.01, ge=0, lt=1)      # cheap check: standard deviation over the image, 0–1
    batch_size:      int              = Field(16, ge=1)              # fixed: short batches are padded, so bytes never depend on it
    attention_slicing: bool           = False                        # attention in parts: less memory, slower
    cpu_offload:     bool             = False                        # models wait in main memory while the GPU does not need them
    shards:          int              = Field(1, ge=1)
    seed:            int              = Field(0, ge=0, lt=2**31)

    @model_validator(mode="after")
    def _sliceable(self):
        if self.attention_slicing and self.image_prompt.mode == "ip_adapter":
            raise ValueError("attention_slicing would put an IP-Adapter's attention out of work; set it to false, or drop image_prompt")
        return self

    _once = field_validator("generators")(once)

    _shares = field_validator("classes", "tones", "domains")(shares)

    @field_validator("brightness")
    @classmethod
    def _range(cls, value):
        if not 0 <= value[0] < value[1] <= 1:
            raise ValueError("expected [low, high] with 0 ≤ low < high ≤ 1")
        return value

    _counts = field_validator("cells")(counts)

    @model_validator(mode="after")
    def _one_way(self):
        if self.cells and (self.classes or self.tones):
            raise ValueError("generation.cells gives exact counts, so classes and tones would contradict it; set one or the other")
        return self


class Searches(Section):
    """Curation's searches over all pairs, timed on drawn phantoms and random features."""

    generated: int       = Field(1_500, ge=2)                        # images, each compared with all real ones
    real:      int       = Field(210, ge=2)
    sizes:     list[int] = Field([64, 256], min_length=1)            # pixels
    encoder:   str       = "lpips-alex-random-0"                     # what the weights are does not change the time
    queries:   int       = Field(60_000, ge=2)                       # feature vectors
    base:      int       = Field(16_000, ge=2)
    features:  int       = Field(256, ge=1)                          # numbers in each
    plainly:   int       = Field(2, ge=1)                            # images (or vectors) that a plain loop compares with all real ones

    _once = field_validator("sizes")(once)


class Benchmarks(Section):
    """Notebook 10: training and drawing beside the plain way and the ceiling, timed in turn in one run."""

    repetitions: int = Field(5, ge=3)                                # in each every contestant runs once, in rotated order
    steps:       int = Field(40, ge=2)                               # optimiser steps that are timed per repetition
    warmup:      int = Field(4, ge=1)                                # optimiser steps before the clock starts
    batches:     int = Field(2, ge=1)                                # batches of generation.batch_size drawn per repetition
    searches:    Searches = Searches()


class Truth(Section):
    """Notebook 11, phantoms only: an oracle that was trained on plenty of phantoms judges what the generator draws."""

    images:     int       = Field(8, ge=2)                           # drawn per label × tone, variant and start
    phantoms:   int       = Field(24, ge=4)                          # drawn phantoms per diagnosis × tone that they are compared with
    variants:   list[Literal["base", "tokens", "lora"]] = Field(["base", "tokens", "lora"], min_length=1)    # lora: with tokens
    starts:     list[Literal["plain", "anchored"]]      = Field(["plain", "anchored"], min_length=1)
    neighbours: int       = Field(5, ge=1)                           # k of precision, recall, density and coverage
    seed:       int       = Field(0, ge=0, lt=2**31)                 # of the drawn images
    strict:     bool      = False                                    # stop where a target is missed (the documented run)

    _once = field_validator("variants", "starts")(once)
