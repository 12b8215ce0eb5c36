"""What only a person knows: asked once, kept, and shown."""

from __future__ import annotations

import pytest
import yaml

from dr_ovo.reports.card.form.questions import OPEN, QUESTIONS, read_answers, write_questions


def fill(path, name, answer):
    """Answers a question in the file."""
    key = name.split(".")[1]
    before = path.read_text()
    assert f'\n{key} = ""\n' in before
    path.write_text(before.replace(f'\n{key} = ""\n', f"\n{key} = {answer}\n"))


def test_all_are_asked_and_none_is_answered(tmp_path):
    path = tmp_path / "answers.toml"
    write_questions(path, 'odd\n"name"\x1b')
    assert read_answers(path) == {}
    text = path.read_text()
    assert all(question.words in text for question in QUESTIONS)
    names = [question.name for question in QUESTIONS]
    assert len(set(names)) == len(names)


def test_answers_are_kept(trained, command, tmp_path):
    folder, out = trained(), tmp_path / "out"
    ended = command("reports.card", folder, "--output", out, folder=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert f"{len(QUESTIONS)} questions only a person can answer" in ended.stdout
    fill(out / "card_answers.toml", "data.camera", '"Topcon | TRC-NW6"')
    fill(out / "card_answers.toml", "other.licence", '"""My\nown"""')
    answered = (out / "card_answers.toml").read_bytes()
    for _ in range(2):
        ended = command("reports.card", folder, "--output", out, folder=tmp_path)
        assert ended.returncode == 0, ended.stderr
        assert (out / "card_answers.toml").read_bytes() == answered
        text = (out / "card.md").read_text()
        assert r"dilated pupils? **Topcon \| TRC-NW6**" in text
        assert "**My<br>own**" in text
        assert text.count(f"**{OPEN}**") == len(QUESTIONS) - 2
        assert "Topcon | TRC-NW6" in (out / "card.html").read_text()
    matter = yaml.safe_load(text.split("---\n")[1])
    assert (matter["license"], matter["license_name"]) == ("other", "My\\nown")


def test_a_licence_that_hugging_face_knows(trained, command, tmp_path):
    folder = trained()
    command("reports.card", folder, folder=tmp_path)
    fill(folder / "card_answers.toml", "other.licence", '"Apache-2.0"')
    assert command("reports.card", folder, folder=tmp_path).returncode == 0
    matter = yaml.safe_load((folder / "card.md").read_text().split("---\n")[1])
    assert matter["license"] == "apache-2.0"
    assert "license_name" not in matter


@pytest.mark.parametrize("output", ["README.md", "README.html"])
def test_the_output_may_be_a_file(output, trained, command, tmp_path):
    folder = trained()
    ended = command("reports.card", folder, "--output", tmp_path / "hub" / output, folder=tmp_path)
    assert ended.returncode == 0, ended.stderr
    names = {path.name for path in (tmp_path / "hub").iterdir()}
    assert names == {"README.md", "README.html", "README_answers.toml"}
    assert not (folder / "card.md").exists()


@pytest.mark.parametrize("name", ["README.md", "README.html"])
def test_a_file_of_ones_own_stays(name, trained, command, tmp_path):
    own = tmp_path / name
    own.write_text("My own words.")
    ended = command("reports.card", trained(), "--output", own, folder=tmp_path)
    assert ended.returncode == 2
    assert "is no model card" in ended.stderr
    assert own.read_text() == "My own words."
    assert not (tmp_path / "README_answers.toml").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[data]\ncamera = ", "not valid TOML"),
        ("[data]\ncamera = 3", "expected text in quotes"),
        ("[data]\ncameras = 'x'", "there is no question 'data.cameras'"),
        ("camera = 'x'", "is in no table"),
    ],
)
def test_a_wrong_file_of_answers(content, said, trained, command, tmp_path):
    folder = trained()
    (folder / "card_answers.toml").write_text(content)
    ended = command("reports.card", folder, folder=tmp_path)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert (folder / "card_answers.toml").read_text() == content
    assert not (folder / "card.md").exists()
