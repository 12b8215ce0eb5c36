"""What a torch file may build by name, and from which values; everything else is refused.

`OURS` are in files of this toolkit, `FOREIGN` in those of other programs, too, and `WITH_OPTIONS`
in those that keep the command line that made them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dr_ovo.safe_files.pickle_scan import MADE, MAX_KEY, Rule
from dr_ovo.safe_files.stand_ins import DTYPES, SCHEMES, Global, Node, Tensor, tensor_on

# Kinds of numbers that NumPy's scalars may have, as pickled -> bytes.
NUMPY_KINDS = {"f2": 2, "f4": 4, "f8": 8, "i4": 4, "i8": 8, "u1": 1, "b1": 1}


def _ordered_dict(values: Sequence[Any]) -> Node | None:
    return None if values else Node("OrderedDict", [])


def _ordered_dict_of(values: Sequence[Any]) -> Node | None:
    """As Python 2 writes it: a list of keys with their values, in the place of nothing."""
    made = Node("OrderedDict", [])
    for rows in values[:1]:
        if len(values) != 1 or type(rows) is not Node or rows.kind != "list":
            return None
        for row in rows.items:
            if type(row) is not Node or len(row.items) != 2 or type(row.items[0]) is not str:
                return None
            made.items.append(row.items[0])
        made.hold(rows)
    return made


def _tensor(values: Sequence[Any]) -> Tensor | None:
    """(storage, offset, shape, stride, requires_grad, hooks)"""
    if len(values) != 6 or type(values[4]) is not bool or not _is_empty(values[5]):
        return None
    return _on(values)


def _old_tensor(values: Sequence[Any]) -> Tensor | None:
    """(storage, offset, shape, stride)"""
    return _on(values) if len(values) == 4 else None


def _tensor_of_kind(values: Sequence[Any]) -> Tensor | None:
    """(storage, offset, shape, stride, requires_grad, hooks, dtype)"""
    kind = values[6] if len(values) == 7 else None
    if type(kind) is not Global or kind.name not in DTYPES or type(values[4]) is not bool:
        return None
    return _on(values, DTYPES[kind.name]) if _is_empty(values[5]) else None


def _quantized(values: Sequence[Any]) -> Tensor | None:
    """(storage, offset, shape, stride, (scheme, scale, zero point), requires_grad, hooks)"""
    if len(values) != 7 or type(values[4]) is not Node or not values[4].items:
        return None
    scheme, *numbers = values[4].items
    if type(scheme) is not Global or scheme.name not in SCHEMES:
        return None
    plain = all(type(number) in (int, float, Tensor) for number in numbers)
    return _on(values) if plain and _is_empty(values[6]) else None


def _parameter(values: Sequence[Any]) -> Tensor | None:
    """(tensor, requires_grad, hooks)"""
    if len(values) != 3 or type(values[0]) is not Tensor or not _is_empty(values[2]):
        return None
    tensor = values[0]
    return Tensor(tensor.storage, (), 0)


def _on(values: Sequence[Any], width: int = 0) -> Tensor | None:
    storage, offset, shape, stride = values[:4]
    return tensor_on(storage, offset, shape, stride, width)


def _is_empty(hooks: Any) -> bool:
    return type(hooks) is Node and hooks.kind == "OrderedDict" and hooks.nodes == 1


def _counter(values: Sequence[Any]) -> Node | None:
    if len(values) != 1 or type(values[0]) is not Node or values[0].kind != "dict":
        return None
    made = Node("Counter", [*values[0].items])
    made.hold(values[0])
    return made


def _size(values: Sequence[Any]) -> Node | None:
    if len(values) != 1 or type(values[0]) is not Node or values[0].kind != "tuple":
        return None
    items = values[0].items
    if not all(type(item) is int and 0 <= item < MAX_KEY for item in items):
        return None
    made = Node("torch.Size", items)
    made.hold(values[0])
    return made


def _device(values: Sequence[Any]) -> str | None:
    return "device" if values and all(type(v) in (str, int) for v in values) else None


def _complex(values: Sequence[Any]) -> complex | None:
    ok = len(values) == 2 and all(type(value) in (int, float) for value in values)
    return 0j if ok else None


def _encode(values: Sequence[Any]) -> bytes | None:
    """Bytes, which the pickle's protocol writes as text."""
    if len(values) != 2 or not all(type(v) is str for v in values):
        return None
    return values[0].encode("latin-1") if values[1] in ("latin1", "latin-1") else None


def _numpy_dtype(values: Sequence[Any]) -> Node | None:
    if len(values) != 3 or values[0] not in NUMPY_KINDS or not {*values[1:]} <= {0, 1}:
        return None
    return Node("numpy.dtype", (NUMPY_KINDS[values[0]],))


def _numpy_scalar(values: Sequence[Any]) -> float | None:
    if len(values) != 2 or type(values[0]) is not Node or values[0].kind != "numpy.dtype":
        return None
    ok = type(values[1]) is bytes and values[0].items == (len(values[1]),)
    return 0.0 if ok else None


OURS: dict[str, Rule] = {
    "collections.OrderedDict": _ordered_dict,
    "torch._utils._rebuild_tensor_v2": _tensor,
}
FOREIGN: dict[str, Rule] = OURS | {
    "collections.OrderedDict": _ordered_dict_of,
    "torch._utils._rebuild_tensor": _old_tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_of_kind,
    "torch._utils._rebuild_qtensor": _quantized,
    "torch._utils._rebuild_parameter": _parameter,
    "torch.Size": _size,
    "torch.device": _device,
    "collections.Counter": _counter,
    "builtins.complex": _complex,
    "_codecs.encode": _encode,
    "numpy.dtype": _numpy_dtype,
    "numpy.core.multiarray.scalar": _numpy_scalar,
    "numpy._core.multiarray.scalar": _numpy_scalar,
}
WITH_OPTIONS = FOREIGN | {MADE: lambda _: None}  # it is not called, but made, then filled
