"""Which networks train faster in channels_last on this machine: the figures of the table
`FASTER_IN_CHANNELS_LAST` in `dr_ovo/models/architectures.py`.

    python benchmarks/memory_format.py [NAME ...] [--bf16] [--batch 8] [--rounds 5] [--threads 1]

For each network one training step (forward, backward, AdamW; nothing frozen, BatchNorm fixed as
after pretraining) on random images of its own size, in either memory format by turns. The ratio is
time in NCHW over time in channels_last, by the CPU's time (on a GPU, the clock's): median of the
rounds, and the smallest and largest of them. Also how much faster evaluation is, always in float32,
and how far its outputs differ.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable

import numpy as np
import torch

from dr_ovo.models.architectures import ARCHITECTURES, resolve_architecture
from dr_ovo.models.backbone import create_backbone, input_spec
from dr_ovo.models.network import Branch, branch_specs, build_network
from dr_ovo.models.precision import Precision
from dr_ovo.pairs import class_pairs

OTHERS = ("tf_efficientnet_lite0", "tf_efficientnet_lite1", "tf_efficientnet_lite2")
FORMATS = (torch.contiguous_format, torch.channels_last)


def main() -> None:
    """Measures the networks named, and prints a row for each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", default=[*ARCHITECTURES, *OTHERS], metavar="NAME")
    parser.add_argument("--bf16", action="store_true", help="training steps in bfloat16")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f"{'network':28} {'step':>6} {'low':>6} {'high':>6} {'eval':>6}  largest difference")
    for name in map(resolve_architecture, args.names):
        steps, evals, difference = compare(
            name,
            args.batch,
            args.rounds,
            Precision(args.device, torch.bfloat16 if args.bf16 else None),
        )
        print(
            f"{name:28} {np.median(steps):6.2f} {steps.min():6.2f} {steps.max():6.2f} "
            f"{np.median(evals):6.2f}  {difference:.1e}",
            flush=True,
        )


def compare(
    name: str, batch: int, rounds: int, precision: Precision
) -> tuple[np.ndarray, np.ndarray, float]:
    """Time in NCHW over time in channels_last in training and in evaluation, (rounds,) each, and
    the largest relative difference of the features."""
    size, device = input_spec(name, 0).size, precision.device
    torch.manual_seed(0)
    (spec,) = branch_specs("ovo", "shared", 5, class_pairs(5))
    branch = build_network(
        create_backbone(name, size, None),
        [spec], img_size=size, frozen_stages=0, dropout=0.0, seed=0,
    ).branch(spec.name)  # fmt: skip
    images = torch.rand(batch, 3, size, size) * 2 - 1
    modules = [copy.deepcopy(branch).to(device, memory_format=form) for form in FORMATS]
    inputs = [images.to(device).contiguous(memory_format=form) for form in FORMATS]
    with torch.inference_mode():
        plain, other = (m.eval()(x).double() for m, x in zip(modules, inputs, strict=True))
    difference = float((plain - other).abs().max() / plain.abs().max())
    steps = [_training_step(m, x, precision) for m, x in zip(modules, inputs, strict=True)]
    evals = [_evaluation(m, x) for m, x in zip(modules, inputs, strict=True)]
    return _ratios(steps, rounds, device), _ratios(evals, rounds, device), difference


def _training_step(
    branch: Branch, images: torch.Tensor, precision: Precision
) -> Callable[[], None]:
    optimizer = torch.optim.AdamW(branch.parameters(), lr=1e-6)

    def step() -> None:
        branch.train()
        with precision.autocast():
            logits = branch(images)
        logits.float().square().mean().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def _evaluation(branch: Branch, images: torch.Tensor) -> Callable[[], None]:
    @torch.inference_mode()
    def evaluate() -> None:
        branch.eval()
        branch(images)

    return evaluate


def _ratios(calls: list[Callable[[], None]], rounds: int, device: torch.device) -> np.ndarray:
    """Seconds of the first call over those of the second, in each round after an untimed one."""
    times = np.array([[_seconds(call, device) for call in calls] for _ in range(rounds + 1)])[1:]
    return times[:, 0] / times[:, 1]


def _seconds(call: Callable[[], None], device: torch.device) -> float:
    if device.type != "cuda":
        start = time.process_time()
        call()
        return time.process_time() - start
    torch.cuda.synchronize(device)
    start = time.perf_counter()
    call()
    torch.cuda.synchronize(device)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
