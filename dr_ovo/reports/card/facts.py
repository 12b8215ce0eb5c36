"""What a results folder records, read once for the card; what does not belong together is refused.

Neither images nor checkpoints nor torch are needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dr_ovo.dataset.manifest import MANIFEST, read_manifest
from dr_ovo.ensembles.composition import Composition, of_checkpoints, of_manifest
from dr_ovo.ensembles.manifest import read_manifest as read_ensemble
from dr_ovo.errors import UserError
from dr_ovo.models.architectures import architecture_of
from dr_ovo.predictions.calibration_file import Calibration, load_calibration
from dr_ovo.predictions.predictions_file import MARKS, Predictions, load_predictions
from dr_ovo.reports.card.external import External, read_external
from dr_ovo.reports.card.gates import TrainingGate, read_gates
from dr_ovo.results.folder import (
    ENSEMBLE_FILE,
    FOLDS_FILE,
    LATER_SETTINGS,
    OOF,
    ResultsFolder,
)
from dr_ovo.results.history import training_seconds
from dr_ovo.results.made_from import MADE_FROM
from dr_ovo.results.model_results import Facts, read_facts
from dr_ovo.results.one_piece import is_verified, require_one_decoding, say_unverified
from dr_ovo.results.result_sets import SUFFIX
from dr_ovo.statistics.intervals import with_intervals
from dr_ovo.statistics.subgroups import by_eye

SPLITS = ("test", OOF, "val")  # the first that is evaluated is what the card reports


@dataclass(frozen=True)
class CardFacts:
    """A results folder as its card sees it. `trained`: the folders of the members of `--folds` or
    of another ensemble, else the folder itself. Dictionaries are the content of JSON files."""

    name: str
    folder: ResultsFolder
    trained: tuple[ResultsFolder, ...]
    configs: tuple[Mapping[str, Any], ...]  # of `trained`; empty where there is none
    facts: Facts
    folds: int
    networks: Composition | None  # None: it is a single one
    evaluations: Mapping[str, Mapping[str, Any]]  # of SPLITS, those that are there, in order
    predictions: Predictions | None  # of `split`
    eyes: Mapping[str, Any]  # the figures on `split` by eye, with intervals
    calibration: Calibration | None
    manifest: Mapping[str, Any] | None  # of the very dataset that was trained on, if it is here
    external: tuple[External, ...]
    gates: tuple[TrainingGate, ...]  # of `trained`
    verified: bool

    @property
    def config(self) -> Mapping[str, Any]:
        """config.json; of several members that of the first."""
        return self.configs[0] if self.configs else {}

    @property
    def settings(self) -> Mapping[str, Any]:
        """The settings of the training; of several members those of the first."""
        found: Mapping[str, Any] = self.config.get("settings", {})
        return found

    @property
    def split(self) -> str | None:
        """The split that the card reports: test, else out of fold, else val."""
        return next(iter(self.evaluations), None)

    @property
    def evaluation(self) -> Mapping[str, Any]:
        """The evaluation on `split`; empty where there is none."""
        return next(iter(self.evaluations.values()), {})

    @property
    def marks(self) -> tuple[str, ...]:
        """SYNTHETIC, SIMULATED, LEAKY."""
        return self.facts.marks

    @property
    def dataset(self) -> str:
        """The name of the dataset's folder, never its whole path; "" where it is not recorded."""
        return Path(str(self.settings.get("dataset_path", ""))).name

    @property
    def training_seconds(self) -> float | None:
        """The time of all trainings, one after the other; None where one is not known."""
        times = [training_seconds(one.history) for one in self.trained]
        return None if None in times else sum(filter(None, times))

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the grades."""
        if self.predictions is not None:
            return tuple(map(str, self.predictions.class_names))
        return tuple(map(str, self.settings.get("class_names", ())))


def read_card_facts(root: Path) -> CardFacts:
    """What a results folder says. Raises UserError where it is none, where a file is damaged, and
    where its files do not belong together."""
    folder = ResultsFolder(root)
    _check_is_results(folder)
    evaluations = {split: read for split in SPLITS if (read := folder.read_evaluation(split))}
    trained = _trained(folder)
    checked = [is_verified(folder, [*evaluations])]
    require_one_decoding(folder)
    checked += [is_verified(one) for one in trained if one != folder and one.root.is_dir()]
    say_unverified([] if all(checked) else [folder])
    split = next(iter(evaluations), None)
    predictions = _predictions(folder, split)
    configs = tuple(_config(one) for one in trained if one.config.is_file())
    loaded = [] if predictions is None else [predictions]
    facts = read_facts(trained[0].root, _head(predictions, configs), loaded)
    own = read_facts(root, facts.head, loaded)
    marks = tuple(mark for mark in MARKS if mark in own.marks + facts.marks)
    facts = replace(facts, marks=marks, prior_corrected=own.prior_corrected, stopped=own.stopped)
    networks = _networks(folder, evaluations.get(split or "", {}), facts.head)
    if networks is not None:
        facts = _of_networks(facts, networks, is_folds=(root / FOLDS_FILE).is_file())
    return CardFacts(
        name=root.resolve().name.removesuffix(SUFFIX),
        folder=folder,
        trained=trained,
        configs=configs,
        facts=facts,
        folds=len(trained) if (root / FOLDS_FILE).is_file() else 0,
        networks=networks,
        evaluations=evaluations,
        predictions=predictions,
        eyes=_by_eye(predictions),
        calibration=load_calibration(folder.calibration) if folder.calibration.is_file() else None,
        manifest=_manifest(configs),
        external=read_external(folder, evaluations.values()),
        gates=read_gates(trained),
        verified=all(checked),
    )


def _check_is_results(folder: ResultsFolder) -> None:
    if not folder.root.is_dir():
        kind = "a file" if folder.root.exists() else "not there"
        raise UserError(
            f"{folder.root} is {kind}; expected a results folder, as training and evaluation write "
            "it (<model>_5class_results)."
        )
    there = [folder.config, *map(folder.evaluation, SPLITS)]
    if not any(path.is_file() for path in there):
        raise UserError(
            f"{folder.root} is no results folder: it has neither config.json nor an evaluation. "
            "Give the folder that training wrote, such as ./coatnet_5class_results."
        )


def _trained(folder: ResultsFolder) -> tuple[ResultsFolder, ...]:
    """The folders of an ensemble's members, in which they were trained; else the folder itself."""
    if not (folder.root / ENSEMBLE_FILE).is_file():
        return (folder,)
    members = read_ensemble(folder.root / ENSEMBLE_FILE).members
    return tuple(ResultsFolder(member.folder) for member in members)


