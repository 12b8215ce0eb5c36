import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from dr_ovo.batches.loader import ImageLoader
from dr_ovo.batches.row_source import RowSource
from dr_ovo.dataset.index import scan_dataset
from dr_ovo.decoded.build import build
from dr_ovo.decoded.decoded_rows import open_rows
from dr_ovo.errors import MachineError
from dr_ovo.files import file_sha256
from dr_ovo.parallel import available_cores
from dr_ovo.photographs.image_decoding import decode_image
from dr_ovo.photographs.preprocessing import Preprocessing
from tests.fixtures import decoders
from tests.fixtures.slow import slow

SETTINGS = Preprocessing(64)


def network_input(path: Path) -> np.ndarray:
    return SETTINGS.apply(decode_image(path, SETTINGS.size))


# Starts two processes, names them, and lives until it is killed.
PARENT = """
if __name__ == "__main__":  # what is imported here, its processes do not import
    import multiprocessing
    import time
    from pathlib import Path
    import numpy as np
    from dr_ovo.batches.loader import ImageLoader
    from dr_ovo.photographs.preprocessing import Preprocessing
    loader = ImageLoader([Path(path) for path in {paths}], Preprocessing(64), 2)
    list(loader.batches(np.arange(8), 2))
    print(*(child.pid for child in multiprocessing.active_children()), flush=True)
    time.sleep(60)
"""
# Decodes for ever in a thread, as for --num_workers 0, until it is stopped: once by each signal.
STOPPED = """
import os
import signal
import sys
from pathlib import Path
import numpy as np
from dr_ovo.batches.loader import ImageLoader
from dr_ovo.errors import run
from dr_ovo.photographs.preprocessing import Preprocessing

def decode():
    paths = [Path(path) for path in {paths}] * 2000
    with ImageLoader(paths, Preprocessing(512), 0) as loader:
        for _ in loader.batches(np.arange(len(paths)), 8):
            print("decoding", flush=True)
    return 0

for number in (signal.SIGINT, signal.SIGTERM):
    told, tell = os.pipe()
    process = os.fork()  # has imported torch already
    if process == 0:
        os.dup2(tell, 1)
        sys.exit(run(decode))
    os.close(tell)
    os.read(told, 1)
    os.kill(process, number)
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
"""
GRADES = ("0", "1", "2", "3", "4")


@pytest.fixture(scope="module")
def paths(tiny_dataset):
    return scan_dataset(tiny_dataset, GRADES).splits["train"].paths  # 15


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    """Two workers even on a machine with one core."""
    monkeypatch.setattr("dr_ovo.batches.loader.available_cores", lambda: 2)


@pytest.fixture(scope="module")
def loaders(paths) -> Iterator[dict[int, ImageLoader]]:
    """Loaders with no and with two workers, which serve several tests, one after the other."""
    with (
        pytest.MonkeyPatch.context() as patch,
        ImageLoader(paths, SETTINGS, 0) as without,
    ):
        patch.setattr("dr_ovo.batches.loader.available_cores", lambda: 2)
        with ImageLoader(paths, SETTINGS, 2) as with_workers:
            yield {0: without, 2: with_workers}


def read(loader: ImageLoader, order, batch_size: int = 4):
    """All positions and all images of a pass."""
    batches = list(loader.batches(np.array(order), batch_size))
    return np.concatenate([p for p, _ in batches]), torch.cat([images for _, images in batches])


@pytest.mark.parametrize("workers", [0, 2])
def test_pictures_come_in_the_order_asked_for_and_as_preprocessed(paths, loaders, workers):
    order = np.random.default_rng(1).permutation(len(paths))
    positions, images = read(loaders[workers], order)
    assert positions.tolist() == order.tolist()
    assert images.shape == (15, 64, 64, 3)
    assert images.dtype == torch.uint8
    for position, image in zip(positions, images, strict=True):
        assert np.array_equal(image.numpy(), network_input(paths[position]))


