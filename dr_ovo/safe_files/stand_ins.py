"""What stands for the values of a pickle while it is scanned: how many and how deep they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dr_ovo.safe_files.problems import DamagedError

# Bytes of a number, by the names under which torch stores its kinds.
STORAGES = {
    "torch.DoubleStorage": 8, "torch.FloatStorage": 4, "torch.HalfStorage": 2,
    "torch.BFloat16Storage": 2, "torch.LongStorage": 8, "torch.IntStorage": 4,
    "torch.ShortStorage": 2, "torch.CharStorage": 1, "torch.ByteStorage": 1,
    "torch.BoolStorage": 1, "torch.ComplexFloatStorage": 8, "torch.ComplexDoubleStorage": 16,
    "torch.QInt8Storage": 1, "torch.QUInt8Storage": 1, "torch.QInt32Storage": 4,
    "torch.storage.UntypedStorage": 1,
}  # fmt: skip
DTYPES = {
    "torch.float64": 8, "torch.float32": 4, "torch.float16": 2, "torch.bfloat16": 2,
    "torch.int64": 8, "torch.int32": 4, "torch.int16": 2, "torch.int8": 1, "torch.uint8": 1,
    "torch.bool": 1, "torch.uint16": 2, "torch.uint32": 4, "torch.uint64": 8,
    "torch.complex64": 8, "torch.complex128": 16, "torch.float8_e4m3fn": 1, "torch.float8_e5m2": 1,
}  # fmt: skip
SCHEMES = (
    "torch.per_tensor_affine", "torch.per_tensor_symmetric", "torch.per_channel_affine",
    "torch.per_channel_symmetric", "torch.per_channel_affine_float_qparams",
)  # fmt: skip
METADATA = ["_metadata"]  # the attribute of an nn.Module's state dict
DTYPE_STATES = (  # of NumPy's dtypes, as pickled: version, byte order, and nothing else
    [3, "<", None, None, None, -1, -1, 0],
    [3, "|", None, None, None, -1, -1, 0],
)


@dataclass(frozen=True, slots=True)
class Global:
    """A name that the pickle imports."""

    name: str

    @property
    def is_storage(self) -> bool:
        """Whether it is a kind of storage."""
        return self.name in STORAGES

    @property
    def width(self) -> int:
        """Bytes of a number in that kind of storage."""
        return STORAGES[self.name]

    @property
    def is_value(self) -> bool:
        """Whether it may stand among values: a kind of number."""
        return self.name in DTYPES or self.name in SCHEMES


@dataclass(slots=True)
class Node:
    """A container or an object: the values in it, written out, and how deep they are nested.

    `sealed`: it stands in another one, and changes no more. `has_parts`: it is an argument of a
    call, with storages or names in it. `items`: of tuples and lists, the keys of mappings.
    """

    kind: str
    items: Any = ()
    nodes: int = 1
    depth: int = 1
    sealed: bool = False
    has_parts: bool = False

    def hold(self, item: Any) -> None:
        """Counts an item that is put into it."""
        if type(item) is Node:
            item.sealed = True
            self.nodes += item.nodes
            self.depth = max(self.depth, item.depth + 1)
            self.has_parts |= item.has_parts
        else:
            self.nodes += 1
            self.has_parts |= type(item) is Storage or (type(item) is Global and not item.is_value)

    def may_be_built_from(self, state: Node) -> bool:
        """Whether its attributes may be these: a state dict's `_metadata`, options of a command
        line, or what a number of NumPy has."""
        if self.kind == "OrderedDict":
            return state.kind == "dict" and state.items == METADATA
        if self.kind == "Namespace":
            names = state.kind == "dict" and all(type(name) is str for name in state.items)
            return names and not any(name.startswith("__") for name in state.items)
        return self.kind == "numpy.dtype" and [*state.items] in DTYPE_STATES


@dataclass(frozen=True, slots=True)
class Storage:
    """Numbers in the file: their count, and the bytes of each."""

    key: str
    count: int
    width: int

    @property
    def bytes(self) -> int:
        """Of all."""
        return self.count * self.width


@dataclass(slots=True)
class Tensor:
    """A tensor on a storage, within its bounds."""

    storage: Storage
    shape: tuple[int, ...]
    width: int
    name: str = ""

    @property
    def bytes(self) -> int:
        """Of its numbers, written out."""
        return math.prod(self.shape) * self.width


def tensor_on(storage: Any, offset: Any, shape: Any, stride: Any, width: int = 0) -> Tensor | None:
    """The tensor; None for arguments that are none of a tensor. `width`: bytes of a number, where
    the storage has none. Raises DamagedError if it does not lie within the storage."""
    if type(storage) is not Storage or type(offset) is not int:
        return None
    sizes, steps = _integers(shape), _integers(stride)
    if sizes is None or steps is None or len(sizes) != len(steps) or len(sizes) > 64 or offset < 0:
        return None
    width = width or storage.width
    last = offset + sum((size - 1) * step for size, step in zip(sizes, steps, strict=True))
    if all(sizes) and (last + 1) * width > storage.bytes:
        raise DamagedError(
            f"its storage {storage.key[:20]} has {storage.bytes} bytes, too few for a tensor of "
            f"shape {str(sizes)[:80]}"
        )
    return Tensor(storage, sizes, width)


def _integers(value: Any) -> tuple[int, ...] | None:
    """The sizes in a tuple; None where they are none."""
    if type(value) is not Node or value.kind not in ("tuple", "torch.Size"):
        return None
    items: Sequence[Any] = value.items
    ok = all(type(item) is int and 0 <= item < 2**48 for item in items)
    return tuple(items) if ok else None
