from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dr_ovo.errors import UserError
from dr_ovo.pairs import class_pairs, pair_name
from dr_ovo.reports.checkpoints.analyzer import analyze
from dr_ovo.settings.command_line import parse_settings
from dr_ovo.tables import RESEARCH_USE, WIDTH

Save = Callable[..., Path]
HISTORY = (
    "epoch,branch,lr,train_loss,val_loss,train_accuracy,val_accuracy,val_auc,val_kappa,"
    "seconds,images_per_second,peak_memory_mb,skipped_steps\n1,ovo,1e-4,.6,.7,.5,.45,.6,.1,9,9,,0\n"
)
KEYS = {
    "pair", "file", "epoch", "val_accuracy", "val_auc", "val_sensitivity", "val_specificity",
    "train_val_gap", "parameters", "bytes", "below_90", "note",
}  # fmt: skip


def report_on(tmp_path: Path, *paths: Path) -> tuple[dict[str, Any], str]:
    """The JSON report and the text on `paths`."""
    output = tmp_path / "report.json"
    text = analyze([str(path) for path in paths], output, None)
    return json.loads(output.read_text()), text


def row_of(text: str, pair: str) -> str:
    (row,) = [line for line in text.splitlines() if line.startswith(f"{pair} ")]
    return row


def test_a_results_folder(tmp_path: Path, save: Save) -> None:
    path = save(tmp_path / "results", row={"val_accuracy": 0.899})
    report, text = report_on(tmp_path, tmp_path / "results")
    (model,) = report["models"]
    assert (report["schema"], report["unreadable"]) == (1, [])
    assert (model["head"], model["ovo_mode"], model["complete"]) == ("ovo", "shared", True)
    assert model["bytes"] == path.stat().st_size
    assert [tuple(entry["pair"]) for entry in model["classifiers"]] == class_pairs(5)
    entry = model["classifiers"][0]
    assert entry.keys() >= KEYS
    assert entry["below_90"] is True
    assert entry["train_val_gap"] == pytest.approx(0.056)
    assert row_of(text, "0-1").split()[:9] == [
        "0-1", "7", "89.9", "%", "0.970", "90.0", "%", "95.0", "%",
    ]  # fmt: skip
    assert "+5.6" in row_of(text, "0-1")
    assert row_of(text, "0-1").endswith("< 90 %")
    assert text.count(RESEARCH_USE) == 1
    assert "There is no history.csv" in " ".join(text.split())


@pytest.mark.parametrize(("accuracy", "below"), [(0.9, False), (0.8999, True), (None, None)])
def test_the_mark(tmp_path: Path, save: Save, accuracy: float | None, below: bool | None) -> None:
    report, text = report_on(tmp_path, save(tmp_path, row={"val_accuracy": accuracy}))
    assert {entry["below_90"] for entry in report["models"][0]["classifiers"]} == {below}
    assert row_of(text, "3-4").endswith("< 90 %") is bool(below)


def test_an_independent_set(tmp_path: Path, independent: Path) -> None:
    files = sorted((independent / "models").iterdir(), reverse=True)
    report, text = report_on(tmp_path, *files, independent)
    (model,) = report["models"]
    assert model["complete"] is True
    assert model["parameters"] == 267_000_000
    assert [tuple(entry["pair"]) for entry in model["classifiers"]] == class_pairs(5)
    assert "INCOMPLETE" not in text


@pytest.mark.parametrize("config", [True, False])
def test_missing_pairs_are_named_with_the_command(
    tmp_path: Path, independent: Path, config: bool
) -> None:
    (independent / "models/best_coatnet_0_rw_224_0_2.pth").unlink()
    (independent / "models/best_coatnet_0_rw_224_1_3.pth").write_bytes(b"PK damaged")
    if config:
        settings = {"base_models": ["coatnet_0_rw_224"], "ovo_mode": "independent"}
        (independent / "config.json").write_text(json.dumps(settings))
    report, text = report_on(tmp_path, independent)
    (model,) = report["models"]
    assert (model["complete"], model["missing_pairs"]) == (False, [[0, 2], [1, 3]])
    assert [Path(entry["file"]).name for entry in report["unreadable"]] == [
        "best_coatnet_0_rw_224_1_3.pth"
    ]
    assert "INCOMPLETE: missing pairs 0-2, 1-3." in text
    assert model["training_command"] in text
    words = shlex.split(model["training_command"])
    assert words[:2] == ["python", "ensemble_5class_trainer.py"]
    assert words[-4:] == [str(independent), "--pairs", "0-2", "1-3"]
    assert (str(independent / "config.json") in words) is config


