"""Walking a folder: links are followed without cycles, and unreadable folders are errors."""

from __future__ import annotations

import os

import pytest

from dr_ovo.dataset.folder_walk import files_below
from dr_ovo.errors import UserError


@pytest.fixture
def folder(tmp_path):
    for name in ("set/test/b.jpg", "elsewhere/a.jpg", "set/.hidden/c.jpg", "set/Thumbs.db"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path / "set"


def names(folder) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in files_below(folder))


def test_linked_folders_are_entered_wherever_they_are_linked(folder, tmp_path):
    for link in ("train", "val"):
        (folder / link).symlink_to(tmp_path / "elsewhere")
    assert names(folder) == ["test/b.jpg", "train/a.jpg", "val/a.jpg"]


def test_links_that_go_round_end(folder, tmp_path):
    (folder / "self").symlink_to(folder)
    (folder / "above").symlink_to(tmp_path)
    (folder / "test" / "there").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(folder / "test")
    assert names(folder) == ["test/b.jpg", "test/there/a.jpg"]


def test_a_relative_and_a_linked_root(folder, tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(folder)
    assert names(tmp_path / "link") == ["test/b.jpg"]
    monkeypatch.chdir(folder)
    assert names("." / folder.relative_to(folder)) == ["test/b.jpg"]
    assert files_below(folder / "absent") == []


def test_a_picture_whose_link_is_broken_is_among_them(folder):
    (folder / "gone.jpg").symlink_to("nowhere.jpg")
    assert names(folder) == ["gone.jpg", "test/b.jpg"]


def test_a_folder_that_cannot_be_listed(folder, monkeypatch):
    scan = os.scandir

    def refuse(place):
        if str(place).endswith("test"):
            raise PermissionError(13, "Permission denied", str(place))
        return scan(place)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UserError, match=r"set/test can't be listed \(Permission denied\)"):
        files_below(folder)


def test_a_name_that_is_no_text(folder):
    try:
        (folder / os.fsdecode(b"\xe9.jpg")).touch()
    except OSError:
        pytest.skip("this file system accepts only UTF-8 names")
    with pytest.raises(UserError, match=r"set/\\xe9\.jpg: the name is not valid UTF-8"):
        files_below(folder)
