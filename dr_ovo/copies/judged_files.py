"""Files that were read once: their stamp, their sha256, and the verdict on their content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dr_ovo.copies.descriptor_store import (
    NO_STAMP,
    DescriptorStore,
    PictureRow,
    Stamp,
    stamp_of,
)
from dr_ovo.decoded.processes.process import errors_are_damage
from dr_ovo.photographs.content_check import Verdict, damage_of, judge
from dr_ovo.photographs.damage import Damage, DamagedImage
from dr_ovo.photographs.image_decoding import read_bytes


@dataclass(frozen=True)
class JudgedFile:
    """A file, its stamp before it was read, its sha256 ("" where it can't be used now), and the
    verdict."""

    path: Path
    stamp: Stamp
    sha256: str
    verdict: Verdict

    @property
    def damage(self) -> Damage | None:
        """The damage that the verdict tells of."""
        return damage_of(self.path, self.verdict)


def judge_file(
    path: Path, max_megapixels: float, verdicts: Mapping[str, Verdict]
) -> tuple[JudgedFile, bytes]:
    """Reads a file and judges its content, unless there is one of the `verdicts` (by sha256) on
    it; the content as well, empty where it can't be used at all."""
    stamp = stamp_of(path) or NO_STAMP  # before it is read: a change meanwhile shows
    try:
        data = read_bytes(path)
        sha256 = hashlib.sha256(data).hexdigest()
        with errors_are_damage():
            verdict = verdicts.get(sha256) or judge(data, max_megapixels)
    except DamagedImage as error:
        return unusable(path, str(error)), b""
    return JudgedFile(path, stamp, sha256, verdict.within(max_megapixels)), data


def unusable(path: Path, reason: str) -> JudgedFile:
    """A file that can't be used now, such as one that can't be read; it may be different soon."""
    return JudgedFile(path, NO_STAMP, "", Verdict(damage=reason, decodes=False))


def recognised_file(
    path: Path, max_megapixels: float, verdicts: Mapping[str, Verdict]
) -> JudgedFile | None:
    """A file on whose content there is one of the `verdicts` (by sha256), as of a file that was
    copied, or that can't even be read; None where there is none. It is read where there are any."""
    if not verdicts:
        return None
    stamp = stamp_of(path) or NO_STAMP  # before it is read, as above
    try:
        sha256 = hashlib.sha256(read_bytes(path)).hexdigest()
    except DamagedImage as error:
        return unusable(path, str(error))
    if sha256 not in verdicts:
        return None
    return JudgedFile(path, stamp, sha256, verdicts[sha256].within(max_megapixels))


def save_files(
    store: DescriptorStore,
    files: Iterable[JudgedFile],
    names: Mapping[Path, str],
    pictures: Iterable[PictureRow] = (),
) -> None:
    """Adds files (by their `names` in the cache), their verdicts, and pictures, all or none. What
    can't be read is left out, as it may be different soon."""
    read = [file for file in files if file.sha256]
    store.add(
        pictures,
        [(names[file.path], *file.stamp, file.sha256) for file in read],
        {file.sha256: file.verdict for file in read},
    )
