"""What the pickle of a torch file would build, found without building it.

The opcodes run on stand-ins that only count. So nothing has to be believed of a file before
`torch.load` runs the same opcodes: which names it calls, how large and how deep the result is, and
that each tensor lies within the bytes that the file has for it.
"""

from __future__ import annotations

import gc
import io
import pickletools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dr_ovo.safe_files.problems import DamagedError, ExcessError, ObjectsError, RefusedFileError
from dr_ovo.safe_files.stand_ins import Global, Node, Storage, Tensor

MAX_OPCODES = 500_000  # a network of 2,000 tensors takes 80,000; with its optimizer, 250,000
MAX_NODES = 1_000_000  # of the result, written out: what is named twice counts twice
MAX_DEPTH = 64
MAX_NAME = 1000  # characters of a key
MAX_INTEGER = 2**127
MAX_KEY = 2**31  # integers below it spread evenly in a dict
MADE = "argparse.Namespace"  # the one class of which an object may be made
ROOM = 2**26  # bytes that tensors may take beyond what the file holds, whatever its size
MAX_HANDED = 2**24  # values and letters that calls are given, each time that they are
TIMES = 8  # how often tensors may share the same bytes of a file
# Makes the stand-in of what a name builds from arguments; None for those that it refuses.
Rule = Callable[[Sequence[Any]], Any]
StorageOf = Callable[[Sequence[Any]], Storage]


