"""The card of an ensemble counts its networks, and describes none of them as the whole."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dr_ovo.commands.reports import ensemble
from dr_ovo.files import write_json
from dr_ovo.reports.card.card import make_card
from dr_ovo.reports.card.facts import read_card_facts
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.results.made_from import MADE_FROM, made_from, seals_of
from tests.fixtures.sealed import edit
from tests.reports.card.test_card import card, front, section

NETWORKS = {
    "coatnet": "best_coatnet_0_rw_224_ovo",
    "convnext": "best_convnext_tiny_softmax",
}


@pytest.fixture
def members(results) -> list[Path]:
    """Two simulated models with checkpoints, and with what a training records."""
    folders = results(*NETWORKS)
    for folder, name in zip(folders, NETWORKS.values(), strict=True):
        settings = {"seed": 3, "pretrained": True, "base_models": [folder.name.split("_")[0]]}
        write_json(folder / "config.json", {"schema": 1, "simulated": True, "settings": settings})
        found = ResultsFolder(folder)
        found.models.mkdir()
        (found.models / f"{name}.pth").write_bytes(name.encode())
        source = made_from(found, seals_of(found), ["test"])["test"]
        edit(folder / "evaluation.json", lambda content, own=source: content.update(made_from=own))
    return folders


def combined(members: list[Path], *words: str) -> Path:
    output = members[0].parent / "both"
    flags = ["--results_dirs", *map(str, members), "--output", str(output), *words]
    assert ensemble.main(flags, "evaluate_super_ensemble.py") == 0
    return output


@pytest.mark.usefixtures("blank_figures")
@pytest.mark.parametrize("export", [True, False])
def test_a_super_ensemble(export, members):
    manifest = members[0].parent / "both" / "ensemble.json"
    words = ["--method", "weighted", *(["--export", str(manifest)] if export else [])]
    text = card(combined(members, *words))
    assert (
        "It is an ensemble of 2 deep neural networks: coatnet_0_rw_224, convnext_tiny, head ovo, "
        "softmax, combined by the method weighted."
    ) in section(text, "Summary")
    model = section(text, "Model")
    assert "| networks | 2, combined by the method weighted |" in model
    assert "| architecture, timm's name | coatnet_0_rw_224, convnext_tiny |" in model
    assert "head | ensemble" not in text
    assert "One training with one seed" not in section(text, "Limitations")
    assert "cards of their own folders" in section(text, "Training")
    assert "base_model" not in front(text)


@pytest.mark.usefixtures("blank_figures")
def test_the_first_networks_settings_are_said_to_be_its_own(members):
    manifest = members[0].parent / "both" / "ensemble.json"
    text = card(combined(members, "--export", str(manifest)))
    said = section(text, "Training")
    assert "those of the first network, coatnet_5class_results." in said
    assert "| began with | pretrained weights |" in said
    assert "One training with one seed" not in text
    assert "base_model" not in front(text)


def test_a_mean_and_one_of_an_earlier_version(members):
    """The mean of evaluation is told by the names of its checkpoints alone, which are its own."""
    folder = members[0].parent / "ensemble"
    shutil.copytree(combined(members), folder)
    (folder / "super_ensemble.json").unlink()
    edit(folder / "evaluation.json", lambda content: content.pop("members"))
    assert "an ensemble of 2 deep neural networks: coatnet_0_rw_224" in card(folder)
    edit(folder / "evaluation.json", lambda content: content.pop(MADE_FROM))
    found = make_card(read_card_facts(folder), {}).markdown
    assert "an ensemble of several deep neural networks: architectures that are not" in found
    assert "| networks | more than one, combined by the method mean |" in found