def test_the_command_for_missing_pairs_parses(tmp_path: Path, independent: Path) -> None:
    (independent / "models/best_coatnet_0_rw_224_0_2.pth").unlink()
    report, _ = report_on(tmp_path, independent)
    words = shlex.split(report["models"][0]["training_command"])
    config = parse_settings(words[2:]).config
    assert config.trained_pairs == [(0, 2)]
    assert config.base_models == ("coatnet_0_rw_224",)


def test_pairs_that_stand_unnamed_in_the_folder_are_not_missing(
    tmp_path: Path, independent: Path
) -> None:
    report, text = report_on(tmp_path, independent / "models/best_coatnet_0_rw_224_0_1.pth")
    assert report["models"][0]["missing_pairs"] == []
    assert "INCOMPLETE" not in text


def test_models_of_several_folders_and_heads_stay_apart(
    tmp_path: Path, save: Save, independent: Path
) -> None:
    for folder in ("a", "b"):
        save(tmp_path / folder)
    save(tmp_path / "a", "softmax", synthetic=True)
    report, text = report_on(tmp_path, tmp_path / "a", tmp_path / "b", independent)
    kinds = [(model["head"], len(model["classifiers"])) for model in report["models"]]
    assert kinds == [("ovo", 10), ("softmax", 10), ("ovo", 10), ("ovo", 10)]
    assert [model["synthetic"] for model in report["models"]] == [False, True, False, False]
    assert text.count("SYNTHETIC") == 1


def test_earlier_checkpoints(tmp_path: Path) -> None:
    weights = {"w": torch.zeros(3)}
    for pair in class_pairs(5)[1:]:
        torch.save(
            {"state_dict": weights, "val_acc": 88.0},
            tmp_path / f"best_densenet121_{pair_name(pair)}.pth",
        )
    torch.save(weights, tmp_path / "best_seresnext50.pth")
    report, text = report_on(tmp_path, tmp_path)
    pairwise, bare = report["models"]
    assert (pairwise["architecture"], pairwise["missing_pairs"]) == ("densenet121", [[0, 1]])
    assert (pairwise["head"], pairwise["training_command"]) == (None, None)
    assert pairwise["classifiers"][0]["val_accuracy"] == pytest.approx(0.88)
    assert (bare["complete"], bare["classifiers"][0]["pair"]) == (None, None)
    assert "can't be evaluated here" in text
    assert row_of(text, "unknown").split()[:4] == ["unknown"] * 4
    assert max(map(len, text.replace(str(tmp_path), "").splitlines())) <= WIDTH


def test_learning_curves_of_each_results_folder(tmp_path: Path, save: Save) -> None:
    for folder in ("a", "b"):
        save(tmp_path / folder)
        (tmp_path / folder / "history.csv").write_text(HISTORY)
    analyze([str(tmp_path / "a")], None, None)
    assert (tmp_path / "a/learning_curves.png").read_bytes().startswith(b"\x89PNG")
    text = analyze([str(tmp_path / "a"), str(tmp_path / "b")], None, tmp_path / "curves.png")
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["curves_1.png", "curves_2.png"]
    assert "curves_2.png" in text
    assert not (tmp_path / "b/learning_curves.png").exists()


def test_a_picture_that_can_not_be_written_is_said_and_the_report_goes_on(
    tmp_path: Path, save: Save
) -> None:
    save(tmp_path / "a")
    (tmp_path / "a/history.csv").write_text(HISTORY)
    (tmp_path / "a/learning_curves.png").mkdir()
    report, text = report_on(tmp_path, tmp_path / "a")
    assert report["models"]
    assert "No learning curves for" in text


@pytest.mark.parametrize("option", [{"output": "no/r.json"}, {"figure": "curves.pdf"},
                                    {"figure": "no/c.png"}, {"output": "."}])  # fmt: skip
def test_targets_that_can_not_be_are_refused_first(
    tmp_path: Path, save: Save, option: dict[str, str]
) -> None:
    save(tmp_path)
    paths = {"output": None, "figure": None} | {k: tmp_path / v for k, v in option.items()}
    with pytest.raises(UserError, match=r"folder|PNG"):
        analyze([str(tmp_path)], **paths)


def test_nothing_that_can_be_read_ends_in_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.pth").touch()
    (tmp_path / "b.pth").write_text("no")
    with pytest.raises(UserError, match=r"(?s)a\.pth: empty.*b\.pth: damaged"):
        analyze([str(tmp_path)], None, None)
