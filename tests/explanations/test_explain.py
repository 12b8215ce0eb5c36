"""`python -m dr_ovo explain`, and `predict.py --explain`: files, numbers, pages, bad input."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from dr_ovo.commands.explain import main
from dr_ovo.commands.predict import main as predict_main
from dr_ovo.dataset.image_files import folder_content
from dr_ovo.errors import run
from dr_ovo.explanations import overlay as overlay_module
from dr_ovo.explanations.explained import Explainer, Explanation, Seen, rivals_of
from dr_ovo.explanations.overlay import overlay, pictures
from dr_ovo.explanations.questions import questions
from dr_ovo.explanations.words import STRIP_TITLE, how_to_read
from dr_ovo.explanations.writing import file_stems
from dr_ovo.grading.grader import Grader
from dr_ovo.inference.ensemble import Ensemble, open_ensemble
from dr_ovo.pairs import class_pairs, pair_signs
from dr_ovo.photographs.geometry import Grid
from dr_ovo.photographs.image_decoding import decode_image
from dr_ovo.photographs.preprocessing import Preprocessing
from dr_ovo.settings.command_line import parse_settings
from dr_ovo.synthetic.fundus import draw_fundus

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def photographs(tiny_dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folders with a photograph of the same name, one with a space, and one unreadable."""
    out = tmp_path_factory.mktemp("input") / "photographs"
    for number, path in enumerate(sorted((tiny_dataset / "test").glob("*/*.jpeg"))[:3]):
        name = ("a/eye.jpeg", "b/eye.jpeg", "an eye & more.jpeg")[number]
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, out / name)
    (out / "broken.png").write_bytes(b"no picture")
    return out


def explain(*words: object) -> int:
    flags = ("--device", "cpu", "--num_workers", 0)
    return run(lambda: main([str(word) for word in (*words, *flags)], "explain"))


