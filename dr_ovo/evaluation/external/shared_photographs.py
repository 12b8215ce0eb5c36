"""What another data set shares with what a network has seen: photographs, copies, patients."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dr_ovo.audit.audited_photographs import photographs_of_index
from dr_ovo.audit.findings import Photograph
from dr_ovo.audit.measurement_cache import DESCRIPTORS, cache_folder
from dr_ovo.copies.between_sets import SharedPicture, shared_pictures
from dr_ovo.copies.descriptor_cache import describe_files
from dr_ovo.dataset.index import DatasetIndex, Split
from dr_ovo.dataset.words import is_unknown
from dr_ovo.errors import log
from dr_ovo.inference.trained_model import TrainedModel
from dr_ovo.results.folder import EXTERNAL
from dr_ovo.training.data.seen_photographs import seen_by

LISTED = 20  # files and patients of each kind that are named
LEARNED_FROM = ("train", "val")
NOT_SAID = "a checkpoint of an earlier version does not say which photographs it has seen"
NOT_ALL = "the weights that a training began with do not say which photographs they have seen"


@dataclasses.dataclass(frozen=True, eq=False)
class Shared:
    """Of the N photographs of another data set: `leaky` (N,) bool are those that the network has
    seen, or copies of such; `of_patients` (N,) bool those, and all others of their patients.
    `block` is what the evaluation says of it."""

    leaky: np.ndarray
    of_patients: np.ndarray
    block: dict[str, Any]


def find_shared(
    models: Sequence[TrainedModel],
    external: DatasetIndex,
    own: DatasetIndex | str,
    output: Path,
    max_megapixels: float,
) -> Shared:
    """What `external` shares with the photographs that the models have seen, by what their
    checkpoints say, and with the data set of their training, where that is there (`own`, else why
    not). What is measured is cached in `output` where a data set can't be written."""
    split = external.splits[EXTERNAL]
    seen, by_checkpoint = _seen(models, external)
    leaky = seen
    block: dict[str, Any] = {"seen": by_checkpoint}
    if isinstance(own, str):
        unknown = {"value": None, "reason": own}
        block |= {"photographs": unknown, "patient_names": unknown}
    else:
        photographs = photographs_of_index(own)
        found = _copies(external, own, photographs, output, max_megapixels)
        copies, block["photographs"] = _by_split(found, split, photographs)
        leaky = seen | copies
        block["patient_names"] = _patient_names(split, photographs)
    owners = np.array(split.patient_ids)
    of_patients = np.isin(owners, owners[leaky])
    block |= {"leaky": int(leaky.sum()), "of_their_patients": int(of_patients.sum())}
    return Shared(leaky, of_patients, block)


def say_shared(shared: Shared, count: int, name: str) -> None:
    """Warns of the photographs that are shared, and of what could not be looked for."""
    block = shared.block
    if block["leaky"]:
        log.warning(
            "%d of the %d photographs of %s, or copies of them, have been seen in the training: "
            "scores there are too good, and marked LEAKY. Photographs of these patients: %d; the "
            "figures on all others are under without_shared.",
            block["leaky"], count, name, block["of_their_patients"],
        )  # fmt: skip
    if reason := block["seen"].get("incomplete"):
        log.warning(
            "Whether the network has seen photographs of %s is not all known: %s.", name, reason
        )
    if in_test := block["photographs"].get("test"):
        log.warning(
            "%d of the photographs of %s are in the own test, or copies of them are: the intervals "
            "of the differences, which take the patients for others, are not right.",
            in_test, name,
        )  # fmt: skip
    if reason := block["photographs"].get("reason"):
        log.warning(
            "Only files that the network itself has seen are recognised, no copies of them and no "
            "patients: %s",
            reason,
        )
    elif block["patient_names"]["patients"]:
        log.warning(
            "%d names of patients in %s are names in train or val, too (%s%s). Whether they are "
            "the same people, names alone don't tell.",
            block["patient_names"]["patients"], name, block["patient_names"]["names"][0],
            ", ..." * (block["patient_names"]["patients"] > 1),
        )  # fmt: skip


def _seen(
    models: Sequence[TrainedModel], external: DatasetIndex
) -> tuple[np.ndarray, dict[str, Any]]:
    """(N,) bool: the very files that a network has seen in its training."""
    split = external.splits[EXTERNAL]
    as_test = dataclasses.replace(external, splits={"test": split})
    files: set[str] = set()
    reasons = []
    for model in models:
        known = seen_by(model.meta)
        if known is None:
            reasons.append(NOT_SAID)
            continue
        files.update(known.files_of(as_test, external.contents).get("test", []))
        reasons += [NOT_ALL] * (not known.all_known)
    mask = np.array([sample in files for sample in split.sample_ids], dtype=bool)
    block: dict[str, Any] = {"files": len(files), "listed": sorted(files)[:LISTED]}
    if reasons:
        block["incomplete"] = "; ".join(dict.fromkeys(reasons))
    return mask, block


def _copies(
    external: DatasetIndex,
    own: DatasetIndex,
    photographs: Sequence[Photograph],
    output: Path,
    max_megapixels: float,
) -> list[SharedPicture]:
    """The photographs that both data sets have, as files or as altered copies."""
    ours, theirs = external.splits[EXTERNAL].paths, [p.path for p in photographs]
    files = []
    for root in (external.root, own.root):
        cache = cache_folder(root, output)
        files.append(cache / DESCRIPTORS if cache else None)
    described = describe_files(ours, files[0], max_megapixels=max_megapixels)
    described |= describe_files(theirs, files[1], max_megapixels=max_megapixels)
    return shared_pictures(ours, theirs, described, files[0])


def _by_split(
    found: Sequence[SharedPicture], split: Split, photographs: Sequence[Photograph]
) -> tuple[np.ndarray, dict[str, Any]]:
    """(N,) bool: copies of photographs of train or val; and how many of each split of the own data
    set there are copies of."""
    leaky = np.zeros(len(split), dtype=bool)
    counts, listed = {"train": 0, "val": 0, "test": 0}, []
    for picture in found:
        there = [photographs[position] for position in picture.theirs]
        splits = {one.split for one in there}
        for name in splits:
            counts[name] += len(picture.ours)
        if splits & {*LEARNED_FROM}:
            leaky[list(picture.ours)] = True
        listed.append(
            {
                "files": [split.sample_ids[position] for position in picture.ours],
                "own_files": [one.file for one in there],
                "how": picture.how,
            }
        )
    return leaky, {**counts, "listed": listed[:LISTED]}


def _patient_names(split: Split, photographs: Sequence[Photograph]) -> dict[str, Any]:
    """The names of patients that both data sets have, as far as they are known."""
    seen = {p.patient for p in photographs if p.split in LEARNED_FROM and p.patient}
    rows = zip(split.patient_ids, split.sample_ids, split.groups, strict=True)
    here = [
        "" if patient in (sample, group) or is_unknown(patient) else patient
        for patient, sample, group in rows
    ]
    common = sorted(seen & {*here})
    return {
        "patients": len(common),
        "photographs": sum(patient in seen for patient in here if patient),
        "names": common[:LISTED],
    }
