"""The ways that `benchmarks/ovo_cost.py` compares: ten separate classifiers, and our evaluation."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader

from benchmarks.photographs import GRADES
from benchmarks.plain_training import Item, PlainPhotographs, PlainTraining, loader
from benchmarks.trainings import Training
from dr_ovo.models.network import OvoNetwork
from dr_ovo.outputs import branch_outputs
from dr_ovo.pairs import Pair, class_pairs, pair_name
from dr_ovo.training.data.loading import decodable, image_loader

BATCH, EVALUATED_BATCH = 8, 32


class SeparateClassifiers:
    """Ten classifiers of a pair each, as users would write them, with the layers of ours."""

    def __init__(self, of: Training) -> None:
        self._trainings: list[PlainTraining] = []
        self._train: list[DataLoader[Item]] = []
        self._test: list[DataLoader[Item]] = []
        statistics = of.model.spec.mean, of.model.spec.std
        size = of.config.img_size
        train, test = of.index.splits["train"], of.index.splits["test"]
        for pair in class_pairs(GRADES):
            members = [i for i, grade in enumerate(train.targets.tolist()) if grade in pair]
            labels = [int(train.targets[i] == pair[1]) for i in members]
            paths = [train.paths[i] for i in members]
            photographs = PlainPhotographs(paths, labels, size, statistics)
            self._trainings.append(_classifier(of, pair))
            self._train.append(loader(photographs, BATCH, shuffled=True))
            tested = PlainPhotographs(test.paths, test.targets.tolist(), size, statistics)
            self._test.append(loader(tested, EVALUATED_BATCH, shuffled=False))
        for batches in (*self._train, *self._test):
            # The processes start before anything is trained: each keeps, for as long as it lives,
            # the memory of this one as it was when it started.
            for _ in batches:
                pass

    def train_epoch(self) -> None:
        """An epoch of each classifier on the photographs of its two grades."""
        for one, batches in zip(self._trainings, self._train, strict=True):
            one.train_epoch(batches)

    def evaluate(self) -> np.ndarray:
        """(N, 10) logits on test."""
        parts = [
            one.evaluate(batches) for one, batches in zip(self._trainings, self._test, strict=True)
        ]
        return np.concatenate(parts, axis=1)


def _classifier(of: Training, pair: Pair) -> PlainTraining:
    """A network of its own for a pair, with the stem and the branch of ours."""
    ours, name = of.network, pair_name(pair)
    stem, branch = copy.deepcopy(ours.stem), copy.deepcopy(ours.branch(name))
    network = OvoNetwork(stem, {name: branch}, ours.frozen_stages)
    groups = branch.parameter_groups(of.config.weight_decay)
    optimizer = torch.optim.AdamW(groups, lr=of.config.learning_rate, foreach=True)
    return PlainTraining(network, _loss, optimizer, of.memory_format)


def _loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return F.binary_cross_entropy_with_logits(logits[:, 0], labels.float())


class Evaluations:
    """Our evaluation of test, from photographs to logits and quality.

    This process fills the cache. That is slower than processes of its own for a real test set; for
    the few photographs here the start of those would be most of the time.
    """

    def __init__(self, of: Training, caches: Path) -> None:
        self._of, self._caches = of, _numbered(caches)
        self._last = next(self._caches)

    def first(self) -> np.ndarray:
        """(N, 10) logits, with a new cache of decoded photographs."""
        self._last = next(self._caches)
        return self._evaluate()

    def again(self) -> np.ndarray:
        """The same once more, from the cache that is there."""
        return self._evaluate()

    def _evaluate(self) -> np.ndarray:
        of, (name,) = self._of, self._of.network.branches
        config = dataclasses.replace(of.config, cache_dir=str(self._last), num_workers=0)
        paths, model = of.index.splits["test"].paths, of.model
        decodable(config, of.index, model.preprocessing, ("test",), leave_out=False)
        with image_loader(
            config, of.index, paths, model.preprocessing, with_quality=True
        ) as photographs:
            batches = photographs.batches(np.arange(len(paths)), EVALUATED_BATCH)
            outputs = branch_outputs(
                model.network, batches, model.spec, torch.device("cpu"), {name: None}, 1
            )
        return outputs[name].logits


def _numbered(folder: Path) -> Iterator[Path]:
    number = 0
    while True:
        yield folder / str(number)
        number += 1
