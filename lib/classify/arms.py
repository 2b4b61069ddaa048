"""The arms of an experiment: what a classifier is trained on, as two tables, and how their names are read. Loads no heavy library.

A base arm says which images are drawn; a switch says how generated images are mixed with the real ones: `diffusion_curated+mixup`,
`diffusion_curated+ratio=2`. All arms of a study have the same budget of optimiser steps on batches of the same sizes (early stopping may
leave some of it unused); class weights follow from what the arm is expected to draw. A new arm is one line here, and a rule in
`lib/classify/sampling.py` where none fits yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lib.names import look_up
from lib.study import Study


@dataclass(frozen=True)
class Arm:
    """One way to fill the training batches."""

    meaning:   str                               # for tables and figures
    rule:      str             = "each_once"     # how often each real row is drawn: a key of lib.classify.sampling.RULES
    augmented: bool            = False           # rows of `classifier.augmentation.classes` are changed at random each time they are drawn
    generators: tuple[str, ...] = ()             # whose images are added to the real ones; of `collected`: the first of these the study has
    which:     str             = "selected"      # of them: accepted (by 05), selected or random_subset (by 06)
    real:      bool            = True            # real training images are drawn at all
    start:     str             = ""              # shipped weights that its networks start from, of the architecture START alone
    collected: bool            = False           # the added images are real ones of the reserve, as many of each cell as were selected
    base:      str             = ""              # its name without switches; filled in by `find_arm`, as the next
    switches:  tuple[tuple[str, float | None], ...] = ()     # name and value, None: as `classifier.mixing` says; in the order of SWITCHES

    @property
    def adds(self) -> bool:
        """Whether images are added to the real training images."""
        return bool(self.generators)

    @property
    def streams(self) -> bool:
        """Whether images are drawn while the classifier trains."""
        return any(SWITCHES[switch].streams for switch, _ in self.switches)

    def has(self, switch: str) -> bool:
        """Whether a switch is on."""
        return switch in dict(self.switches)

    def value(self, switch: str, default: float) -> float:
        """The value that its name gives to a switch, else `default`."""
        given = dict(self.switches).get(switch)
        return default if given is None else given


START = "small_cnn"         # what shipped weights of a classifier are those of


ARMS: dict[str, Arm] = {
    "real":                Arm("real images, each once per epoch"),
    "classical":           Arm("real images, each once per epoch, augmented", augmented=True),
    "oversampled":         Arm("real images, every label × group cell drawn equally often", rule="equal_cells"),
    "phantom_start":       Arm("real images, after a start on the pictures that phantom-sd was made from", start="phantom-cnn"),
    "gan_uncurated":       Arm("real images and all of the GAN", generators=("gan",), which="accepted"),
    "gan_curated":         Arm("real images and the GAN's after curation", generators=("gan",)),
    "gan_random":          Arm("real images and as many of the GAN's by chance", generators=("gan",), which="random_subset"),
    "diffusion_uncurated": Arm("real images and all of the diffusion model", generators=("diffusion",), which="accepted"),
    "diffusion_curated":   Arm("real images and the diffusion model's after curation", generators=("diffusion",)),
    "diffusion_random":    Arm("real images and as many of the diffusion model's by chance", generators=("diffusion",),
                               which="random_subset"),
    "diffusion_and_gan":   Arm("real images and both generators' after curation", generators=("diffusion", "gan")),
    "synthetic_only":      Arm("generated images after curation alone", generators=("diffusion", "gan"), real=False),
    "collected":           Arm("real images and as many more that were kept in reserve", generators=("diffusion", "gan"), collected=True),
}


@dataclass(frozen=True)
class Switch:
    """One way to mix generated images with real ones."""

    meaning:  str                                        # for tables and figures
    values:   tuple[float, float] | None = None          # lowest and highest that may follow its name; None: nothing follows
    needed:   bool                       = False         # a value must follow; else `classifier.mixing` has it
    against:  tuple[str, ...]            = ()            # switches that it cannot stand beside
    streams:  str                        = ""            # images are drawn while the classifier trains, beside those that `which` names


SWITCHES: dict[str, Switch] = {
    "ratio":       Switch("so many generated draws for each real one", (0, 100), needed=True, against=("replace", "range")),
    "range":       Switch("the generated share is drawn anew for each batch"),
    "replace":     Switch("generated images take the place of real ones of the same label and group", (0, 1)),
    "ramp":        Switch("the generated share grows from nothing over the first epochs", (0, 1)),
    "minority":    Switch("generated images only in cells with few real ones"),
    "mixup":       Switch("each generated image is blended with a real one of its class", (0.01, 10)),
    "pretrain":    Switch("the first epochs on generated images alone, the rest at a tenth of the rate", (0.01, 0.95),
                          against=("ramp", "replace")),
    "adversarial": Switch("a head that tells generated from real, its gradient reversed", (0, 10)),
    "on_the_fly":  Switch("images are drawn while the classifier trains, the newest are kept", against=("hybrid", "pretrain"),
                          streams="accepted"),
    "hybrid":      Switch("curated images, and new ones of the cells with the highest validation loss", streams="selected"),
}


def find_arm(name: str) -> Arm:
    """The arm called BASE[+switch[=value]]…, with `base` and `switches` filled in.

    ValueError for what is unknown (listing what is known), for switches that have nothing to mix or exclude each other, for a value that
    is missing or out of range, and where the same arm is usually written otherwise: one arm has one name.
    """
    base, *parts = name.split("+")
    arm = look_up("arm", base, ARMS)
    given = {}
    for part in parts:
        switch, equals, text = part.partition("=")
        entry = look_up("switch of an arm", switch, SWITCHES)
        if switch in given:
            raise ValueError(f"{name}: {switch} stands there twice")
        given[switch] = _number(name, switch, entry, text if equals else None)
    if given and not (arm.adds and arm.real):
        mixing = ", ".join(known for known, one in ARMS.items() if one.adds and one.real)
        raise ValueError(f"{name}: +{next(iter(given))} mixes generated images with real ones, and {base} does not; it goes with {mixing}")
    for switch in given:
        if other := next((against for against in SWITCHES[switch].against if against in given), None):
            raise ValueError(f"{name}: +{switch} and +{other} exclude each other; train them as two arms")
    for switch in given:
        fits = [known for known, one in ARMS.items() if one.which == SWITCHES[switch].streams and one.real and len(one.generators) == 1]
        if SWITCHES[switch].streams and base not in fits:
            raise ValueError(f"{name}: +{switch} draws with one generator, and goes with {' and '.join(fits)}")
    arm = replace(arm, base=base, switches=tuple((switch, given[switch]) for switch in SWITCHES if switch in given))
    usual = "+".join([base, *(switch if value is None else f"{switch}={value:g}" for switch, value in arm.switches)])
    if usual != name:
        raise ValueError(f"{name} is written {usual}, so that one arm has one name")
    return arm


def check_arm(
    name:  str,
    study: Study,
) -> None:
    """ValueError where the study lacks what the arm is made of: a generator, curation, or a reserve."""
    arm = find_arm(name)
    sources = generators_of(arm, study.generators)
    lacking = [generator for generator in arm.generators if generator not in study.generators]
    if arm.adds and not (sources and (arm.collected or not arm.real or not lacking)):
        raise ValueError(f"{name} needs images of {' or '.join(lacking)}, and the study draws none; add the sections "
                         f"{' or '.join(lacking)} and `generation`, or take the arm out")
    if arm.adds and arm.which != "accepted" and study.curation is None:
        raise ValueError(f"{name} needs to know which images were selected; add the section `curation`, or take the arm out")
    other = [name for name in study.classifier.architectures if name != START]
    if arm.start and other:
        raise ValueError(f"{name} starts from the weights of {arm.start}, which is a {START}, and classifier.architectures names "
                         f"{', '.join(other)}; take the arm out, or train {START} alone")
    if arm.collected and not (study.split.file or any(source.role == "reserve" for source in study.data.sources)):
        raise ValueError(f"{name} adds real images that are kept in reserve, and no source has `role: reserve`; add one, or take the arm "
                         "out")


def check_mixing(study: Study) -> None:
    """ValueError where `classifier.mixing` names a tone, group or label that the study does not have."""
    types, mixing = [*"123456"], study.classifier.mixing
    for key, named, known in (("shares",   mixing.shares,   [*types, *study.groups.names, "unknown"]),
                              ("minority", mixing.minority, [*study.labels.names, *study.groups.names, *types])):
        for name in named:
            try:
                look_up("tone, group or label", name, dict.fromkeys(known))
            except ValueError as error:
                raise ValueError(f"{key}: {error}") from None


def generators_of(arm: Arm, known: Sequence[str]) -> tuple[str, ...]:
    """Whose images the arm is made of in a study that has the generators `known`."""
    found = tuple(generator for generator in arm.generators if generator in known)
    return found[:1] if arm.collected else found


def _number(name: str, switch: str, entry: Switch, text: str | None) -> float | None:
    """The value behind a switch's name."""
    if text is None:
        if entry.needed:
            raise ValueError(f"{name}: +{switch} needs a number, e.g. +{switch}=1")
        return None
    if entry.values is None:
        raise ValueError(f"{name}: +{switch} takes no value; its settings stand in classifier.mixing")
    low, high = entry.values
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise ValueError(f"{name}: +{switch} is {text!r}, expected a number from {low:g} to {high:g}")
    return value
