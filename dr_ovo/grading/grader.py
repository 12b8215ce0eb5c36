"""`Grader`: verdicts on photographs that are NumPy arrays, from Python."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from dr_ovo.errors import UserError
from dr_ovo.gates.fundus_check import check_fundus
from dr_ovo.gates.gated import Gated
from dr_ovo.grading.job.run import rules_of
from dr_ovo.grading.models import words_for
from dr_ovo.grading.reading import Reading
from dr_ovo.grading.rules import Rules
from dr_ovo.inference.ensemble import Ensemble, open_ensemble
from dr_ovo.inference.training_gate import model_outputs
from dr_ovo.models.checkpoints.files import input_of
from dr_ovo.outputs import MEASURE_BATCH
from dr_ovo.photographs.image_decoding import MIN_SIDE
from dr_ovo.photographs.quality import quality_of
from dr_ovo.predictions.conformal import COVERAGE
from dr_ovo.settings.command_line import parse_settings
from dr_ovo.training.setup import choose_device


class Grader:
    """The networks of a results folder, or of an ensemble manifest, with their operating points.

    >>> grader = Grader.load("convnext_5class_results")  # doctest: +SKIP
    >>> reading = grader.grade([photograph])[0]  # doctest: +SKIP
    >>> reading.verdict, reading.grade, reading.reasons  # doctest: +SKIP

    Research use only; not a medical device. By retinopathy grade alone; macular oedema is not
    assessed.
    """

    def __init__(self, ensemble: Ensemble, rules: Rules, device: torch.device) -> None:
        self.ensemble, self.rules, self.device = ensemble, rules, device

    @classmethod
    def load(cls, path: str | Path, *, device: str = "auto", coverage: float = COVERAGE) -> Grader:
        """The grader in a results folder or an ensemble manifest, on `device` (auto, cpu, cuda,
        cuda:1), whose sets of likely grades are made for a `coverage` between 0 and 1.

        Raises UserError where networks or operating points are missing or do not fit.
        """
        path = Path(path)
        if not path.exists():
            raise UserError(f"{path}: there is no such results folder or ensemble manifest.")
        if not 0 < coverage < 1:
            raise UserError(f"coverage {coverage}: expected a share between 0 and 1.")
        settings = parse_settings([*words_for(path), "--device", device], "Grader")
        chosen = choose_device(settings.config)
        ensemble = open_ensemble(settings, chosen)
        if ensemble.calibration is None:
            raise UserError(f"There are no operating points: {ensemble.uncalibrated}.")
        return cls(ensemble, rules_of(ensemble, coverage), chosen)

    def grade(self, images: Iterable[np.ndarray]) -> list[Reading]:
        """The readings of photographs (H, W, 3) uint8 RGB, each of any size, as the camera gave
        them. Takes a few at a time from `images`, which may be a generator.

        A JPEG that `predict.py` reads from a file may be decoded at a reduced size; probabilities
        then differ from those of the whole picture by rounding. Raises UserError for an array of
        another shape or type.
        """
        rest, readings = iter(images), list[Reading]()
        while batch := list(islice(rest, MEASURE_BATCH)):
            for number, image in enumerate(batch, len(readings)):
                _check(image, number)
            readings += self._grade(batch)
        return readings

    def _grade(self, images: list[np.ndarray]) -> list[Reading]:
        places = np.arange(len(images))
        no_fundus = [check_fundus(image).reason for image in images]
        prepared: dict[object, torch.Tensor] = {}
        found = []
        for model, gate in zip(self.ensemble.models, self.ensemble.gates, strict=True):
            _, preprocessing = input_of(model.meta)
            if preprocessing not in prepared:
                inputs = np.stack([preprocessing.apply(image) for image in images])
                prepared[preprocessing] = torch.from_numpy(inputs)
            batch = places, prepared[preprocessing]
            found.append(model_outputs(model, gate, batch, self.device))
        gated = Gated(
            np.array([quality_of(image).score for image in images]),
            no_fundus,
            np.array([one.p_like_train for one in found]),
            np.array([gate.level for gate in self.ensemble.gates]),
        )
        return self.rules.read(*self.ensemble.grade([one.logits for one in found]), gated)


def _check(image: np.ndarray, number: int) -> None:
    if (
        not isinstance(image, np.ndarray)
        or image.dtype != np.uint8
        or image.ndim != 3
        or image.shape[2] != 3
        or min(image.shape[:2]) < MIN_SIDE
    ):
        what = f"{image.shape} {image.dtype}" if isinstance(image, np.ndarray) else type(image)
        raise UserError(
            f"image {number}: expected an array (H, W, 3) of uint8, RGB, of at "
            f"least {MIN_SIDE} pixels a side, not {what}."
        )
