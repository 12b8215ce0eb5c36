"""Every setting has an effect: a table of all settings and what each of them changes."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import hashlib
import io
import json
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.modules.module import register_module_forward_pre_hook

from dr_ovo.commands.trainer import run_mode
from dr_ovo.ensembles.manifest import Manifest, Member, write_manifest
from dr_ovo.errors import run
from dr_ovo.files import file_sha256
from dr_ovo.logs import close_log
from dr_ovo.models.backbone import create_backbone
from dr_ovo.models.network import Branch
from dr_ovo.predictions.calibration_file import Calibration
from dr_ovo.predictions.operating_points import OperatingPoint, OperatingPoints
from dr_ovo.settings.command_line import parse_settings
from dr_ovo.settings.train_config import TrainConfig
from dr_ovo.training.fitting import fit
from dr_ovo.training.writing.run_writer import RunWriter
from tests.fixtures.slow import slow

COMMON = (
    "--dataset_path {data} --base_models test_resnet --img_size 32 --device cpu --num_workers 0 "
    "--epochs 1 --batch_size 2 --gradient_accumulation_steps 2 --learning_rate 1e-3 "
    "--train_sample 0 --freeze_weights false"
)
# With weights from a file BatchNorm keeps its statistics, as with ImageNet weights.
BASE = "--pretrained_path {weights}"
# Pair logits for which the decoders differ: class 0 narrowly wins its four pairs (`vote`), class 1
# clearly wins its other three (`coupling`), class 2 wins the two most accurate on val (`weighted`).
CONTESTED = (-0.01, -0.01, -0.01, -0.01, -9.0, -9.0, -9.0, -0.5, -0.5, 0.5)


@dataclass(frozen=True)
class Outcome:
    """The outcome of a run: exit code, folder, printed output, and how it computed."""

    code: int
    folder: Path
    output: str
    forwards: int  # forward passes of modules, recomputed ones included
    processes: int  # the most child processes while branches computed
    compiled: int  # functions handed to torch.compile
    states_within: int  # states that were kept inside an epoch
    grace: float  # seconds that a signal would have left for the last state


def files(outcome: Outcome) -> list[str]:
    folder = outcome.folder
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def exit_code(outcome: Outcome) -> int:
    return outcome.code


def _checkpoints(outcome: Outcome) -> dict[str, dict[str, Any]]:
    found = {p.name: torch.load(p, weights_only=True) for p in outcome.folder.rglob("best_*.pth")}
    assert found, outcome.output
    return found


def weights(outcome: Outcome) -> dict[str, str]:
    """A hash of the trained weights in each file."""
    digests = {}
    for name, content in _checkpoints(outcome).items():
        digest = hashlib.sha256()
        for tensor in content["state_dict"].values():
            digest.update(tensor.numpy().tobytes())
        digests[name] = digest.hexdigest()
    return digests


def logits(outcome: Outcome) -> list[int]:
    return [len(content["state_dict"]["head.bias"]) for content in _checkpoints(outcome).values()]


def _column(outcome: Outcome, name: str, column: str) -> list[str]:
    (path,) = outcome.folder.rglob(name)
    with path.open(newline="") as file:
        return [row[column] for row in csv.DictReader(file)]


def epochs(outcome: Outcome) -> list[str]:
    return _column(outcome, "history.csv", "epoch")


def train_losses(outcome: Outcome) -> list[str]:
    return _column(outcome, "history.csv", "train_loss")


def val_losses(outcome: Outcome) -> list[str]:
    return _column(outcome, "history.csv", "val_loss")


def micro_batches(outcome: Outcome) -> list[str]:
    return _column(outcome, "history.csv", "micro_batch")


def graded(outcome: Outcome) -> list[str]:
    return _column(outcome, "inference.csv", "file")


def grades(outcome: Outcome) -> list[str]:
    return _column(outcome, "inference.csv", "grade")


def blocks(outcome: Outcome) -> list[str]:
    (path,) = outcome.folder.rglob("evaluation.json")
    return sorted(json.loads(path.read_text()))


def decoder(outcome: Outcome) -> str:
    (path,) = outcome.folder.rglob("evaluation.json")
    return json.loads(path.read_text())["decoder"]


def forwards(outcome: Outcome) -> int:
    return outcome.forwards


def processes(outcome: Outcome) -> int:
    return outcome.processes


def kept_in_a_cache(outcome: Outcome) -> bool:
    return "decoded photographs in" in outcome.output


def kept_features(outcome: Outcome) -> bool:
    return "features of the frozen backbone" in outcome.output


def compiled(outcome: Outcome) -> int:
    return outcome.compiled


def states_within(outcome: Outcome) -> int:
    return outcome.states_within


def grace(outcome: Outcome) -> float:
    return outcome.grace


@dataclass(frozen=True)
class Row:
    """A setting, the flags that change it, and what must differ from a run of `base` alone."""

    setting: str
    change: str
    seen: Callable[[Outcome], Any]
    base: str = BASE
    trained: bool = False  # the folder already has a training of BASE
    code: int = 0  # exit code of the changed run


FROZEN = "--freeze_weights true --freeze_stages 4"
# A linear head on fixed features, with a learning rate at which it learns the drawn grades.
LEARNING = f"{FROZEN} --learning_rate 0.05 --epochs 3 --warmup_epochs 0 --ovo_dropout 0"
# Its kappa is highest at the end, and its log loss lowest before.
LONGER = f"{LEARNING} --epochs 4 --learning_rate 0.1"
# Four grades have six pairs instead of ten, and a network for each in `independent`.
FOUR = "--num_classes 4 --dataset_path {four}"
APPLIED = "--mode inference --input {data}/test"
ELSEWHERE = "--mode evaluate --ensemble ensemble.json --external"
# What a run does differently, one or two of each kind.
ROWS = (
    Row("mode", "--mode evaluate", files, trained=True),
    Row("input", "--input {data}/test/1", graded, "--mode inference --input {data}/test/0", True),
    Row("decoder", "--decoder vote", grades, APPLIED, True),
    Row("patient_level", "--patient_level", blocks, "--mode evaluate", True),
    Row("max_megapixels", "--max_megapixels 0.001", exit_code, code=2),
    Row("num_classes", "--num_classes 4 --dataset_path {four}", logits),
    Row("preprocessing", "--preprocessing disc_crop ben_graham clahe", weights),
    Row("tta_views", "--tta_views 2", val_losses),
    Row("head", "--head softmax", files),
    Row("pretrained_path", "--pretrained_path {other_weights}", weights),
    Row("epochs", "--epochs 2", epochs),
    Row("learning_rate", "--learning_rate 2e-3", weights),
    Row("enable_focal_loss", "--enable_focal_loss false", weights),
    Row("rotation_range", "--rotation_range 0", weights),
    Row("grad_checkpointing", "--grad_checkpointing on", forwards),
    Row("compile", "--compile", compiled),
    Row("micro_batch", "--micro_batch 1", micro_batches),
    Row("cache", "--cache off", kept_in_a_cache),
    Row("device", "--device cuda:99", exit_code, code=2),
    Row("seed", "--seed 43", weights),
    Row("resume", "--resume", exit_code, trained=True),
    Row("recover", "--recover", exit_code, code=2),
    Row("save_every", "--save_every 0.000001", states_within),
    Row("grace_seconds", "--grace_seconds 3", grace),
    Row("dry_run", "--dry_run", files),
)  # fmt: skip
# Further settings that change the same things, and long runs.
SLOW_ROWS = (
    Row("dataset_path", "--dataset_path {other}", weights),
    Row("output_dir", "--output_dir a/b", files),
    Row("ensemble", "--ensemble ensemble.json", grades, APPLIED, True),
    Row("splits", "--splits val", files, "--mode evaluate", True),
    Row("allow_leaks", "--allow_leaks", exit_code, f"{BASE} --dataset_path {{leaky}}"),
    Row("freeze_weights", "--freeze_weights true", weights),
    Row("scheduler", "--scheduler none", weights),
    Row("sampler", "--sampler balanced", weights),
    Row("base_models", "--base_models test_efficientnet", files, "--no-pretrained"),
    Row("base_models", "--base_models test_resnet test_efficientnet", files, "--no-pretrained"),
    Row("output_root", "--output_root below", files),
    Row("experiment_name", "--experiment_name second", files),
    Row("log_file", "--log_file logs/run.txt", files),
    Row("output", "--output grades.csv", files, APPLIED, True),
    Row("decoder", "--decoder weighted", grades, APPLIED, True),
    Row("decoder", "--decoder expected", decoder, "--mode evaluate", True),
    Row("prior_correction", "--prior_correction", grades, APPLIED, True),
    Row("external", "--external {other}", files, f"{ELSEWHERE} {{leaky}}", True),
    Row("grade_map", "--grade_map 3,4=3 0=0 1=1 2=2", exit_code, f"{ELSEWHERE} {{four}}", True),
    Row("skip_damaged", "--skip_damaged", exit_code, f"{BASE} --dataset_path {{damaged}}"),
    Row("class_names", "--class_names 4 3 2 1 0", weights),
    Row("img_size", "--img_size 48", weights),
    Row("preprocessing", "--preprocessing none", weights, f"{BASE} --no-enable_clahe"),
    Row("enable_clahe", "--no-enable_clahe", weights),
    Row("clahe_clip_limit", "--clahe_clip_limit 1", weights, f"{BASE} --clahe_tile_grid_size 1"),
    Row("clahe_tile_grid_size", "--clahe_tile_grid_size 4", weights),
    Row("ovo_mode", "--ovo_mode independent", files),
    Row("head", "--head ordinal", files),
    Row("head", "--head regression", files),
    Row("regression_loss", "--regression_loss mse", weights, f"{BASE} --head regression"),
    Row("folds", "--folds 2", files, BASE),
    Row("fold", "--fold 2", files, f"{BASE} --folds 2"),
    Row("freeze_stages", "--freeze_stages 4", weights, f"{BASE} --freeze_weights true"),
    Row("feature_views", "--feature_views 1", kept_features, f"{BASE} {FROZEN}"),
    Row("ovo_dropout", "--ovo_dropout 0", weights),
    Row("drop_path", "--drop_path 0.5", weights),
    Row("pretrained", "--no-pretrained", weights, f"--base_models tf_efficientnet_lite0 {FROZEN}"),
    Row("pretrained_head", "--pretrained_head", weights, "--pretrained_path {trained_before}"),
    Row("batch_size", "--batch_size 4", weights),
    Row("gradient_accumulation_steps", "--gradient_accumulation_steps 1", weights),
    Row("min_lr", "--min_lr 5e-4", weights),
    Row("weight_decay", "--weight_decay 0.1", weights),
    Row("layer_decay", "--layer_decay 0.5", weights),
    Row("max_grad_norm", "--max_grad_norm 0.01", weights),
    Row("scheduler", "--scheduler linear", weights),
    Row("scheduler", "--scheduler plateau", weights),
    Row("warmup_epochs", "--warmup_epochs 0", weights),
    # A learning rate too small to move a weight: all epochs score the same.
    Row(
        "patience", "--patience 1", epochs,
        f"{BASE} {LEARNING} --learning_rate 1e-30 --min_lr 0",
    ),
    Row("min_delta", "--min_delta 5", epochs, f"{BASE} {LEARNING} --patience 1"),
    Row("keep_epoch", "--keep_epoch best", weights, f"{BASE} {LEARNING}"),
    Row("keep_epoch", "--keep_epoch steady", weights, f"{BASE} {LONGER}"),
    Row("keep_epoch", "--keep_epoch log_loss", weights, f"{BASE} {LONGER}"),
    Row("ema_decay", "--ema_decay 0.5", weights),
    Row("focal_loss_gamma", "--focal_loss_gamma 1", weights),
    Row("focal_loss_alpha", "--focal_loss_alpha 1", weights),
    Row("focal_loss_alpha", "--focal_loss_alpha 1 2 3 4 5", weights),
    Row("enable_class_weights", "--no-enable_class_weights", weights),
    Row("class_weights", "--class_weights 1 2 3 4 5", weights),
    Row("label_smoothing", "--label_smoothing 0", weights),
    Row("enable_medical_augmentation", "--no-enable_medical_augmentation", weights),
    Row("brightness_range", "--brightness_range 0", weights),
    Row("contrast_range", "--contrast_range 0", weights),
    Row("saturation_range", "--saturation_range 0.3", weights),
    Row("hue_range", "--hue_range 20", weights),
    Row("blur_range", "--blur_range 0.02", weights),
    Row("amp", "--amp on", weights),
    Row("num_workers", "--num_workers 1", processes, f"{BASE} --cache off"),
    Row("cache_dir", "--cache_dir kept", files),
    Row("train_sample", "--train_sample 6", train_losses),
    Row("pairs", "--pairs 0-1 2-3", files, f"{BASE} {FOUR} --ovo_mode independent"),
    Row("debug_mode", "--debug_mode", epochs, f"{BASE} {LEARNING}"),
    Row("tensorboard", "--tensorboard", files),
)  # fmt: skip


class Stage:
    """A new folder per run, and the shared inputs by name."""

    def __init__(self, new_folder: Callable[[str], Path], inputs: dict[str, Path]) -> None:
        self.new_folder, self.inputs = new_folder, inputs
        self._bases: dict[tuple[str, bool, int], Outcome] = {}

    def base(self, flags: str, trained: bool, attempt: int) -> Outcome:
        """The outcome of a row's base; each `attempt` is a separate run."""
        key = flags, trained, attempt
        if key not in self._bases:
            self._bases[key] = self.run(flags, trained)
        return self._bases[key]

    def run(self, flags: str, trained: bool = False) -> Outcome:
        """Runs the trainer in a new folder."""
        folder = self.new_folder("run")
        if trained:
            shutil.copytree(self.base(BASE, False, 0).folder, folder, dirs_exist_ok=True)
            _contest(folder)
        argv = f"{COMMON} {flags}".format(**self.inputs).split()
        output = io.StringIO()
        with (
            _working_in(folder),
            _counting() as counts,
            contextlib.redirect_stdout(output),
            contextlib.redirect_stderr(output),
        ):
            code = run(lambda: run_mode(parse_settings(argv)))
            close_log()  # after an error it stays open until the process ends
        return Outcome(code, folder, output.getvalue(), *counts)


