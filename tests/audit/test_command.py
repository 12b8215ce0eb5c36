"""`python -m dr_ovo audit` on the command line: files, exit codes, messages."""

from __future__ import annotations

import json
import logging
import shutil
import sys
from html.parser import HTMLParser

import pytest

from dr_ovo.__main__ import main
from dr_ovo.audit.findings import KINDS
from dr_ovo.audit.measurement_cache import (
    DESCRIPTORS,
    FOLDER,
    MEASUREMENTS,
    MeasurementCache,
    cache_folder,
)
from dr_ovo.audit.measurements import STATISTICS, measure
from tests.fixtures import decoders


@pytest.fixture
def call(monkeypatch, tmp_path, capsys):
    def run(*words: object) -> tuple[int, str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["dr_ovo", "audit", *map(str, words)])
        code = main()
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


def test_a_leaky_set(fewer, call, tmp_path):
    source = min((fewer / "train" / "2").glob("*.jpg"))
    hostile = fewer / "test" / "2" / "<img src=x onerror=alert(1)>.jpg"
    shutil.copyfile(source, hostile)
    code, said = call(fewer, "--output", tmp_path / "out")
    assert code == 3
    assert "prepare_dataset.py --from_tree" in said
    report = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert (report["schema"], report["n"], report["leaks"]) == (1, 61, 1)
    first = report["findings"][0]
    assert (first["kind"], first["severity"], first["score"]) == ("exact_copy", "leak", 1.0)
    assert first["splits"] == ["test", "train"]
    assert first["grades"] == [2]
    assert {finding["kind"] for finding in report["findings"]} <= KINDS.keys()
    page = (tmp_path / "out" / "audit.html").read_text()
    tags: list[tuple[str, dict]] = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag, attributes):
            tags.append((tag, dict(attributes)))

    Tags().feed(page)
    images = [attributes["src"] for tag, attributes in tags if tag == "img"]
    assert len(images) > 8
    assert all(source.startswith("data:image/jpeg;base64,") for source in images)
    assert not {tag for tag, _ in tags} & {"script", "link", "iframe"}


def test_a_clean_set_and_the_default_output(fewer, call, tmp_path):
    code, said = call(fewer)
    assert code == 0
    assert "No leaks" in said
    assert (tmp_path / "set_audit" / "audit.html").is_file()


@pytest.mark.parametrize("given", ["absent", "file", "empty"])
def test_what_is_no_folder_of_pictures(given, call, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    code, said = call(tmp_path / given)
    assert code == 2
    assert given in said
    assert not list(tmp_path.glob("*_audit"))


def test_an_output_that_is_a_file(draw_dataset, call, tmp_path):
    folder = draw_dataset(tmp_path / "data")
    (tmp_path / "taken").touch()
    code, said = call(folder, "--output", tmp_path / "taken")
    assert code == 2
    assert "taken is a file" in said


def test_where_the_cache_stands(tmp_path):
    output = tmp_path / "out"
    assert cache_folder(tmp_path, output) == tmp_path / FOLDER
    tmp_path.chmod(0o555)
    try:
        assert cache_folder(tmp_path, output) == output / FOLDER
        assert cache_folder(tmp_path, None) is None
    finally:
        tmp_path.chmod(0o755)


def test_a_cache_of_another_user_is_read_where_there_is_something_to_read(tmp_path):
    output, own = tmp_path / "out", tmp_path / FOLDER
    own.mkdir()
    own.chmod(0o555)
    try:
        assert cache_folder(tmp_path, output) == output / FOLDER
        own.chmod(0o755)
        (own / DESCRIPTORS).touch()
        own.chmod(0o555)
        assert cache_folder(tmp_path, output) == own
    finally:
        own.chmod(0o755)


@pytest.mark.slow
def test_what_was_measured_is_not_measured_again(fewer, call, monkeypatch):
    _, first = call(fewer)
    assert {p.name for p in (fewer / FOLDER).iterdir()} == {DESCRIPTORS, MEASUREMENTS}

    def refuse(_data: bytes) -> None:
        pytest.fail("measured again")

    monkeypatch.setattr("dr_ovo.audit.measurements.MEASURES", dict.fromkeys(
        ("statistics", "quality"), refuse))  # fmt: skip
    _, again = call(fewer)
    assert again == first


@pytest.mark.slow
def test_a_file_that_crashes_the_decoder_is_a_finding(draw_dataset, call, tmp_path, in_processes):
    folder = draw_dataset(tmp_path / "set", 1)
    decoders.mark(folder / "test/0/test-0-1.jpeg")
    in_processes(decoders.crashing_opencv)
    code, _ = call(folder, "--output", tmp_path / "out")
    assert code == 0
    report = json.loads((tmp_path / "out" / "audit.json").read_text())
    (finding,) = [one for one in report["findings"] if one["kind"] == "unreadable"]
    assert finding["detail"] == "test/0/test-0-1.jpeg crashes the decoder"


@pytest.mark.slow
def test_a_file_that_crashes_only_when_it_is_measured_is_named(
    draw_dataset, tmp_path, in_processes, caplog, monkeypatch
):
    files = {path: path.name for path in draw_dataset(tmp_path / "set", 1).rglob("*.jpeg")}
    bad = decoders.mark(min(files))
    in_processes(decoders.crashing_opencv)
    with caplog.at_level(logging.WARNING, "dr_ovo"):
        assert measure(STATISTICS, files, None).keys() == files.keys() - {bad}
    assert f"1 files are left out of the statistics:\n  {bad}: crashes the decoder" in caplog.text


def test_a_damaged_cache_costs_only_time(tmp_path, caplog):
    (tmp_path / "cache.sqlite").write_bytes(b"no database" * 100)
    cache = MeasurementCache(tmp_path / "cache.sqlite", "1")
    assert cache.get("quality", ["a"]) == {}
    cache.close()
