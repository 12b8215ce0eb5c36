"""The wrappers' window of 8 as a CUDA graph: what capturing its step would gain.

The step is bare: images that lie normalised in the GPU's memory, frozen stem, forward and backward
in micro-batches, clipping, AdamW. The toolkit's own step is not captured. Eager and captured, each
has a copy of the same branch, and copies every window into the same place before its step.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from benchmarks.on_gpu.measurements.windows import WINDOW as FLAGS
from benchmarks.on_gpu.rows import Emit, rate, row
from benchmarks.on_gpu.setting import SMALL, Setting, by_turns, waited_for
from benchmarks.results import NotMeasured
from benchmarks.timing import spread
from benchmarks.trainings import Training
from dr_ovo.batches.augmentation import normalise, to_unit_range
from dr_ovo.models.parts.random_layers import masked_layers

WINDOW, MICRO_BATCHES = 8, (2, 8)
WARM_UP = 11  # steps before a capture: cuDNN chooses its kernels, AdamW makes its moments
EAGER, CAPTURED = "eager", "captured"
Batch = tuple[torch.Tensor, torch.Tensor]


class BareStep:
    """A step on the window that lies in `images` and `targets`, in micro-batches of `size`; `total`
    () is the sum of its losses. `capturable`: AdamW counts its steps on the GPU."""

    def __init__(self, of: Training, size: int, window: Batch, *, capturable: bool) -> None:
        (trainer,) = of.trainers
        self.network, self.precision, self.size = of.network, of.loop.precision, size
        self.branch = copy.deepcopy(trainer.branch).train()
        for layer in masked_layers(self.branch):
            layer.forget()  # what the training drew for its own micro-batches
        self.parameters = list(self.branch.parameters())
        self.loss, self.cells = trainer.loss, trainer.cells
        self.max_norm = of.config.max_grad_norm or math.inf
        self.images, self.targets = (one.clone() for one in window)
        self.total = torch.zeros((), device=self.precision.device)
        fused = self.precision.device.type == "cuda"
        self.optimizer = torch.optim.AdamW(
            self.branch.parameter_groups(of.config.weight_decay),
            lr=of.config.learning_rate,
            fused=fused,
            foreach=not fused,
            capturable=capturable,
        )

    def take(self, window: Batch) -> None:
        """Copies a window into the place of the last one."""
        self.images.copy_(window[0])
        self.targets.copy_(window[1])

    def forget_gradients(self) -> None:
        """Drops the gradients: the next backward makes new ones."""
        self.optimizer.zero_grad(set_to_none=True)

    def compute(self) -> None:
        """The step, from no gradients on; those of this window stay. Nothing in it waits for the
        GPU."""
        with self.precision.autocast():
            features = self.network.stem_features(self.images)
        totals = []
        for start in range(0, WINDOW, self.size):
            rows = slice(start, start + self.size)
            with self.precision.autocast():
                logits = self.branch(features[rows])
            total = self.loss(logits, self.targets[rows]).sum()
            (total / (self.cells * WINDOW)).backward()
            totals.append(total.detach())
        torch.nn.utils.clip_grad_norm_(self.parameters, self.max_norm, foreach=True)
        self.optimizer.step()
        self.total.copy_(torch.stack(totals).sum())

    def eager(self, window: Batch) -> None:
        """The step on a window, as PyTorch does it by itself."""
        self.take(window)
        self.forget_gradients()
        self.compute()


class CapturedStep:
    """The same, captured once and replayed. As the documentation of torch.cuda.graph asks for: some
    steps before it on a side stream, which no earlier backward of these weights has preceded
    elsewhere; then no gradients, so that those of the graph are in its own memory."""

    def __init__(self, step: BareStep) -> None:
        self.step = step
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                step.forget_gradients()
                step.compute()
        torch.cuda.current_stream().wait_stream(stream)
        step.forget_gradients()
        self.graph = torch.cuda.CUDAGraph()
        # The threads that read photographs have nothing to do now; they are not what is captured.
        with torch.cuda.graph(self.graph, stream=stream, capture_error_mode="thread_local"):
            step.compute()

    def replay(self, window: Batch) -> None:
        """The step on a window."""
        self.step.take(window)
        self.graph.replay()


def measure(setting: Setting, alias: str, emit: Emit) -> None:
    """Images a second of either way, and their ratio, for each size of micro-batches.

    Raises NotMeasured where nothing can be captured: without a GPU, and in float16."""
    with setting.training(SMALL, setting.flags(alias, *FLAGS)) as of:
        windows = _windows(of)
        for size in MICRO_BATCHES:
            _of_size(of, size, windows, setting, alias, emit)


def _of_size(
    of: Training, size: int, windows: Sequence[Batch], setting: Setting, alias: str, emit: Emit
) -> None:
    name, images = f"cuda_graph_{alias}_{size}", WINDOW * len(windows)
    beside: dict[str, Any] = {"micro-batch": size}
    eager = BareStep(of, size, windows[0], capturable=False)
    ways = {EAGER: waited_for(_each(eager.eager, windows), setting.device)}
    # By itself first: a capture that fails leaves the GPU unusable for this process.
    alone = by_turns(ways, setting.seconds / 6)
    emit(row(f"{name}_{EAGER}", rate(images, spread(alone.wall[EAGER])), "images/s", beside=beside))
    if why := _why_not(of):
        raise NotMeasured(why)
    start = time.perf_counter()
    captured = CapturedStep(BareStep(of, size, windows[0], capturable=True))
    torch.cuda.synchronize()
    seconds = time.perf_counter() - start
    ways[CAPTURED] = waited_for(_each(captured.replay, windows), setting.device)
    note = _what_is_wrong(captured, windows[0])
    times = by_turns(ways, setting.seconds / 3)
    beside["seconds of warm-up and capture"] = round(seconds, 2)
    for way, step in {EAGER: eager, CAPTURED: captured.step}.items():
        beside[f"last loss, {way}"] = round(float(step.total), 3)
    found = rate(images, spread(times.wall[CAPTURED]))
    emit(row(f"{name}_{CAPTURED}", found, "images/s", beside=beside))
    gain = None if note else times.ratio(EAGER, CAPTURED)
    emit(row(f"{name}_gain", gain, "eager time / captured", note=note))


def _why_not(of: Training) -> str:
    """Why a training's step can't be captured, "" where it can."""
    if of.loop.precision.device.type != "cuda":
        return "a CUDA graph needs a GPU"
    if of.loop.precision.scaler().is_enabled():
        return "this GPU trains in float16, whose gradient scaler reads from the GPU at every step"
    return ""


def _what_is_wrong(captured: CapturedStep, window: Batch) -> str:
    """What a replay does not do as it should, "" for nothing: it learns, and its loss is finite."""
    before = [one.detach().clone() for one in captured.step.parameters]
    captured.step.total.fill_(float("nan"))
    captured.replay(window)
    pairs = zip(before, captured.step.parameters, strict=True)
    if not any(bool((one != now).any()) for one, now in pairs):
        return "a replay changed no weight"
    return "" if bool(captured.step.total.isfinite()) else "the loss of a replay is not finite"


def _each(step: Callable[[Batch], None], windows: Sequence[Batch]) -> Callable[[], None]:
    def epoch() -> None:
        for window in windows:
            step(window)

    return epoch


def _windows(of: Training) -> list[Batch]:
    """The whole windows of train, normalised, on the device."""
    device, spec = of.loop.precision.device, of.model.spec
    targets = of.loop.data.train.targets
    positions = np.arange(len(targets) // WINDOW * WINDOW)
    return [
        (
            normalise(to_unit_range(images, device), spec.mean, spec.std).contiguous(
                memory_format=of.memory_format
            ),
            torch.from_numpy(targets[found]).to(device),
        )
        for found, images in of.loader.batches(positions, WINDOW)
    ]
