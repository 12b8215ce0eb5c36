"""The commands that users type, of the guide and the documents: each runs, or at least parses."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import io
import os
import re
import runpy
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import pytest
from packaging.requirements import Requirement

from benchmarks.__main__ import BENCHMARKS, build_parser
from benchmarks.gpu import build_parser as gpu_parser
from dr_ovo.logs import close_log
from dr_ovo.models.architectures import resolve_architecture
from dr_ovo.models.input_size import check_size
from dr_ovo.settings.command_line import ENVIRONMENT, parse_settings
from dr_ovo.settings.train_config import TrainConfig
from dr_ovo.synthetic.fundus import draw_fundus
from dr_ovo.synthetic.simulated_predictions import ACCURACIES
from dr_ovo.synthetic.simulated_results import simulate
from dr_ovo.training.setup import resolve_models

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
DOCUMENTS = [
    *sorted(ROOT.glob("*.md")),
    *(path for path in sorted(ROOT.glob("docs/*.md")) if path.name != "tutorial.md"),
]  # tests/test_tutorial.py runs that one as a whole
# Real data, hours, or weights that are not here: their commands are parsed.
MEASURED = ("docs/measured.md", "docs/frozen_backbones.md", "docs/gates.md")
DATASET = "dataset_eyepacs_5class_balanced_enhanced_v2"
BEST, SEVEN = "benchmarks/best_figures.sh", "benchmarks/seven_models.sh"
TRAINER = "ensemble_5class_trainer.py"
# What makes a training quick, at the end of its command line.
QUICK = "--epochs 1 --no_pretrained --device cpu --num_workers 0 --train_sample 0"
SMALL = QUICK.split()
NEW_MODELS = {
    "coatnet": ("coatnet_0_rw_224", "192"),
    "convnext": ("convnext_tiny", "192"),
    "swinv2": ("swinv2_tiny_window8_256", "224"),
}  # timm name, and the smaller size of the guide


@dataclasses.dataclass(frozen=True)
class Ended:
    """The exit code of a command and all that it printed."""

    code: int
    said: str


@contextlib.contextmanager
def working_in(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def python(words: list[str], folder: Path) -> Ended:
    """`python SCRIPT ...` or `python -m MODULE ...` in this process: torch is imported once."""
    said, before = io.StringIO(), sys.argv
    module = words[0] == "-m"
    sys.argv = words[1:] if module else words
    with working_in(folder), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            if module:
                runpy.run_module(words[1], run_name="__main__")
            else:
                runpy.run_path(str(ROOT / words[0]), run_name="__main__")
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            sys.argv = before
            close_log()
    return Ended(code, said.getvalue())


def shell(command: str, folder: Path) -> Ended:
    """A command of bash in which every Python only prints its arguments, a line each."""
    echo = folder / "echo_arguments"
    echo.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    echo.chmod(0o755)
    outcome = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**os.environ, "PYTHON": str(echo)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return Ended(outcome.returncode, outcome.stdout + outcome.stderr)


def wrapper_arguments(command: str, folder: Path) -> list[str]:
    """What `./train_*.sh ...` passes to the trainer."""
    ended = shell(f"{ROOT}/{command.removeprefix('./')}", folder)
    assert ended.code == 0, ended.said
    trainer, *arguments = ended.said.splitlines()
    assert Path(trainer).name == TRAINER
    return arguments


def expand(words: list[str], folder: Path) -> list[str]:
    """Words with the shell's globs expanded, as bash does where files match."""
    with working_in(folder):
        return [
            name
            for word in words
            for name in (sorted(map(str, Path().glob(word))) if "*" in word else [word]) or [word]
        ]


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch):
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)


# The guide. Its commands are typed in a folder that holds the dataset.


@pytest.fixture(scope="module")
def trained(tiny_dataset, tmp_path_factory) -> Path:
    """A folder in which `./train_coatnet.sh` has run, at 64 px."""
    folder = tmp_path_factory.mktemp("guide")
    (folder / DATASET).symlink_to(tiny_dataset)
    arguments = wrapper_arguments("./train_coatnet.sh", folder)
    ended = python([TRAINER, *arguments, *SMALL, "--img_size", "64"], folder)
    assert ended.code == 0, ended.said
    return folder


@pytest.mark.parametrize(
    "code",
    [
        "import timm; print('timm version:', timm.__version__)",
        "import timm; print(timm.list_models('coatnet*'))",
    ],
)
def test_timm_answers(code, capsys):
    exec(code)
    said = capsys.readouterr().out
    assert "coatnet_0_rw_224" in said or said.startswith("timm version: 1.")


