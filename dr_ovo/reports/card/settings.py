"""The settings of a training, and the software and hardware that it ran on; without its paths."""

from __future__ import annotations

import json
from typing import Any

from dr_ovo.document.document import Column, Table
from dr_ovo.reports.card.facts import CardFacts
from dr_ovo.reports.card.form.parts import UNRECORDED, CardSection, facts_table

# Settings that say where files lie on the machine of the training, or how one run went.
NOT_SHOWN = (
    "mode", "dataset_path", "output_dir", "output_root", "experiment_name", "log_file", "input",
    "output", "ensemble", "cache_dir", "resume", "recover", "dry_run", "debug_mode", "splits",
)  # fmt: skip
FILES = ("pretrained_path",)  # of these only the name is shown


def settings_sections(facts: CardFacts) -> list[CardSection]:
    """Settings, and software and hardware."""
    return [
        CardSection("Settings", [], [_settings(facts)]),
        CardSection("Software and hardware", [], [_environment(facts)]),
    ]


def name_of_file(path: str) -> str:
    """The last part of a path, as any machine writes it."""
    return path.replace("\\", "/").rsplit("/", 1)[-1]


def _settings(facts: CardFacts) -> Table:
    sources = facts.config.get("sources") or {}
    columns = [Column("setting", "setting"), Column("value", "value"), Column("source", "is")]
    rows = [
        [key, _setting(key, value), _source(sources.get(key))]
        for key, value in facts.settings.items()
        if key not in NOT_SHOWN
    ]
    note = "Paths of the machine of the training are left out."
    return Table("settings", "Settings of the training", columns, rows, note, shown=0)


def _source(source: str | None) -> str:
    """Where a setting came from may be a path, which is no part of a card."""
    return "default" if source == "default" else UNRECORDED if source is None else "given"


def _setting(key: str, value: Any) -> str:
    if key in FILES and value:
        return name_of_file(str(value))
    return _text(value)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _environment(facts: CardFacts) -> Table:
    config, effective = facts.config, facts.config.get("effective") or {}
    rows: list[tuple[str, Any]] = [*(config.get("versions") or {"versions": None}).items()]
    rows += [
        ("commit of the toolkit", config.get("git_commit")),
        ("device", effective.get("device")),
        ("precision", effective.get("precision")),
        ("threads", effective.get("threads")),
        ("processes", effective.get("ranks")),
        ("photographs at a time", effective.get("micro_batch")),
        ("torch.compile", _text(effective.get("compile"))),
    ]
    return facts_table("environment", "Environment of the training", rows)
