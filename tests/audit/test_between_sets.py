"""`audit DIR --against OTHER` and `prepare_dataset.py --exclude OTHER`: what two sets share."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from dr_ovo.__main__ import main
from dr_ovo.audit.between_sets import with_shared
from dr_ovo.audit.findings import LEAK, AuditReport, Finding, Photograph
from dr_ovo.audit.text_report import report_text
from dr_ovo.copies.between_sets import shared_pictures
from dr_ovo.copies.descriptor_cache import describe_files
from dr_ovo.dataset.image_files import image_files
from dr_ovo.dataset.manifest import read_manifest
from dr_ovo.errors import UserError
from dr_ovo.prepare.command_line import parse_options
from dr_ovo.prepare.pipeline import prepare
from tests.conftest import real_data

ALTERED = ("clahe", "half", "flip", "brighter")


@pytest.fixture
def call(monkeypatch, tmp_path, capsys):
    def run(*words: object) -> tuple[int, str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["dr_ovo", *map(str, words)])
        code = main()
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


@pytest.fixture
def here(real_set) -> Path:
    """Twenty photographs, in folders of grades: those of val."""
    return real_set / "val"


@pytest.fixture
def there(real_set) -> Path:
    """Others: those of test, twenty-five."""
    return real_set / "test"


@pytest.fixture
def shared(here, there, altered) -> dict[str, str]:
    """Name in `here` -> name in `there` of pictures that were copied there, each in another way."""
    sources = sorted(here.glob("*/*.jpg"))
    shutil.copyfile(sources[0], there / "copied.jpg")
    found = {sources[0].name: "copied.jpg"}
    for source, name in zip(sources[1:], ALTERED, strict=False):
        found[source.name] = altered(source, there / f"{name}.jpg", name).name
    return found


def test_what_two_folders_share_is_a_leak(here, there, shared, call, tmp_path):
    code, said = call("audit", here, "--against", there, "--output", tmp_path / "out")
    assert code == 3
    assert "LEAKY between the two sets" in said
    assert f"--from_tree {here} --exclude {there} --output {here}_clean" in said
    assert f"compared with 30 pictures of {there}: 5 of 20 here are" in " ".join(said.split())
    report = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert report["against"] == str(there)
    found = [finding for finding in report["findings"] if finding["kind"] == "in_other_set"]
    assert report["leaks"] == len(found) == 5
    files = [finding["files"] for finding in found]
    assert {Path(mine).name: theirs for mine, theirs in files} == {
        mine: str(there / theirs) for mine, theirs in shared.items()
    }
    assert "in_other_set" in (tmp_path / "out" / "audit.html").read_text()


@pytest.mark.slow
def test_sets_that_share_nothing(here, there, call):
    code, said = call("audit", here, "--against", there)
    assert code == 0
    assert "0 of 20 here are there as well" in " ".join(said.split())


def test_without_another_set_nothing_is_said_of_one(here, call, tmp_path):
    call("audit", here, "--output", tmp_path / "out")
    assert "against" not in json.loads((tmp_path / "out" / "audit.json").read_text())


@pytest.mark.parametrize("other", [".", "test", ".."])
def test_a_set_is_not_compared_with_itself(other, real_set, call, tmp_path):
    code, said = call("audit", real_set, "--against", real_set / other)
    assert code == 2
    assert "one folder is inside the other" in said
    assert not (tmp_path / "set_audit").exists()


def test_another_set_that_is_not_there(here, call, tmp_path):
    code, said = call("audit", here, "--against", tmp_path / "nowhere")
    assert code == 2
    assert "nowhere is not there" in said


def test_copies_of_copies_are_shared(draw_dataset, tmp_path):
    folder = draw_dataset(tmp_path / "data", images=2)
    paths = sorted((folder / "train").rglob("*.jpeg"))
    shutil.copyfile(paths[0], paths[3])
    other = tmp_path / "other.jpeg"
    shutil.copyfile(paths[0], other)
    (found,) = shared_pictures(paths, [other], describe_files([*paths, other], None))
    assert (found.ours, found.theirs, found.how) == ((0, 3), (0,), "the same content")


def test_grades_that_differ_and_damaged_pictures_are_said(draw_dataset, tmp_path):
    folder = draw_dataset(tmp_path / "data")
    first = min((folder / "train" / "2").iterdir())
    twin, damaged = tmp_path / "twin.jpeg", tmp_path / "damaged.jpeg"
    shutil.copyfile(first, twin)
    damaged.write_bytes(b"")
    report = with_shared(
        AuditReport(folder, 1, ()),
        [Photograph(first, "2/a.jpeg", "train", "2")],
        None,
        Path("B"),
        [Photograph(twin, "3/b.jpeg", "test", "3"), Photograph(damaged, "c.jpeg", "", "")],
        None,
    )
    (finding,) = report.findings
    assert finding.detail == "the same content; grade 2 here, 3 there"
    assert finding.splits == ["train"]
    assert [photograph.file for photograph in finding.photographs] == ["2/a.jpeg", "B/3/b.jpeg"]
    assert "1 pictures of B can't be read and were not compared" in report.notes
    assert any("1 pictures of B have a side below" in note for note in report.notes)


def test_a_leak_inside_the_set_is_said_as_ever(tmp_path):
    picture = Photograph(tmp_path / "a", "a", "train", "0")
    findings = [Finding(kind, LEAK, (picture,)) for kind in ("in_other_set", "exact_copy")]
    report = AuditReport(tmp_path / "A", 1, tuple(findings), against=tmp_path / "B")
    assert "LEAKY: scores on this dataset would be too good" in report_text(report)


SCORES = {  # detail and score -> what stands on the screen
    ("the same content", 1.0): "(the same content, score 1.00)",
    ("half the size", 0.961): "(half the size, score 0.96)",
    ("3 of 9 pictures; lowest quality 0.07", 0.0712): "(3 of 9 pictures; lowest quality 0.07)",
    ("area under the ROC curve 0.820; a filtered grade 0.95 or more", 0.82): (
        "(area under the ROC curve 0.820; a filtered grade 0.95 or more)"
    ),
    ("next to nothing", None): "(next to nothing)",
}


@pytest.mark.parametrize(("found", "shown"), SCORES.items())
def test_a_score_is_named_and_said_once(found, shown, tmp_path):
    detail, score = found
    picture = Photograph(tmp_path / "a", "a", "train", "0")
    finding = Finding("near_duplicate", LEAK, (picture,), score, detail)
    said = " ".join(report_text(AuditReport(tmp_path, 1, (finding,))).split())
    assert f"leak: near_duplicate: a {shown}" in said


@pytest.mark.slow
def test_idrids_train_and_test_share_one_photograph():
    folder = real_data("idrid")
    ours, theirs = image_files(folder / "train"), image_files(folder / "test")
    (found,) = shared_pictures(ours, theirs, describe_files([*ours, *theirs], None))
    assert [ours[position].stem for position in found.ours] == ["IDRiD_train_118"]
    assert [theirs[position].stem for position in found.theirs] == ["IDRiD_test_064"]


def test_prepare_leaves_out_what_other_sets_have(real_set, shared, there, tmp_path, capsys):
    """`there` has pictures of val; the official splits of the source are kept."""
    elsewhere = there.rename(tmp_path / "elsewhere")
    source = tmp_path / "source"
    real_set.rename(source)
    words = ["--from_tree", str(source), "--exclude", str(elsewhere), "--output"]
    assert prepare(parse_options([*words, str(tmp_path / "clean")])) == 0
    said = capsys.readouterr().out
    expected = f"Photographs that {elsewhere} has as well: 5. They are left out."
    assert expected in " ".join(said.split())
    manifest = read_manifest(tmp_path / "clean" / "manifest.json")
    assert manifest is not None
    dropped = [entry for entry in manifest["dropped"] if entry["kind"] == "in_excluded_set"]
    assert {Path(e["file"]).name: e["other"] for e in dropped} == shared
    assert {entry["split"] for entry in dropped} == {"val"}
    assert all(f"is in {elsewhere} as well" in entry["reason"] for entry in dropped)
    kept = {Path(entry["source"]).name for entry in manifest["files"]}
    assert not kept & shared.keys()
    assert manifest["excluded"] == [str(elsewhere)]
    # Again: complete, unless the other set has changed.
    assert prepare(parse_options([*words, str(tmp_path / "clean")])) == 0
    assert "already complete" in capsys.readouterr().out
    (elsewhere / "copied.jpg").unlink()
    with pytest.raises(UserError, match="excluded"):
        prepare(parse_options([*words, str(tmp_path / "clean")]))


@pytest.mark.parametrize("other", ["data", "data/train", "out/more", "empty", "nowhere"])
def test_what_cannot_be_excluded(other, draw_dataset, tmp_path):
    draw_dataset(tmp_path / "data")
    (tmp_path / "empty").mkdir()
    words = ["--from_tree", tmp_path / "data", "--output", tmp_path / "out"]
    with pytest.raises(UserError, match="--exclude"):
        prepare(parse_options([*map(str, words), "--exclude", str(tmp_path / other)]))
    assert not (tmp_path / "out").exists()
