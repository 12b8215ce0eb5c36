"""Settings files as editors of Windows write them: with a byte order mark."""

from __future__ import annotations

import codecs
import json

import pytest

from dr_ovo.errors import UserError
from dr_ovo.settings.command_line import parse_settings
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


def test_how_a_network_is_decoded_is_for_its_training_alone(tmp_path):
    """Evaluation takes it from the config.json of each network that it evaluates."""
    settings = {"decoder": "vote", "prior_correction": True, "head": "softmax"}
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"schema": 1, "settings": settings}))
    trained = parse_settings(["--config", str(path)])
    assert (trained.config.decoder, trained.config.prior_correction) == ("vote", True)
    for mode in ("evaluate", "inference"):
        found = parse_settings(["--mode", mode, "--config", str(path)])
        assert found.given().keys() == {"mode", "head"}
    (tmp_path / "own.toml").write_text('mode = "evaluate"\ndecoder = "vote"\n')
    assert parse_settings(["--config", str(tmp_path / "own.toml")]).config.decoder == "vote"
