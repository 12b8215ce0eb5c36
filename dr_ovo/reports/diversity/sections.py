"""Tables and text of analyze_ensemble_diversity.py; titles and explanations of the measures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from dr_ovo.document.document import Column, Figure, Section, Table
from dr_ovo.reports.paired_comparison import listed
from dr_ovo.tables import decimal, magnitude, percent

Data = Mapping[str, Any]
# Measure -> its title, the format of its values, and an explanation.
MEASURES: dict[str, tuple[str, str, str]] = {
    "q": ("Q statistic", "decimal", "0 where errors are independent, 1 where they coincide"),
    "correlation": ("Correlation", "decimal", "of correctness; 0 where errors are independent"),
    "disagreement": (
        "Disagreement",
        "percent",
        "share of images that only one of the two grades correctly",
    ),
    "double_fault": ("Double fault", "percent", "share of images that both miss"),
    "kappa": ("Kappa", "decimal", "Cohen's, between the two models' grades, beyond chance"),
}
PERCENT, DECIMAL, TEXT = "percent", "decimal", "text"


def sections(data: Data, figures: Mapping[str, Sequence[Figure]]) -> list[Section]:
    """The report's sections; `figures` by section."""
    return [
        _contributions(data, figures["contributions"]),
        _pairs(data, figures["measures"]),
        _overlap(data, figures["overlap"]),
        _models(data),
    ]


def _contributions(data: Data, figures: Sequence[Figure]) -> Section:
    columns = [
        Column("model", "Model"),
        Column("val_quadratic_kappa", "Adds on val: kappa", "signed_decimal"),
        Column("val_accuracy", "Adds on val: accuracy (points)", "signed_percent"),
        Column("quadratic_kappa", "Adds on test: kappa", "signed_decimal"),
        Column("accuracy", "Adds on test: accuracy (points)", "signed_percent"),
    ]
    rows = [[row[column.key if column.key != "model" else "model"] for column in columns]
            for row in data["contributions"]]  # fmt: skip
    note = (
        "The mean of all models' probabilities minus the mean without this one; above 0 the model "
        "helps. Intervals are paired, 95 %."
    )
    table = Table("diversity_contributions", "What each model adds", columns, rows, note)
    words = contribution_words(data)
    if mixed := data["mixed_priors"]:
        words = [f"These means mix probabilities: {mixed}.", *words]
    return Section("Which model adds most", words, [table], figures)


def contribution_words(data: Data) -> list[str]:
    """Which model adds most, as decided on val, and what test shows of each model."""
    rows = data["contributions"]
    first = rows[0]
    words = (
        f"On val, {first['model']} adds most to the mean of all {len(rows)}"
        f"{_gain(first['val_quadratic_kappa'])}. On test it adds {_interval(first)}: "
        f"{_judged(first)}."
    )
    groups: dict[str, list[str]] = {}
    for row in rows[1:]:
        groups.setdefault(_judged(row), []).append(row["model"])
    others = [f"{listed(names)}: {verdict}." for verdict, names in groups.items()]
    return [words, "Of the others, by kappa on test: " + " ".join(others)]


def _gain(value: float | None) -> str:
    return "" if value is None else f" ({value:+.3f} of kappa)"


def _interval(row: Data) -> str:
    metric = row["quadratic_kappa"]
    if metric["value"] is None:
        return f"an unknown amount of kappa ({metric['reason']})"
    if metric.get("low") is None:
        return f"{metric['value']:+.3f} of kappa (no interval: {metric['reason']})"
    return f"{metric['value']:+.3f} of kappa ({metric['low']:+.3f} to {metric['high']:+.3f})"


def _judged(row: Data) -> str:
    metric = row["quadratic_kappa"]
    if metric.get("low") is None:
        return "what it adds can't be judged"
    if metric["low"] > 0:
        return "the ensemble is better with it"
    return "the ensemble is better without it" if metric["high"] < 0 else "no difference shown"


def _pairs(data: Data, figures: Sequence[Figure]) -> Section:
    columns = [Column("first", "First"), Column("second", "Second")]
    columns += [Column(key, title, form) for key, (title, form, _) in MEASURES.items()]
    rows = [[*pair["models"], *(pair[key] for key in MEASURES)] for pair in data["pairs"]]
    meanings = "; ".join(f"{title}: {meaning}" for title, _, meaning in MEASURES.values())
    note = f"{meanings}. Disagreement and double fault in %. Kuncheva & Whitaker (2003)."
    pairs = Table("diversity_pairs", "Pairs of models", columns, rows, note)
    tables = [pairs, _set_table(data)]
    return Section("How differently the models err", _pair_words(data), tables, figures)


