"""Outputs that can't be written are found before anything is computed."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from dr_ovo import writable
from dr_ovo.commands import audit, simulate
from dr_ovo.commands.reports import (
    analyze,
    compare,
    diversity,
    ensemble,
    report,
    strengths,
    validate,
)
from dr_ovo.errors import MachineError, UserError, run
from dr_ovo.writable import check_writable_file, check_writable_folder

needs_proc = pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="this system has no /proc")
as_user = pytest.mark.skipif(os.geteuid() == 0, reason="root may write where permissions forbid it")


@pytest.fixture
def a_file(tmp_path) -> Path:
    (tmp_path / "file").write_text("x")
    return tmp_path / "file"


def test_what_can_be_written_leaves_no_trace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in (tmp_path, tmp_path / "a" / "b", Path("c/d"), Path()):
        check_writable_folder(folder, "--output")
        check_writable_file(folder / "x.csv", "--output")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("below", ["", "below", "below/deeper"])
def test_a_file_in_place_of_a_folder(below, a_file):
    with pytest.raises(UserError, match=r"--output .*file is a file; give the name of a folder"):
        check_writable_folder(a_file / below, "--output")


def test_a_folder_in_place_of_a_file(tmp_path):
    with pytest.raises(UserError, match=r"is a folder; give the name of a file, such as"):
        check_writable_file(tmp_path, "--output")


def test_a_link_to_nothing(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(UserError, match="link is a link to nothing"):
        check_writable_folder(tmp_path / "link" / "x", "--output")
    check_writable_file(tmp_path / "link", "--output")  # the link is replaced


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="this system has no /dev/null")
def test_a_device_is_not_replaced():
    with pytest.raises(UserError, match="/dev/null is a device or a pipe"):
        check_writable_file(Path("/dev/null"), "--output")


@pytest.mark.parametrize("name", ["x" * 300, "new/" + "x" * 300])
def test_a_name_too_long(name, tmp_path):
    with pytest.raises(UserError, match="File name too long"):
        check_writable_folder(tmp_path / name, "--output")
    check_writable_file(tmp_path / ("x" * 250), "--output")
    with pytest.raises(UserError, match="File name too long"):  # with .part, while it is written
        check_writable_file(tmp_path / ("x" * 252), "--output")


@needs_proc
def test_a_place_that_takes_no_files():
    with pytest.raises(UserError, match="--output /proc/x can't be written"):
        check_writable_folder(Path("/proc/x"), "--output")


@as_user
def test_a_folder_without_the_right_to_write(tmp_path):
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(UserError, match=r"Permission denied\. It is not yours to write"):
            check_writable_folder(tmp_path / "new", "--output")
    finally:
        tmp_path.chmod(0o755)


@pytest.mark.parametrize(
    ("number", "kind", "advice"),
    [
        (errno.EROFS, UserError, "The disk is read-only"),
        (errno.EACCES, UserError, "not yours to write"),
        (errno.EPERM, UserError, "not yours to write"),
        (errno.ENOSPC, MachineError, "free some space, then run the command again"),
        (errno.EDQUOT, MachineError, "free some space, then run the command again"),
    ],
)
def test_the_disk_s_answer_is_told(number, kind, advice, tmp_path, monkeypatch):
    def refuse(**_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(writable.tempfile, "TemporaryFile", refuse)
    with pytest.raises(kind, match=advice) as error:
        check_writable_folder(tmp_path, "--output")
    assert ("space" in str(error.value)) == (kind is MachineError)
    assert "--resume" not in str(error.value)


COMMANDS = {
    "compare": (compare, ["--results_dirs", "nowhere"]),
    "strengths": (strengths, ["--results_dirs", "nowhere"]),
    "diversity": (diversity, ["--results_dirs", "nowhere"]),
    "ensemble": (ensemble, ["--results_dirs", "nowhere"]),
    "validate": (validate, ["--results_dirs", "nowhere"]),
    "report": (report, ["--results_dirs", "nowhere"]),
    "analyze": (analyze, ["--model", "nowhere"]),
    "simulate": (simulate, []),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_refuses_before_it_reads_anything(name, a_file, capsys):
    module, words = COMMANDS[name]
    output = a_file / "output"
    assert run(lambda: module.main([*words, "--output", str(output)], name)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: --output ")
    assert "file is a file; give the name of a folder." in line


def test_the_audit_refuses_before_it_measures(draw_dataset, a_file, capsys, monkeypatch):
    dataset = draw_dataset(a_file.parent / "data", grades=2, images=1)

    def measured(*_: object, **__: object) -> None:
        raise AssertionError("the audit has begun")

    monkeypatch.setattr(audit, "audit", measured)
    words = [str(dataset), "--output", str(a_file / "x")]
    assert run(lambda: audit.main(words, "audit")) == 2
    assert "is a file; give the name of a folder" in capsys.readouterr().err
