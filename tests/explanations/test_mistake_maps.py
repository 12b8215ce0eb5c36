"""The report on shared mistakes shows maps, where they were made by the checkpoints evaluated."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from dr_ovo.commands.explain import main as explain
from dr_ovo.errors import UserError
from dr_ovo.reports.strengths.strengths import analyze_strengths
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.results.maps_file import read_strips
from dr_ovo.results.result_sets import open_results
from tests.fixtures.commands import not_drawn


@pytest.fixture(scope="module")
def explained(folder, tiny_dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with the maps of its test photographs."""
    root = tmp_path_factory.mktemp("explained") / folder.name
    shutil.copytree(folder, root)
    words = [str(root), "--input", str(tiny_dataset / "test"), "--device", "cpu"]
    with not_drawn():
        assert explain([*words, "--num_workers", "0"], "explain") == 0
    return root


def section(root: Path):
    report = analyze_strengths(open_results([root], [], intersect=False))
    (found,) = [one for one in report.sections if one.title == "Mistakes that all models share"]
    return report.data["shared_mistakes"]["samples"], found


def test_without_maps_the_report_says_how_to_make_them(folder, tiny_dataset):
    mistakes, found = section(folder)
    assert mistakes  # of a network that has hardly been trained
    assert [table.name for table in found.tables] == ["shared_mistakes"]
    expected = f"python -m dr_ovo explain {folder} --input {tiny_dataset / 'test'}"
    assert expected in found.paragraphs[-1]


def test_the_maps_of_mistakes_are_shown(explained):
    mistakes, found = section(explained)
    (table,) = [one for one in found.tables if one.name == "mistake_maps"]
    assert len(table.rows) == min(20, len(mistakes))
    for row, mistake in zip(table.rows, mistakes, strict=False):
        sample, target, _, grade, picture = row
        assert (sample, target) == (mistake["sample_id"], mistake["target"])
        assert grade == next(iter(mistake["predicted"].values()))
        assert picture.jpeg.startswith(b"\xff\xd8")
        assert picture.width > 2 * picture.height
        assert sample in picture.alt
    assert any("not where lesions are" in said for said in found.paragraphs)


def copied(explained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(explained, tmp_path / explained.name))


def lines(root: Path) -> list[dict]:
    return [json.loads(one) for one in (root / "maps/maps.jsonl").read_text().splitlines()]


def write_lines(root: Path, entries: list[dict]) -> None:
    text = "".join(json.dumps(one) + "\n" for one in entries)
    (root / "maps/maps.jsonl").write_text(text)


def name(entry: dict) -> str:
    return "/".join(Path(entry["file"]).parts[-2:])


def graded(root: Path) -> dict[str, int]:
    return {name(entry): entry["grade"] for entry in lines(root)}


def strips(root: Path, grades: dict[str, int]) -> set[str]:
    return set(read_strips(ResultsFolder(root), grades))


def test_maps_of_other_checkpoints_are_not_shown(explained, tmp_path):
    root = copied(explained, tmp_path)
    grades = graded(root)
    assert strips(root, grades) == set(grades)
    path = root / "maps/maps.json"
    content = json.loads(path.read_text())
    content["checkpoints"] = dict.fromkeys(content["checkpoints"], "0" * 64)
    path.write_text(json.dumps(content))
    assert strips(root, grades) == set()


def test_maps_of_other_photographs_and_grades_are_not_shown(explained, tmp_path):
    root = copied(explained, tmp_path)
    grades, entries = graded(root), lines(root)
    entries[0]["file"] = entries[0]["file"].replace("/test/", "/train/")
    write_lines(root, entries)
    others = {**grades, name(entries[1]): entries[1]["grade"] + 1}
    assert strips(root, others) == set(grades) - {name(entries[0]), name(entries[1])}


def test_a_strip_is_a_jpeg_in_the_folder_itself(explained, tmp_path):
    root = copied(explained, tmp_path)
    grades, entries = graded(root), lines(root)
    first, second, third = entries[:3]
    (root / "maps" / first["strip"]).write_bytes(b"<svg onload=alert(1)>")
    (root / "maps" / second["strip"]).write_bytes((root / "maps" / second["figure"]).read_bytes())
    (root / "maps" / third["strip"]).unlink()
    assert strips(root, grades) == {name(entry) for entry in entries[3:]}
    entries[3]["strip"] = "../config.json"
    write_lines(root, entries)
    with pytest.raises(UserError, match=r"maps\.jsonl is damaged in line 4"):
        strips(root, grades)


def test_a_line_that_was_not_finished_is_left_out(explained, tmp_path):
    root = copied(explained, tmp_path)
    grades, entries = graded(root), lines(root)
    path = root / "maps/maps.jsonl"
    path.write_text(path.read_text()[:-40])
    assert strips(root, grades) == {name(entry) for entry in entries[:-1]}
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(UserError, match="Make the maps again"):
        strips(root, grades)
