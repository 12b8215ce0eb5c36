"""The features of a frozen backbone for a training: read where they are kept, computed where not.

A CPU computes them one image at a time, as the kernels of another batch size round otherwise: a row
has the same bits whichever others were there already.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from dr_ovo.batches.features.feature_tables import FeatureBatches, FeatureTables
from dr_ovo.batches.features.identity import identity_of
from dr_ovo.batches.features.kept_features import KeptFeatures, Rows
from dr_ovo.batches.features.views import View, Views
from dr_ovo.batches.row_source import CacheChoice
from dr_ovo.device import without_tf32
from dr_ovo.errors import log
from dr_ovo.full_memory import Halving, at_once
from dr_ovo.logs import Progress, duration
from dr_ovo.models.memory_format import contiguous
from dr_ovo.models.network import OvoNetwork
from dr_ovo.photographs.preprocessing import Preprocessing
from dr_ovo.tables import magnitude

# Positions, at most so many together -> positions (B,), images (B, S, S, 3) uint8.
ReadImages = Callable[[np.ndarray, int], Iterator[tuple[np.ndarray, torch.Tensor]]]
# The name of a row -> the views and positions that it is of.
Places = dict[str, list[tuple[View, int]]]
GPU_BATCH = 32  # images


@dataclass(frozen=True)
class Backbone:
    """A network whose whole backbone is frozen, named for people by its `architecture`; its
    preprocessing, the device that computes, and F, the number of its features."""

    network: OvoNetwork
    architecture: str
    preprocessing: Preprocessing
    device: torch.device
    width: int


class FrozenFeatures:
    """Features under the views that are `wanted`, each of photographs at some positions of a loader
    whose files have these `contents` (sha256)."""

    def __init__(
        self,
        backbone: Backbone,
        views: Views,
        wanted: Mapping[View, np.ndarray],
        contents: Sequence[str],
        choice: CacheChoice,
    ) -> None:
        self.backbone, self.views, self.wanted = backbone, views, wanted
        self.contents, self.choice = contents, choice
        self.tables: FeatureTables | None = None  # once they are prepared
        self._halving = Halving("in the frozen backbone", at_once(backbone.device))

    @cached_property
    def kept(self) -> KeptFeatures:
        """Where they are kept."""
        own, stem = self.backbone, self.backbone.network.stem
        assert stem is not None
        identity = identity_of(
            own.architecture, stem, self.views.spec, own.preprocessing, own.device
        )
        return KeptFeatures(self.choice, identity, own.width, own.preprocessing)

    @cached_property
    def places(self) -> Places:
        """All rows, photograph by photograph. Copies of a photograph share theirs."""
        found: Places = {}
        looked_at = {view: set(positions.tolist()) for view, positions in self.wanted.items()}
        for position in sorted(set().union(*looked_at.values())):
            for view in (view for view, positions in looked_at.items() if position in positions):
                name = self.views.row_name(view, self.contents[position])
                found.setdefault(name, []).append((view, position))
        return found

    def said(self, missing: int) -> str:
        """What the features take and how many are missing, in words. Raises UserError where --cache
        is on and they have no room."""
        count, size = len(self.places), self.kept.kind.bytes
        text = (
            f"features of the frozen backbone in {self.choice.folder}: {count:,} rows of "
            f"{self.backbone.width:,} numbers: {magnitude(count * size, 'B')}, and as much memory; "
            f"{count - missing:,} of them there."
        )
        refusal = self.kept.refusal(missing)
        return f"{text} The others are not kept: {refusal}" if refusal else text

    def count_missing(self) -> int:
        """How many rows a training would compute."""
        return self.kept.count_missing([*self.places])

    def prepare(
        self,
        read: ReadImages,
        check: Callable[[], object] = bool,
        changed: Collection[int] = (),
    ) -> None:
        """Has all features in memory: from the cache folder, else computed from the images that
        `read` gives. Where `check` raises between two of them, what was computed is kept, too;
        nothing is of positions whose files have `changed`, as `read` notes."""
        if self.tables is not None:
            return
        tables = FeatureTables(self.wanted, len(self.contents), self.backbone.width)
        arrays = {
            name: [tables.row(view, position) for view, position in places]
            for name, places in self.places.items()
        }
        missing = self.kept.read(arrays)
        log.info("%s", self.said(len(missing)))
        if missing:
            self._fill(arrays, missing, read, check, changed)
        self.tables = tables

    def _fill(
        self,
        arrays: Rows,
        missing: list[str],
        read: ReadImages,
        check: Callable[[], object],
        changed: Collection[int],
    ) -> None:
        """Computes the missing rows into their arrays, and keeps them where they may be."""
        refused = self.kept.refusal(len(missing))
        with nullcontext() if refused else self.kept.writer() as writer:
            if writer is not None:
                # Another process may have computed them while this one waited for it.
                missing = self.kept.read({name: arrays[name] for name in missing})
                writer.expect(missing)
            start = time.monotonic()
            for name, features in self._computed(missing, read, check):
                for array in arrays[name]:
                    array[:] = features
                if writer is not None:
                    stale = self.places[name][0][1] in changed
                    writer.write(name, None if stale else features)
        seconds = time.monotonic() - start
        log.info("computed %d rows of features in %s", len(missing), duration(seconds))

    def make_up(self) -> None:
        """Puts zeros in place of all features, for a trial of what follows."""
        self.tables = FeatureTables(self.wanted, len(self.contents), self.backbone.width)

    def batches(self, views: Sequence[View]) -> FeatureBatches:
        """What gives batches of the features that are prepared; see FeatureBatches."""
        assert self.tables is not None
        return FeatureBatches(self.tables, views, self.backbone.device)

    def _computed(
        self, names: Sequence[str], read: ReadImages, check: Callable[[], object]
    ) -> Iterator[tuple[str, np.ndarray]]:
        """Rows by their names, in this order."""
        todo: dict[int, list[tuple[View, str]]] = {}
        for name in names:
            view, position = self.places[name][0]
            todo.setdefault(position, []).append((view, name))
        batch = 1 if self.backbone.device.type == "cpu" else GPU_BATCH
        progress = Progress("features", len(names), part="to compute")
        try:
            for positions, images in read(np.array([*todo]), batch):
                found = self.compute(
                    images, positions, [todo[p] for p in positions.tolist()], check
                )
                progress.update(len(found), lambda: f"{self.backbone.width} numbers each")
                yield from found.items()
        finally:
            progress.close()

    def compute(
        self,
        images: torch.Tensor,
        positions: np.ndarray,
        wanted: Sequence[Sequence[tuple[View, str]]],
        check: Callable[[], object] = bool,
    ) -> dict[str, np.ndarray]:
        """The features (F,) float32, by name, that are `wanted` of each of the images
        (B, S, S, 3) uint8 at some positions."""
        found = {name: np.empty(0, np.float32) for views in wanted for _, name in views}
        for view in dict.fromkeys(view for views in wanted for view, _ in views):
            check()
            rows = [row for row, views in enumerate(wanted) if view in dict(views)]
            features = self._features(view, images[rows], positions[rows])
            found |= {dict(wanted[row])[view]: one for row, one in zip(rows, features, strict=True)}
        return found

    def _features(self, view: View, images: torch.Tensor, positions: np.ndarray) -> np.ndarray:
        """(B, F) float32 of one view, without TF32 and in NCHW, as val is always measured."""
        network = self.backbone.network
        contents = [self.contents[position] for position in positions]

        def compute(rows: slice) -> torch.Tensor:
            inputs = self.views.inputs(view, images[rows], contents[rows], self.backbone.device)
            return network.stem_features(inputs).float().cpu()

        with contiguous(network, ()), without_tf32(), torch.inference_mode():
            return torch.cat(self._halving.parts(len(contents), compute)).numpy()
