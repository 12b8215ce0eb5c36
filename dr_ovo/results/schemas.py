"""What the JSON files of a results folder hold, as far as it is read back.

Keys that a version added later are not required, and keys that are not read are not named.
"""

from __future__ import annotations

from typing import Annotated, Any, get_type_hints

from msgspec import UNSET, Meta, Struct, UnsetType, defstruct

from dr_ovo.settings.train_config import TrainConfig

Count = Annotated[int, Meta(ge=0, le=1 << 53)]
Positive = Annotated[int, Meta(ge=1, le=1 << 53)]
Seconds = Annotated[float, Meta(ge=0)]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Fraction = Annotated[float, Meta(ge=0, le=1)]
FileName = Annotated[str, Meta(pattern=r"^(?!\.+$)[\w.-]+$")]  # of a folder, never outside it
Settings = defstruct(
    "Settings",
    [(name, kind | UnsetType, UNSET) for name, kind in get_type_hints(TrainConfig).items()],
)


class Skipped(Struct):
    """A file that a training left out."""

    file: str
    reason: str


class Numerics(Struct):
    """What the machine decided of how a training was computed."""

    device: str | UnsetType = UNSET
    precision: str | UnsetType = UNSET
    tf32: bool | UnsetType = UNSET
    threads: Positive | UnsetType = UNSET
    compile: bool | UnsetType = UNSET
    ranks: Positive | UnsetType = UNSET
    frozen_stages: Count | UnsetType = UNSET
    images_per_step: Positive | UnsetType = UNSET


class Resumed(Numerics, kw_only=True):
    """How a training went on otherwise, and from where."""

    after_epoch: Count
    images: Count | UnsetType = UNSET


class Recovered(Struct, kw_only=True):
    """A `--recover`: from where, the rate from then on, and the states that it left behind."""

    after_epoch: Count
    images: Count | UnsetType = UNSET
    rate_scale: Annotated[float, Meta(gt=0, le=1)]
    sha256: list[str] | UnsetType = UNSET


class Retrained(Struct):
    """A pair that was trained again."""

    pair: tuple[Count, Count]
    kept: str
    said: str
    settings: dict[str, Any]
    data_hash: str


class Audit(Struct):
    """The audit that a training began with."""

    undecodable: dict[str, str] | UnsetType = UNSET
    no_statistics_model: str | UnsetType | None = UNSET


class Config(Struct):
    """config.json."""

    settings: Settings | UnsetType = UNSET  # type: ignore[valid-type]
    sources: dict[str, str] | UnsetType = UNSET
    effective: Numerics | UnsetType | None = UNSET
    data_hash: str | UnsetType = UNSET
    data_manifest_hash: str | UnsetType | None = UNSET
    synthetic: bool | UnsetType = UNSET
    leaky: bool | UnsetType = UNSET
    simulated: bool | UnsetType = UNSET
    audit: Audit | UnsetType = UNSET
    skipped_images: list[Skipped] | UnsetType = UNSET
    preprocessing_hash: str | UnsetType = UNSET
    pretrained_sha256: str | UnsetType | None = UNSET
    versions: dict[str, str] | UnsetType = UNSET
    git_commit: str | UnsetType | None = UNSET
    retrained: list[Retrained] | UnsetType = UNSET
    resumed: list[Resumed] | UnsetType = UNSET
    recovered: list[Recovered] | UnsetType = UNSET
    changed_images: list[str] | UnsetType = UNSET


class Within(Struct):
    """How far a training is inside an epoch."""

    images: Positive
    seconds: Seconds


class BranchState(Struct, kw_only=True):
    """A branch in progress.json."""

    best: list[float | None] | None
    best_epoch: Count
    top: list[float | None] | UnsetType | None = UNSET
    progress: list[float | None] | float | None
    progress_epoch: Count
    ended: str | None
    file: str | None
    sha256: Sha256 | UnsetType = UNSET


class Prefix(Struct):
    """The first so many bytes of a file, by their sha256: what follows is of a later state."""

    bytes: Count
    sha256: Sha256


class TrainingFiles(Struct):
    """The files of a training that its state belongs to, by their sha256."""

    history: Prefix
    config: Sha256
    descriptors: dict[str, Sha256]


class Progress(Struct, kw_only=True):
    """progress.json, previous.json and validated.json."""

    schema: Count | UnsetType = UNSET
    epoch: Count
    finished: bool
    within: Within | UnsetType = UNSET
    micro_batch: Any = UNSET  # a wrong one is as good as none
    grad_checkpointing: bool | UnsetType = UNSET
    branches: dict[str, BranchState] | UnsetType = UNSET
    files: TrainingFiles | UnsetType = UNSET
    digest: Sha256 | UnsetType = UNSET


class Descriptor(Struct):
    """The JSON file beside a checkpoint."""

    architecture: str | UnsetType = UNSET
    head: str | UnsetType = UNSET
    epoch: Count | UnsetType = UNSET
    sha256: Sha256 | UnsetType = UNSET
    bytes: Positive | UnsetType = UNSET
    parameters: Count | UnsetType = UNSET
    trained_parameters: Count | UnsetType = UNSET
    synthetic: bool | UnsetType = UNSET
    leaky: bool | UnsetType = UNSET


class MadeFrom(Struct):
    """What an evaluation belongs to, by sha256."""

    checkpoints: dict[str, Sha256]
    calibration: Sha256
    predictions: Sha256 | UnsetType = UNSET
    predictions_val: Sha256 | UnsetType = UNSET
    directories: dict[str, Sha256] | UnsetType = UNSET
    descriptors: dict[str, Sha256] | UnsetType = UNSET
    config: Sha256 | UnsetType = UNSET
    place: str | UnsetType = UNSET


class Evaluation(Struct):
    """evaluation.json and those of other splits."""

    schema: Count | UnsetType = UNSET
    split: str | UnsetType = UNSET
    head: str | UnsetType = UNSET
    decoder: str | UnsetType = UNSET
    n: Positive | UnsetType = UNSET
    confusion: list[list[Count]] | UnsetType = UNSET
    synthetic: bool | UnsetType = UNSET
    simulated: bool | UnsetType = UNSET
    leaky: bool | UnsetType = UNSET
    prior_corrected: bool | UnsetType = UNSET
    grade_from: str | UnsetType = UNSET
    member_temperatures: dict[str, float] | UnsetType = UNSET
    stopped_learning: list[str] | UnsetType = UNSET
    made_from: MadeFrom | UnsetType = UNSET
    digest: Sha256 | UnsetType = UNSET


class Folds(Struct):
    """folds.json: of each picture the fold, and the number of its unit."""

    schema: Count
    folds: Annotated[int, Meta(ge=2, le=1 << 20)]
    files: dict[str, tuple[Positive, Count]]


class Outcome(Struct):
    """outcome.json, which is there while a retrained pair is put in place."""

    schema: Count
    file: FileName
    replaced: FileName | None
    keeps_new: bool
    history: list[dict[str, str | None]]
    config: Sha256
    retrained: list[Retrained]
    digest: Sha256


class Evaluating(Struct):
    """evaluating.json, which is there while an evaluation is written."""

    schema: Count
    splits: list[str]