def _contest(folder: Path) -> None:
    """Gives the trained network constant outputs for which the decoders differ."""
    (path,) = folder.rglob("best_*.pth")
    content = torch.load(path, weights_only=True)
    content["state_dict"]["head.weight"].zero_()
    content["state_dict"]["head.bias"] = torch.tensor(CONTESTED)
    for row in content["metrics"]["pairs"]:
        row["val_accuracy"] = 0.9 if row["pair"][0] == 2 else 0.1
    # Without what this says that class weights added, class 1 loses the three pairs it won.
    content["prior_shift"] = [0.0] * 4 + [-18.0] * 3 + [0.0] * 3
    torch.save(content, path)
    path.with_suffix(".json").unlink()
    _write_ensemble(folder / "ensemble.json", path)


def _write_ensemble(manifest: Path, checkpoint: Path) -> None:
    """An ensemble of one network, decoded by votes instead of the default coupling."""
    files = {f"models/{checkpoint.name}": file_sha256(checkpoint)}
    member = Member("one", checkpoint.parents[1], "test_resnet", "ovo", "vote", 1.0, files)
    points = OperatingPoints(OperatingPoint(0.5), OperatingPoint(0.5))
    calibration = Calibration(1.0, points, points, n=1, divided=False)
    write_manifest(manifest, Manifest("mean", tuple("01234"), (member,)), calibration, [])