def test_workers_change_nothing_over_several_passes(loaders):
    for order in [np.arange(15), np.arange(15)[::-1], np.array([3, 3, 0])]:
        (expected, pictures), (found, images) = (read(loaders[n], order) for n in (0, 2))
        assert found.tolist() == expected.tolist()
        assert torch.equal(images, pictures)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_have_the_size_asked_for_and_the_last_the_rest(loaders, workers):
    loader = loaders[workers]
    sizes = [len(images) for _, images in loader.batches(np.arange(15), 4)]
    assert sizes == [4, 4, 4, 3]
    assert [len(p) for p, _ in loader.batches(np.arange(3), 8)] == [3]
    assert list(loader.batches(np.arange(0), 8)) == []


def test_a_pass_that_was_left_does_not_disturb_the_next(paths, loaders):
    for _ in loaders[2].batches(np.arange(15), 2):
        break
    positions, images = read(loaders[2], [7, 1, 2])
    assert positions.tolist() == [7, 1, 2]
    assert np.array_equal(images[1].numpy(), network_input(paths[1]))


def test_pictures_may_be_changed_in_place(loaders):
    for loader in loaders.values():
        for _, images in loader.batches(np.arange(4), 4):
            images.zero_()
            assert not images.any()


def test_the_same_workers_serve_every_pass_and_end_with_the_loader(paths):
    before = set(multiprocessing.active_children())
    with ImageLoader(paths, SETTINGS, 8) as loader:
        assert set(multiprocessing.active_children()) == before
        read(loader, range(15))
        first = set(multiprocessing.active_children()) - before
        read(loader, range(15))
        assert set(multiprocessing.active_children()) - before == first
        assert len(first) == 2  # never more than there are cores
    assert set(multiprocessing.active_children()) == before


def test_workers_end_also_where_the_pass_did_not(paths):
    before = set(multiprocessing.active_children())

    def interrupted() -> None:
        with ImageLoader(paths, SETTINGS, 2) as loader:
            for _ in loader.batches(np.arange(15), 2):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert set(multiprocessing.active_children()) == before


def test_without_workers_there_is_no_process(paths):
    before = set(multiprocessing.active_children())
    with ImageLoader(paths, SETTINGS, 0) as loader:
        for _ in loader.batches(np.arange(15), 4):
            assert set(multiprocessing.active_children()) == before


@pytest.mark.parametrize("workers", [0, *slow(2)])
def test_damaged_files_are_left_out_and_noted(tmp_path, draw_dataset, workers):
    root = draw_dataset(tmp_path / "data", grades=2)
    paths = scan_dataset(root, ("0", "1")).splits["train"].paths  # 6
    paths[1].write_bytes(b"")
    paths[4].unlink()
    paths[5].write_text("no picture")
    with ImageLoader(paths, SETTINGS, workers) as loader:
        sizes = [p.tolist() for p, _ in loader.batches(np.arange(6), 2)]
        assert sizes == [[0], [2, 3]]
        assert set(loader.damaged) == {1, 4, 5}
        assert "zero bytes" in loader.damaged[1]
        assert "No such file" in loader.damaged[4]
        assert "decoded" in loader.damaged[5]


@pytest.mark.parametrize("batches_before", [1, *slow(0, 5)])
def test_a_worker_that_is_killed_costs_nothing(paths, batches_before):
    before = set(multiprocessing.active_children())
    found = []
    with ImageLoader(paths * 4, SETTINGS, 2) as loader:
        for number, (positions, images) in enumerate(loader.batches(np.arange(60), 2)):
            found += zip(positions.tolist(), images, strict=True)
            if number == batches_before:
                worker = (set(multiprocessing.active_children()) - before).pop()
                os.kill(worker.pid, signal.SIGKILL)
        assert not loader.damaged
    assert [position for position, _ in found] == list(range(60))
    for position, image in found[::7]:
        assert np.array_equal(image.numpy(), network_input((paths * 4)[position]))
    assert set(multiprocessing.active_children()) == before


