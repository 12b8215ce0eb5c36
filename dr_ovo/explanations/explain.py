"""`python -m dr_ovo explain`: a folder with the maps of photographs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dr_ovo.dataset.image_files import not_read
from dr_ovo.dataset.input_images import common_folder, find_images
from dr_ovo.document.page import page, write_page
from dr_ovo.errors import DONE, UserError, log
from dr_ovo.explanations.explained import Explainer, rivals_of
from dr_ovo.explanations.page import page_of
from dr_ovo.explanations.words import CAUTION
from dr_ovo.explanations.writing import FIGURES, Mapped, MapsFolder, remove_maps
from dr_ovo.inference.ensemble import open_ensemble
from dr_ovo.inference.photograph_reading import open_reader
from dr_ovo.locks.folders import MAPS, only_writer
from dr_ovo.logs import Progress
from dr_ovo.outputs import MEASURE_BATCH
from dr_ovo.photographs.damage import Damage, describe
from dr_ovo.photographs.thumbnail import Thumbnail
from dr_ovo.results.made_from import checkpoint_digests
from dr_ovo.results.maps_file import PAGE
from dr_ovo.settings.command_line import Settings
from dr_ovo.tables import wrapped
from dr_ovo.training.setup import choose_device

GONE = "was graded, and can't be read any more"


@dataclass(frozen=True)
class Request:
    """Where to write, and how many pixels of the input a step on a map is."""

    output: Path
    stride: int


def explain(settings: Settings, request: Request) -> int:
    """Writes the maps of every photograph of `--input`. Damaged files are listed. Raises UserError
    if nothing can be read."""
    config = settings.config
    found = find_images(config.input)
    device = choose_device(config)
    ensemble = open_ensemble(settings, device)
    explainer = Explainer(ensemble, device, request.stride)
    with only_writer(request.output, MAPS):
        paths = found.images
        folder = _begun(request.output, paths, explainer)
        shown: list[Mapped] = []
        damaged: list[Damage] = []
        progress = Progress("maps", len(paths))
        arguments = (device, config.num_workers, config.max_megapixels)
        try:
            with open_reader(ensemble, paths, *arguments) as reader:
                for start in range(0, len(paths), MEASURE_BATCH):
                    places = np.arange(start, min(len(paths), start + MEASURE_BATCH))
                    read = reader.read(places)
                    damaged += [Damage(paths[place], why) for place, why in read.damaged.items()]
                    if len(read.positions):
                        grades, probabilities, _ = ensemble.grade(read.logits)
                        rivals = rivals_of(probabilities, grades)
                        rows = read.positions.tolist(), grades.tolist(), rivals.tolist()
                        mapped = _mapped(explainer, folder, paths, *rows)
                        shown += [one for one in mapped if one is not None][: FIGURES - len(shown)]
                        gone = [
                            place for place, one in zip(rows[0], mapped, strict=True) if one is None
                        ]
                        damaged += [Damage(paths[place], GONE) for place in gone]
                    progress.update(len(places), lambda: "maps")
        finally:
            progress.close()
        if not folder.count:
            remove_maps(request.output)
            raise UserError(
                f"None of the --input files can be read as a photograph:\n{describe(damaged)}"
            )
        report = page_of(folder.count, shown, ensemble.class_names, ensemble.marks)
        write_page(page(report.title, "", [report]), request.output / PAGE)
    log.info("%s", wrapped(CAUTION))
    log.info(
        "Written to %s: maps.html, maps.json, maps.jsonl, of each photograph a .jpg and its values "
        "as .npy, and of the first %d a .png",
        request.output,
        FIGURES,
    )
    if damaged:
        log.warning("%d files can't be read:\n%s", len(damaged), describe(damaged))
    if found.others:
        log.warning("%s", not_read(found.others))
    log.info("Research use only; not a medical device.")
    return DONE


def strips_of(
    output: Path,
    explainer: Explainer,
    paths: Sequence[Path],
    grades: Sequence[int],
    rivals: Sequence[int],
) -> list[Thumbnail | None]:
    """Writes the maps of graded photographs into a folder; their strips, None where one can't be
    read any more. Raises UserError for a folder with other files."""
    if not paths:
        return []
    with only_writer(output, MAPS):
        folder = _begun(output, paths, explainer)
        found = _mapped(explainer, folder, paths, range(len(paths)), grades, rivals)
    return [None if one is None else one.strip for one in found]


def _begun(output: Path, paths: Sequence[Path], explainer: Explainer) -> MapsFolder:
    """A folder of maps, ready to be filled, without those of an earlier run."""
    ensemble, top = explainer.ensemble, common_folder(paths)
    names = [path.absolute().relative_to(top).as_posix() for path in paths]
    about = {
        "checkpoints": checkpoint_digests([model.folder for model in ensemble.models]),
        "map_stride": explainer.stride,
    }
    folder = MapsFolder(output, names, ensemble.class_names, ensemble.marks, about)
    folder.begin()
    return folder


def _mapped(
    explainer: Explainer,
    folder: MapsFolder,
    paths: Sequence[Path],
    places: Sequence[int],
    grades: Sequence[int],
    rivals: Sequence[int],
) -> list[Mapped | None]:
    """Writes the maps of the photographs at `places`; None of one that can't be read any more."""
    found = explainer.explain([paths[place] for place in places], grades, rivals)
    return [
        None if one is None else folder.add(place, one)
        for place, one in zip(places, found, strict=True)
    ]
