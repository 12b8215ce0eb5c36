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
SEVEN = tuple(ARCHITECTURES)[:7]
_BY_TIMM_NAME = {row.timm_name: row for row in ARCHITECTURES.values()}


def resolve_architecture(name: str) -> str:
    """The timm name for an alias or a timm name. Raises UserError for others."""
    if name in ARCHITECTURES:
        return ARCHITECTURES[name].timm_name
    import timm  # imports torch, which no report needs

    if timm.is_model(name):
        return name
    known = list(dict.fromkeys([*ARCHITECTURES, *timm.list_models()]))
    near = difflib.get_close_matches(name, known, n=5, cutoff=0.4)
    hint = f" Nearest names: {', '.join(near)}." if near else ""
    raise UserError(
        f"There is no model '{name}'.{hint} Short names: {', '.join(ARCHITECTURES)}; "
        'every timm name works too (python -c "import timm; print(timm.list_models())").'
    )


def architecture_of(name: str) -> Architecture | None:
    """The architecture of an alias or a timm name; None if it is not listed."""
    return ARCHITECTURES.get(name) or _BY_TIMM_NAME.get(name)


def alias_of(timm_name: str) -> str:
    """The short name of a timm model, or its timm name if it has none."""
    row = _BY_TIMM_NAME.get(timm_name)
    return row.alias if row else timm_name
