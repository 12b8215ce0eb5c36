"""The network, and how it was trained."""

from __future__ import annotations

from typing import Any

from dr_ovo.document.document import Column, Table, minutes
from dr_ovo.reports.card.facts import CardFacts
from dr_ovo.reports.card.form.parts import CardSection, facts_table, number
from dr_ovo.reports.card.form.questions import Answers, asked
from dr_ovo.reports.card.settings import name_of_file
from dr_ovo.results.made_from import MADE_FROM
from dr_ovo.tables import decimal, magnitude

KEPT = {
    "last": "the last; none is chosen on val",
    "best": "the one with the best score on val",
    "log_loss": "the one with the lowest log loss on val",
    "steady": "that of the lowest log loss on val among those within one standard error of the "
    "best score",
}


def model_sections(facts: CardFacts, answers: Answers) -> list[CardSection]:
    """Model and training."""
    return [
        CardSection("Model", [], [_network(facts), *_checkpoints(facts)]),
        CardSection(
            "Training",
            [*_whose(facts), *_resumptions(facts)],
            [_training(facts)],
            asked("training", answers),
        ),
    ]


def _network(facts: CardFacts) -> Table:
    known, settings = facts.facts, facts.settings
    given = (facts.config.get("effective") or {}).get("input") or {}
    size = given.get("size") or settings.get("img_size")
    of_mean = facts.evaluation.get("head") == "ensemble"
    mode = settings.get("ovo_mode") if known.head == "ovo" else None
    rows: list[tuple[str, Any]] = [
        ("architecture, timm's name", _architecture(facts)),
        ("family", known.family),
        ("head", f"{known.head}, {mode}" if mode else known.head or None),
        ("method" if of_mean else "decoder", facts.evaluation.get("decoder")),
        ("parameters", magnitude(known.parameters) if known.parameters else None),
        ("networks", _networks(facts)),
        ("input", f"{size} x {size} pixels, three channels" if size else None),
        ("mean of the input's channels", _numbers(given.get("mean"))),
        ("their standard deviation", _numbers(given.get("std"))),
        ("preprocessing, sha256", facts.config.get("preprocessing_hash")),
        ("views of a photograph", settings.get("tta_views")),
        ("output", f"a probability for each of {len(facts.class_names)} grades"),
    ]
    if facts.facts.prior_corrected:
        rows.append(("class weights", "what they added to the logits is taken from them again"))
    return facts_table("network", "Network", rows)


def _architecture(facts: CardFacts) -> str | None:
    several = ", ".join(facts.networks.architectures) if facts.networks else ""
    return several or facts.facts.architecture


def _networks(facts: CardFacts) -> str:
    if facts.folds:
        return f"{facts.folds}, one a fold; their mean"
    if facts.networks is None:
        return "1"
    count = facts.networks.count or "more than one"
    return f"{count}, combined by the method {facts.networks.method}"


def _whose(facts: CardFacts) -> list[str]:
    """Of an ensemble of several trainings, whose settings are shown."""
    if facts.networks is None or facts.folds:
        return []
    if not facts.config:
        return ["How its networks were trained is said by the cards of their own folders."]
    first = facts.trained[0].root.name
    return [
        f"Input and training are those of the first network, {first}. Those of the others are said "
        "by the cards of their own folders."
    ]


def _numbers(values: Any) -> str | None:
    return ", ".join(decimal(float(value)) for value in values) if values else None


def _checkpoints(facts: CardFacts) -> list[Table]:
    digests = facts.evaluation.get(MADE_FROM, {}).get("checkpoints", {})
    columns = [Column("file", "file"), Column("sha256", "sha256")]
    rows = [[name, sha256] for name, sha256 in digests.items()]
    return [Table("checkpoints", "Checkpoints that were evaluated", columns, rows)] if rows else []


def _training(facts: CardFacts) -> Table:
    settings, effective = facts.settings, facts.config.get("effective") or {}
    step = effective.get("images_per_step")
    epochs = [
        str(one["epoch"])
        for folder in facts.trained
        for one in folder.read_descriptors().values()
        if "epoch" in one
    ]
    rule = settings.get("keep_epoch")
    return facts_table(
        "training",
        "Training",
        [
            ("began with", _weights(facts)),
            ("parameters trained", _count(effective.get("trained_parameters"))),
            ("parameters frozen", _count(effective.get("frozen_parameters"))),
            ("epochs", settings.get("epochs")),
            ("epoch kept", KEPT.get(str(rule), rule)),
            ("kept in each checkpoint", ", ".join(epochs)),
            ("photographs per step", step),
            ("learning rate", settings.get("learning_rate")),
            ("schedule", settings.get("scheduler")),
            ("weight decay", settings.get("weight_decay")),
            ("sampling of grades", settings.get("sampler")),
            ("loss", _loss(facts)),
            ("recipe", _recipes(facts)),
            ("seed", settings.get("seed")),
            ("time, without pauses", _time(facts)),
        ],
    )


def _weights(facts: CardFacts) -> str | None:
    settings = facts.settings
    files = {config.get("pretrained_sha256") for config in facts.configs} - {None}
    if len(files) > 1:
        return "each network with weights of its own"
    if files:
        return f"weights with the sha256 {files.pop()}"
    if "pretrained" not in settings:
        return None
    if not settings["pretrained"]:
        return "random weights"
    known = facts.facts.architecture
    return f"pretrained weights of {known}" if known else "pretrained weights"


def _loss(facts: CardFacts) -> str | None:
    settings = facts.settings
    if "enable_focal_loss" not in settings:
        return None
    if settings.get("head") == "regression":
        return str(settings.get("regression_loss"))
    said = ["cross-entropy"]
    if settings["enable_focal_loss"]:
        said = [f"focal, gamma {settings.get('focal_loss_gamma')}"]
    if settings.get("enable_class_weights"):
        said.append("class weights")
    if settings.get("label_smoothing"):
        said.append(f"label smoothing {settings['label_smoothing']}")
    return ", ".join(said)


def _recipes(facts: CardFacts) -> str | None:
    """The names of the recipes; of one in a file only the file's."""
    found = facts.config.get("recipes")
    if found is None:
        return None
    return ", ".join(name_of_file(str(one.get("name"))) for one in found) or "none"


def _time(facts: CardFacts) -> str | None:
    seconds = facts.training_seconds
    return None if seconds is None else minutes(seconds)


def _count(value: int | None) -> str | None:
    return None if value is None else f"{value:,}"


def _resumptions(facts: CardFacts) -> list[str]:
    """What did not go as planned in a training."""
    words = {
        "resumed": "It was stopped and resumed: {}.",
        "recovered": "It was set back after its loss had diverged: {}.",
        "retrained": "Pairs were trained again: {}.",
        "changed_images": "Photographs changed while it went on: {}.",
    }
    said = []
    for key, text in words.items():
        count = sum(len(config.get(key) or []) for config in facts.configs)
        if count:
            said.append(text.format(number(count, "time") if key != "changed_images" else count))
    return said
