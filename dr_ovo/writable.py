"""Whether an output can be written: asked before hours of computing, not after."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from dr_ovo.errors import AGAIN, MachineError, ToolkitError, UserError, disk_advice

FULL = (errno.ENOSPC, errno.EDQUOT)
TRIAL = bytes(4096)  # an empty file fits on a full disk


def check_writable_folder(folder: Path, flag: str) -> None:
    """Raises UserError where `folder` can't be made, or no file in it.

    `flag` names the setting that the path comes from. A file without a name is really created:
    permissions don't tell of read-only disks, and root has all of them. Raises MachineError where
    the disk is full.
    """
    try:
        existing = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
        if not existing.is_dir():
            what = "a link to nothing" if existing.is_symlink() else "a file"
            raise UserError(f"{flag} {folder}: {existing} is {what}; give the name of a folder.")
        for name in folder.parts[len(existing.parts) :]:
            _check_name(existing / name)
        with tempfile.TemporaryFile(dir=existing) as trial:  # without a name, also when killed
            trial.write(TRIAL)
            trial.flush()
    except OSError as error:
        raise _refused(f"{flag} {folder}", error) from None


def check_writable_file(file: Path, flag: str) -> None:
    """Raises UserError where `file` can't be written; MachineError where the disk is full."""
    try:
        if file.is_dir():
            raise UserError(
                f"{flag} {file} is a folder; give the name of a file, such as {file / 'output'}."
            )
        if file.exists() and not file.is_file():
            raise UserError(f"{flag} {file} is a device or a pipe; give the name of a file.")
        _check_name(file.with_name(f"{file.name}.part"))  # its name while it is written
    except OSError as error:
        raise _refused(f"{flag} {file}", error) from None
    check_writable_folder(file.parent, flag)


def _check_name(path: Path) -> None:
    """Raises OSError for a name that is too long for the disk; the file need not be there."""
    try:
        path.lstat()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise


def _refused(output: str, error: OSError) -> ToolkitError:
    said = f"{output} can't be written: {error.strerror}."
    if error.errno in FULL:
        return MachineError(f"{said} {disk_advice(error.errno, AGAIN)}")
    return UserError(f"{said} {disk_advice(error.errno, AGAIN)}")
