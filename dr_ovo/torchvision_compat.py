"""Makes `import torchvision` work beside a torch that its compiled part was not built for.

pip may put a CPU build of torch beside the ordinary torchvision wheel. Its library does not load
there, and the import ends in "operator torchvision::nms does not exist". timm needs the import but
none of these operators, so declaring them is enough. `torchvision.io` stays unusable.
"""

from __future__ import annotations

import contextlib
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

# What torchvision's own library declares (torchvision/csrc/ops/nms.cpp).
SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_declared: list[Any] = []  # torch forgets a library's operators when the object goes


def fix_import() -> bool:
    """True where torchvision's library does not load, so that its operators were declared instead.

    Does nothing, and imports nothing, where torchvision is not installed. To be called before
    anything imports torchvision.
    """
    if _declared:
        return True
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _FixFirst)]
    if importlib.util.find_spec("torchvision") is None or _operators_load():
        return False
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    for schema in SCHEMAS:
        library.define(schema)
    _declared.append(library)
    return True


def _operators_load() -> bool:
    """Whether torch finds the operators in the torchvision that an import would find."""
    import torch

    spec = importlib.util.find_spec("torchvision")
    folders = (spec.submodule_search_locations if spec else None) or []
    for folder in folders:
        for library in sorted(Path(folder).glob("_C*")):
            with contextlib.suppress(OSError):
                torch.ops.load_library(library)
    return hasattr(torch.ops.torchvision, "nms")


class _FixFirst:
    """An import hook that calls `fix_import`, which removes it, just before torchvision is."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name == "torchvision":
            fix_import()
        return None  # the ordinary finders go on from here


def fix_on_import() -> None:
    """Has `fix_import` called when torchvision is first imported; imports no torch now."""
    waiting = any(isinstance(finder, _FixFirst) for finder in sys.meta_path)
    if "torchvision" not in sys.modules and not waiting:
        sys.meta_path.insert(0, _FixFirst())
