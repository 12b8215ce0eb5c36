"""The names of a set with the folders in which they are: `P003/visit5/OD.jpg`.

The folder nearest to a file that is no visit, date, split, grade or eye is a part before the others
of its name, and so is that of a site; a folder in which all files are is none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from dr_ovo.dataset.copy_names import original_of
from dr_ovo.dataset.naming.eye_words import (
    GLUED_LETTER,
    WORD,
    NamedEye,
    comparable_name,
    eye_alone,
    parts_of,
)
from dr_ovo.dataset.naming.eyes import eyes_in_names
from dr_ovo.dataset.naming.passing import (
    has_digit,
    is_coded_visit,
    is_date,
    passing_parts,
    patient_in_folder,
    site_parts,
)
from dr_ovo.dataset.naming.patients import patients_in_names
from dr_ovo.dataset.words import is_split_or_grade, is_unknown


def patients_and_eyes_in(places: Sequence[PurePosixPath]) -> list[tuple[str, str]]:
    """(N,) patient and eye of each file of a set by names and folders; "" where unknown.

    A file without an eye whose name, or folder, begins with a patient of the others is that
    patient's too (`1003_macula` beside `1003_left`).
    """
    stems = [_stem(place) for place in places]
    eyes = eyes_in_names(stems)
    eyes = [eye or _alone(stem) for eye, stem in zip(eyes, stems, strict=True)]
    folders = _folders_of_patients(places, eyes)
    names = [eye and eye.inside(own) for eye, own in zip(eyes, folders, strict=True)]
    patients = patients_in_names([name if name and name.rest else None for name in names])
    known = {_key(patient): patient for patient in patients if patient}
    found = []
    for stem, own, name, patient in zip(stems, folders, names, patients, strict=True):
        owner = patient or (_known_patient(own, stem, known) if known else "")
        found.append((owner, name.eye if name and owner else ""))
    return found


def _stem(place: PurePosixPath) -> str:
    """A file's name without what makes it a copy; behind the eye where a folder is one."""
    stem = original_of(place.stem) or place.stem
    folders = place.parts[:-1]
    eyes = [folder for folder in folders if eye_alone(folder)] if folders else []
    return f"{eyes[-1]}_{stem}" if eyes else stem


def _alone(stem: str) -> NamedEye | None:
    """The eye of a file that is named after it alone."""
    eye = eye_alone(stem)
    return NamedEye(eye, WORD, stem.lower(), (), (), 0) if eye else None


def _folders_of_patients(
    places: Sequence[PurePosixPath], eyes: Sequence[NamedEye | None]
) -> list[list[str]]:
    """(N,) the folders of each file that may name its patient: sites, and the nearest with a digit,
    else the nearest."""
    files = Counter(place.parts[:-1] for place in places)
    if not any(files):
        return [[] for _ in places]
    may_be = {folders: list(filter(None, map(_may_be_patient, folders))) for folders in files}
    counts: Counter[str] = Counter()
    for folders, number in files.items():
        counts.update(dict.fromkeys(may_be[folders], number))
    found = []
    for place, eye in zip(places, eyes, strict=True):
        eye_leads = eye is not None and eye.before == 0 and eye.kind != GLUED_LETTER
        own = may_be[place.parts[:-1]]
        different = [one for one in own if counts[one] < len(places)]
        own = different or (own if eye_leads else [])
        lasting = [one for one in own if not is_coded_visit(one)]
        own = own if eye_leads and not lasting else lasting
        *outer, nearest = [one for one in own if has_digit(one)] or own or [""]
        sites = [one for one in outer if site_parts([one])]
        found.append([*sites, nearest] if nearest else [])
    return found


def _may_be_patient(folder: str) -> str:
    """What of a folder's name may be a patient, "" for splits, grades, eyes, dates and visits."""
    if is_unknown(folder) or is_split_or_grade(folder) or eye_alone(folder):
        return ""
    return patient_in_folder(folder)


def _key(text: str) -> tuple[str, ...]:
    return tuple(part.casefold() for part in parts_of(text))


def _known_patient(folders: Sequence[str], stem: str, known: Mapping[tuple[str, ...], str]) -> str:
    """The patient among those that are `known` with which the folders of a file begin, or its name
    (without dates and visits); "" for none."""
    own = parts_of(comparable_name(stem))
    passing = passing_parts(own) | {at for at, part in enumerate(own) if is_date(part)}
    name = [part for at, part in enumerate(own) if at not in passing]
    for parts in ([*folders, *name], own):
        key = _key(" ".join(parts))
        for end in range(len(key), 0, -1):
            if key[:end] in known:
                return known[key[:end]]
    return ""
