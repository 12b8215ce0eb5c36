"""manifest.json: its hash over everything training depends on, and its entries."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest

from dr_ovo.dataset.manifest import (
    DESCRIPTORS,
    HASHED_PER_FILE,
    content_hash,
    read_manifest,
    write_manifest,
)
from dr_ovo.dataset.photograph import Dropped, Photograph
from dr_ovo.errors import UserError
from dr_ovo.prepare.manifest_entries import add_weights, build_manifest, digest
from dr_ovo.prepare.planning.grouping import relate
from dr_ovo.prepare.planning.splits import Plan

FILE = {
    "id": "train/0/a.jpg", "patient": "p", "eye": None, "group": None, "grade": 0, "split": "train",
    "sha256": "00", "descriptor": "11", "quality": None, "source": "a.jpg", "weight": 0.5,
}  # fmt: skip


def manifest(**changes):
    files = [FILE | changes, FILE | {"id": "test/0/b.jpg", "split": "test"}]
    return {"schema": 1, "seed": 42, "rule": "r", "synthetic": False, "files": files}


def test_what_is_written_can_be_read(tmp_path):
    write_manifest(tmp_path / "manifest.json", manifest())
    found = read_manifest(tmp_path / "manifest.json")
    assert found == manifest() | {"hash": content_hash(manifest())}
    write_manifest(tmp_path / "again.json", found)
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "manifest.json").read_bytes()
    assert read_manifest(tmp_path / "absent.json") is None


@pytest.mark.parametrize("key", HASHED_PER_FILE)
def test_the_hash_follows_everything_that_a_training_depends_on(key):
    assert content_hash(manifest(**{key: "other"})) != content_hash(manifest())


def test_the_hash_follows_neither_order_nor_measurements_nor_place():
    turned = manifest(quality=0.7, descriptor="22") | {"source": "/elsewhere"}
    turned["files"].reverse()
    assert content_hash(turned) == content_hash(manifest())
    assert content_hash(manifest() | {"seed": 1}) != content_hash(manifest())


def test_a_manifest_that_was_changed_by_hand(tmp_path):
    path = tmp_path / "manifest.json"
    write_manifest(path, manifest())
    data = json.loads(path.read_text())
    data["files"][0]["patient"] = "q"
    path.write_text(json.dumps(data))
    with pytest.raises(UserError, match="changed by hand"):
        read_manifest(path)


@pytest.mark.parametrize("content", ["", "[1]", "{}", '{"schema": 1, "hash": "a", "files": [1]}'])
def test_a_file_that_is_no_manifest(tmp_path, content):
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(UserError, match=r"(can't be read|damaged).*prepare_dataset\.py"):
        read_manifest(tmp_path / "manifest.json")


def test_a_manifest_of_a_later_schema(tmp_path):
    later = manifest() | {"schema": 2}
    (tmp_path / "manifest.json").write_text(json.dumps(later | {"hash": content_hash(later)}))
    with pytest.raises(UserError, match="schema 2"):
        read_manifest(tmp_path / "manifest.json")


def test_weights_make_grades_equally_likely():
    grades = [0] * 12 + [1] * 3 + [3]
    files = [{"grade": grade, "split": "train"} for grade in grades]
    files += [{"grade": 1, "split": "val"}, {"grade": 4, "split": "test"}]
    add_weights(files)
    assert [round(16 / 3 / n, 6) for n in (12, 3, 1)] == [
        files[0]["weight"],
        files[12]["weight"],
        files[15]["weight"],
    ]
    assert all("weight" not in entry for entry in files[16:])
    assert sum(entry["weight"] for entry in files[:16]) == pytest.approx(16, abs=1e-4)


def test_entries_of_photographs():
    photographs = [
        Photograph(Path("a.png"), "a.png", 0, patient="p", eye="left", group="v", source="x/a.png"),
        Photograph(Path("b.png"), "b.png", 2),
        Photograph(Path("c.png"), "c.png", 1),
    ]
    relations = relate(photographs, ["0a", "0a", "0c"], [])
    plan = Plan({0: "train", 1: "train"}, {2: Dropped("c.png", "copy", "why", 1)})
    look = np.full(4, 0.5, np.float16)
    looks = {Path("a.png"): ("0a", look), Path("b.png"): ("0a", -look)}
    made = build_manifest(
        photographs, plan, relations, {0: "train/0/a.png", 1: "train/2/b.png"}, looks,
        {Path("a.png"): 0.7},
        [Dropped("d.png", "unreadable", "is empty")], {"seed": 7}, balance=False,
    )  # fmt: skip
    assert made["seed"] == 7
    assert made["counts"]["train"] == {"0": 1, "2": 1}
    assert made["counts"]["test"] == {"0": 0, "2": 0}
    assert [one["file"] for one in made["dropped"]] == ["c.png", "d.png"]
    assert made["files"][0] == {
        "id": "train/0/a.png", "patient": "p", "eye": "left", "group": "v", "grade": 0,
        "split": "train", "sha256": "0a", "descriptor": digest(look), "quality": 0.7,
        "source": "x/a.png",
    }  # fmt: skip
    assert made["files"][1]["descriptor"] != digest(look)
    assert made["files"][1]["quality"] is None
    (case,) = made["to_judge"]
    assert case["how"] == "copy"
    assert [(one["file"], one["grade"], one["id"]) for one in case["files"]] == [
        ("a.png", 0, "train/0/a.png"),
        ("b.png", 2, "train/2/b.png"),
    ]
    assert json.loads(json.dumps(made)) == copy.deepcopy(made)


def test_the_cache_stands_where_audits_look_for_it(tmp_path):
    audit = pytest.importorskip("dr_ovo.audit.measurement_cache")
    assert audit.cache_folder(tmp_path, None) / audit.DESCRIPTORS == tmp_path / DESCRIPTORS