@pytest.mark.slow
def test_a_file_that_crashes_the_decoder_is_damaged(paths, monkeypatch):
    monkeypatch.setattr("dr_ovo.batches.loader.decode_input", decoders.crashing_input)
    monkeypatch.setenv(decoders.CRASHES_AT, str(paths[4]))
    with ImageLoader(paths, SETTINGS, 2) as loader:
        positions, _ = read(loader, range(15))
    assert loader.damaged == {4: "crashes the decoder"}
    assert positions.tolist() == [position for position in range(15) if position != 4]


def test_ending_early_damages_no_cache(paths, tmp_path, caplog):
    contents = {path: file_sha256(path) for path in paths}
    build(contents, SETTINGS, tmp_path, workers=0)
    caplog.clear()
    with caplog.at_level(logging.WARNING, "dr_ovo"):
        for _ in range(40):
            source = RowSource(open_rows(tmp_path, SETTINGS), tuple(contents.values()))
            with ImageLoader(paths, SETTINGS, 0, source=source) as loader:
                next(loader.batches(np.arange(15), 2))
    assert not caplog.text


@pytest.mark.slow
def test_threads_that_decode_do_not_abort_a_process_that_ends(paths, tmp_path, prepared):
    """At exit, a thread inside OpenCV made C++ call terminate."""
    script = tmp_path / "stopped.py"
    script.write_text(STOPPED.format(paths=[str(path) for path in paths]))
    process = prepared.start([script], tmp_path)
    assert process.wait(120) == 0, process.stderr.read_text()
    codes = [128 + signal.SIGINT, 128 + signal.SIGTERM]
    assert [int(line) for line in process.stdout.read_text().split()] == codes
    assert "terminate called" not in process.stderr.read_text()


def test_a_read_that_gives_no_answer_names_the_file(paths, monkeypatch):
    monkeypatch.setattr("dr_ovo.batches.loader.STALLED_SECONDS", 0.5)
    monkeypatch.setattr("dr_ovo.parallel.CLOSE_SECONDS", 0.1)  # the thread that waits goes on
    monkeypatch.setattr("dr_ovo.batches.loader.decode_input", decoders.waiting_input)
    monkeypatch.setenv(decoders.CRASHES_AT, str(paths[1]))
    with (
        ImageLoader(paths[:3], SETTINGS, 0) as loader,
        pytest.raises(MachineError, match=rf"{paths[1].name} gave no answer for"),
    ):
        list(loader.batches(np.arange(3), 1))


@pytest.mark.slow
def test_a_process_that_gives_no_answer_names_the_file(paths, monkeypatch):
    monkeypatch.setattr("dr_ovo.batches.loader.LOOK_SECONDS", 0.2)
    monkeypatch.setattr("dr_ovo.batches.loader.decode_input", decoders.waiting_input)
    monkeypatch.setenv(decoders.CRASHES_AT, str(paths[1]))
    with ImageLoader(paths[:3], SETTINGS, 1) as loader:
        assert read(loader, [0])[0].tolist() == [0]
        # Not before, as on a busy machine a process may take long to start.
        monkeypatch.setattr(loader._decoder, "_timeout", 0.5)
        with pytest.raises(MachineError, match=rf"{paths[1].name} gave no answer for"):
            list(loader.batches(np.array([1, 2]), 2))


def stays_there(count: int, side: int, device: torch.device) -> bool:
    return True


