"""What is measured, in which order, and how long each measurement is thought to take on a GPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PACKAGE = "benchmarks.on_gpu.measurements"
QUICK_SECONDS = 20.0
NO_GPU = "it needs a GPU, and this run is on the CPU"
ONE_CARD = "it needs two GPUs, and torch sees {cards}"


@dataclass(frozen=True)
class Measurement:
    """A measurement: its module and its argument, and the seconds that it is thought to take.
    `cards`: the GPUs that it needs; with 0 it can be tried on the CPU."""

    name: str
    module: str
    argument: str
    seconds: float
    cards: int = 0

    def why_not(self, head: Mapping[str, Any]) -> str:
        """Why it can't be measured on a machine, "" where it can."""
        if self.cards <= head["cards"]:
            return ""
        return NO_GPU if head["device"] == "cpu" else ONE_CARD.format(cards=head["cards"])


def plan(*, quick: bool) -> list[Measurement]:
    """All measurements, the most telling ones first."""
    first, rest = ("resnet50", "convnext"), REST if not quick else ()
    found = [
        *(_measured("throughput", name, 45) for name in first),
        *(_measured("waiting", mode, 25, cards=1) for mode in ("shared", "independent")),
        _measured("full_memory", "resnet50", 40, cards=1),
        *(_measured("memory", name, 30, cards=1) for name in (*first, *rest)),
        *(_measured("windows", name, 35) for name in ("convnext", "resnet50")),
        _measured("shared_head", "resnet50", 35),
        _measured("killed", "densenet121", 60),
        *(_measured("throughput", name, 50) for name in rest),
        _measured("residence", "resnet50", 35, cards=1),
        *(_measured("cuda_graphs", name, 40, cards=1) for name in ("convnext", "resnet50")),
        *(_measured("compiling", name, 90, cards=1) for name in ("convnext", "resnet50")),
        *(_measured("two_cards", mode, 80, cards=2) for mode in ("shared", "independent")),
    ]
    if not quick:
        return found
    return [Measurement(m.name, m.module, m.argument, QUICK_SECONDS, m.cards) for m in found]


REST = ("swinv2", "densenet121", "efficientnetb2", "seresnext50", "coatnet")


def _measured(module: str, argument: str, seconds: float, cards: int = 0) -> Measurement:
    return Measurement(f"{module}_{argument}", f"{PACKAGE}.{module}", argument, seconds, cards)


# What precedes them, with the seconds that it may take.
MACHINE = Measurement("machine", f"{PACKAGE}.machine", "", 120)
PHOTOGRAPHS = Measurement("photographs", f"{PACKAGE}.photographs", "", 120)
