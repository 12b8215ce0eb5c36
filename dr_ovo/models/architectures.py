"""Architectures with a short name (alias), and their families; any other timm model works too."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from dr_ovo.errors import UserError


@dataclass(frozen=True)
class Architecture:
    """A short name for a timm model, and how reports describe it."""

    alias: str
    timm_name: str
    family: str  # CNN, modern CNN, hybrid, transformer
    paradigm: str  # convolution, attention, both


ARCHITECTURES = {
    row.alias: row
    for row in (
        Architecture("coatnet", "coatnet_0_rw_224", "hybrid", "both"),
        Architecture("convnext", "convnext_tiny", "modern CNN", "convolution"),
        Architecture("swinv2", "swinv2_tiny_window8_256", "transformer", "attention"),
        Architecture("densenet121", "densenet121", "CNN", "convolution"),
        Architecture("efficientnetb2", "efficientnet_b2", "CNN", "convolution"),
        Architecture("resnet50", "resnet50", "CNN", "convolution"),
        Architecture("seresnext50", "seresnext50_32x4d", "CNN", "convolution"),
        Architecture("mobilenet_v2", "mobilenetv2_100", "CNN", "convolution"),
        Architecture("efficientnetb5", "efficientnet_b5", "CNN", "convolution"),
    )
}
# How Hugging Face's hub and timm write the place of a model of timm's.
HUB_PREFIXES = (
    "hf-hub:timm/", "hf_hub:timm/", "https://huggingface.co/timm/", "huggingface.co/timm/", "timm/",
)  # fmt: skip
SEVEN = tuple(ARCHITECTURES)[:7]
CONTIGUOUS, CHANNELS_LAST = "contiguous", "channels_last"  # of images: (B, C, H, W), (B, H, W, C)
# Networks that train faster in channels_last, by kind of device and precision: how many times, as
# benchmarks/memory_format.py measured it. All others train in NCHW, and so does every GPU.
FASTER_IN_CHANNELS_LAST: dict[tuple[str, str], dict[str, float]] = {
    ("cpu", "float32"): {
        "densenet121": 1.12,
        "efficientnet_b2": 1.27,
        "efficientnet_b5": 1.10,
        "mobilenetv2_100": 1.16,
        "resnet50": 1.11,
        "tf_efficientnet_lite0": 1.35,
        "tf_efficientnet_lite1": 1.33,
        "tf_efficientnet_lite2": 1.43,
    },
    ("cpu", "bfloat16"): {
        "densenet121": 1.63,
        "mobilenetv2_100": 1.35,
        "resnet50": 1.31,
        "seresnext50_32x4d": 1.27,
    },
}
_BY_TIMM_NAME = {row.timm_name: row for row in ARCHITECTURES.values()}


def resolve_architecture(name: str) -> str:
    """The timm name for an alias or a timm name, also as the hub writes it (`timm/NAME`).

    Raises UserError for others, and for a tag of pretrained weights that timm does not have.
    """
    plain = next((name.removeprefix(p) for p in HUB_PREFIXES if name.startswith(p)), name)
    base, dot, tag = plain.partition(".")
    if base in ARCHITECTURES:
        base = ARCHITECTURES[base].timm_name
        if not dot:
            return base
    import timm  # imports torch, which no report needs

    if timm.is_model(base):
        return _with_known_tag(base, tag) if dot else base
    known = list(dict.fromkeys([*ARCHITECTURES, *timm.list_models()]))
    near = difflib.get_close_matches(base, known, n=5, cutoff=0.4)
    hint = f" Nearest names: {', '.join(near)}." if near else ""
    raise UserError(
        f"There is no model '{name}'.{hint} Short names: {', '.join(ARCHITECTURES)}; "
        'every timm name works too (python -c "import timm; print(timm.list_models())").'
    )


def _with_known_tag(base: str, tag: str) -> str:
    """`base.tag`. Raises UserError, with the tags that there are, if timm has no such weights."""
    import timm

    known = [n.partition(".")[2] for n in timm.list_models(f"{base}.*", pretrained=True)]
    if tag in known:
        return f"{base}.{tag}"
    given = f"--base_models {base}.{tag}: {base} has no pretrained weights with the tag '{tag}'."
    if not known:
        raise UserError(f"{given} It has no tags: use {base}.")
    names = ", ".join(f"{base}.{one}" for one in known)
    raise UserError(f"{given} Known: {names}; or {base} for timm's default.")


def architecture_of(name: str) -> Architecture | None:
    """The architecture of an alias or a timm name; None if it is not listed."""
    return ARCHITECTURES.get(name) or _BY_TIMM_NAME.get(name)


def memory_format(name: str, device: str, precision: str) -> str:
    """The memory format in which a timm model (with or without a tag) trains on this kind of
    device (`cpu`, `cuda`) in this precision (`float32`, `bfloat16`, `float16`): CHANNELS_LAST where
    that was measured to be faster, else CONTIGUOUS."""
    faster = FASTER_IN_CHANNELS_LAST.get((device, precision), {})
    return CHANNELS_LAST if name.partition(".")[0] in faster else CONTIGUOUS


def alias_of(timm_name: str) -> str:
    """The short name of a timm model, or its timm name if it has none."""
    row = _BY_TIMM_NAME.get(timm_name)
    return row.alias if row else timm_name
