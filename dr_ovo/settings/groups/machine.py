"""Options of the machine: device, precision, memory, processes, the cache of decoded images."""

from __future__ import annotations

from dataclasses import dataclass

from dr_ovo.choices import AUTO, CACHE_MODES
from dr_ovo.settings import checks
from dr_ovo.settings.option import Fixed, Options, boolean, option

ON_OFF = ("auto", "on", "off")


@dataclass(frozen=True)
class MachineOptions(Options):
    """On what a run computes, and how."""

    device: str = option("auto", str, "auto, cpu, cuda or cuda:N", metavar="DEVICE")
    amp: str = option(
        "auto",
        str,
        "mixed precision: fp16 below compute capability 8, else bf16",
        fixed=Fixed.IN_WEIGHTS,
        choices=ON_OFF,
    )
    grad_checkpointing: str = option(
        "auto",
        str,
        "recompute activations to save memory; auto: when not even one image fits",
        choices=ON_OFF,
    )
    micro_batch: str = option(
        AUTO,
        str,
        "images computed together, a divisor of batch_size x gradient_accumulation_steps; it "
        "changes speed and memory, not the steps. auto: on a GPU the most that fit, else "
        "batch_size",
        metavar="auto|IMAGES",
    )
    compile: bool = option(
        False,
        boolean,
        "torch.compile: faster steps after some minutes of compiling; where it can't be, training "
        "goes on without",
    )
    num_workers: int = option(
        4, int, "processes that decode images; 0: this one does", metavar="COUNT", low=0
    )
    cache: str = option(
        "auto",
        str,
        "keep decoded images on the disk: auto (where there is room for them twice), on, off",
        choices=CACHE_MODES,
    )
    cache_dir: str = option(
        "",
        str,
        "folder of decoded images; empty: beside the dataset, else in --output_root",
        metavar="DIR",
    )

    def check(self) -> None:
        """Raises UserError for a folder without a name."""
        checks.check_folder_name("cache_dir", self.cache_dir)
