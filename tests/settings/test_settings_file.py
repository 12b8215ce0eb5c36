"""Settings files as editors of Windows write them: with a byte order mark."""

from __future__ import annotations

import codecs

import pytest

from dr_ovo.errors import UserError
from dr_ovo.settings.settings_file import read_settings_file


@pytest.mark.parametrize(
    ("name", "text"), [("own.toml", "epochs = 7\r\n"), ("own.json", '{"epochs": 7}\r\n')]
)
@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
def test_a_byte_order_mark(tmp_path, name, text, mark):
    (tmp_path / name).write_bytes(mark + text.encode())
    assert read_settings_file(str(tmp_path / name)) == (name, {"epochs": 7})


@pytest.mark.parametrize("name", ["own.toml", "own.json"])
def test_another_encoding_is_one_message(tmp_path, name):
    (tmp_path / name).write_text("epochs = 7", encoding="utf-16")
    with pytest.raises(UserError, match="not valid "):
        read_settings_file(str(tmp_path / name))