@pytest.fixture(scope="module")
def maps(folder, photographs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("maps") / "out"
    assert explain(folder, "--input", photographs, "--output", output) == 0
    return output


def content(maps: Path) -> dict:
    """maps.json, with the lines of maps.jsonl as `photographs`."""
    lines = (maps / "maps.jsonl").read_text().splitlines()
    about = json.loads((maps / "maps.json").read_text())
    return {**about, "photographs": [json.loads(line) for line in lines]}


def opened(folder: Path) -> Ensemble:
    words = ["--mode", "inference", "--output_dir", str(folder), "--device", "cpu"]
    return open_ensemble(parse_settings(words), CPU)


def test_the_files(maps):
    stems = ("a_eye", "an_eye_more", "b_eye")
    files = {f"{stem}{suffix}" for stem in stems for suffix in (".npy", ".png", ".jpg")}
    assert {path.name for path in maps.iterdir()} == {
        *files,
        "maps.json",
        "maps.jsonl",
        "maps.html",
    }
    entries = content(maps)["photographs"]
    assert [entry["figure"] for entry in entries] == [f"{stem}.png" for stem in stems]
    for entry in entries:
        values = np.load(maps / entry["networks"][0]["values"])
        assert values.shape == (2, 2, 2)  # questions, rows, columns
        for number, question in enumerate(entry["questions"]):
            quadrants = [one["logit"] for one in question["quadrants"].values()]
            assert sum(quadrants) == pytest.approx(values[number].sum())
            assert question["places"] == pytest.approx(values[number].sum())
            assert question["answer"] == pytest.approx(question["places"] + question["rest"])
        height, width = cv2.imread(str(maps / entry["strip"])).shape[:2]
        assert width > 3 * 170
        assert height <= 180


def test_the_answers_are_those_of_the_logits(maps, folder):
    """The rest is the head's bias, and the grade is that of the decoder."""
    ensemble = opened(folder)
    bias = ensemble.models[0].network.branch("ovo").head.bias.detach().numpy()
    readings = Grader.load(folder, device="cpu").grade(
        decode_image(Path(entry["file"]), 64) for entry in content(maps)["photographs"]
    )
    for entry, reading in zip(content(maps)["photographs"], readings, strict=True):
        assert entry["adds_up"]
        assert entry["grade"] == reading.grade
        others = [*reading.probabilities]
        others[entry["grade"]] = -1
        assert entry["rival"] == int(np.argmax(others))
        asked = questions("ovo", ensemble.class_names, entry["grade"], entry["rival"])
        for question, own in zip(entry["questions"], asked, strict=True):
            assert question["rest"] == pytest.approx(own.coefficients @ bias, abs=1e-4)


def test_the_grade_has_the_largest_sum_of_signed_logits_or_close(maps, folder):
    """The answer to "why this grade" is the score of the grade among all classes."""
    ensemble = opened(folder)
    explainer = Explainer(ensemble, CPU)
    entry = content(maps)["photographs"][0]
    paths = [Path(entry["file"])] * 5
    found = [*explainer.explain(paths, range(5), [1, 0, 0, 0, 0])]
    sums = np.array([one.outputs[0] for one in found if one is not None])
    assert sums.sum() == pytest.approx(0, abs=1e-4)  # each pair speaks for one, against another
    signs = pair_signs(class_pairs(5), 5)
    logits = np.linalg.lstsq(signs.astype(float), sums, rcond=None)[0]
    assert signs @ logits == pytest.approx(sums, abs=1e-4)


def test_the_page(maps):
    page = (maps / "maps.html").read_text()
    assert page.count("data:image/jpeg") == 3
    assert page.count('<td class="picture"') == 3  # as wide as a strip
    assert "not where lesions are" in page
    for name in ("a/eye.jpeg", "an eye &amp; more.jpeg", "b/eye.jpeg"):
        assert f'alt="{name}: the photograph, the map for grade ' in page


def test_damaged_files_are_named(folder, photographs, tmp_path, capsys):
    assert explain(folder, "--input", photographs / "broken.png", "--output", tmp_path / "no") == 2
    said = capsys.readouterr().err
    assert "broken.png" in said
    assert "None of the --input files" in said


@pytest.mark.usefixtures("blank_figures")
def test_a_second_run_leaves_no_map_of_the_first(folder, photographs, tmp_path):
    output = tmp_path / "out"
    assert explain(folder, "--input", photographs / "a", "--output", output) == 0
    first = {path.name for path in output.iterdir()}
    assert explain(folder, "--input", photographs / "an eye & more.jpeg", "--output", output) == 0
    second = {path.name for path in output.iterdir()}
    assert first & second == {"maps.json", "maps.jsonl", "maps.html"}
    assert len(content(output)["photographs"]) == 1


@pytest.mark.usefixtures("blank_figures")
def test_a_stopped_run_is_cleared_by_the_next(folder, photographs, tmp_path, monkeypatch):
    output = tmp_path / "out"
    assert explain(folder, "--input", photographs / "b", "--output", output) == 0
    with monkeypatch.context() as patch:
        patch.setattr("dr_ovo.explanations.explain.page_of", _stop)
        with pytest.raises(RuntimeError, match="stopped"):
            main([str(folder), "--input", str(photographs / "a"), "--output", str(output)], "x")
    assert (output / "eye.npy").is_file()
    assert not (output / "maps.html").exists()  # of an earlier run
    assert explain(folder, "--input", photographs / "an eye & more.jpeg", "--output", output) == 0
    assert not (output / "eye.npy").exists()


def _stop(*_: object) -> None:
    raise RuntimeError("stopped")


def test_another_folder_is_not_filled(folder, photographs, tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("mine")
    assert explain(folder, "--input", photographs, "--output", tmp_path) == 2
    assert "holds other files" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"thesis.txt"}


@pytest.mark.usefixtures("blank_figures")
def test_maps_are_no_photographs(folder, photographs, tmp_path):
    """An output among the photographs is not read by the next run."""
    shutil.copytree(photographs / "a", tmp_path / "in")
    for _ in range(2):
        words = (folder, "--input", tmp_path / "in", "--output", tmp_path / "in" / "maps")
        assert explain(*words) == 0
        assert len(content(tmp_path / "in/maps")["photographs"]) == 1
    assert [path.name for path in folder_content(tmp_path / "in").images] == ["eye.jpeg"]


def test_a_damaged_list_of_maps_says_a_way_on(folder, photographs, tmp_path, capsys):
    (tmp_path / "maps.json").write_text("{")
    assert explain(folder, "--input", photographs, "--output", tmp_path) == 2
    assert "Remove the folder, or give another --output." in capsys.readouterr().err


def test_a_folder_of_something_else_is_refused_before_grading(
    folder, photographs, tmp_path, capsys
):
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps/thesis.txt").write_text("mine")
    words = ["--models", folder, "--input", photographs, "--output", tmp_path, "--explain"]
    assert run(lambda: predict_main([str(word) for word in words], "predict.py")) == 2
    assert "holds other files" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["maps"]


def test_a_model_that_is_not_there(tmp_path, photographs, capsys):
    assert explain(tmp_path / "none", "--input", photographs) == 2
    assert "there is no such results folder" in capsys.readouterr().err


@pytest.mark.usefixtures("blank_figures")
def test_finer_maps(folder, photographs, tmp_path):
    words = (folder, "--input", photographs / "a", "--output", tmp_path / "out")
    assert explain(*words, "--map_stride", 16) == 0
    entry = content(tmp_path / "out")["photographs"][0]
    assert np.load(tmp_path / "out/eye.npy").shape == (2, 4, 4)
    assert not entry["adds_up"]
    assert "gradient times features" in " ".join((tmp_path / "out/maps.html").read_text().split())


@pytest.mark.usefixtures("blank_figures")
def test_predict_shows_maps_in_its_page(folder, photographs, tmp_path):
    output = tmp_path / "reading"
    words = ["--models", folder, "--input", photographs, "--output", output, "--explain"]
    flags = ["--device", "cpu", "--num_workers", 0]
    assert run(lambda: predict_main([str(w) for w in (*words, *flags)], "predict.py")) == 0
    page = (output / "sheet.html").read_text()
    assert "map for the grade" in page
    assert "not where lesions are" in page
    assert len(content(output / "maps")["photographs"]) == 3
    rows = [json.loads(line) for line in (output / "photographs.jsonl").read_text().splitlines()]
    graded = {row["file"]: row["grade"] for row in rows if row["grade"] is not None}
    names = content(output / "maps")["class_names"]
    assert {e["file"]: names[e["grade"]] for e in content(output / "maps")["photographs"]} == graded


def test_a_step_without_maps_is_refused(folder, photographs, tmp_path, capsys):
    words = ["--models", folder, "--input", photographs, "--output", tmp_path, "--map_stride", 16]
    assert run(lambda: predict_main([str(word) for word in words], "predict.py")) == 2
    assert "give --explain, too" in capsys.readouterr().err


# A lesion that moves


def spot(image: np.ndarray, x: int, y: int) -> np.ndarray:
    """The photograph with a dark haemorrhage at (x, y)."""
    found = image.copy()
    cv2.ellipse(found, (x, y), (22, 14), 20, 0, 360, (70, 8, 8), -1)
    return cv2.GaussianBlur(found, (5, 5), 0)


@pytest.fixture(scope="module")
def lite0_folder(trainer, tiny_dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network with ImageNet's features: they see a lesion, whatever the head makes of it."""
    root = tmp_path_factory.mktemp("lite0") / "results"
    words = (
        "--base_models", "tf_efficientnet_lite0", "--img_size", 224, "--freeze_stages", 4,
        "--head", "regression", "--enable_clahe", "false", "--dataset_path", tiny_dataset,
        "--epochs", 1, "--device", "cpu", "--num_workers", 0, "--output_dir", root,
    )  # fmt: skip
    assert trainer(*words).code == 0
    return root


PLACES = [(210, 90), (110, 220), (230, 230)]


@pytest.mark.slow
def test_a_planted_lesion_that_moves_moves_the_map(lite0_folder, tmp_path):
    plain, _ = draw_fundus(0, "right", 320, seed=5, patient_seed=7)
    explainer = Explainer(opened(lite0_folder), CPU)
    images = {"plain": spot(plain, -100, -100)}
    images |= {f"{x}_{y}": spot(plain, x, y) for x, y in PLACES}
    paths = [tmp_path / f"{name}.png" for name in images]
    for path, image in zip(paths, images.values(), strict=True):
        cv2.imwrite(str(path), image[..., ::-1])
    found = [*explainer.explain(paths, [1] * len(paths), [0] * len(paths))]
    without, *maps = (one.drawn(320, 320)[0] for one in found if one is not None)
    for (x, y), own in zip(PLACES, maps, strict=True):
        changed = cv2.GaussianBlur(np.abs(own - without), (0, 0), 8)
        row, column = np.unravel_index(changed.argmax(), changed.shape)
        assert np.hypot(column - x, row - y) < 60  # a place is 45 pixels of the photograph wide


# Numbers and colours


def explanation(values: np.ndarray, path: Path, size: int = 64) -> Explanation:
    image = decode_image(path, size)
    geometry = Preprocessing(size).geometry(image)
    grid = Grid.even(values.shape[-1])
    seen = [Seen(one, one.sum((1, 2)) + 1, geometry, True, grid) for one in values]
    weights = np.array([0.25, 0.75])[: len(values)]
    asked = questions("ovo", ["0", "1", "2", "3", "4"], 3, 2)
    return Explanation(path, 3, 2, asked, seen, weights / weights.sum())


@pytest.fixture
def drawn(tmp_path) -> Path:
    image, _ = draw_fundus(2, "left", 128, seed=1, patient_seed=1)
    cv2.imwrite(str(tmp_path / "drawn.png"), image[..., ::-1])
    return tmp_path / "drawn.png"


def test_quadrants_of_an_odd_map_share_its_middle(drawn):
    values = np.zeros((1, 2, 3, 3))
    values[0, 0] = [[4, 2, 0], [2, 8, 0], [0, 0, 1]]
    found = explanation(values, drawn)
    assert found.quadrants[0].tolist() == pytest.approx([4 + 1 + 1 + 2, 1 + 2, 1 + 2, 2 + 1])
    assert found.rest == pytest.approx([1, 1])


def test_several_networks_are_averaged_by_their_weights(drawn):
    values = np.zeros((2, 2, 2, 2))
    values[0, :, 0, 0], values[1, :, 1, 1] = 8, 4
    found = explanation(values, drawn)
    assert found.quadrants[0].tolist() == [2, 0, 0, 3]
    assert found.outputs == pytest.approx([0.25 * 9 + 0.75 * 5] * 2)
    over = found.drawn(128, 128)
    assert over[0, 35, 35] == pytest.approx(0.25 * 4 * 8, rel=0.15)


def test_colours_do_not_depend_on_the_other_places(drawn):
    image = decode_image(drawn, 128)
    values = np.zeros((128, 128))
    values[40:60, 40:60], values[80:90, 80:90] = 4, -2
    once = overlay(image, values, 8.0)
    values[100:110, 40:60] = 400
    twice = overlay(image, values, 8.0)
    assert np.array_equal(once[:95], twice[:95])
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    assert np.array_equal(once[:30, :30], np.repeat(grey[:30, :30, None], 3, 2))
    red, blue = once[50, 50].astype(int), once[85, 85].astype(int)
    assert red[0] > red[2]
    assert blue[2] > blue[0]
    assert np.array_equal(overlay(image, np.full((128, 128), 8.0), 8.0), _saturated(image))


def _saturated(image: np.ndarray) -> np.ndarray:
    return overlay(image, np.full(image.shape[:2], 1e6), 8.0)


def test_the_rival_is_called_the_most_probable_other_grade(drawn, monkeypatch):
    """By the expected grade, the grade itself need not be the most probable one."""
    figures = []
    monkeypatch.setattr(overlay_module, "png", lambda figure: figures.append(figure) or b"")
    found = explanation(np.zeros((1, 2, 2, 2)), drawn)
    overlay_module.figure(found, pictures(found, 100), ["0", "1", "2", "3", "4"], [])
    assert figures[0].get_suptitle() == "Grade 3; most probable other grade: 2"
    assert "next" not in " ".join([STRIP_TITLE, *how_to_read(adds_up=True)])


def test_a_photograph_that_is_gone_has_no_picture(drawn):
    found = explanation(np.zeros((1, 2, 2, 2)), drawn)
    assert [one.shape for one in pictures(found, 100)] == [(100, 100, 3)] * 3
    drawn.unlink()
    assert pictures(found, 100) is None


def test_rivals():
    probabilities = np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.0, 0.0, 1.0]])
    assert rivals_of(probabilities, np.array([0, 0, 2])).tolist() == [1, 2, 0]


def test_file_names():
    names = ["1/a b.jpg", "1/a_b.png", "1_a b.jpg", "x" * 300 + ".jpg", "名.jpg"]
    names += ["名" * 70 + "/" + "前" * 70 + ".jpg", "v1.2/eye"]
    found = file_stems(names)
    assert found[:3] == ["1_a_b", "1_a_b-2", "1_a_b-3"]
    assert len(found[3]) == 120
    assert found[4] == "名"
    assert len(f"{found[5]}.png.part".encode()) < 255  # what a disk takes
    assert found[5] == "前" * 40
    assert found[6] == "v1_2_eye"
