"""Recognising files that hold no weights for torch, by their first bytes and by what is in them."""

from __future__ import annotations

import zipfile
from pathlib import Path

HEAD = 1024  # bytes that are read to recognise a file
SAFETENSORS = "safetensors"
TORCH = "torch"
# The first bytes of files of other kinds -> what they are, and what helps.
OTHER_KINDS = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself: run git lfs pull"),
    (b"<", "a web page (or XML), not the file itself: download the file that the page offers"),
    (b"\x89HDF", "an HDF5 file of Keras or TensorFlow: convert it to PyTorch first"),
    (b"\x93NUMPY", "a NumPy array: save the weights by name, with torch.save or safetensors"),
    (b"GGUF", "a GGUF file: download the .safetensors or .pth of the same model"),
    (b"\x1f\x8b", "compressed by gzip: unpack it, and name the file inside"),
    (b"\xfd7zXZ", "compressed by xz: unpack it, and name the file inside"),
    (b"BZh", "compressed by bzip2: unpack it, and name the file inside"),
    (b"7z\xbc\xaf", "a 7z archive: unpack it, and name the file inside"),
)
# Members of a zip archive -> what the archive is; torch's own files have a data.pkl.
OTHER_ARCHIVES = (
    ("constants.pkl", "a TorchScript module, which holds code: save model.state_dict() instead"),
    ("archive_format", "a torch.export program, which holds code: save model.state_dict() instead"),
    (".npy", "weights of JAX or NumPy (.npz): download the PyTorch weights of the same model"),
)


def kind_of(path: Path) -> str:
    """TORCH or SAFETENSORS, by the file's bytes; TORCH where neither can be told."""
    with path.open("rb") as file:
        head = file.read(9)
    return SAFETENSORS if head[8:9] == b"{" else TORCH


def what_else(path: Path) -> str:
    """What a file is that is no weights file of torch, and what helps; empty if unknown."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    if not head:
        return "empty: 0 bytes"
    if zipfile.is_zipfile(path):
        return _archive(path)
    if head.lstrip()[:1] == b"{":
        return "a text file (JSON): name the file of weights that it belongs to"
    start = head.lstrip() if head.lstrip()[:1] == b"<" else head
    return next((text for magic, text in OTHER_KINDS if start.startswith(magic)), "")


def _archive(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    for ending, text in OTHER_ARCHIVES:
        if any(name.endswith(ending) for name in names):
            return text
    if any(name.endswith("data.pkl") for name in names):
        return ""
    return "a zip archive: unpack it, and name the file of weights inside"


def damaged_member(path: Path) -> str:
    """The first part of a zip archive whose checksum is wrong; empty without any, or for others.

    torch.load does not check them.
    """
    if not zipfile.is_zipfile(path):
        return ""
    try:
        with zipfile.ZipFile(path) as archive:
            if any(part.compress_type != zipfile.ZIP_STORED for part in archive.infolist()):
                return ""  # not from torch.save; unpacking may take long
            return archive.testzip() or ""
    except (zipfile.BadZipFile, ValueError, RuntimeError, NotImplementedError):
        return "its directory"