def test_images_that_stay_on_the_device_are_the_same(paths, tmp_path, monkeypatch):
    """As on a GPU that has room for them; here the device is the CPU."""
    contents = {path: file_sha256(path) for path in paths}
    build(contents, SETTINGS, tmp_path, workers=0)
    orders = [np.arange(15), np.array([3, 3, 0, 14]), np.arange(15)[::-1]]
    passes = []
    for fits in (stays_there, lambda *_: False):
        monkeypatch.setattr("dr_ovo.batches.loader.fits", fits)
        source = RowSource(open_rows(tmp_path, SETTINGS), tuple(contents.values()))
        with ImageLoader(paths, SETTINGS, 0, source=source, several_passes=True) as loader:
            passes.append([read(loader, order) for order in orders])
    for (stayed, images), (expected, pictures) in zip(*passes, strict=True):
        assert stayed.tolist() == expected.tolist()
        assert torch.equal(images, pictures)


def test_images_that_stay_on_the_device_are_read_once(paths, tmp_path, monkeypatch):
    contents = {path: file_sha256(path) for path in paths}
    build(contents, SETTINGS, tmp_path, workers=0)
    monkeypatch.setattr("dr_ovo.batches.loader.fits", stays_there)
    rows = open_rows(tmp_path, SETTINGS)
    source = RowSource(rows, tuple(contents.values()))
    with ImageLoader(paths, SETTINGS, 0, source=source, several_passes=True) as loader:
        read(loader, range(15))
        monkeypatch.setattr(rows, "read_into", None)
        assert read(loader, [4, 2])[0].tolist() == [4, 2]
        paths[2].touch()  # written meanwhile: still noticed
        assert read(loader, [4, 2])[0].tolist() == [4, 2]
        assert loader.changed == {2}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("several_passes", [False, True])
def test_batches_on_a_gpu_are_those_of_a_cpu(paths, tmp_path, several_passes):
    contents = {path: file_sha256(path) for path in paths}
    build(contents, SETTINGS, tmp_path, workers=0)
    source = RowSource(open_rows(tmp_path, SETTINGS), tuple(contents.values()))
    gpu = torch.device("cuda")
    with (
        ImageLoader(paths, SETTINGS, 0) as here,
        ImageLoader(
            paths, SETTINGS, 0, source=source, device=gpu, several_passes=several_passes
        ) as there,
    ):
        for _ in range(2):
            (expected, pictures), (found, images) = read(here, range(15)), read(there, range(15))
            assert found.tolist() == expected.tolist()
            assert images.is_cuda
            assert torch.equal(images.cpu(), pictures)


def test_processes_end_with_their_parent(tmp_path, paths, prepared):
    script = tmp_path / "parent.py"
    script.write_text(PARENT.format(paths=[str(path) for path in paths]))
    parent = prepared.start([script], tmp_path)
    while not (said := parent.stdout.read_text()).endswith("\n"):
        assert parent.poll() is None, parent.stderr.read_text()
        time.sleep(0.02)
    children = [int(pid) for pid in said.split()]
    assert len(children) == 2
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait(30)
    for _ in range(100):
        if not any(Path(f"/proc/{child}").exists() for child in children):
            return
        time.sleep(0.1)
    raise AssertionError("they live on")


def test_processes_load_no_torch(paths):
    before = set(multiprocessing.active_children())
    with ImageLoader(paths, SETTINGS, 1) as loader:
        read(loader, range(3))
        (child,) = set(multiprocessing.active_children()) - before
        maps = Path(f"/proc/{child.pid}/maps").read_text()
    assert "cv2" in maps
    assert "libtorch" not in maps


def test_workers_leave_ctrl_c_to_the_main_process(paths):
    before = set(multiprocessing.active_children())
    with ImageLoader(paths, SETTINGS, 2) as loader:
        read(loader, range(15))
        for worker in set(multiprocessing.active_children()) - before:
            os.kill(worker.pid, signal.SIGINT)
        assert read(loader, range(15))[0].tolist() == list(range(15))


def test_other_errors_pass_through(paths):
    def fails() -> None:
        with ImageLoader(paths, SETTINGS, 0):
            raise RuntimeError("of another kind")

    with pytest.raises(RuntimeError, match="of another kind"):
        fails()


def test_cores_are_those_that_this_process_may_use():
    assert available_cores() == len(os.sched_getaffinity(0))