@pytest.mark.parametrize("name", ["timm", "python-dotenv"])
def test_our_caps_do_not_forbid_an_upgrade(name):
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    rows = [Requirement(line) for line in lines if line and not line.startswith("#")]
    (mine,) = [row for row in rows if row.name == name]
    assert mine.specifier.contains("1.99")


@pytest.mark.parametrize("name", NEW_MODELS)
def test_where_a_wrapper_writes(name, tmp_path):
    config = parse_settings(wrapper_arguments(f"./train_{name}.sh", tmp_path)).config
    (resolved,) = resolve_models(config)
    assert resolved.base_models == (NEW_MODELS[name][0],)
    assert Path(resolved.output_dir) == Path(f"{name}_5class_results")
    assert config.log_file == f"{name}_training_log.txt"
    assert Path(config.dataset_path) == Path(DATASET)


@pytest.mark.slow
def test_training_leaves_its_log_and_its_model(trained):
    log = (trained / "coatnet_training_log.txt").read_text()
    assert "done: coatnet_5class_results" in log
    models = trained / "coatnet_5class_results" / "models"
    assert [p.name for p in models.glob("*.pth")] == ["best_coatnet_0_rw_224_ovo.pth"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", ["./coatnet_5class_results/models/*.pth", "./coatnet_5class_results/models"]
)
def test_the_guides_analysis(path, trained):
    ended = python(expand(["model_analyzer.py", "--model", path], trained), trained)
    assert ended.code == 0, ended.said
    assert "coatnet_0_rw_224" in ended.said


@pytest.mark.slow
def test_the_guides_evaluation(trained):
    command = (
        f"{TRAINER} --mode evaluate --base_models coatnet_0_rw_224 "
        f"--dataset_path ./{DATASET} --output_dir ./coatnet_5class_results"
    )
    ended = python(command.split(), trained)
    assert ended.code == 0, ended.said
    assert "coatnet_0_rw_224: test" in ended.said
    for name in ("evaluation.json", "predictions_val.npz", "predictions_test.npz"):
        assert (trained / "coatnet_5class_results" / name).is_file()


EDITS = {
    "--batch_size 1 --gradient_accumulation_steps 8": {
        "batch_size": 1, "gradient_accumulation_steps": 8,
    },
    "--use_amp": {"amp": "on"},
    "--amp off": {"amp": "off"},
    "--grad_checkpointing on": {"grad_checkpointing": "on"},
    "--num_workers 16": {"num_workers": 16},
    "--img_size 192": {"img_size": 192},
    "--img_size 224": {"img_size": 224},
    "--dataset_path ./mine --epochs 50": {"dataset_path": "./mine", "epochs": 50},
}  # fmt: skip


@pytest.mark.parametrize("flags", EDITS)
@pytest.mark.parametrize("name", NEW_MODELS)
def test_flags_added_to_a_wrapper(name, flags, tmp_path):
    before = parse_settings(wrapper_arguments(f"./train_{name}.sh", tmp_path)).config
    after = parse_settings(wrapper_arguments(f"./train_{name}.sh {flags}", tmp_path)).config
    assert after == dataclasses.replace(before, **EDITS[flags])


@pytest.mark.parametrize("name", NEW_MODELS)
def test_a_wrapper_edited_by_hand(name, tmp_path):
    text = (ROOT / f"train_{name}.sh").read_text()
    size = NEW_MODELS[name][1]
    for line, edited in (
        ("--batch_size 2", "--batch_size 1"),
        ("--gradient_accumulation_steps 4", "--gradient_accumulation_steps 8 \\\n  --use_amp"),
        ("--num_workers 4", "--num_workers 12"),
    ):
        assert text.count(line) == 1
        text = text.replace(line, edited)
    text = re.sub(r"--img_size \d+", f"--img_size {size}", text)
    script = tmp_path / f"train_{name}.sh"
    script.write_text(text)
    script.chmod(0o755)
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    ended = shell(str(script), tmp_path)
    assert ended.code == 0, ended.said
    config = parse_settings(ended.said.splitlines()[1:]).config
    changed = (config.batch_size, config.gradient_accumulation_steps, config.num_workers)
    assert (*changed, config.amp, config.img_size) == (1, 8, 12, "on", int(size))


@pytest.mark.parametrize(("timm_name", "size"), NEW_MODELS.values())
def test_the_guides_smaller_sizes_can_be_built(timm_name, size):
    check_size(timm_name, int(size))


# The documents: every line of their bash blocks.


def commands_in(document: Path) -> list[str]:
    """The commands of a document's bash blocks."""
    found = []
    text = document.read_text(encoding="utf-8").replace("\\\n", " ")
    for block in re.finditer(r"^```bash\n(?P<body>.*?)^```", text, re.M | re.S):
        for line in block["body"].splitlines():
            words = shlex.split(line, comments=True)
            if words:
                found.append(shlex.join(words))
    return found


def documented_commands() -> list[tuple[str, str]]:
    """(document, command): those of the measurements, and all others, each once."""
    found: dict[tuple[bool, str], str] = {}
    for document in DOCUMENTS:
        name = document.relative_to(ROOT).as_posix()
        for command in commands_in(document):
            found.setdefault((name in MEASURED, command), name)
    return [(name, command) for (_, command), name in found.items()]


@pytest.fixture(scope="module")
def workshop(tiny_dataset, tmp_path_factory) -> Path:
    """What the commands of README.md find: the dataset, photographs and their grades, and a
    finished shared network in place of CoAtNet's."""
    folder = tmp_path_factory.mktemp("readme")
    shutil.copytree(tiny_dataset, folder / DATASET)
    shutil.copytree(tiny_dataset / "test", folder / "photographs")
    _raw_photographs(folder)
    simulate(folder / "simulated", patients=40, seed=1)
    _train(folder, "./train_coatnet.sh")
    return folder


@pytest.fixture(scope="module")
def full_workshop(workshop, tmp_path_factory) -> Path:
    """And what those of all documents find: a finished independent network in place of ConvNeXt's,
    and the members of two folds."""
    folder = tmp_path_factory.mktemp("documents")
    shutil.copytree(workshop, folder, dirs_exist_ok=True)
    _train(folder, "./train_convnext.sh --ovo_mode independent")
    _train(folder, "./train_convnext.sh --folds 2 --keep_epoch last --output_dir ./convnext_folds")
    return folder


def _train(folder: Path, command: str) -> None:
    ended = python([TRAINER, *_quick(wrapper_arguments(command, folder))], folder)
    assert ended.code == 0, ended.said


def _raw_photographs(folder: Path) -> None:
    """`train/<patient>_<eye>.jpeg` and `trainLabels.csv`, drawn, three patients of each grade."""
    (folder / "train").mkdir()
    rows = ["image,level"]
    for patient in range(15):
        for number, eye in enumerate(("left", "right")):
            picture, _ = draw_fundus(patient % 5, eye, 112, 2 * patient + number, patient)
            bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
            cv2.imwrite(str(folder / "train" / f"{patient}_{eye}.jpeg"), bgr)
            rows.append(f"{patient}_{eye},{patient % 5}")
    (folder / "trainLabels.csv").write_text("\n".join(rows))


def _quick(arguments: list[str]) -> list[str]:
    """The trainer's arguments with a tiny model in the folder of the one that they name."""
    config = parse_settings(arguments).config
    if config.mode != "train":
        model = ["--base_models", "test_resnet"] if "--base_models" in arguments else []
        return [*arguments, *model, "--device", "cpu", "--num_workers", "0"]
    where = resolve_models(config)[0].output_dir
    model = ["--base_models", "test_resnet", "--img_size", "32", "--output_dir", where]
    return [*arguments, *SMALL, *model]


def train_or_apply(words: list[str], folder: Path) -> Ended:
    arguments = words[words.index(TRAINER) + 1 :] if TRAINER in words else words
    with working_in(folder):
        quick = _quick(arguments)
        config: TrainConfig = parse_settings(quick).config
    if config.mode == "train" and not (config.resume or config.pairs):
        shutil.rmtree(folder / config.output_dir, ignore_errors=True)
    if config.external:
        evaluated(config.output_dir, folder)
        names = {"0": ["0"], "NPDR": ["1", "2", "3"], "PDR": ["4"]}
        for name, grades in names.items():
            for grade in grades:
                own = folder / config.external / name
                shutil.copytree(folder / "photographs" / grade, own, dirs_exist_ok=True)
    return python([TRAINER, *quick], folder)


def evaluated(results: str, folder: Path) -> None:
    flags = ["--mode", "evaluate", "--dataset_path", DATASET, "--output_dir", results]
    ended = python([TRAINER, *flags, "--device", "cpu", "--num_workers", "0"], folder)
    assert ended.code == 0, ended.said


def wrapper(words: list[str], folder: Path) -> Ended:
    return train_or_apply(wrapper_arguments(shlex.join(words), folder), folder)


def script(words: list[str], folder: Path) -> Ended:
    return python(expand(words[1:], folder), folder)


def reading(words: list[str], folder: Path) -> Ended:
    """By an evaluated network; the first reader says of each photograph what its folder does."""
    evaluated(words[words.index("--models") + 1], folder)
    photographs = (folder / "photographs").glob("*/*")
    grades = [f"{path.name},{path.parent.name}" for path in photographs]
    (folder / "grades.csv").write_text("\n".join(["image,level", *grades]))
    return script([*words, "--device", "cpu", "--num_workers", "0"], folder)


def one_report(words: list[str], folder: Path) -> Ended:
    """On three of the simulated models; the page has all reports on all seven."""
    for name in ACCURACIES.keys() - {"coatnet", "densenet121", "resnet50"}:
        shutil.rmtree(folder / "simulated" / f"{name}_5class_results")
    return script(words, folder)


def prepare(words: list[str], folder: Path) -> Ended:
    shutil.rmtree(folder / words[words.index("--output") + 1], ignore_errors=True)
    return script(words, folder)


def criteria(words: list[str], folder: Path) -> Ended:
    """Simulated models don't meet all criteria, which is exit code 1."""
    ended = one_report(words, folder)
    return Ended(0, ended.said) if ended.code == 1 else Ended(70, f"exit {ended.code}")


def all_seven(words: list[str], folder: Path) -> Ended:
    ended = shell(f"{ROOT}/{shlex.join(words).removeprefix('./')}", folder)
    assert ended.said.count(TRAINER) == 7
    return ended


def set_up(words: list[str], _folder: Path) -> Ended:
    """Installs and trains for minutes: only whether the script is there and knows the flags."""
    file = ROOT / words[0]
    assert file.stat().st_mode & stat.S_IXUSR
    assert all(word in file.read_text() for word in words[1:] if word.startswith("--"))
    return Ended(0, "")


def shown_in_help(words: list[str], folder: Path) -> Ended:
    """Looks at the machine for seconds, or belongs to long runs: only whether it has the flags."""
    program = words[1 : {"dr_ovo": 4}.get(words[2], 3)] if words[1] == "-m" else words[1:2]
    ended = python([*program, "--help"], folder)
    flags = [word.partition("=")[0] for word in words if word.startswith("--")]
    missing = [flag for flag in flags if flag not in ended.said]
    assert not missing, f"{missing} in {ended.said}"
    return ended


def benchmarks(words: list[str], _folder: Path) -> Ended:
    """Takes minutes: only whether the benchmarks and their flags exist."""
    arguments = build_parser("python -m benchmarks").parse_args(words[3:])
    assert set(arguments.only) <= BENCHMARKS.keys()
    return Ended(0, "")


def on_a_gpu(words: list[str], _folder: Path) -> Ended:
    """Needs a GPU: only whether the flags exist."""
    gpu_parser().parse_args(words[1:])
    return Ended(0, "")


def installed(words: list[str], folder: Path) -> Ended:
    """`dr_ovo COMMAND ...`, as `pip install` puts it beside Python."""
    return one_report(["python", "-m", *words], folder)


def install(words: list[str], _folder: Path) -> Ended:
    """Takes minutes: only whether the package has a command to install."""
    assert words[-1] == "."
    assert re.search(r'^dr_ovo = "dr_ovo\.', (ROOT / "pyproject.toml").read_text(), re.M)
    return Ended(0, "")


def developer(words: list[str], _folder: Path) -> Ended:
    """The checks, which are these: only whether the tool and the files are there."""
    assert importlib.util.find_spec(words[2])
    missing = [word for word in words[3:] if "/" in word and not (ROOT / word).exists()]
    assert not missing
    return Ended(0, "")


def not_ours(words: list[str], _folder: Path) -> Ended:
    assert words
    return Ended(0, "")


# How a command begins -> what is done with it. The first that fits.
def under_torchrun(words: list[str], folder: Path) -> Ended:
    """Several processes of the trainer: its flags exist."""
    settings = parse_settings(words[words.index(TRAINER) + 1 :], TRAINER)
    return Ended(0, settings.config.mode)


KINDS: dict[str, Callable[[list[str], Path], Ended]] = {
    "./quickstart.sh": set_up,
    "./run_tests.sh": set_up,
    "./run_all.sh": all_seven,
    "./train_": wrapper,
    f"python {TRAINER}": train_or_apply,
    "torchrun ": under_torchrun,
    "python model_analyzer.py": script,
    "python compare_models.py": one_report,
    "python analyze_per_class_strengths.py": one_report,
    "python analyze_ensemble_diversity.py": one_report,
    "python evaluate_super_ensemble.py": one_report,
    "python medical_validation.py": criteria,
    "python report.py": script,
    "python predict.py": reading,
    "python benchmarks/": shown_in_help,
    "python -m benchmarks.": shown_in_help,
    "python -m benchmarks": benchmarks,
    BEST: shown_in_help,  # of MEASURED, where they are parsed
    SEVEN: shown_in_help,
    "benchmarks/gpu.sh": on_a_gpu,
    "python prepare_dataset.py": prepare,
    "python -m dr_ovo": shown_in_help,
    "dr_ovo ": installed,
    "pip install ": install,
    ".venv-tests/bin/python -m ": developer,
    "source ": not_ours,
    "tail ": not_ours,
    "nvidia-smi": not_ours,
}


# What does not look at the dataset, the networks and the photographs.
NEEDS_NOTHING = (
    under_torchrun, set_up, shown_in_help, benchmarks, on_a_gpu, install, developer, not_ours,
)  # fmt: skip


def parses(words: list[str], folder: Path) -> Ended:
    """A command of MEASURED: its flags and its models exist."""
    if words[0] in (BEST, SEVEN):  # train for an hour
        script = ROOT / words[0]
        assert script.stat().st_mode & stat.S_IXUSR
        text = script.read_text()
        assert f"[ $# = {len(words) - 1} ]" in text
        assert words[0] == SEVEN or f"  {words[1]}) members=" in text
        return Ended(0, "")
    if words[0].startswith("./train_"):
        arguments = wrapper_arguments(shlex.join(words), folder)
    elif TRAINER in words:
        arguments = words[words.index(TRAINER) + 1 :]
    else:
        return shown_in_help(words, folder)
    for name in parse_settings(arguments).config.base_models:
        resolve_architecture(name)
    return Ended(0, "")


def kind_of(command: str) -> Callable[[list[str], Path], Ended] | None:
    return next((kind for start, kind in KINDS.items() if command.startswith(start)), None)


def works_elsewhere(document: str, command: str) -> bool:
    """Whether it looks at the dataset, networks or photographs, and README.md does not have it."""
    return document not in (README.name, *MEASURED) and kind_of(command) not in NEEDS_NOTHING


@pytest.mark.parametrize(
    ("document", "command"),
    [
        pytest.param(*row, marks=[pytest.mark.slow] * works_elsewhere(*row))
        for row in documented_commands()
    ],
)
def test_a_command_of_the_documents(
    document, command, request, tmp_path, reports_here, blank_figures
):
    kind = kind_of(command)
    assert kind, f"{document} has a command that no kind in this test fits: {command}"
    words = shlex.split(command)
    measured = document in MEASURED and kind is not not_ours
    folder = tmp_path
    if not (measured or kind in NEEDS_NOTHING):
        found = "full_workshop" if works_elsewhere(document, command) else "workshop"
        folder = Path(shutil.copytree(request.getfixturevalue(found), tmp_path / "workshop"))
    ended = (parses if measured else kind)(words, folder)
    assert ended.code == 0, ended.said


# But for those with --config, whose file a training writes.
ONLY_SLOW = [
    command
    for document, command in documented_commands()
    if works_elsewhere(document, command) and " --config " not in command
]


@pytest.mark.parametrize("command", ONLY_SLOW)
def test_a_command_that_only_the_slow_tests_run_parses(command, tmp_path):
    assert parses(shlex.split(command), tmp_path).code == 0


@pytest.mark.skipif(not README.is_file(), reason="README.md is absent")
def test_the_documents_have_commands_of_each_kind_that_matters():
    commands = [command for _, command in documented_commands()]
    for start in (*KINDS, f"python {TRAINER} --mode evaluate"):
        if KINDS.get(start) is not not_ours:
            assert any(command.startswith(start) for command in commands), start


# One way from photographs to a report, in the order in which README.md has it.
WAY = (
    "python prepare_dataset.py",
    "python -m dr_ovo doctor",
    "./train_coatnet.sh --dry_run",
    "./train_coatnet.sh",
    f"python {TRAINER} --mode evaluate",
    "python model_analyzer.py",
    "python report.py",
    "python predict.py",
    f"python {TRAINER} --mode inference",
)


@pytest.mark.skipif(not README.is_file(), reason="README.md is absent")
def test_the_readme_has_one_way_from_photographs_to_a_report():
    commands = iter(commands_in(README))
    for start in WAY:
        assert any(command.startswith(start) for command in commands), start
