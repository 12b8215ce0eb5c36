"""Whatever the file names: a prepared dataset has no leaks by name in the audit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dr_ovo.audit.checks.names import name_findings
from dr_ovo.audit.checks.owners import owner_findings
from dr_ovo.audit.findings import LEAK
from dr_ovo.audit.findings import Photograph as Audited
from dr_ovo.copies.near_duplicates import Pair
from dr_ovo.dataset.patients_and_eyes import patient_and_eye
from dr_ovo.dataset.photograph import Photograph
from dr_ovo.errors import UserError
from dr_ovo.prepare.file_names import placed_ids, placed_names
from dr_ovo.prepare.options import Fractions
from dr_ovo.prepare.planning.copies_by_name import bind_copies_by_name
from dr_ovo.prepare.planning.grouping import relate
from dr_ovo.prepare.planning.splits import make_plan
from dr_ovo.prepare.sources import with_patients

BASES = ("7", "8", "eye1", "eye2", "left", "right", "P1_left", "P1_right", "aug", "od", "flip_7")
ENDINGS = ("", "", "_aug0", "_flip", " (1)", "_rot15_2", " - Copy")
FOLDERS = ("", "P1/", "P2/", "aug/", "flip/", "eye1/")
names = st.builds(
    lambda split, grade, folder, base, end: f"{split}/{grade}/{folder}{base}{end}.jpg",
    st.sampled_from(("train", "val", "test")), st.sampled_from("01"), st.sampled_from(FOLDERS),
    st.sampled_from(BASES), st.sampled_from(ENDINGS),
)  # fmt: skip


def photograph(name: str, official: bool) -> Photograph:
    path = PurePosixPath(name)
    patient, eye = patient_and_eye(path.stem, "", path.parent.name)
    split = path.parts[0] if official else ""
    return Photograph(Path(name), name, int(path.parts[1]), patient, eye, split=split)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(names, min_size=4, max_size=24, unique=True),
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 23), st.integers(0, 23)), max_size=3),
)
def test_names_are_no_leak_after_prepare(files, official, ends):
    found = [photograph(name, official) for name in sorted(files)]
    found = with_patients(found, placed_names(found, shrunken=False))
    pairs = [Pair(a, b, 0.9, False, "x") for a, b in ends if a < b < len(found)]
    relations = relate(found, [one.name for one in found], pairs)
    relations = bind_copies_by_name(found, relations, placed_names(found, shrunken=False))
    try:
        plan = make_plan(found, relations, Fractions(0.1, 0.2), 1)
        ids = placed_ids(found, plan.split, shrunken=False)
    except UserError:
        assume(False)
    order = {one: number for number, one in enumerate(ids)}
    audited = [
        Audited(Path(name), name, name.split("/")[0], name.split("/")[1], patient=found[one].patient
                or patient_and_eye(PurePosixPath(name).stem, "")[0])
        for one, name in ids.items()
    ]  # fmt: skip
    kept = [
        replace(pair, first=order[pair.first], second=order[pair.second])
        for pair in pairs
        if pair.first in order and pair.second in order
    ]
    findings = [*owner_findings(audited), *name_findings(audited, kept)]
    assert [f for f in findings if f.severity == LEAK] == []
