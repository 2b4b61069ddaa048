"""What is declared of a data set."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class DatasetInfo:
    """One data set, declared."""

    name:      str                                          # how a study names it
    title:     str
    folder:    str                                          # under DATA_ROOT, unless the study says otherwise
    source:    str                                          # where it is published
    citation:  str
    licence:   str
    domain:    str                                          # dermoscopic, clinical, smartphone, or "unknown"
    table:     tuple[str, ...]            = ()              # accepted names of the metadata file
    columns:   dict[str, tuple[str, ...]] = field(default_factory=dict)   # our column → every known spelling
    required:  tuple[str, ...]            = ()              # our columns without which nothing can be done
    extras:    tuple[str, ...]            = ()              # columns of the release that are kept under their own name
    diagnoses: dict[str, str]             = field(default_factory=dict)   # the data set's term → ours; others stay as they are
    mask_suffix: str | None               = None            # masks are called <image><suffix>.png
    counts:    dict[str, int]             = field(default_factory=dict)   # "rows", "patients", "lesions", "<column> <value>"
    local_ids: bool                       = False           # its patient numbers mean nothing outside its folder, and one person inside
    layout:    str                        = ""              # what the folder must look like, for error messages
    notes:     tuple[str, ...]            = ()              # for those who write studies and adapters
    reader_notes: tuple[str, ...]         = ()              # what every reader of a report must know; shown with each source
    policy_notes: tuple[str, ...]         = ()              # as reader_notes, and shown again where the policies are described
