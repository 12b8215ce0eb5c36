"""Seeded damage to every file that is read back: an error in words, or the answer of the whole
file. What is sealed never gives another answer.

1,000 inputs, shared out among the readers; 10,000 others with `-m slow`.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dr_ovo.dataset.manifest import content_hash
from dr_ovo.dataset.manifest import read_manifest as read_dataset
from dr_ovo.dataset.manifest import write_manifest as write_dataset
from dr_ovo.decoding.fitting import fitted_json
from dr_ovo.ensembles.manifest import read_manifest
from dr_ovo.errors import ToolkitError
from dr_ovo.models.checkpoints.assembly import load_network
from dr_ovo.models.checkpoints.files import find_checkpoints, fitted_of, input_of
from dr_ovo.predictions.calibration_file import load_calibration
from dr_ovo.predictions.predictions_file import Predictions
from dr_ovo.prepare.readers.grade_scale import GradeScale
from dr_ovo.prepare.readers.medmnist import read_medmnist
from dr_ovo.prepare.resuming import MARK, RECORD, is_finished
from dr_ovo.reports.criteria import criteria_file
from dr_ovo.reports.criteria.criteria_file import read_checklist
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.results.model_results import read_results
from dr_ovo.results.one_piece import check_one_piece
from dr_ovo.results.training_files import config_digest
from dr_ovo.sealed_json import DIGEST, digest_of
from dr_ovo.settings.settings_file import read_settings_file
from dr_ovo.training.data.fold_division import FoldDivision, load_division
from dr_ovo.training.resume.kept_states import require_whole_state
from dr_ovo.training.retraining.placing import put_in_place
from dr_ovo.training.writing.run_writer import RunWriter
from tests.fixtures.hostile import mutated, mutated_zip
from tests.fixtures.slow import slow

INPUTS, MORE_INPUTS = 1_000, 10_000
CRITERIA = Path(criteria_file.__file__).with_name("default_criteria.toml")
STRANGE = (
    None, True, 0, -1, 1.5, 1e308, 10**30, "", "x", "../../x", "/etc/passwd", "\udce9", "\0", [],
    {}, [[]], [None], {"": None}, "nan", float("nan"), float("inf"),
)  # fmt: skip


@dataclass(frozen=True)
class Reader:
    """Something that reads `files` of a folder; `sealed`: other content than before is an error."""

    name: str
    folder: Path
    files: tuple[str, ...]
    read: Callable[[Path], object]
    sealed: bool = False


def changed_json(data: bytes, rng: np.random.Generator) -> bytes:
    """The JSON text with a value replaced, removed or added, somewhere in it; sealed again in half
    of the cases, so that what lies behind the seal is reached."""
    whole = json.loads(data)
    place = whole
    for _ in range(int(rng.integers(1, 5))):
        keys = [*place] if isinstance(place, dict) else [*range(len(place))]
        if not keys:
            break
        key = keys[int(rng.integers(len(keys)))]
        inside = place[key]
        if isinstance(inside, dict | list) and inside and rng.integers(4):
            place = inside
            continue
        kind = int(rng.integers(3))
        if kind == 0 and isinstance(place, dict):
            del place[key]
        else:
            place[key] = STRANGE[int(rng.integers(len(STRANGE)))]
        break
    if DIGEST in whole and rng.integers(2):
        whole[DIGEST] = digest_of(whole)
    return json.dumps(whole).encode()


def damaged(name: str, data: bytes, rng: np.random.Generator) -> bytes:
    """A damaged copy of a file's bytes, by its kind."""
    if name.endswith(".json") and rng.integers(2):
        return changed_json(data, rng)
    if name.endswith((".pth", ".npz")) and rng.integers(3) == 0:
        return mutated_zip(data, rng)
    return mutated(data, rng)


def plain(value: Any) -> Any:
    """What can be compared of an answer."""
    if isinstance(value, Predictions):
        return [plain(getattr(value, field.name)) for field in fields(value)]
    if isinstance(value, np.ndarray):
        return value.shape, value.tobytes() if value.dtype.kind != "U" else value.tolist()
    if isinstance(value, tuple | list):
        return [plain(one) for one in value]
    return value if isinstance(value, str | bytes) else repr(value)


# --- readers


def report(folder: Path) -> object:
    """What a report shows of a results folder."""
    results = read_results(folder, "model")
    return plain([results.val, results.test, results.calibration, results.facts])


