"""Recognising files that hold no weights for torch, by their first bytes and by what is in them."""

from __future__ import annotations

import re
from pathlib import Path

from dr_ovo.safe_files.archive import read_parts
from dr_ovo.safe_files.problems import DamagedError

HEAD = 1024  # bytes that are read to recognise a file
SAFETENSORS = "safetensors"
TORCH = "torch"
LONGEST_HEADER = 10**8  # bytes of a safetensors file's header, by its definition
# The first bytes of torch's files: a zip archive; the format before torch 1.6.
TORCH_BEGINS = (b"PK\x03\x04", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.")
UNPACK = "unpack it, and name the file inside"
TO_TORCH = "download the .safetensors or .pth of the same model"
# Where in a file, and which bytes, tell another kind -> what it is, and what helps.
OTHER_KINDS = (
    (0, rb"version https://git-lfs", "a Git LFS pointer, not the file itself: run git lfs pull"),
    (0, rb"# xet version", "a Xet pointer, not the file itself: download the file"),
    (
        0,
        rb"\s*<",
        "a web page (or XML), not the file itself: download the file that the page offers",
    ),
    (0, rb"\s*\{", "a text file (JSON): name the file of weights that it belongs to"),
    (0, rb"\x89HDF", "an HDF5 file of Keras or TensorFlow: convert it to PyTorch first"),
    (0, rb"\x93NUMPY", "a NumPy array: save the weights by name, with torch.save or safetensors"),
    (0, rb"GGUF", f"a GGUF file: {TO_TORCH}"),
    (0, rb"\x1f\x8b", f"compressed by gzip: {UNPACK}"),
    (0, rb"\xfd7zXZ", f"compressed by xz: {UNPACK}"),
    (0, rb"BZh", f"compressed by bzip2: {UNPACK}"),
    (0, rb"\x28\xb5\x2f\xfd", f"compressed by Zstandard: {UNPACK}"),
    (0, rb"7z\xbc\xaf", f"a 7z archive: {UNPACK}"),
    (0, rb"Rar!", f"a RAR archive: {UNPACK}"),
    (257, rb"ustar", f"a tar archive: {UNPACK}"),
    (4, rb"TFL3", f"a TensorFlow Lite model: {TO_TORCH}"),
    (0, rb"\x08\x01\x12", f"a SavedModel of TensorFlow: {TO_TORCH}"),
    (0, rb"\x08[\x02-\x20][\x12:]", f"an ONNX model: {TO_TORCH}"),
    (0, rb"\x00\x00.\x08.\x1a\x02\x08", f"the index of a TensorFlow checkpoint: {TO_TORCH}"),
    (0, rb"model_checkpoint_path:", f"the list of a TensorFlow checkpoint's files: {TO_TORCH}"),
    (0, rb"[\x81-\x8f\xde][\xa1-\xbf]", f"a MessagePack file of JAX (Flax): {TO_TORCH}"),
    (0, rb"%PDF|\x89PNG|\xff\xd8\xff", "a document or picture: name the file of weights"),
)
TENSORFLOW_DATA = re.compile(r"\.data-\d{5}-of-\d{5}$")  # the names of files without first bytes
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
    long = int.from_bytes(head[:8], "little") > LONGEST_HEADER
    return SAFETENSORS if head[8:9] == b"{" and not long else TORCH


def what_else(path: Path) -> str:
    """What a file is that is no weights file of torch, and what helps; empty if unknown."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    if not head:
        return "empty: 0 bytes"
    if TENSORFLOW_DATA.search(path.name):
        return f"a part of a TensorFlow checkpoint: {TO_TORCH}"
    for start, pattern, text in OTHER_KINDS:
        if re.match(pattern, head[start:], re.DOTALL):
            return text
    return _archive(path)


def begins_as_weights(path: Path) -> bool:
    """Whether a file that can't be read begins as weights do, so that its end is missing."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    cut_short = any(begin.startswith(head) for begin in TORCH_BEGINS)
    return cut_short or head.startswith(TORCH_BEGINS) or not head.strip(b"\0")


def is_pickle(path: Path) -> bool:
    """Whether a file begins as one of Python's pickle, which torch.save has not written."""
    with path.open("rb") as file:
        head = file.read(2)
    return head[:1] == b"\x80" and head[1:] in (b"\x02", b"\x03", b"\x04", b"\x05")


def _archive(path: Path) -> str:
    try:
        with path.open("rb") as file:
            names = [part.name for part in read_parts(file, compressed=True)]
    except DamagedError:
        return ""
    for ending, text in OTHER_ARCHIVES:
        if any(name.endswith(ending) for name in names):
            return text
    if any(name.endswith("data.pkl") for name in names):
        return ""
    return "a zip archive: unpack it, and name the file of weights inside"