def _networks(
    folder: ResultsFolder, evaluation: Mapping[str, Any], head: str
) -> Composition | None:
    """The networks of an ensemble: of the manifest of `--folds`, else those that were evaluated."""
    manifest, divided = folder.root / ENSEMBLE_FILE, (folder.root / FOLDS_FILE).is_file()
    checkpoints = evaluation.get(MADE_FROM, {}).get("checkpoints", {})
    if manifest.is_file() and (divided or (head == "ensemble" and not checkpoints)):
        return of_manifest(read_ensemble(manifest))
    if head != "ensemble":
        return None
    return of_checkpoints(checkpoints, evaluation.get("members", ()), evaluation["decoder"])


def _of_networks(facts: Facts, networks: Composition, *, is_folds: bool) -> Facts:
    """The facts of an ensemble: what its networks have in common; of folds, which have one
    architecture, what is known of the first."""
    head = ", ".join(networks.heads)
    if is_folds:
        return replace(facts, head=head)
    alone = networks.architectures[0] if len(networks.architectures) == 1 else None
    known = architecture_of(alone) if alone else None
    family, paradigm = (known.family, known.paradigm) if known else (None, None)
    return replace(
        facts, architecture=alone, family=family, paradigm=paradigm, head=head, parameters=None
    )


def _config(folder: ResultsFolder) -> dict[str, Any]:
    """config.json; where no training wrote it, without what holds for those of earlier versions."""
    config = folder.read_config()
    if "sources" in config:
        return config
    given = {key: one for key, one in config["settings"].items() if key not in LATER_SETTINGS}
    return {**config, "settings": given}


def _predictions(folder: ResultsFolder, split: str | None) -> Predictions | None:
    if split is None or not folder.predictions(split).is_file():
        return None
    return load_predictions(folder.predictions(split))


def _by_eye(predictions: Predictions | None) -> Mapping[str, Any]:
    if predictions is None:
        return {"value": None, "reason": "there are no predictions in the folder"}
    found: Mapping[str, Any] = with_intervals(by_eye(predictions), predictions.patient_ids)
    return found


def _head(predictions: Predictions | None, configs: tuple[Mapping[str, Any], ...]) -> str:
    if predictions is not None:
        return predictions.head
    return str(configs[0]["settings"].get("head", "")) if configs else ""


def _manifest(configs: tuple[Mapping[str, Any], ...]) -> Mapping[str, Any] | None:
    """manifest.json of the dataset, if it still lies where it was, and is the one trained on."""
    if not configs:
        return None
    wanted, path = configs[0].get("data_manifest_hash"), configs[0]["settings"].get("dataset_path")
    if not wanted or not path:
        return None
    try:
        manifest = read_manifest(Path(path) / MANIFEST)
    except UserError:  # it is another one by now, which is as good as none
        return None
    return manifest if manifest is not None and manifest["hash"] == wanted else None