def grader(folder: Path) -> object:
    """What inference grades with."""
    results = ResultsFolder(folder)
    network, meta = load_network(find_checkpoints(results.models, None))
    check_one_piece([results], ["val"])
    calibration = load_calibration(results.calibration)
    weights = [value.numpy().tobytes() for value in network.state_dict().values()]
    fitted = fitted_json(fitted_of(meta, results.models))
    return plain([weights, input_of(meta), meta["class_names"], fitted, calibration])


def resumed(folder: Path) -> object:
    """What a training goes on from: a state, which may be an older one, and the history."""
    results = ResultsFolder(folder)
    require_whole_state(results)
    check_one_piece([results])
    state = results.read_progress()
    return plain([results.read_history(state["epoch"]), state["epoch"], state["finished"]])


def retrained(folder: Path) -> object:
    put_in_place(ResultsFolder(folder))
    return plain(ResultsFolder(folder).read_history(99))


def prepared(folder: Path) -> object:
    return is_finished(folder, {"seed": 1})


@pytest.fixture(scope="module")
def folders(small, three_grades, trainer, tmp_path_factory) -> dict[str, Path]:
    """A finished and evaluated training, and one that was stopped in its second epoch."""
    root = tmp_path_factory.mktemp("fuzz")
    words = (
        *small, "--dataset_path", three_grades, "--num_classes", 3, "--allow_leaks", "--epochs", 2,
        "--batch_size", 4, "--train_sample", 0, "--save_every", "0.000001",
    )  # fmt: skip
    assert trainer(*words, "--output_dir", root / "whole").code == 0
    evaluation = ("--mode", "evaluate", "--dataset_path", three_grades, "--num_workers", 0)
    assert trainer(*evaluation, "--output_dir", root / "whole").code == 0
    keep = RunWriter.keep_within

    def keep_and_stop(writer: RunWriter, epoch: int, seconds: float) -> None:
        keep(writer, epoch, seconds)
        if epoch == 2:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunWriter, "keep_within", keep_and_stop)
        assert trainer(*words, "--output_dir", root / "stopped").code == 130
    for name in ("train.log", "whole"):
        (root / "whole" / name).unlink(missing_ok=True)
    return {"whole": root / "whole", "stopped": root / "stopped", "root": root}


@pytest.fixture(scope="module")
def readers(folders) -> list[Reader]:
    root, whole, stopped = folders["root"], folders["whole"], folders["stopped"]
    (weights,) = (path.name for path in (whole / "models").glob("*.pth"))
    descriptor = weights.replace(".pth", ".json")
    evaluation = ("evaluation.json", "evaluation_val.json", "calibration.json")
    predictions = ("predictions_val.npz", "predictions_test.npz")
    states = [path.relative_to(stopped).as_posix() for path in (stopped / "resume").iterdir()]
    other = root / "other"
    other.mkdir()
    manifest = {
        "schema": 2, "kind": "dr_ovo ensemble", "method": "mean", "class_names": ["0", "1"],
        "decoder": "expected", "grade_thresholds": [0.5], "members": [
            {"name": "a", "folder": "a", "architecture": "x", "head": "ovo", "decoder": "coupling",
             "weight": 1.0, "temperature": 1.5, "prior_corrected": False, "decoding": None,
             "checkpoints": [{"file": "models/best.pth", "sha256": "0" * 64}]},
        ],
    }  # fmt: skip
    (other / "ensemble.json").write_text(json.dumps(manifest))
    FoldDivision(2, {"train/0/a.png": (1, 0), "val/1/b.png": (2, 1)}).save(other)
    files = [{"id": f"train/0/{n}.png", "grade": 0, "split": "train"} for n in range(3)]
    write_dataset(other / "manifest.json", {"files": files, "seed": 1, "made_with": {"seed": 1}})
    (other / "settings.toml").write_text('epochs = 3\nbase_models = ["coatnet"]\nseed = 5\n')
    (other / "criteria.toml").write_text(CRITERIA.read_text())
    rng = np.random.default_rng(0)
    arrays = {
        f"{split}_{kind}": rng.integers(0, 5, (4, *shape), dtype=np.uint8)
        for split in ("train", "val", "test")
        for kind, shape in (("images", (28, 28, 3)), ("labels", (1,)))
    }
    np.savez_compressed(other / "retinamnist.npz", **arrays)
    prep = root / "prepared"
    prep.mkdir()
    for name in (MARK, RECORD):
        (prep / name).write_text(json.dumps({"made_with": {"seed": 1}, "placing": True}))
    again = shutil.copytree(whole, root / "again")
    (again / "retrain").mkdir()
    history = ResultsFolder(again).read_history(99)
    outcome = {
        "schema": 1, "file": weights, "replaced": None, "keeps_new": True, "history": history,
        "retrained": [], "config": config_digest(ResultsFolder(again)),
    }  # fmt: skip
    outcome[DIGEST] = digest_of(outcome)
    (again / "retrain" / "outcome.json").write_text(json.dumps(outcome))
    return [
        Reader("report", whole, (*evaluation, *predictions), report, sealed=True),
        Reader("training in a report", whole,
               ("history.csv", "config.json", "resume/progress.json", f"models/{descriptor}"),
               report, sealed=True),
        Reader("inference", whole,
               (f"models/{weights}", f"models/{descriptor}", "calibration.json"), grader,
               sealed=True),
        Reader("resume", stopped, (*states, "history.csv", "config.json"), resumed),
        Reader("retraining", again, ("retrain/outcome.json",), retrained),
        Reader("ensemble", other, ("ensemble.json",), lambda f: read_manifest(f / "ensemble.json")),
        Reader("folds", other, ("folds.json",), load_division),
        Reader("dataset", other, ("manifest.json",),
               lambda f: content_hash(read_dataset(f / "manifest.json")), sealed=True),
        Reader("settings", other, ("settings.toml",),
               lambda f: read_settings_file(f / "settings.toml")),
        Reader("settings of a run", whole, ("config.json",),
               lambda f: read_settings_file(f / "config.json")),
        Reader("criteria", other, ("criteria.toml",),
               lambda f: read_checklist(f / "criteria.toml")),
        Reader("MedMNIST", other, ("retinamnist.npz",),
               lambda f: read_medmnist(f / "retinamnist.npz", f, GradeScale())),
        Reader("preparation", prep, (MARK, RECORD), prepared),
    ]  # fmt: skip


