"""Which networks are to grade, as settings of `--mode inference`."""

from __future__ import annotations

from pathlib import Path

from dr_ovo.choices import DECODERS
from dr_ovo.decoding.heads import decoder_option
from dr_ovo.results.folder import ResultsFolder


def words_for(path: Path) -> list[str]:
    """The flags for the networks of a results folder, decoded as they were evaluated on val, or of
    an ensemble manifest, which says how."""
    words = ["--mode", "inference"]
    if not path.is_dir():
        return [*words, "--ensemble", str(path)]
    words += ["--output_dir", str(path)]
    report = ResultsFolder(path).read_evaluation("val")
    decoder = decoder_option(report.get("decoder", ""))
    if decoder in DECODERS:
        words += ["--decoder", decoder]
    if "prior_corrected" in report:
        words += ["--prior_correction", str(bool(report["prior_corrected"])).lower()]
    return words
