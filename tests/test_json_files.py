"""JSON that is read back: what fits its schema, and what is said of what does not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from msgspec import UNSET, Meta, Struct, UnsetType

from dr_ovo.errors import UserError
from dr_ovo.files import write_json
from dr_ovo.json_files import check_schema, problem_of, read_as, read_json

ADVICE = "Make it again."


class Branch(Struct):
    epoch: Annotated[int, Meta(ge=1)]


class Content(Struct):
    name: str
    rate: Annotated[float, Meta(gt=0, le=1)]
    branches: dict[str, Branch] | UnsetType = UNSET
    ends: list[str | None] | UnsetType = UNSET
    head: Literal["ovo", "softmax"] = "ovo"
    place: Annotated[str, Meta(pattern=r"^[a-z]+\Z", description="a name such as a")] = "a"


def refusal(path: Path, text: str | bytes) -> str:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError) as error:
        read_as(path, Content, ADVICE)
    said = str(error.value)
    assert said.startswith(str(path))
    assert said.endswith(f" {ADVICE}")
    return said


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"name": "\udce9", "rate": 1, "branches": {"0_1": {"epoch": 2}}, "more": 5})
    content = read_as(path, Content, ADVICE)
    assert (content.name, content.rate, content.branches) == ("\udce9", 1.0, {"0_1": Branch(2)})
    assert check_schema(read_json(path, ADVICE), Content, path, ADVICE)["more"] == 5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"rate": 1}', "it has no name"),
        ('{"name": 5, "rate": 1}', "its name is 5; expected text"),
        ('{"name": "a", "rate": 0}', "its rate is 0; expected a number > 0"),
        ('{"name": "a", "rate": "1"}', 'its rate is "1"; expected a number'),
        ('{"name": "a", "rate": true}', "its rate is true; expected a number"),
        ('{"name": "a", "rate": 1, "branches": []}', "its branches is []; expected an object"),
        ('{"name": "a", "rate": 1, "branches": {"x": {}}}', "it has no branches[...].epoch"),
        ('{"name": "a", "rate": 1, "ends": ["b", 7]}', "its ends[1] is 7; expected text or null"),
        ('{"name": "a", "rate": 1, "head": "x"}', 'its head is "x"; expected one of ovo, softmax'),
        (
            '{"name": "a", "rate": 1, "place": "a\\n"}',
            r'its place is "a\n"; expected a name such as',
        ),
        ('{"name": "a", "rate": 1, "place": 5}', "its place is 5; expected a name such as a"),
        ("[1]", "it is no JSON object"),
        ("null", "it is no JSON object"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, text: str, said: str) -> None:
    assert said in refusal(tmp_path / "a.json", text)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ({(1, 2): 3}, "its name is a dict; expected text"),
        (b"a", "its name is a bytes; expected text"),
        (float("nan"), "its name is NaN; expected text"),
    ],
)
def test_what_json_does_not_have_is_named_too(name: Any, said: str) -> None:
    assert problem_of({"name": name, "rate": 1}, Content) == said


def test_a_key_that_is_no_text_is_named() -> None:
    content: Any = {"name": "a", "rate": 1, "branches": {7: Branch(1)}}
    assert problem_of(content, Content) == "a key of its branches is no text"
    assert problem_of({7: 1, **content}, Content) == "a key of its content is no text"


@pytest.mark.parametrize(
    "text",
    [
        "", "{", '{"name": "a", "rate": NaN}', '{"name": "a", "rate": 1e999}', b"\xff\xfe",
        '{"name": "a", "rate": -Infinity}', '{"name": ' + "[" * 100_000, b"\0", b"{}\0",
        '{"name": "a", "rate": 1' + "0" * 5000 + "}",
    ],
)  # fmt: skip
def test_what_is_no_json(tmp_path: Path, text: str | bytes) -> None:
    assert "can't be read (" in refusal(tmp_path / "a.json", text)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(UserError, match="more than 64 MB"):
        read_json(path, ADVICE)


def test_a_file_that_is_missing_or_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(UserError, match="can't be read"):
            read_json(path, ADVICE)