class Scan:
    """Runs one pickle after the other in a buffer; `built` are the tensors of all."""

    def __init__(self, data: bytes, rules: Mapping[str, Rule], storage_of: StorageOf) -> None:
        self.buffer = io.BytesIO(data)
        self.rules, self.storage_of = rules, storage_of
        self.opcodes = 0
        self.tensors: list[Tensor] = []
        self.asked = 0  # bytes of all tensors, written out
        self.held: set[str] = set()  # the keys of storages
        self.held_bytes = 0
        self.handed = 0

    def run(self) -> Any:
        """The stand-in of the next object. Raises DamagedError, ObjectsError or ExcessError."""
        begin = self.buffer.tell()
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        collecting = gc.isenabled()
        gc.disable()  # many small objects and no cycle among them: it takes four times as long
        try:
            for opcode, value, _ in pickletools.genops(self.buffer):
                self.opcodes += 1
                if self.opcodes > MAX_OPCODES:
                    raise ExcessError(f"it has more than {MAX_OPCODES:,} opcodes")
                self._step(opcode.name, value)
            (result,) = self.stack
        except ObjectsError as error:
            raise ObjectsError(self._all_names(begin) or error.names) from None
        except RefusedFileError:
            raise
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
            # what cut, altered or senseless opcodes lead to
            raise DamagedError(f"its pickle is damaged ({str(error)[:80]})") from None
        finally:
            if collecting:
                gc.enable()
        self._require_plain(result)
        self._require_room(None)
        return result

    def _step(self, name: str, value: Any) -> None:
        if name in PUSHED:
            self.stack.append(value)
        elif name in ("BINPUT", "LONG_BINPUT"):
            self.memo[value] = self.stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[value])
        elif name in CONSTANTS:
            self.stack.append(CONSTANTS[name])
        elif name in EMPTY:
            self.stack.append(Node(EMPTY[name], []))
        elif name in STEPS:
            STEPS[name](self, value)
        elif name not in ("PROTO", "STOP"):
            raise DamagedError(f"its pickle has the opcode {name}, which torch.save never writes")

    # --- the stack

    def _mark(self, _: Any) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def _pop_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.marks.pop()
        return items

    def _integer(self, value: int) -> None:
        if not -MAX_INTEGER < value < MAX_INTEGER:
            raise ExcessError("it holds an integer of more than 127 bits")
        self.stack.append(value)

    def _tuple(self, items: Sequence[Any]) -> None:
        made = Node("tuple", items)
        for item in items:
            self._hold(made, item, plain=False)
        made.sealed = True
        self.stack.append(made)

    def _tuple_of(self, count: int) -> None:
        items = self.stack[-count:]
        if len(items) < count:
            raise IndexError("the stack is empty")
        del self.stack[-count:]
        self._tuple(items)

    # --- containers

    def _append(self, items: Sequence[Any]) -> None:
        target = self._target("list")
        target.items += items
        for item in items:
            self._hold(target, item)

    def _set_items(self, items: Sequence[Any]) -> None:
        target = self._target("dict", "OrderedDict", "Counter")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not (type(key) is str or (type(key) is int and -MAX_KEY < key < MAX_KEY)):
                raise DamagedError("its pickle has a key that is no text and no small integer")
            if type(key) is str and len(key) > MAX_NAME:
                raise ExcessError(f"it holds a name of {len(key):,} characters")
            target.items.append(key)
            self._hold(target, value)
            if type(value) is Tensor:
                value.name = value.name or str(key)[:200]
        self._require_room(items[-2] if items else None)

    def _set_item(self, _: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set_items([key, value])

    def _target(self, *kinds: str) -> Node:
        """The container on top of the stack; what stands in another one does not change any more,
        so that nothing holds itself."""
        target = self.stack[-1]
        if type(target) is not Node or target.kind not in kinds or target.sealed:
            raise DamagedError("its pickle changes what is no container, or is complete")
        return target

    def _hold(self, target: Node, item: Any, *, plain: bool = True) -> None:
        if plain:
            self._require_plain(item)
        if item is target:
            raise DamagedError("its pickle puts a container into itself")
        target.hold(item)
        if target.depth > MAX_DEPTH:
            raise ExcessError(f"its values are nested more than {MAX_DEPTH} deep")
        if target.nodes > MAX_NODES:
            raise ExcessError(f"it holds more than {MAX_NODES:,} values")

    def _require_plain(self, item: Any) -> None:
        """Raises DamagedError for a value that only the arguments of a call may have."""
        if type(item) is Global and not item.is_value:
            raise ObjectsError([item.name])
        if type(item) is Storage or (type(item) is Node and item.has_parts):
            raise DamagedError("its pickle holds a part of a tensor as a value")

    # --- calls

    def _global(self, value: str) -> None:
        name = _dotted(value)
        found = Global(name)
        if name not in self.rules and not found.is_storage and not found.is_value:
            raise ObjectsError([name])
        self.stack.append(found)

    def _reduce(self, _: Any) -> None:
        values, called = self.stack.pop(), self.stack.pop()
        if type(called) is not Global or type(values) is not Node or values.kind != "tuple":
            raise DamagedError("its pickle calls what is no name")
        if called.name not in self.rules:
            raise ObjectsError([called.name])
        self._hand_over(values)
        made = self.rules[called.name](values.items)
        if made is None:
            raise DamagedError(f"its pickle calls {called.name} with other values than torch.save")
        if type(made) is Tensor:
            self.tensors.append(made)
            self.asked += made.bytes
        self.stack.append(made)

    def _hand_over(self, values: Node) -> None:
        """Raises ExcessError where calls go through the same values again and again."""
        self.handed += values.nodes
        if self.handed <= MAX_HANDED:
            self.handed += sum(len(value) for value in values.items if type(value) is str)
        if self.handed > MAX_HANDED:
            raise ExcessError(f"it hands more than {MAX_HANDED:,} values to calls")

    def _new(self, _: Any) -> None:
        values, called = self.stack.pop(), self.stack.pop()
        if type(called) is not Global or type(values) is not Node or values.items:
            raise DamagedError("its pickle makes what is no object")
        if called.name != MADE or MADE not in self.rules:
            raise ObjectsError([called.name])
        self.stack.append(Node("Namespace"))

    def _build(self, _: Any) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if type(target) is not Node or target.sealed or type(state) is not Node:
            raise DamagedError("its pickle changes what is no object")
        state.sealed = True
        if not target.may_be_built_from(state):
            raise DamagedError(f"its pickle gives a {target.kind} attributes that it never has")
        self._hold(target, state)

    def _storage(self, _: Any) -> None:
        values = self.stack.pop()
        if type(values) is not Node or values.kind != "tuple":
            raise DamagedError("its pickle names a storage that torch.save never writes")
        storage = self.storage_of(values.items)
        if storage.key not in self.held:
            self.held.add(storage.key)
            self.held_bytes += storage.bytes
        self.stack.append(storage)

    def _require_room(self, name: Any) -> None:
        """Raises ExcessError if the tensors so far would take far more memory than the file has
        bytes: one can say that a number stands for many (stride 0), which then are written out."""
        if self.asked <= TIMES * self.held_bytes + ROOM:
            return
        largest = max(self.tensors, key=lambda tensor: tensor.bytes)
        raise ExcessError(
            f"{largest.name or name or 'a tensor'} {largest.shape} stands for "
            f"{largest.bytes / 2**30:.1f} GiB of numbers, of which the file holds "
            f"{largest.storage.bytes} bytes. Expected weights that are written out: save clones of "
            "them (tensor.clone()), or take another file"
        )

    def _all_names(self, begin: int) -> list[str]:
        """The names in the pickle that are not allowed, up to five."""
        self.buffer.seek(begin)
        names = set()
        try:
            for number, (opcode, value, _) in enumerate(pickletools.genops(self.buffer)):
                if opcode.name == "GLOBAL":
                    names.add(_dotted(str(value)))
                if number > MAX_OPCODES:
                    break
        except (ValueError, IndexError):
            pass
        known = (Global(name) for name in names)
        return sorted(
            one.name
            for one in known
            if one.name not in self.rules and not one.is_storage and not one.is_value
        )[:5]


def _dotted(value: str) -> str:
    """A name as Python 3 has it; protocol 2 keeps Python 2's for the built-in ones."""
    return value.replace(" ", ".", 1).replace("__builtin__.", "builtins.", 1)


PUSHED = {
    "BINUNICODE", "BINFLOAT", "BININT", "BININT1", "BININT2", "SHORT_BINSTRING",
}  # fmt: skip
CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
EMPTY = {"EMPTY_DICT": "dict", "EMPTY_LIST": "list"}
STEPS: dict[str, Callable[[Scan, Any], None]] = {
    "MARK": Scan._mark,
    "LONG1": Scan._integer,
    "EMPTY_TUPLE": lambda scan, _: scan._tuple([]),
    "TUPLE1": lambda scan, _: scan._tuple_of(1),
    "TUPLE2": lambda scan, _: scan._tuple_of(2),
    "TUPLE3": lambda scan, _: scan._tuple_of(3),
    "TUPLE": lambda scan, _: scan._tuple(scan._pop_mark()),
    "APPEND": lambda scan, _: scan._append([scan.stack.pop()]),
    "APPENDS": lambda scan, _: scan._append(scan._pop_mark()),
    "SETITEM": Scan._set_item,
    "SETITEMS": lambda scan, _: scan._set_items(scan._pop_mark()),
    "GLOBAL": Scan._global,
    "REDUCE": Scan._reduce,
    "NEWOBJ": Scan._new,
    "BUILD": Scan._build,
    "BINPERSID": Scan._storage,
}
