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


@pytest.fixture(scope="module")
def explained(folder, tiny_dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with the maps of its test photographs."""
    root = tmp_path_factory.mktemp("explained") / folder.name
    shutil.copytree(folder, root)
    words = [str(root), "--input", str(tiny_dataset / "test"), "--device", "cpu"]
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


def samples(root: Path) -> list[str]:
    entries = json.loads((root / "maps/maps.json").read_text())["photographs"]
    return ["/".join(Path(entry["file"]).parts[-2:]) for entry in entries]


def test_maps_of_other_checkpoints_are_not_shown(explained, tmp_path):
    root = copied(explained, tmp_path)
    assert len(read_strips(ResultsFolder(root), samples(root))) == len(samples(root))
    path = root / "maps/maps.json"
    content = json.loads(path.read_text())
    content["checkpoints"] = dict.fromkeys(content["checkpoints"], "0" * 64)
    path.write_text(json.dumps(content))
    assert read_strips(ResultsFolder(root), samples(root)) == {}


def test_a_strip_is_a_jpeg_in_the_folder_itself(explained, tmp_path):
    root = copied(explained, tmp_path)
    path = root / "maps/maps.json"
    content = json.loads(path.read_text())
    first, second, third = content["photographs"][:3]
    (root / "maps" / first["strip"]).write_bytes(b"<svg onload=alert(1)>")
    (root / "maps" / second["strip"]).write_bytes((root / "maps" / second["figure"]).read_bytes())
    (root / "maps" / third["strip"]).unlink()
    names = samples(root)
    assert set(read_strips(ResultsFolder(root), names)) == set(names[3:])
    content["photographs"][3]["strip"] = "../config.json"
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"maps\.json is damaged: its photographs\[3\]\.strip"):
        read_strips(ResultsFolder(root), names)
