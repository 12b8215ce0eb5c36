"""A file is always either the complete old one or the complete new one."""

import json
from pathlib import Path

import pytest

from dr_ovo.errors import MachineError
from dr_ovo.files import atomic_path, atomic_write_bytes, atomic_write_text, write_json


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_new_content_replaces_the_old_and_leaves_nothing_beside(tmp_path):
    atomic_write_text(tmp_path / "a.txt", "old")
    atomic_write_text(tmp_path / "a.txt", "new \u00e9")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "new \u00e9"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_end_in_the_middle_keeps_the_old_file(tmp_path, error):
    target = tmp_path / "a.pth"
    target.write_bytes(b"old")
    with pytest.raises(error), atomic_path(target) as part:  # noqa: PT012
        part.write_bytes(b"half of the n")
        assert list(tmp_path.glob("*.pth")) == [target]  # the unfinished file is not found
        raise error
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["a.pth"]


def test_content_reaches_the_disk_before_the_name_and_the_name_before_the_end(
    tmp_path, monkeypatch
):
    seen = []

    def recorded(descriptor):
        flushed = Path(f"/proc/self/fd/{descriptor}").resolve()
        seen.append((flushed.name, (tmp_path / "a.bin").exists()))

    monkeypatch.setattr("dr_ovo.files.os.fsync", recorded)
    atomic_write_bytes(tmp_path / "a.bin", b"new")
    assert seen == [("a.bin.part", False), (tmp_path.name, True)]


def test_a_part_left_by_a_killed_process_is_overwritten(tmp_path):
    (tmp_path / "a.bin.part").write_bytes(b"left behind")
    atomic_write_bytes(tmp_path / "a.bin", b"new")
    assert names(tmp_path) == ["a.bin"]


def test_a_disk_that_refuses_is_the_machines_failure_and_named(tmp_path):
    with pytest.raises(MachineError, match=r"gone/a\.json"):
        write_json(tmp_path / "gone" / "a.json", {})


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_keeps_the_old_file(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    (tmp_path / "a.txt.part").symlink_to("/dev/full")
    with pytest.raises(MachineError, match="No space left"):
        atomic_write_text(target, "new")
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_json_is_readable_and_has_no_nan(tmp_path):
    target = tmp_path / "a.json"
    write_json(target, {"name": "\u00e9", "value": 0.1})
    assert json.loads(target.read_text(encoding="utf-8")) == {"name": "\u00e9", "value": 0.1}
    with pytest.raises(ValueError, match="JSON"):
        write_json(target, {"value": float("nan")})
    assert json.loads(target.read_text(encoding="utf-8"))["value"] == 0.1
