"""benchmarks/gpu.sh without its measurements: their order, their time, the file that is gone on
with, and what the machine lacks."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import gpu
from benchmarks.on_gpu import packages
from benchmarks.on_gpu.packages import install_missing
from benchmarks.on_gpu.plan import Measurement, plan
from benchmarks.on_gpu.record import Record, open_record
from benchmarks.on_gpu.rows import rate, row
from benchmarks.on_gpu.running import Outcome
from benchmarks.on_gpu.session import measure_all
from benchmarks.timing import Spread
from dr_ovo.errors import UserError

HEAD = {
    "device": "cuda", "card": "H", "cards": 1, "code": "c", "quick": False,
    "versions": {"torch": "2.13"},
}  # fmt: skip
PLAN = [Measurement(name, "module", name, 20.0, cards) for name, cards in (("a", 0), ("b", 1))]
PLAN += [Measurement("long", "module", "long", 70.0), Measurement("c", "module", "c", 20.0)]


class Machine:
    """Stands in for processes: a clock, and measurements that take `seconds` each."""

    def __init__(self, **seconds: float) -> None:
        self.seconds, self.now, self.began = seconds, 0.0, list[str]()
        self.limits = dict[str, float]()

    def run(self, measurement: Measurement, limit: float) -> Outcome:
        name, takes = measurement.name, self.seconds.get(measurement.name, 10.0)
        self.began.append(name)
        self.limits[name] = limit
        self.now += min(takes, limit)
        if takes > limit:
            return Outcome("out of time", "killed", [], limit)
        return Outcome("done", "", [row(name, 1.0, "s", goal=0.5)], takes)

    def measure(self, record: Record, deadline: float) -> None:
        measure_all(PLAN, record, self.run, deadline, lambda: self.now)


@pytest.fixture
def record(tmp_path) -> Record:
    return Record(tmp_path / "gpu.json", dict(HEAD))


def statuses(record: Record) -> dict[str, str]:
    content = json.loads(record.file.read_text())
    return {name: found["status"] for name, found in content["measured"].items()}


def test_the_most_telling_come_first():
    names = [one.name for one in plan(quick=False)]
    begin = [
        "throughput_resnet50", "throughput_convnext", "waiting_shared", "waiting_independent",
        "full_memory_resnet50", "memory_resnet50",
    ]  # fmt: skip
    assert names[:6] == begin
    order = ("memory_coatnet", "windows_convnext", "shared_head_resnet50", "killed_densenet121",
             "throughput_swinv2", "residence_resnet50", "compiling_resnet50",
             "two_cards_shared")  # fmt: skip
    assert [name for name in names if name in order] == list(order)
    for module in ("throughput", "memory"):
        assert sum(name.startswith(module) for name in names) == 7
    assert len(set(names)) == len(names)
    assert {one.name for one in plan(quick=True)} < set(names)


def test_what_does_not_fit_is_left_out_and_shorter_ones_go_on(record):
    machine = Machine()
    machine.measure(record, deadline=60)
    assert machine.began == ["a", "b", "c"]
    assert statuses(record) == {"a": "done", "b": "done", "long": "left out", "c": "done"}
    assert "40 s were left, and it takes 70" in record.markdown()


def test_a_limit_is_three_times_the_estimate_or_what_is_left(record):
    machine = Machine(a=100)
    machine.measure(record, deadline=85)
    assert machine.limits == {"a": 60, "b": 25}
    assert statuses(record)["a"] == "out of time"


def test_going_on_begins_with_what_was_never_tried_then_gives_all_the_time(record):
    Machine(a=100).measure(record, deadline=85)
    again, said = open_record(record.file, dict(HEAD))
    assert said == f"going on with {record.file}"
    machine = Machine(a=100)
    machine.measure(again, deadline=520)
    assert machine.began == ["long", "c", "a"]
    assert machine.limits["a"] == 500
    assert set(statuses(again).values()) == {"done"}
    last, _ = open_record(record.file, dict(HEAD))
    assert last.to_do(PLAN) == []


@pytest.mark.parametrize(
    ("other", "named"),
    [({"card": "V"}, "card"), ({"code": "d"}, "code"), ({"versions": {"torch": "2.14"}}, "torch")],
)
def test_another_card_torch_or_code_gets_a_file_beside(other, named, record):
    Machine().measure(record, deadline=60)
    before = record.file.read_bytes()
    new, said = open_record(record.file, HEAD | other)
    beside = record.file.with_name("gpu_2.json")
    assert (new.file, new.measured) == (beside, {})
    assert said == f"{record.file} is of another {named}: writing {beside}"
    new.write()
    assert open_record(record.file, HEAD | other)[0].file == beside  # and is gone on with
    assert record.file.read_bytes() == before


def test_a_file_of_something_else_is_refused(tmp_path):
    (tmp_path / "gpu.json").write_text("[]")
    with pytest.raises(UserError, match="not a file that this command wrote"):
        open_record(tmp_path / "gpu.json", dict(HEAD))


def test_what_a_machine_lacks_is_skipped_with_the_reason(tmp_path):
    machine = Machine()
    record = Record(tmp_path / "gpu.json", HEAD | {"device": "cpu", "cards": 0})
    machine.measure(record, deadline=60)
    assert "b" not in machine.began
    assert record.measured["b"]["reason"] == "it needs a GPU, and this run is on the CPU"
    two = Measurement("two", "module", "", 20.0, 2)
    assert two.why_not(HEAD) == "it needs two GPUs, and torch sees 1"
    assert two.why_not(HEAD | {"cards": 2}) == ""


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (Outcome("done", "", [row("x", 1.0, "s", goal=0.5)]), 0),
        (Outcome("done", "", [row("x", 0.4, "s", goal=0.5)]), 1),
        (Outcome("done", "", [row("x", None, "s", goal=0.5, at_least=False)]), 1),
        (Outcome("done", "", [row("x", True, "yes or no", goal=True)]), 0),
        (Outcome("done", "", [row("x", False, "yes or no", goal=True)]), 1),
        (Outcome("out of time", "killed"), 0),
        (Outcome("failed", "a bug"), 1),
    ],
)
def test_the_exit_code(outcome, code, record):
    record.add(PLAN[0], outcome)
    assert record.exit_code == code


def test_a_tiny_network_is_not_judged(record):
    record.head["quick"] = True
    record.add(PLAN[0], Outcome("done", "", [row("x", 0.1, "s", goal=0.5)]))
    assert record.exit_code == 0
    record.add(PLAN[1], Outcome("done", "", [row("y", False, "yes or no", goal=True)]))
    assert record.exit_code == 1


def test_a_row_and_its_line_in_the_table(record):
    seconds = Spread(2.0, 1.0, 4.0)
    beside = {"timm": 819, "peak": 1.234}
    record.add(PLAN[0], Outcome("done", "", [
        row("fast", rate(100, seconds), "images/s", goal=60, beside=beside, note="a|b"),
    ]))  # fmt: skip
    (stored,) = json.loads(record.file.read_text())["rows"]
    assert (stored["value"], stored["low"], stored["high"]) == (50, 25, 100)
    assert (stored["goal"], stored["met"], stored["measurement"]) == (60, False, "a")
    line = "| `fast` | 50 (25 - 100) | images/s | >= 60 | no | timm: 819; peak: 1.23; a/b |"
    assert line in record.markdown().splitlines()


@pytest.fixture
def wheel(tmp_path) -> Callable[[str, str], Path]:
    """Makes a wheel of a package with one module, `<name>.py`; the folder with wheels."""
    import zipfile

    folder = tmp_path / "wheels"
    folder.mkdir()

    def make(name: str, version: str) -> Path:
        about = f"{name}-{version}.dist-info"
        with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as file:
            file.writestr(f"{name}.py", "")
            file.writestr(
                f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
            )
            file.writestr(
                f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            file.writestr(f"{about}/RECORD", "")
        return folder

    return make


def test_packages_that_are_there_need_no_wheels(tmp_path):
    wanted = ["numpy>=1", "tqdm>=4.66,<4.67", "tomli; python_version < '3'", "torch>=99"]
    assert install_missing(wanted, None, tmp_path / "packages") == []
    assert not (tmp_path / "packages").exists()


@pytest.mark.parametrize("wanted", ["dr_no_such_package>=1", "tqdm>=99"])
def test_missing_packages_are_named(wanted, tmp_path):
    with pytest.raises(UserError, match=f"lacks {wanted}. Install them, or give --wheels"):
        install_missing([wanted, "numpy"], None, tmp_path)
    with pytest.raises(UserError, match="there is no such folder"):
        install_missing([wanted], tmp_path / "nowhere", tmp_path)


def test_wheels_are_unpacked_into_a_folder_of_their_own(wheel, tmp_path):
    folder, target = wheel("dr_small", "1.2"), tmp_path / "packages"
    assert install_missing(["dr_small>=1"], folder, target) == ["dr_small>=1"]
    assert (target / "dr_small.py").is_file()
    with pytest.raises(UserError, match=r"lacks dr_small>=2, and --wheels .* has no wheel"):
        install_missing(["dr_small>=2"], folder, target)


def test_the_command_ends_where_packages_are_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "declared_requirements", lambda: ["dr_no_such_package>=1"])
    with pytest.raises(UserError, match="dr_no_such_package") as error:
        gpu.main(["--json", str(tmp_path / "gpu.json")])
    assert error.value.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_time_is_refused(tmp_path):
    with pytest.raises(UserError, match="--seconds 0"):
        gpu.main(["--seconds", "0", "--json", str(tmp_path / "gpu.json")])


def test_pip_is_asked_for_nothing_but_the_folder():
    assert {"--no-index", "--no-deps", "--isolated"} <= set(packages.PIP)
    assert sys.executable not in packages.PIP
