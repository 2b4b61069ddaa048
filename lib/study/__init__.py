"""A study is one YAML file; these models say what may stand in it (DESIGN §4).

Frozen pydantic models, unknown keys refused. Reading, `extends` and overrides are in `lib/study/file.py`.
"""

from lib.study.curation import Check, Curation, Gate, Percentile, SetDistance
from lib.study.data import (
    Data,
    Duplicates,
    Groups,
    Labels,
    PhantomOptions,
    Source,
    Split,
)
from lib.study.file import StudyError
from lib.study.gan import Gan
from lib.study.generate import (
    Base,
    Benchmarks,
    Diffusion,
    Diversity,
    Generation,
    ImagePrompt,
    Lora,
    Prompts,
    Resampling,
    Tokens,
    Training,
    Truth,
)
from lib.study.load import ROOT, load_study, place_of
from lib.study.model import Study, fingerprint
from lib.study.section import Section
from lib.study.work import Augmentation, Classifier, Compute, Explore, Mixing, NullTruth, Primary, Statistics, Threshold

__all__ = [
    "ROOT", "Augmentation", "Base", "Benchmarks", "Check", "Classifier", "Compute", "Curation", "Data", "Diffusion", "Diversity",
    "Duplicates", "Explore", "Gan", "Gate", "Generation", "Groups", "ImagePrompt", "Labels", "Lora", "Mixing", "NullTruth",
    "Percentile", "PhantomOptions", "Primary", "Prompts", "Resampling", "Section", "SetDistance", "Source", "Split", "Statistics", "Study",
    "StudyError", "Threshold", "Tokens", "Training", "Truth", "fingerprint", "load_study", "place_of",
]
