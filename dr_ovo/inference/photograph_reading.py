"""Photographs to the logits of every model of an ensemble, each decoded once per preprocessing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from dr_ovo.batches.loader import ImageLoader
from dr_ovo.errors import MachineError
from dr_ovo.files import Written
from dr_ovo.inference.ensemble import Ensemble
from dr_ovo.inference.trained_model import logits_of
from dr_ovo.models.checkpoint import input_of
from dr_ovo.outputs import MEASURE_BATCH
from dr_ovo.photographs.damage import Damage, describe
from dr_ovo.photographs.preprocessing import Preprocessing


@dataclass(frozen=True)
class Read:
    """The positions (n,) of the photographs that could be read, the logits (n, K) of each model,
    their quality (n,), NaN where unknown; the damaged ones, and those that were written meanwhile,
    by position."""

    positions: np.ndarray
    logits: Sequence[np.ndarray]
    quality: np.ndarray
    damaged: dict[int, str]
    changed: set[int]


class PhotographReader:
    """Reads photographs of `paths`, and puts them to an ensemble on `device`.

    The first loader judges the files; what it has read, the others must read as well.
    """

    def __init__(
        self,
        ensemble: Ensemble,
        paths: Sequence[Path],
        loaders: Mapping[Preprocessing, ImageLoader],
        device: torch.device,
    ) -> None:
        self.ensemble, self.paths, self.loaders, self.device = ensemble, paths, loaders, device

    def read(self, positions: np.ndarray) -> Read:
        """The logits on the photographs at `positions` (n,). Raises MachineError for a photograph
        that could be read once, and then no more."""
        logits: dict[int, np.ndarray] = {}
        readable, damaged, changed = positions, {}, set()
        quality: list[float] = []
        for number, (preprocessing, loader) in enumerate(self.loaders.items()):
            own = [
                place
                for place, model in enumerate(self.ensemble.models)
                if input_of(model.meta)[1] == preprocessing
            ]
            found, parts = self._read_with(loader, own, readable)
            lost = {place: loader.damaged[place] for place in sorted({*readable} - {*found})}
            changed |= loader.changed.intersection(positions.tolist())
            if number and lost:
                files = [Damage(self.paths[place], reason) for place, reason in lost.items()]
                raise MachineError(
                    f"{len(files)} files could be read by the first model and no more by another:\n"
                    f"{describe(files)}\nRun the command again."
                )
            if not number:
                damaged, readable = lost, found
                quality = [loader.quality[place] for place in found.tolist()]
            logits |= parts
            loader.forget()
        ordered = [logits[place] for place in range(len(self.ensemble.models))] if logits else []
        return Read(readable, ordered, np.array(quality), damaged, changed)

    def _read_with(
        self, loader: ImageLoader, models: Sequence[int], positions: np.ndarray
    ) -> tuple[np.ndarray, dict[int, np.ndarray]]:
        """The positions that the loader can read, and the logits of these models there."""
        found: list[np.ndarray] = []
        parts: dict[int, list[np.ndarray]] = {place: [] for place in models}
        for batch in loader.batches(positions, MEASURE_BATCH):
            found.append(batch[0])
            for place in models:
                outputs = logits_of(self.ensemble.models[place], [batch], self.device)
                assert outputs is not None
                parts[place].append(outputs[1])
        if not found:
            return np.zeros(0, dtype=np.int64), {}
        return np.concatenate(found), {place: np.concatenate(each) for place, each in parts.items()}


@contextmanager
def open_reader(
    ensemble: Ensemble,
    paths: Sequence[Path],
    device: torch.device,
    num_workers: int,
    max_megapixels: float,
) -> Iterator[PhotographReader]:
    """A reader of `paths`, with its processes, which end with the context."""
    loaders: dict[Preprocessing, ImageLoader] = {}
    with ExitStack() as stack:
        for preprocessing in dict.fromkeys(input_of(model.meta)[1] for model in ensemble.models):
            first = next(iter(loaders.values()), None)
            loader = ImageLoader(
                paths,
                preprocessing,
                num_workers,
                with_quality=first is None,
                max_megapixels=max_megapixels,
                judged=None if first is None else _judged(paths, first),
            )
            loaders[preprocessing] = stack.enter_context(loader)
        yield PhotographReader(ensemble, paths, loaders, device)


def _judged(paths: Sequence[Path], loader: ImageLoader) -> Mapping[Path, Written | None]:
    return dict(zip(paths, loader.written, strict=True))