HEAVY = ("inference", "resume")


def fuzz(reader: Reader, count: int, seed: int, folder: Path) -> tuple[int, int, list[str]]:
    """Reads damaged copies; how many gave an error in words, how many the whole file's answer, and
    what else came out."""
    rng = np.random.default_rng(seed)
    shutil.copytree(reader.folder, folder)
    answer = reader.read(shutil.copytree(reader.folder, folder.with_name("whole")))
    refused, right, wrong = 0, 0, []
    for number in range(count):
        name = reader.files[number % len(reader.files)]
        data = (reader.folder / name).read_bytes()
        content = damaged(name, data, rng)
        (folder / name).write_bytes(content)
        os.utime(folder / name, (0, 0))  # no file that a training is just replacing
        try:
            found = reader.read(folder)
        except ToolkitError as error:
            refused += len(str(error)) > 20
        except Exception as error:  # which is a traceback for the user
            wrong.append(f"{name}, input {number}: {type(error).__name__}: {error}")
        else:
            same = found == answer
            right += same
            resealed = name.endswith(".json") and _is_sealed_again(content)
            if reader.sealed and not same and not resealed:
                wrong.append(f"{name}, input {number}: another answer")
        shutil.rmtree(folder)
        shutil.copytree(reader.folder, folder)
    return refused, right, wrong


def _is_sealed_again(content: bytes) -> bool:
    """Whether someone has made the digest agree, which no damage does."""
    try:
        data = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return isinstance(data, dict) and data.get(DIGEST) == digest_of(data)


NAMES = (
    "report", "training in a report", "inference", "resume", "retraining", "ensemble", "folds",
    "dataset", "settings", "settings of a run", "criteria", "MedMNIST", "preparation",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("inputs", "seed"), [(INPUTS, 1), *slow((MORE_INPUTS, 2))])
def test_damage_is_told_or_does_not_matter(name, inputs, seed, readers, tmp_path):
    (reader,) = [one for one in readers if one.name == name]
    heavy = inputs // 40  # for those that build a network, or read states
    count = (
        heavy if name in HEAVY else -(-(inputs - len(HEAVY) * heavy) // (len(NAMES) - len(HEAVY)))
    )
    refused, right, wrong = fuzz(reader, count, seed, tmp_path / "copy")
    print(f"{name}: {count} inputs, {refused} refused, {right} answers of the whole file")
    assert not wrong, "\n".join(wrong[:20])
    assert refused > count // 20, "hardly anything was damaged"
