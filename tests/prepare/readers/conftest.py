"""Label files and pictures by name, for the tests of their readers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest

from dr_ovo.prepare.readers.csv_labels import LabelReading, LabelRules, read_labels


@pytest.fixture
def read_set(tmp_path) -> Callable[..., LabelReading]:
    """Reads label files, name -> text, with (empty) pictures in a folder `images`."""

    def read(
        files: Mapping[str, str],
        pictures: Sequence[str],
        rules: LabelRules | None = None,
        images: str = "pictures",
        **named: str,
    ) -> LabelReading:
        for name in pictures:
            path = tmp_path / images / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        for name, text in files.items():
            (tmp_path / name).write_text(text, encoding="utf-8")
        labels = [tmp_path / name for name in files]
        return read_labels(tmp_path / images, labels, named, rules or LabelRules())

    return read
