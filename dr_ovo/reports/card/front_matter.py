"""The metadata of the card as Hugging Face reads it: licence, tags, and `model-index`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dr_ovo.document.yaml_text import yaml_text
from dr_ovo.predictions.predictions_file import marks_of
from dr_ovo.reports.card.facts import CardFacts
from dr_ovo.reports.card.form.questions import LICENCE, OPEN, Answers
from dr_ovo.reports.card.performance import SPLIT_WORDS
from dr_ovo.results.folder import OOF
from dr_ovo.statistics.weighted_statistics import LEVEL

TAGS = ("diabetic-retinopathy", "fundus-photography", "medical-imaging", "dr_ovo",
        "research-use-only")  # fmt: skip
# Licences by which Hugging Face knows weights; others are `other`, with their name.
LICENCES = (
    "apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0",
    "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-sa-4.0", "cc-by-nc-nd-4.0", "gpl-2.0", "gpl-3.0",
    "agpl-3.0", "lgpl-3.0", "mpl-2.0", "openrail", "unlicense",
)  # fmt: skip
REPORTED = ("test", OOF)  # val, on which choices were made, is no result
OVERALL = {
    "quadratic_kappa": ("quadratic_weighted_kappa", "Quadratic weighted kappa"),
    "accuracy": ("accuracy", "Accuracy"),
    "balanced_accuracy": ("balanced_accuracy", "Balanced accuracy"),
    "macro_auc": ("roc_auc", "Macro AUC, one against the rest"),
}
OF_GRADE = {"recall": "Recall", "precision": "Precision", "f1": "F1", "auc": "AUC"}
RATES = ("sensitivity", "specificity")


def front_matter(facts: CardFacts, answers: Answers) -> str:
    """The YAML between the two lines of `---`."""
    licence, notes = _licence(answers)
    values = {**licence, "library_name": "dr_ovo", "pipeline_tag": "image-classification"}
    values["tags"] = [*TAGS, *(mark.lower() for mark in facts.marks)]
    if facts.facts.architecture and facts.settings.get("pretrained"):
        values["base_model"] = facts.facts.architecture
    values["model-index"] = [{"name": facts.name, "results": [*_results(facts)]}]
    return yaml_text(values, notes)


def _licence(answers: Answers) -> tuple[dict[str, Any], dict[str, str]]:
    given = answers.get(LICENCE)
    if given is None:
        return {"license": "unknown"}, {"license": f"{OPEN} in {LICENCE}"}
    if given.lower() in LICENCES:
        return {"license": given.lower()}, {}
    return {"license": "other", "license_name": given}, {}


def _results(facts: CardFacts) -> Iterator[dict[str, Any]]:
    for split in REPORTED:
        if split in facts.evaluations:
            dataset = {
                "name": _marked(facts.dataset or "unnamed", facts.marks),
                "type": "imagefolder",
                "split": SPLIT_WORDS[split],
            }
            yield _result(facts, facts.evaluations[split], dataset)
    for one in facts.external:
        marks = marks_of([one.evaluation, {mark.lower(): True for mark in facts.marks}], [])
        dataset = {"name": _marked(one.name, marks), "type": "imagefolder", "split": "external"}
        yield _result(facts, one.evaluation, dataset)


def _marked(name: str, marks: Sequence[str]) -> str:
    """The name with SYNTHETIC, SIMULATED or LEAKY, without which no figure is shown."""
    return f"{name} ({', '.join(marks)})" if marks else name


def _result(
    facts: CardFacts, evaluation: Mapping[str, Any], dataset: dict[str, Any]
) -> dict[str, Any]:
    revision = facts.config.get("data_manifest_hash")
    if revision and dataset["split"] != "external":
        dataset["revision"] = revision
    return {
        "task": {"type": "image-classification", "name": "Diabetic retinopathy grading"},
        "dataset": dataset,
        "metrics": [*_metrics(evaluation)],
    }


def _metrics(evaluation: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    count = evaluation.get("n")
    for key, (kind, name) in OVERALL.items():
        yield from _metric(kind, name, evaluation.get(key), count)
    for block in evaluation.get("per_class", []):
        for key, word in OF_GRADE.items():
            kind = "roc_auc" if key == "auc" else key
            own = f"class {block['class']}" if "class" in block else f"grade {block['grade']}"
            name = f"{word} of {own}"
            yield from _metric(kind, name, block.get(key), block["n"] if key == "recall" else count)
    for condition in ("referable", "vision_threatening"):
        found = evaluation.get(condition, {})
        words = condition.replace("_", "-")
        yield from _metric("roc_auc", f"AUC, {words}", found.get("auc"), count)
        for point in ("high_sensitivity", "high_specificity"):
            for rate in RATES:
                name = f"{rate.capitalize()}, {words}, at the point of {point.replace('_', ' ')}"
                yield from _metric(rate, name, found.get(point, {}).get(rate), count)
    for kind, block in evaluation.get("calibration", {}).items():
        if kind in ("raw", "tempered") and isinstance(block, Mapping):
            name = f"Expected calibration error, {kind}"
            yield from _metric("expected_calibration_error", name, block.get("ece"), count)


def _metric(
    kind: str, name: str, metric: Mapping[str, Any] | None, count: int | None
) -> Iterator[dict[str, Any]]:
    """The metric, with its interval and photographs as `args`; none where it has no value."""
    if not metric or metric.get("value") is None:
        return
    args: dict[str, Any] = {} if count is None else {"n": count}
    if metric.get("low") is not None:
        args |= {"low": metric["low"], "high": metric["high"], "level": LEVEL}
    found = {"type": kind, "value": metric["value"], "name": name}
    yield {**found, "args": args} if args else found
