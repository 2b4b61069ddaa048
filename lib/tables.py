"""The Parquet tables that stages talk through, each with a schema checked on write and on read (DESIGN §3)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pandera.pandas as pa
import pyarrow
import pyarrow.parquet

from lib.files import write_atomically

SPLITS = ("train", "validation", "test", "reserve")     # reserve: real images kept back, for what more of them would have brought


class TableError(ValueError):
    """A table is missing or breaks its contract; the message says which column and what would fix it."""


def _text(**options: Any) -> pa.Column:
    return pa.Column(str, pa.Check.str_length(min_value=1), **options)


def _share(**options: Any) -> pa.Column:
    return pa.Column(float, pa.Check.in_range(0, 1), **options)


TONE      = pa.Column("Int8", pa.Check.in_range(1, 6), nullable=True)          # Fitzpatrick type, where annotated
INSIDE    = pa.Check(
    lambda path: not (path.startswith("/") or ".." in path.split("/") or "\\" in path),
    element_wise=True,
    error="leaves its root",
)
PERSON    = {
    "diagnosis":  _text(),
    "tone":       TONE,
    "group":      _text(nullable=True),
    "patient_id": _text(),
    "lesion_id":  _text(),
    "cluster_id": _text(),                                                      # unit of splitting and of the bootstrap
}


FOLDS     = r"^split_\d+$"                                                      # columns of `samples`


def _in_one_split(column: str) -> pa.Check:
    return pa.Check(lambda t: t.groupby(column)[["split", *t.filter(regex=FOLDS)]].nunique().le(1).all(axis=None),
                    error=f"a {column} lies in two splits")


def _tested_once(table: pd.DataFrame) -> bool:
    folds = table.filter(regex=FOLDS)
    return folds.empty or bool((folds.eq("test").sum(axis=1).eq(1) | folds.eq("reserve").all(axis=1)).all())


SAMPLES = pa.DataFrameSchema(
    {
        "image_id":  _text(unique=True),
        "path":      pa.Column(str, INSIDE),                                    # posix, relative to its source's root
        "dataset":   _text(),                                                   # the source's name in the study
        "domain":    _text(),
        "label":     _text(),
        **PERSON,
        "split":     pa.Column(str, pa.Check.isin(SPLITS)),                     # with cross-validation that of its first fold
        FOLDS:       pa.Column(str, pa.Check.isin(SPLITS), regex=True, required=False),       # of each fold, see lib/data/folds.py
        "sha256":    pa.Column(str, pa.Check.str_matches(r"^[0-9a-f]{64}$")),
        "mask_path": pa.Column(str, INSIDE, nullable=True),
        "ita":       pa.Column(float, pa.Check.in_range(-180, 180), nullable=True),   # degrees, lesion-free skin
        "width":     pa.Column("Int32", pa.Check.ge(1)),
        "height":    pa.Column("Int32", pa.Check.ge(1)),
    },
    strict=True,
    checks=[_in_one_split("cluster_id"), _in_one_split("patient_id"),
            pa.Check(_tested_once, error="with folds, an image is not tested in exactly one")],
)

PREDICTIONS = pa.DataFrameSchema(
    {
        "image_id":       _text(),
        "split":          pa.Column(str, pa.Check.isin(("validation", "test"))),
        "fold":           pa.Column("Int8"),
        "arm":            _text(),
        "architecture":   _text(),
        "seed":           pa.Column("Int32"),
        "train_fraction": pa.Column(float, pa.Check.gt(0)),                     # of the training patients; above 1: with the reserve
        "condition":      _text(),                                              # clean, or a distortion
        "target":         _text(),
        "y_true":         pa.Column("Int16", pa.Check.ge(0)),                   # index into the file's classes
        r"^p_\d+$":       _share(regex=True),                                   # temperature-calibrated probabilities
        "threshold":      _share(nullable=True),                                # on the summed probability of the positive classes
        **PERSON,
    },
    strict=True,
    unique=["image_id", "fold", "arm", "architecture", "seed", "train_fraction", "condition", "target"],
    checks=[
        pa.Check(lambda t: (t.filter(regex=r"^p_\d+$").sum(axis=1) - 1).abs().lt(1e-6).all(), error="probabilities do not sum to 1"),
        pa.Check(lambda t: t["y_true"].lt(t.filter(regex=r"^p_\d+$").shape[1]).all(), error="y_true points past the last class"),
    ],
)


def _whole(bits: int, low: int, **options: Any) -> pa.Column:
    return pa.Column(f"Int{bits}", pa.Check.ge(low), **options)


HASH = pa.Check.str_matches(r"^[0-9a-f]{64}$")

SYNTHETIC = pa.DataFrameSchema(
    {
        "image_id":        _text(),                                             # one per image asked for; its attempts share it
        "path":            pa.Column(str, INSIDE, nullable=True),               # posix, relative to the chunk's folder; null: not kept
        "generator":       pa.Column(str, pa.Check.isin(("diffusion", "gan"))),
        "label":           _text(),
        "diagnosis":       _text(),                                             # what was asked for: the label
        "tone":            TONE,                                                # the type that was asked for
        "tone_key":        _text(nullable=True),                                # type or group, as the quota names it; null: none asked
        "group":           _text(nullable=True),
        "domain":          _text(nullable=True),                                # null: not asked for, and learnt from several
        "prompt":          pa.Column(str, nullable=True),                       # null: a generator without words
        "negative_prompt": pa.Column(str, nullable=True),
        "seed":            _whole(64, 0),
        "steps":           _whole(32, 0, nullable=True),                        # of denoising, as asked
        "guidance":        pa.Column(float, pa.Check.ge(1), nullable=True),
        "scheduler":       _text(nullable=True),
        "start":           pa.Column(str, pa.Check.isin(("anchored", "plain", "img2img")), nullable=True),
        "anchor_colour":   pa.Column(str, pa.Check.str_matches(r"^#[0-9a-f]{6}$"), nullable=True),    # sRGB
        "anchor_shape":    pa.Column(str, pa.Check.str_matches(r"^[0-9a-f]{384}$"), nullable=True),   # see lib.diffusion.anchor; null: flat
        "base_model":      _text(),
        "base_revision":   _text(nullable=True),
        "base_sha256":     pa.Column(str, HASH),
        "token_sha256":    pa.Column(str, HASH, nullable=True),
        "adapter_sha256":  pa.Column(str, HASH, nullable=True),
        "lora_scale":      pa.Column(float, pa.Check.ge(0), nullable=True),
        "class_labels":    pa.Column(bool),                                     # label and tone were also given as added vectors
        "source_image_id": _text(nullable=True),                                # of the reference image
        "source_sha256":   pa.Column(str, HASH, nullable=True),                 # of its pixels as the generator sees them
        "image_adapter":   _text(nullable=True),                                # IP-Adapter: Hub id or folder
        "image_adapter_weights": _text(nullable=True),                          # file in it
        "image_adapter_sha256":  pa.Column(str, HASH, nullable=True),           # of its weights and its image encoder's, as they draw
        "strength":        _share(nullable=True),                               # img2img; or the weight of the image prompt
        "attempt":         _whole(16, 1),
        "accepted":        pa.Column(bool),                                     # by the cheap checks of generation
        "reason":          _text(nullable=True),                                # why not
        "sha256":          pa.Column(str, HASH, nullable=True),                 # of the PNG file
        "width":           pa.Column("Int32", pa.Check.ge(1)),
        "height":          pa.Column("Int32", pa.Check.ge(1)),
        "batch_size":      _whole(16, 1),
        "slot":            _whole(16, 0),                                       # place in the padded batch
        "attention_slicing": pa.Column("boolean", nullable=True),               # attention in parts; null: a generator without
        "threads":         _whole(16, 1),
        "device":          _text(),
        "dtype":           _text(),
        "versions":        _text(),                                             # JSON: package → version
    },
    strict=True,
    unique=["image_id", "attempt"],
    checks=[
        pa.Check(lambda t: t["accepted"].eq(t["reason"].isna()).all(), error="accepted and reason contradict each other"),
        pa.Check(lambda t: t["accepted"].eq(t["path"].notna()).all(), error="exactly the accepted attempts keep a file"),
        pa.Check(lambda t: t["path"].isna().eq(t["sha256"].isna()).all(), error="a file without its hash"),
        pa.Check(lambda t: t.groupby("image_id")["accepted"].sum().le(1).all(), error="an image was accepted twice"),
    ],
)

CURATED = pa.DataFrameSchema(
    {
        "image_id":      _text(unique=True),
        "path":          pa.Column(str, INSIDE),                                # posix, from the folder of 05_generation
        "generator":     pa.Column(str, pa.Check.isin(("diffusion", "gan"))),
        "label":         _text(),
        "tone_key":      _text(nullable=True),
        "group":         _text(nullable=True),
        "sha256":        pa.Column(str, HASH),                                  # of the PNG file
        r"^score_\w+$":  pa.Column(float, nullable=True, regex=True, required=False),    # null: not measurable, or the check does not apply
        r"^pass_\w+$":   pa.Column("boolean", nullable=True, regex=True, required=False),     # null: not judged by this check
        "verdict":       _text(),                                               # passed, or the first check that rejected it
        "cluster":       _whole(16, 0, nullable=True),                          # within its cell; null: not passed
        "selected":      pa.Column(bool),
        "random_subset": pa.Column(bool),                                       # as many as selected, by chance, whatever the verdict
        r"^human_\w+$":  pa.Column(float, nullable=True, regex=True, required=False),    # means over real raters; simulated ones never
    },
    strict=True,
    checks=[
        pa.Check(lambda t: t.loc[t["selected"], "verdict"].eq("passed").all(), error="an image that did not pass was selected"),
        pa.Check(lambda t: t["verdict"].eq("passed").eq(t["cluster"].notna()).all(), error="exactly the images that passed have a cluster"),
    ],
)

TRAINING = pa.DataFrameSchema(                  # what one arm trains on; beside the tables that cross stages, so that a reader can see it
    {
        "image_id":  _text(unique=True),
        "synthetic": pa.Column(bool),
        "generator": pa.Column(str, pa.Check.isin(("diffusion", "gan")), nullable=True),
        "label":     _text(),
        "group":     _text(nullable=True),
        "tone_key":  _text(nullable=True),                                      # type or group; null: neither is known, or none was asked
        "split":     pa.Column(str, pa.Check.isin(("train", "reserve"))),       # never validation or test
        "sha256":    pa.Column(str, HASH, nullable=True),                       # of the file; null: drawn while training
    },
    strict=True,
    checks=[
        pa.Check(lambda t: t.loc[t["synthetic"], "split"].eq("train").all(), error="a generated image outside the split train"),
        pa.Check(lambda t: t["synthetic"].eq(t["generator"].notna()).all(), error="synthetic and generator contradict each other"),
    ],
)

OWN_FILES = ("synthetic",)              # tables whose paths start from the folder that they lie in

SCHEMAS = {"samples": SAMPLES, "synthetic": SYNTHETIC, "curated": CURATED, "training": TRAINING, "predictions": PREDICTIONS}


def write_table(name: str, frame: pd.DataFrame, path: Path, metadata: Mapping[str, Any] | None = None) -> None:
    """Check `frame` against the schema called `name` and write it atomically.

    `metadata` is plain JSON kept in the file's header. Raises TableError.
    """
    checked = check_table(name, frame, "about to be written")
    table = pyarrow.Table.from_pandas(checked, preserve_index=False)
    header = json.dumps(dict(metadata or {}), ensure_ascii=False)
    table = table.replace_schema_metadata({"pandas": table.schema.metadata[b"pandas"], "counterbalance": header})
    write_atomically(path, lambda temporary: pyarrow.parquet.write_table(table, temporary))


def read_table(name: str, path: Path) -> pd.DataFrame:
    """The table at `path`, checked. Raises TableError when it is missing, unreadable or breaks its contract."""
    return check_table(name, _open(name, path).to_pandas(), str(path))


def read_metadata(path: Path) -> dict:
    """What `write_table` was given as metadata."""
    return json.loads(pyarrow.parquet.read_schema(path).metadata.get(b"counterbalance", b"{}"))


def check_table(
    name:  str,
    frame: pd.DataFrame,
    where: str,             # for the message
) -> pd.DataFrame:
    """The table, checked against the schema called `name`. Raises TableError."""
    try:
        return SCHEMAS[name].validate(frame, lazy=True)
    except pa.errors.SchemaErrors as errors:
        cases = errors.failure_cases.drop_duplicates(["column", "check"])
        first = "; ".join(f"{case.column or 'table'}: {case.check} (e.g. {case.failure_case!r})" for case in cases.head(4).itertuples())
        raise TableError(f"{name} ({where}) breaks its contract: {first}") from None


def _open(name: str, path: Path) -> pyarrow.Table:
    if not path.is_file():
        raise TableError(f"{name}: no file {path}; run the stage that makes it")
    try:
        return pyarrow.parquet.read_table(path)
    except pyarrow.ArrowInvalid as error:
        raise TableError(f"{name}: {path} is not a readable Parquet file ({error}); delete it and run its stage again") from None