@contextlib.contextmanager
def _working_in(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextlib.contextmanager
def _counting() -> Iterator[list[float]]:
    """[forward passes of modules, most child processes at once, functions compiled, states kept
    inside an epoch, seconds left after a signal] within the context; compiled ones run as they
    are, and no signal comes."""
    counts: list[float] = [0, 0, 0, 0, 0]

    def count(module: torch.nn.Module, inputs: Any) -> None:
        if inputs and inputs[0].is_meta:  # asks only whether the size fits, once per process
            return
        counts[0] += 1
        if isinstance(module, Branch):
            counts[1] = max(counts[1], len(multiprocessing.active_children()))

    def compile(function: Callable[..., Any], **_: Any) -> Callable[..., Any]:
        counts[2] += 1
        return function

    def keep_within(*_: Any) -> None:
        counts[3] += 1

    def deferred(grace_seconds: float) -> contextlib.AbstractContextManager[Callable[[], bool]]:
        counts[4] = grace_seconds
        return contextlib.nullcontext(bool)

    hook = register_module_forward_pre_hook(count)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch, "compile", compile)
            patch.setattr(RunWriter, "keep_within", keep_within)
            patch.setattr(fit, "deferred", deferred)
            yield counts
    finally:
        hook.remove()


@pytest.fixture(scope="module")
def stage(tmp_path_factory, draw_dataset) -> Stage:
    """Five grades, imbalanced in train; the same without one image, with a damaged one, with a
    leak; four grades; two sets of weights; and a folder that was trained before."""
    folder = tmp_path_factory.mktemp("inputs")
    data = draw_dataset(folder / "data")
    for grade in ("3", "4"):
        (data / "train" / grade / f"train-{grade}-0.jpeg").unlink()
    inputs = {"data": data, "four": draw_dataset(folder / "four", grades=4, images=2)}
    for name in ("other", "damaged", "leaky"):
        inputs[name] = Path(shutil.copytree(data, folder / name))
    (inputs["other"] / "train" / "0" / "train-0-0.jpeg").unlink()
    copied = inputs["leaky"] / "train" / "0" / "train-0-0.jpeg"
    shutil.copy(copied, inputs["leaky"] / "test" / "0" / "other-name.jpeg")
    (inputs["damaged"] / "train" / "0" / "empty.jpeg").touch()
    for seed, name in enumerate(("weights", "other_weights")):
        torch.manual_seed(seed)
        inputs[name] = folder / f"{name}.pth"
        torch.save(create_backbone("test_resnet", 32, None).state_dict(), inputs[name])
    made = Stage(tmp_path_factory.mktemp, inputs)
    inputs["trained_before"] = made.run(BASE).folder / "test_resnet_5class_results"
    return made


def test_every_setting_has_a_row():
    assert {row.setting for row in (*ROWS, *SLOW_ROWS)} == {
        field.name for field in dataclasses.fields(TrainConfig)
    }


@pytest.mark.parametrize("row", [*ROWS, *slow(*SLOW_ROWS)], ids=lambda row: row.change)
def test_a_setting_changes_the_run(row, stage):
    changed = stage.run(f"{row.base} {row.change}", row.trained)
    assert changed.code == row.code, changed.output
    first, again = (row.seen(stage.base(row.base, row.trained, attempt)) for attempt in (0, 1))
    assert first == again
    assert row.seen(changed) != first
