"""The card of a results folder: its metadata, its figures, and what it leaves out."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from huggingface_hub import ModelCard

from dr_ovo.dataset.manifest import write_manifest
from dr_ovo.document.document import Column
from dr_ovo.errors import UserError
from dr_ovo.files import file_sha256, write_json
from dr_ovo.gates.features_file import save_features
from dr_ovo.gates.nearest_features import VAL, WITHOUT_PATIENT, NearestFeatures
from dr_ovo.predictions.predictions_file import load_predictions
from dr_ovo.reports.card.card import card_sections, make_card
from dr_ovo.reports.card.facts import read_card_facts
from dr_ovo.reports.card.form.questions import QUESTIONS
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.sealed_json import write_sealed
from tests.document.tags import Reader
from tests.fixtures.predictions import drawn
from tests.fixtures.sealed import edit
from tests.reports.card.conftest import HASH, SECRET, evaluate

PERCENT, DECIMAL = Column("", "", "percent"), Column("", "", "decimal")


def front(text: str) -> dict[str, Any]:
    """The metadata of a card."""
    _, matter, _ = re.split(r"^---\n", text, maxsplit=2, flags=re.M)
    return yaml.safe_load(matter)


def section(text: str, title: str) -> str:
    """A section of the card in Markdown."""
    (found,) = re.findall(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    return found


def card(folder: Path) -> str:
    return make_card(read_card_facts(folder), {}).markdown


def test_the_metadata(trained):
    found = front(card(trained()))
    assert found["license"] == "unknown"
    assert found["base_model"] == "resnet50"
    assert found["pipeline_tag"] == "image-classification"
    (model,) = found["model-index"]
    (result,) = model["results"]
    assert model["name"] == "net"
    assert result["dataset"] == {
        "name": "idrid", "type": "imagefolder", "split": "test", "revision": HASH,
    }  # fmt: skip


def test_every_figure_of_the_metadata_is_that_of_the_evaluation(trained):
    folder = trained()
    evaluation = json.loads((folder / "evaluation.json").read_text())
    metrics = front(card(folder))["model-index"][0]["results"][0]["metrics"]
    found = {one["name"]: one for one in metrics}
    expected = {
        "Quadratic weighted kappa": evaluation["quadratic_kappa"],
        "Accuracy": evaluation["accuracy"],
        "Balanced accuracy": evaluation["balanced_accuracy"],
        "Macro AUC, one against the rest": evaluation["macro_auc"],
        "Expected calibration error, raw": evaluation["calibration"]["raw"]["ece"],
        "Expected calibration error, tempered": evaluation["calibration"]["tempered"]["ece"],
    }
    words = {"recall": "Recall", "precision": "Precision", "f1": "F1", "auc": "AUC"}
    for block in evaluation["per_class"]:
        for key, word in words.items():
            expected[f"{word} of grade {block['grade']}"] = block[key]
    for condition in ("referable", "vision_threatening"):
        name = condition.replace("_", "-")
        expected[f"AUC, {name}"] = evaluation[condition]["auc"]
        for point in ("high_sensitivity", "high_specificity"):
            for rate in ("sensitivity", "specificity"):
                title = f"{rate.capitalize()}, {name}, at the point of {point.replace('_', ' ')}"
                expected[title] = evaluation[condition][point][rate]
    assert {*found} == {*expected}
    for name, metric in expected.items():
        assert found[name]["value"] == metric["value"]
        assert found[name]["args"].get("low") == metric["low"]
        assert found[name]["args"].get("high") == metric["high"]
    assert found["Recall of grade 1"]["args"]["n"] == evaluation["per_class"][1]["n"]


def test_hugging_face_reads_it(trained):
    loaded = ModelCard(card(trained()))
    assert loaded.data.model_name == "net"
    assert {one.dataset_revision for one in loaded.data.eval_results} == {HASH}
    assert loaded.text.lstrip().startswith("# Model card: net")


def test_the_sections_have_the_figures_of_the_evaluation(trained):
    folder = trained()
    evaluation = json.loads((folder / "evaluation.json").read_text())
    text = card(folder)
    overall = section(text, "Performance")
    assert "Test took part neither in the training" in overall
    assert f"| test | 120 | 60 | {DECIMAL.text(evaluation['quadratic_kappa'])} |" in overall
    for block in evaluation["per_class"]:
        row = f"| {block['grade']} | {block['n']} | {PERCENT.text(block['recall'])} |"
        assert row in overall
    for grade, counts in enumerate(evaluation["confusion"]):
        assert f"| {grade} | {' | '.join(map(str, counts))} |" in overall
    subgroups = section(text, "Performance by subgroup")
    for third in evaluation["by_quality"]["thirds"]:
        assert f"| {third['n']} | {DECIMAL.text(third['quadratic_kappa'])} |" in subgroups
    p = load_predictions(folder / "predictions_test.npz")
    for eye in ("left", "right"):
        own = p.eyes == eye
        share = 100 * (p.targets[own] == p.predicted[own]).mean()
        assert re.search(rf"\| {eye} \| 60 \| .* \| {share:.1f} \(", subgroups)
    calibration = section(text, "Calibration")
    for name in ("raw", "tempered"):
        ece = evaluation["calibration"][name]["ece"]
        assert f"| {name} | {PERCENT.text(ece)} |" in calibration
    point = evaluation["operating_points"]["referable"]["high_sensitivity"]
    threshold = DECIMAL.text(point | {"value": point["threshold"]})
    row = f"| referable | sensitivity of 90 % | {threshold} | {point['n']} |"
    assert row in section(text, "Operating points")
    covered = PERCENT.text(evaluation["conformal"]["covered"])
    assert covered in section(text, "Sets of likely grades")
    assert re.search(r"Of 1,000 eyes, \d+ \(.*\) need no person", section(text, "Work saved"))


def test_data_and_training(trained):
    text = card(trained())
    assert HASH in section(text, "Source of data")
    preparation = section(text, "Data preparation")
    assert "no leaks between splits" in preparation
    assert "exact copy (warning) 2" in preparation
    assert "1 file could not be used" in preparation
    assert "cropped to the disc." in preparation
    assert "| train | 60 | - | 10 | 11 | 12 | 13 | 14 |" in section(text, "Data partitions")
    training = section(text, "Training")
    assert "| seed | 7 |" in training
    assert "| loss | focal, gamma 2.0 |" in training
    assert "| recipe | r.toml |" in training
    assert "| time, without pauses | 2 min |" in training
    assert "| kept in each checkpoint | 12 |" in training
    assert "| parameters | 23.5 M |" in section(text, "Model")
    assert "| min_lr | 1e-07 | given |" in section(text, "Settings")
    assert "| commit of the toolkit | c0ffee |" in section(text, "Software and hardware")


def test_no_path_of_the_machine_and_no_name_of_a_photograph_is_in_it(trained):
    found = make_card(read_card_facts(trained()), {})
    for text in (found.markdown, found.html):
        assert SECRET not in text
        assert "alice" not in text
        assert "a.jpg" not in text
    assert "weights.pth" in found.markdown


def test_the_manifest_counts_only_where_it_is_the_one_trained_on(trained, tmp_path):
    files = [
        {"id": f"{number}", "patient": f"p{number // 2}", "split": "train"} for number in range(60)
    ]
    (tmp_path / "data").mkdir()
    manifest = tmp_path / "data" / "manifest.json"
    content = {"seed": 5, "rule": "by | patient", "columns": {"grade": "dr_grade"}, "files": files}
    write_manifest(manifest, {**content, "dropped": [{"kind": "copy"}, {"kind": "copy"}]})
    own = json.loads(manifest.read_text())["hash"]
    settings = {"dataset_path": str(manifest.parent)}
    text = card(trained("a", settings=settings, data_manifest_hash=own))
    assert "| train | 60 | 30 |" in section(text, "Data partitions")
    assert r"Rule: by \| patient." in text
    assert "grade: dr_grade" in text
    assert "| copy | 2 |" in section(text, "Data preparation")
    other = card(trained("b", settings=settings))
    assert "| train | 60 | - |" in section(other, "Data partitions")
    assert "not known here" in section(other, "Source of data")
    member = card(trained("d", settings=settings | {"folds": 5, "fold": 2}, data_manifest_hash=own))
    assert "| train | 60 | - |" in section(member, "Data partitions")
    none = card(trained("c", settings=settings, data_manifest_hash=None))
    assert "| manifest, sha256 | none; it was not prepared |" in section(none, "Source of data")


def test_without_an_evaluation(trained):
    folder = trained(evaluated=False)
    text = card(folder)
    assert front(text)["model-index"][0]["results"] == []
    assert "Not evaluated" in section(text, "Performance")
    assert "nothing is known of how good it is" in section(text, "Limitations")
    assert "| seed | 7 |" in section(text, "Training")


def test_limits_follow_from_what_is_recorded(trained):
    folder = trained()
    said = section(card(folder), "Limitations")
    evaluation = json.loads((folder / "evaluation.json").read_text())
    few = [block for block in evaluation["per_class"] if block["n"] < 30]
    assert len(few) == said.count("its recall is")
    assert "macular oedema is not assessed" in said
    assert "All figures are of one dataset" in said
    assert "120 photographs of 60 patients" in said
    assert "can't be checked" not in said


def test_an_earlier_version_is_said_to_be_unverified(trained, caplog):
    folder = trained()
    content = json.loads((folder / "evaluation.json").read_text())
    del content["made_from"], content["digest"]
    write_json(folder / "evaluation.json", content)
    assert "can't be checked" in section(card(folder), "Limitations")
    assert "of an earlier version" in caplog.text


@pytest.mark.parametrize("mark", ["leaky", "synthetic"])
def test_marks_stand_with_all_figures(mark, trained):
    folder = trained(**{mark: True})
    text = card(folder)
    found = front(text)
    assert mark in found["tags"]
    name = found["model-index"][0]["results"][0]["dataset"]["name"]
    assert name == f"idrid ({mark.upper()})"
    assert f"**{mark.upper()}:" in text


def test_a_mixture_is_refused(trained, command, tmp_path):
    folder = trained()
    edit(folder / "calibration.json", lambda content: content.update(temperature=3.0))
    ended = command("reports.card", folder, folder=tmp_path)
    assert ended.returncode == 2
    assert "were mixed" in ended.stderr
    assert "Evaluate again" in ended.stderr
    assert not (folder / "card.md").exists()
    assert not (folder / "card_answers.toml").exists()


@pytest.mark.parametrize("what", ["missing", "empty", "file"])
def test_what_is_no_results_folder(what, command, tmp_path):
    place = tmp_path / what
    if what == "empty":
        place.mkdir()
    if what == "file":
        place.touch()
    ended = command("reports.card", place, folder=tmp_path)
    assert ended.returncode == 2
    assert "results folder" in ended.stderr


ODD = "a|b`c`<script>alert(1)</script>\"q' [x](y) _z_ {}\n---\n# h: {$x$}\u4e2d"


def test_odd_names_break_nothing(trained, tmp_path):
    folder = trained(settings={"dataset_path": f"/data/{ODD.replace('/', '')}"})
    odd = folder.rename(tmp_path / f"{ODD.replace('/', '')}_5class_results")
    found = make_card(read_card_facts(odd), {"data.camera": ODD, "other.licence": ODD})
    matter = front(found.markdown)
    plain = ODD.replace("/", "").replace("\n", "\\n")
    assert matter["model-index"][0]["name"] == plain
    assert matter["model-index"][0]["results"][0]["dataset"]["name"] == plain
    assert matter["license_name"] == ODD.replace("\n", "\\n")
    assert len(re.findall(r"^---$", found.markdown, re.M)) == 2
    body = found.markdown.split("\n---\n", 1)[1]
    assert "<script" not in body
    headings = [line for line in body.splitlines() if line.startswith("#")]
    sections = card_sections(read_card_facts(odd), {})
    assert len(headings) == 1 + len(sections)
    for block in re.findall(r"(?:^\|.*\n)+", body, re.M):
        bars = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(bars) == 1
    tags = [tag for tag, _ in Reader(found.html).tags]
    assert tags.count("script") == 1


def test_the_page_has_all_that_the_text_has(trained):
    facts = read_card_facts(trained())
    found = make_card(facts, {})
    assert "Content-Security-Policy" in found.html
    for one in card_sections(facts, {}):
        assert f">{one.title}</h3>" in found.html
        assert f"## {one.title}\n" in found.markdown
        shown = one.for_page()
        assert shown.paragraphs == one.paragraphs
        assert len(shown.tables) == len(one.filled) + bool(one.questions)
    asked = found.markdown.count("**[to be answered]**")
    assert found.html.count(">[to be answered]<") == asked == len(QUESTIONS)


def test_the_documents_say_what_each_section_covers(trained):
    text = (Path(__file__).parents[3] / "docs" / "reports.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"^\| section \| TRIPOD.*\n\|.*\n((?:\|.*\n)+)", text, re.M)
    listed = [title.strip() for row in table.splitlines() for title in row.split("|")[1].split(",")]
    titles = [one.title for one in card_sections(read_card_facts(trained()), {})]
    assert sorted(listed) == sorted(titles)


def test_no_compliance_is_claimed(trained):
    found = make_card(read_card_facts(trained()), {})
    for text in (found.markdown, found.html):
        assert not re.search("complian|cleared|certified|FDA|CE mark", text)
        assert "No approval, clearance or certification is claimed." in text


def test_simulated_models(results):
    (folder,) = results("coatnet")
    text = card(folder)
    assert "simulated" in front(text)["tags"]
    assert "random numbers" in section(text, "Source of data")
    assert "| epoch kept | not recorded |" in section(text, "Training")


def external(folder: Path, name: str, **changes: Any) -> None:
    """An evaluation on another dataset, as `--mode evaluate --external` leaves it."""
    place = folder / "external" / name
    place.mkdir(parents=True)
    shutil.copy(folder / "predictions_test.npz", place / "predictions_external.npz")
    report = json.loads((folder / "evaluation.json").read_text())
    del report["digest"]
    source = {
        "checkpoints": {},
        "calibration": file_sha256(folder / "calibration.json"),
        "predictions": file_sha256(place / "predictions_external.npz"),
    }
    zero = {"value": 0.0, "low": -0.1, "high": 0.1}
    keys = ("quadratic_kappa", "accuracy", "balanced_accuracy", "macro_auc")
    report |= {"split": "external", "made_from": source, "difference": dict.fromkeys(keys, zero)}
    write_sealed(place / "evaluation_external.json", report | changes)


def features(folder: Path, calibrated_on: str, distances: int, sha256: str = "") -> None:
    """train_features.npz of 30 train pictures, as a training leaves it."""
    rng = np.random.default_rng(0)
    kept = rng.normal(size=(30, 4)).astype(np.float16)
    found = NearestFeatures(kept, np.sort(rng.random(distances)), calibrated_on)
    save_features(folder / "train_features.npz", found, {"best_resnet50_ovo.pth": sha256})


def test_the_gates_say_on_what_they_were_fixed(trained):
    said = section(card(trained()), "Gates")
    assert "is not available: there is no train_features.npz" in said
    assert "not recorded" in said
    assert "| photographs of |" not in said
    folder = trained("val")
    features(folder, VAL, 130)
    said = section(card(folder), "Gates")
    assert "keeps 30 train pictures, and stops at p <= 0.010" in said.replace("&lt;", "<")
    assert "by 130 photographs of val" in said
    folder = trained("small")
    features(folder, WITHOUT_PATIENT, 60)
    assert "an approximation, as val is small" in section(card(folder), "Gates")


def test_features_of_other_checkpoints_are_no_gate(trained):
    folder = trained()
    features(folder, VAL, 60, "ab" * 32)
    descriptor = folder / "models" / "best_resnet50_ovo.json"
    content = json.loads(descriptor.read_text())
    for sha256, said in (("ab" * 32, "keeps 30"), ("cd" * 32, "is of other checkpoints")):
        write_json(descriptor, content | {"sha256": sha256})
        assert said in section(card(folder), "Gates")


def test_damaged_features_are_refused(trained):
    folder = trained()
    (folder / "train_features.npz").write_bytes(b"no features")
    with pytest.raises(UserError, match=r"train_features\.npz"):
        read_card_facts(folder)


def test_what_the_gates_stop(trained):
    def gates(*shares: float | None) -> dict[str, Any]:
        keys = ("no_fundus", "unlike_training", "ungradable", "stopped")
        return {
            key: {"value": None, "reason": "no file"}
            if share is None
            else {"n": 1, "share": {"value": share, "low": 0.0, "high": 0.5}}
            for key, share in zip(keys, shares, strict=True)
        }

    folder = trained()
    own = {"n": 103, "n_photographs": 103, **gates(0.0, None, 0.02, 0.03)}
    external(
        folder,
        "a",
        gates={**gates(0.1, 0.2, 0.3, 0.4), "own_test": {"value": None, "reason": "gone"}},
    )
    external(folder, "b", gates={**gates(0.1, 0.2, 0.3, 0.45), "own_test": own})
    said = section(card(folder), "Gates")
    zero, any_of_a = ({"value": value, "low": 0.0, "high": 0.5} for value in (0.0, 0.4))
    assert f"| own test | 103 | {PERCENT.text(zero)} |" in said
    assert f"| {PERCENT.text(any_of_a)} |" in said
    assert said.count("| 120 |") == 2
    assert "not recorded" not in said


def test_other_datasets(trained):
    folder = trained()
    assert "None evaluated" in section(card(folder), "External testing")
    external(folder, "messidor")
    external(folder, "seen|before", leaky=True)
    text = card(folder)
    said = section(text, "External testing")
    kappa = json.loads((folder / "evaluation.json").read_text())["quadratic_kappa"]
    assert f"| messidor | 120 | 60 | {DECIMAL.text(kappa)} |" in said
    assert r"| seen\|before (LEAKY) | 120 |" in said
    assert "| messidor | +0.000 (-0.100 to +0.100) | +0.0 (-10.0 to +10.0) |" in said
    assert "All figures are of one dataset" not in text
    datasets = [one["dataset"] for one in front(text)["model-index"][0]["results"]]
    assert [one["name"] for one in datasets] == ["idrid", "messidor", "seen|before (LEAKY)"]
    assert "revision" not in datasets[1]


@pytest.mark.parametrize(
    ("key", "other", "said"),
    [
        ("calibration", "0" * 64, "belongs to another calibration"),
        ("predictions", "0" * 64, "belongs to other predictions"),
        ("checkpoints", {"best.pth": "0" * 64}, "belongs to another best.pth"),
    ],
)
def test_another_dataset_of_something_else_is_refused(key, other, said, trained, command, tmp_path):
    folder = trained()
    own = {"best.pth": "1" * 64}
    edit(folder / "evaluation.json", lambda one: one["made_from"].update(checkpoints=own))
    external(folder, "messidor")
    assert command("reports.card", folder, folder=tmp_path).returncode == 0
    edit(
        folder / "external" / "messidor" / "evaluation_external.json",
        lambda content: content["made_from"].update({key: other}),
    )
    ended = command("reports.card", folder, folder=tmp_path)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "--mode evaluate --external" in ended.stderr


def test_another_dataset_by_the_calibration_of_an_ensemble(trained):
    folder = trained()
    external(folder, "messidor")
    manifest = folder / "ensemble_of_mine.json"
    write_json(manifest, {"kind": "dr_ovo ensemble"})
    edit(
        folder / "external" / "messidor" / "evaluation_external.json",
        lambda content: content["made_from"].update(calibration=file_sha256(manifest)),
    )
    assert "| messidor | 120 |" in section(card(folder), "External testing")


def test_eyes_and_qualities_that_are_not_known(trained):
    folder = trained(evaluated=False)
    p = drawn(60)
    assert np.isnan(p.quality).all()
    evaluate(ResultsFolder(folder), "test", p, drawn(100, seed=3))
    said = section(card(folder), "Performance by subgroup")
    assert "By eye: not known, since no photograph has a known eye" in said
    assert "By quality of the photograph: not known" in said
