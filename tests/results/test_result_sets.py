"""Models found by folder and by name, and what is said of those that aren't there."""

import argparse
import re
import shutil
from pathlib import Path

import pytest

from dr_ovo.commands.reports.arguments import add_results_arguments
from dr_ovo.errors import UserError
from dr_ovo.results.result_sets import open_results


def opened(folders=(), models=(), **settings):
    return open_results(folders, models, **{"intersect": False, **settings})


def test_folders_keep_their_order_and_are_named_after_themselves(results):
    folders = results("swinv2", "coatnet")
    found = opened(folders)
    assert found.names == ["swinv2", "coatnet"]
    assert [model.folder for model in found.models] == folders
    assert found.marks == ["SIMULATED"]


def test_names_choose_among_the_folders(results):
    folders = results("swinv2", "coatnet", "convnext")
    assert opened(folders, ["convnext", "coatnet_0_rw_224"]).names == ["convnext", "coatnet"]


def test_names_alone_are_looked_for_in_the_usual_places(results, tmp_path, monkeypatch):
    (folder,) = results("coatnet")
    monkeypatch.chdir(tmp_path)
    assert opened(models=["coatnet"]).names == ["coatnet"]
    elsewhere = tmp_path / "v2.5-model-dr"
    elsewhere.mkdir()
    shutil.move(folder, elsewhere)
    assert opened(models=["coatnet_0_rw_224"]).models[0].folder == Path(
        "v2.5-model-dr/coatnet_5class_results"
    )


def test_a_model_is_found_by_each_of_its_names(results):
    found = opened(results("coatnet", "swinv2"))
    for name in ("swinv2", "swinv2_tiny_window8_256"):
        assert found.named(name).name == "swinv2"
    with pytest.raises(UserError, match=r"no model 'swin2' among them. Nearest names: swinv2"):
        found.named("swin2")


@pytest.mark.parametrize(("wrong", "near"), [("coatnt", "coatnet"), ("resnet", "resnet50")])
def test_an_unknown_name_gets_the_nearest(results, wrong, near):
    folders = results("coatnet")
    with pytest.raises(
        UserError, match=rf"no results of a model '{wrong}'.*Nearest names:.*{near}"
    ):
        opened(folders, [wrong])


def test_a_name_like_no_other_gets_all(results):
    with pytest.raises(UserError, match=r"'zzz'.*Known: coatnet, "):
        opened(results("coatnet"), ["zzz"])


def test_nothing_given():
    with pytest.raises(UserError, match=r"No model is given.*--results_dirs.*--models"):
        opened()


def test_too_few(results):
    (folder,) = results("coatnet")
    with pytest.raises(UserError, match=rf"{folder} alone: this needs at least 2 models"):
        opened([folder], min_models=2)


def test_a_folder_given_twice(results, tmp_path):
    (folder,) = results("coatnet")
    link = tmp_path / "link"
    link.symlink_to(folder)
    for again in (folder, folder / ".." / folder.name, link):
        with pytest.raises(UserError, match=r"is given twice. Give each model once"):
            opened([folder, again])
    with pytest.raises(UserError, match="is given twice"):
        opened([folder], ["coatnet", "coatnet_0_rw_224"])


def test_a_copy_of_a_model_is_the_model_twice(results, tmp_path):
    (folder,) = results("coatnet")
    shutil.copytree(folder, tmp_path / "copy_5class_results")
    with pytest.raises(UserError, match=re.escape("the same predictions: one model twice")):
        opened([folder, tmp_path / "copy_5class_results"])


def test_folders_of_one_name_are_told_apart(results, tmp_path):
    places = ["seed1", "seed2", "more/seed1"]
    for folder, place in zip(results("coatnet", "swinv2", "convnext"), places, strict=True):
        (tmp_path / place).mkdir(parents=True)
        shutil.move(folder, tmp_path / place / "coatnet_5class_results")
    two = opened([tmp_path / place / "coatnet_5class_results" for place in places[:2]])
    assert two.names == ["seed1/coatnet", "seed2/coatnet"]
    three = opened([tmp_path / place / "coatnet_5class_results" for place in places])
    assert three.names == [f"{tmp_path.name}/seed1/coatnet", "seed2/coatnet", "more/seed1/coatnet"]


def test_the_arguments():
    parser = argparse.ArgumentParser()
    add_results_arguments(parser, "./comparison")
    args = parser.parse_args(["--results_dirs", "a", "b", "--models", "coatnet", "--intersect"])
    assert args.results_dirs == [Path("a"), Path("b")]
    assert (args.models, args.intersect) == (["coatnet"], True)
    assert args.output == Path("./comparison")