def _set_table(data: Data) -> Table:
    titles = {
        "entropy": ("Entropy (0 all alike, 1 evenly split)", DECIMAL),
        "kohavi_wolpert": ("Kohavi-Wolpert variance", DECIMAL),
        **{f"mean_{key}": (f"Mean {title.lower() if key != 'q' else title}", form)
           for key, (title, form, _) in MEASURES.items()},
        "all_right": ("Correct in all", PERCENT),
        "any_right": ("Correct in at least one", PERCENT),
    }  # fmt: skip
    columns = [Column("n_models", "Models", "count")]
    columns += [Column(key, title, form) for key, (title, form) in titles.items()]
    row = [len(data["models"]), *(data["set"][key] for key in titles)]
    note = "Shares in %. A vote can't be correct where no model is."
    return Table("diversity_set", "The set as a whole", columns, [row], note)


def _pair_words(data: Data) -> list[str]:
    known = [pair for pair in data["pairs"] if pair["q"]["value"] is not None]
    if not known:
        return ["No pair's Q statistic is defined: see the reasons below the table."]
    ordered = sorted(known, key=lambda pair: pair["q"]["value"])
    words = [_pair_sentence(ordered[0], "err most differently" if len(known) > 1 else "differ")]
    if len(known) > 1:
        words.append(_pair_sentence(ordered[-1], "err most alike"))
    return [" ".join(words)]


def _pair_sentence(pair: Data, verb: str) -> str:
    return (
        f"{' and '.join(pair['models'])} {verb} (Q {decimal(pair['q']['value'])}; only one of the "
        f"two is right on {percent(pair['disagreement']['value'])} of the images)."
    )


def _overlap(data: Data, figures: Sequence[Figure]) -> Section:
    columns = [
        Column("class_name", "Grade"),
        Column("n", "Images", "count"),
        Column("all_right", "All right (%)", PERCENT),
        Column("some_wrong", "Some wrong (%)", PERCENT),
        Column("all_wrong", "All wrong (%)", PERCENT),
        Column("all_wrong_if_independent", "All wrong, if errors were independent (%)", PERCENT),
    ]
    rows = [[grade[column.key] for column in columns] for grade in data["grades"]]
    table = Table("diversity_overlap", "Shared errors, by grade", columns, rows)
    return Section("Shared errors", _overlap_words(data), [table], figures)


def _overlap_words(data: Data) -> list[str]:
    present = [grade for grade in data["grades"] if grade["all_wrong"]["value"] is not None]
    worst = max(present, key=lambda grade: grade["all_wrong"]["value"])
    share = worst["all_wrong"]["value"]
    if share == 0:
        return ["No image was missed by all models."]
    return [
        f"Grade {worst['class_name']} has the most shared errors: all models miss "
        f"{percent(share)} of its images ({percent(worst['all_wrong_if_independent'])} if their "
        "errors were independent). No vote of these models grades them correctly."
    ]


def _models(data: Data) -> Section:
    columns = [
        Column("name", "Model"),
        Column("architecture", "Architecture"),
        Column("family", "Family"),
        Column("paradigm", "Paradigm"),
        Column("head", "Head"),
        Column("parameters", "Parameters", "magnitude"),
        Column("accuracy", "Accuracy (%)", PERCENT),
    ]
    rows = [[row[column.key] for column in columns] for row in data["models"]]
    table = Table("diversity_models", "The models", columns, rows)
    return Section("Architectures", model_words(data), [table])


def model_words(data: Data) -> list[str]:
    """Families, paradigms and the range of sizes, with the unknown ones."""
    models = data["models"]
    sizes = [row["parameters"] for row in models if row["parameters"] is not None]
    unknown = [row["name"] for row in models if row["parameters"] is None]
    ends = (
        " to ".join(dict.fromkeys([magnitude(min(sizes)), magnitude(max(sizes))])) if sizes else ""
    )
    size = f"Parameters: {ends or 'unknown'}."
    if sizes and unknown:
        size = f"{size[:-1]}; unknown for {listed(unknown)}."
    families, paradigms = (_counted(models, key) for key in ("family", "paradigm"))
    return [f"Families: {families}. Paradigms: {paradigms}. {size}"]


def _counted(models: Sequence[Data], key: str) -> str:
    names = {None: "unknown", "both": "convolution and attention"}
    counts = Counter(names.get(row[key], row[key]) for row in models)
    return ", ".join(f"{name} ({count})" for name, count in counts.most_common())
