"""`dr_ovo cache`: lists stores, and deletes nothing else."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from dr_ovo.commands import cache as command
from dr_ovo.decoded.build import build
from dr_ovo.decoded.build_lock import build_lock
from dr_ovo.decoded.places import store_folder
from dr_ovo.decoded.stored import stored
from dr_ovo.errors import run
from dr_ovo.photographs.preprocessing import Preprocessing
from tests.decoded.conftest import PREPROCESSING

pytestmark = pytest.mark.usefixtures("in_this_process")


def ended(*words: object) -> int:
    return run(lambda: command.main([str(word) for word in words], "cache"))


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_it_lists(built, cache, capsys):
    build(built[1], Preprocessing(40, clahe=False, ben_graham=True), cache)
    before = everything(cache)
    assert ended(cache) == ended(cache, "--list") == 0
    first, second, *_ = capsys.readouterr().out.splitlines()[2:]
    assert first.startswith("40px-")
    assert "disc_crop, ben_graham" in first
    assert "disc_crop, clahe 3.0" in second
    assert second.split()[-3] == "5"
    assert everything(cache) == before


def test_it_takes_a_dataset_for_the_cache_beside_it(built, cache, tmp_path, capsys):
    cache.rename(tmp_path / "set.decoded")
    (tmp_path / "set").mkdir()
    assert ended(tmp_path / "set", "--clear") == 0
    assert "Deleted from" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_it_leaves_what_is_not_its_own(cache, store, capsys):
    theirs = [cache / "notes.txt", store / "notes.txt", cache / "more" / "rows.bin"]
    theirs[2].parent.mkdir()
    for path in theirs:
        path.write_text("theirs")
    assert ended(cache, "--clear") == 0
    assert everything(cache) == {str(path): b"theirs" for path in theirs}
    assert "where other files are left" in capsys.readouterr().out


def test_it_follows_no_links(cache, store, tmp_path):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "rows.bin").write_text("theirs")
    (cache / store.name.replace("32px", "33px")).symlink_to(theirs)
    (store / "rows.bin").unlink()
    (store / "rows.bin").symlink_to(theirs / "rows.bin")
    assert ended(cache, "--clear") == 0
    assert everything(theirs) == {str(theirs / "rows.bin"): b"theirs"}
    assert not store.exists()


@pytest.mark.parametrize("action", ["--list", "--clear"])
@pytest.mark.parametrize("kind", ["absent", "file", "empty", "photographs", "unmarked", "pipe"])
def test_it_refuses_other_folders(cache, store, tmp_path, built, kind, action, capsys):
    folder = tmp_path / "folder"
    if kind == "file":
        folder.write_text("")
    elif kind == "empty":
        folder.mkdir()
    elif kind == "photographs":
        folder = built[0].parent / "photographs"
    elif kind != "absent":
        folder = cache
        (store / "about.json").unlink()
        if kind == "pipe":
            os.mkfifo(store / "about.json")
    before = everything(tmp_path)
    assert ended(folder, action) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {folder} ")
    assert everything(tmp_path) == before


@pytest.mark.parametrize(
    "content",
    [b"", b"[" * 70000, b"[1]", b"null", b"\xff", json.dumps({"about": "other"}).encode()],
)
def test_an_about_that_is_none(cache, store, content):
    (store / "about.json").write_bytes(content)
    assert stored(cache) == []


def test_odd_values_in_an_about(cache, store, capsys):
    about = json.loads((store / "about.json").read_text())
    odd = about | {"preprocessing": {"version": 9}, "photographs": "\x1b[2J"}
    (store / "about.json").write_text(json.dumps(odd))
    assert ended(cache) == 0
    assert "\x1b" not in capsys.readouterr().out
    (store / "about.json").write_text(json.dumps(about | {"preprocessing": [1]}))
    assert ended(cache) == 0


def test_it_deletes_nothing_that_is_being_filled(built, cache, capsys):
    build(built[1], Preprocessing(40), cache)
    before = everything(cache)
    with build_lock(store_folder(cache, PREPROCESSING)):
        assert ended(cache, "--clear") == 2
    assert "decodes photographs into it, since" in capsys.readouterr().err
    assert everything(cache) == before


def test_it_deletes_nothing_where_a_store_is_read_only(cache, store, capsys):
    before = everything(cache)
    store.chmod(0o555)
    try:
        assert ended(cache, "--clear") == 2
    finally:
        store.chmod(0o755)
    assert "is read-only: nothing was deleted" in capsys.readouterr().err
    assert everything(cache) == before


def test_it_takes_no_empty_name_for_the_current_folder(cache, monkeypatch, capsys):
    monkeypatch.chdir(cache)
    with pytest.raises(SystemExit):
        command.main(["", "--clear"], "cache")
    assert "expected a folder" in capsys.readouterr().err
    assert any(cache.iterdir())


def test_it_leaves_what_another_user_keeps(cache, store):
    theirs = store.with_name(re.sub(r"-u\d+$", "-u987654", store.name))
    shutil.copytree(store, theirs)
    assert ended(cache, "--clear") == 0
    assert theirs.is_dir()
    assert not store.exists()
