"""The key of this user, and what is signed with it."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dr_ovo.caches.signing import KEY_BYTES, key_file, signing_key
from dr_ovo.caches.signing import is_signed as is_signed_with
from dr_ovo.caches.signing import signature as signature_with

FIELDS = st.lists(st.one_of(st.text(st.characters(codec="utf-8")), st.integers(), st.binary()))


def signature(fields: list) -> bytes:
    return signature_with(signing_key(), fields)


def is_signed(fields: list, found: object) -> bool:
    return is_signed_with(signing_key(), fields, found)


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """The user's cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_the_key_is_made_once_and_is_the_users_alone(home):
    found = signature(["a"])
    file = key_file()
    assert file == home / "dr_ovo" / "cache.key"
    assert file.stat().st_size == KEY_BYTES
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(file.parent.iterdir()) == [file]
    assert signature(["a"]) == found


def test_another_process_has_the_same_key(home):
    code = "from dr_ovo.caches.signing import signing_key; print(signing_key().hex())"
    several = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(4)  # at once, so that all find no key
    ]
    said = {process.communicate()[0].strip() for process in several}
    assert said == {signing_key().hex()}


def test_another_user_has_another_key(home, tmp_path, monkeypatch):
    found = signature(["a"])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    assert not is_signed(["a"], found)


@pytest.mark.parametrize("relative", ["", "relative"])
def test_without_a_cache_folder_the_key_is_in_the_home_folder(relative, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", relative)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert key_file() == tmp_path / ".cache" / "dr_ovo" / "cache.key"


@pytest.mark.parametrize("state", ["readable by others", "short", "empty"])
def test_a_key_that_is_none_is_replaced(home, state):
    file = home / "dr_ovo" / "cache.key"
    file.parent.mkdir(parents=True)
    content = {"short": b"short", "empty": b""}.get(state, bytes(KEY_BYTES))
    file.write_bytes(content)
    file.chmod(0o644 if state == "readable by others" else 0o600)
    signature(["a"])
    assert len(file.read_bytes()) == KEY_BYTES
    assert file.read_bytes() != content
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("place", ["read-only", "a file", "a link"])
def test_a_key_that_cannot_be_kept_serves_this_process_and_is_said_once(home, place, caplog):
    file = home / "dr_ovo" / "cache.key"
    if place == "a file":
        home.write_text("")
    elif place == "a link":
        file.parent.mkdir(parents=True)
        file.symlink_to(home / "elsewhere")
    else:
        home.mkdir()
        (home / "dr_ovo").write_text("")
    with caplog.at_level(logging.WARNING, "dr_ovo"):
        found = signature(["a"])
        assert is_signed(["a"], found)
    assert caplog.text.count("can't be kept") == 1
    assert not (home / "elsewhere").exists()


@given(FIELDS, FIELDS)
def test_rows_that_differ_have_different_signatures(first, second):
    typed = [[(type(field), field) for field in fields] for fields in (first, second)]
    assert (signature(first) == signature(second)) == (typed[0] == typed[1])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (["a", "b"], ["ab"]),
        (["a", "b"], ["a', 'b"]),
        ([b"a", b"b"], [b"ab", b""]),
        ([b"a", "b"], ["a", b"b"]),
        ([1], ["1"]),
        ([b""], ["[0]"]),
        (["a\0", b"b"], ["a", b"\0b"]),
    ],
)
def test_rows_that_are_alike_have_different_signatures(first, second):
    assert signature(first) != signature(second)


def test_what_is_no_row_of_ours_is_not_signed():
    assert not is_signed(["a", None], signature(["a"]))
    assert not is_signed(["a", 1.0], signature(["a", 1]))
    assert not is_signed(["a"], None)
    assert not is_signed(["a"], signature(["a"]).hex())
