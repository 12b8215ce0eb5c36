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
from dr_ovo.gates.gated import Gated
from dr_ovo.inference.ensemble import Ensemble
from dr_ovo.inference.training_gate import ModelOutputs, model_outputs
from dr_ovo.models.checkpoints.files import input_of
from dr_ovo.outputs import MEASURE_BATCH
from dr_ovo.photographs.damage import Damage, describe
from dr_ovo.photographs.preprocessing import Preprocessing


@dataclass(frozen=True)
class Read:
    """The positions (n,) of the photographs that could be read, the logits (n, K) of each model,
    and what the gates say; the damaged ones, and those that were written meanwhile, by position."""

    positions: np.ndarray
    logits: Sequence[np.ndarray]
    gated: Gated
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
        that could be read once, and then no more, and for logits that are not finite."""
        outputs: dict[int, ModelOutputs] = {}
        readable, damaged, changed = positions, {}, set()
        quality, no_fundus = np.zeros(0), list[str]()
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
                quality = np.array([loader.quality[place] for place in found.tolist()])
                no_fundus = [loader.no_fundus.get(place, "") for place in found.tolist()]
            outputs |= parts
            loader.forget()
        every = [outputs[place] for place in range(len(self.ensemble.models))] if outputs else []
        p_values = np.array([one.p_like_train for one in every]).reshape(len(every), len(readable))
        levels = np.array([gate.level for gate in self.ensemble.gates[: len(every)]])
        gated = Gated(quality, no_fundus, p_values, levels)
        return Read(readable, [one.logits for one in every], gated, damaged, changed)

    def _read_with(
        self, loader: ImageLoader, models: Sequence[int], positions: np.ndarray
    ) -> tuple[np.ndarray, dict[int, ModelOutputs]]:
        """The positions that the loader can read, and what these models say there."""
        found: list[np.ndarray] = []
        parts: dict[int, list[ModelOutputs]] = {place: [] for place in models}
        for batch in loader.batches(positions, MEASURE_BATCH):
            found.append(batch[0])
            for place in models:
                model, gate = self.ensemble.models[place], self.ensemble.gates[place]
                said = model_outputs(model, gate, batch, self.device, self.paths)
                parts[place].append(said)
        if not found:
            return np.zeros(0, dtype=np.int64), {}
        return np.concatenate(found), {place: _joined(each) for place, each in parts.items()}


def _joined(parts: Sequence[ModelOutputs]) -> ModelOutputs:
    return ModelOutputs(
        np.concatenate([part.logits for part in parts]),
        np.concatenate([part.p_like_train for part in parts]),
    )


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
                with_gate=first is None,
                max_megapixels=max_megapixels,
                judged=None if first is None else _judged(paths, first),
            )
            loaders[preprocessing] = stack.enter_context(loader)
        yield PhotographReader(ensemble, paths, loaders, device)


def _judged(paths: Sequence[Path], loader: ImageLoader) -> Mapping[Path, Written | None]:
    return dict(zip(paths, loader.written, strict=True))
