"""Names in published weights: wrappers before them, parts beside a backbone, parts without use."""

from __future__ import annotations

import re

import timm

# What may stand before the names, alone or joined, the preferred first: averaged weights, then
# the encoder that is trained, then what merely wraps it.
WRAPPERS = (
    "module", "model_ema", "ema_model", "ema", "teacher", "teacher_backbone", "encoder_q",
    "query_encoder", "base_encoder", "online_network", "online_encoder", "online", "model",
    "base_model", "net", "network", "backbone", "encoder", "trunk", "_feature_blocks", "visual",
    "image_encoder", "img_encoder", "vision_encoder", "vision_model", "vision_tower",
    "feature_extractor", "timm_model", "cnn", "student", "student_backbone", "0",
)  # fmt: skip
# What compilers and parallel training put anywhere into a name.
INSIDE = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.", "_forward_module.")
# Parts that a classifier of retinas has no use for: heads, decoders, losses, queues, scores.
WITHOUT_USE = re.compile(
    r"heads?|head_(dist|drop)|heads_dist|\w+_head|\w+_head_\w+|fc\d?|classifiers?|"
    r"last_(linear|layer)|linear|logits|logit_(scale|bias)|AuxLogits|attn_pool|"
    r"proj(ector|ection)?(_\w+)?|predict(or|ion)?(_\w+)?|prototypes\d*|decoder(_\w+)?|"
    r"mask_token|masked_embed|neck|criterion|loss(_\w+)?|\w+_loss|(class|pos)_weights?|queue\w*|"
    r"n_averaged|initted|step|decay|num_updates|center|(pixel_|image_)?(mean|std)|normali[sz]er?|"
    r"\w*metrics?|\w*(acc|accuracy|auroc|auc|kappa|f1|precision|recall|confmat)(_\w+)?|"
    r"(train|val|valid|validation|test)_\w+"
)
# What metrics of Lightning count: <any name>.confmat, <any name>.tp.
COUNTS = re.compile(r".+\.(confmat|tp|fp|tn|fn)")
# A second copy of the encoder, or what stands beside it, where a prefix leads to the one taken.
BESIDE = re.compile(
    r"encoder_k|key_encoder|momentum_\w+|\w+_momentum|target_\w+|target|student(_\w+)?|"
    r"teacher(_\w+)?|online_\w+|ema(_\w+)?|model_ema|model|bn|text(_\w+)?|transformer|"
    r"token_embedding|positional_embedding|ln_final"
)


def is_wrapper(part: str) -> bool:
    """Whether the part of a name wraps networks: one of WRAPPERS, or a model's name (CheXNet)."""
    return part in WRAPPERS or timm.is_model(part)


def rank(prefix: str) -> int | None:
    """The lower, the better: how `prefix` ("module.teacher.") is preferred; None if unknown."""
    parts = prefix.split(".")[:-1]
    if not all(map(is_wrapper, parts)):
        return None
    return sum(WRAPPERS.index(p) if p in WRAPPERS else len(WRAPPERS) for p in parts)


def without_inside(name: str) -> str:
    """The name without the parts of a compiler or of parallel training."""
    for part in INSIDE:
        name = name.replace(part, "")
    return name


def is_without_use(name: str) -> bool:
    """Whether a weight is of a head, a decoder, a loss, a metric or the like."""
    return bool(WITHOUT_USE.fullmatch(name.partition(".")[0]) or COUNTS.fullmatch(name))


def is_beside(name: str, prefix: str) -> bool:
    """Whether a name outside the prefix belongs to a part that needs no place."""
    parts = name.split(".")
    own = prefix.split(".")[:-1]
    while own and len(parts) > 1 and parts[0] == own[0]:
        parts, own = parts[1:], own[1:]
    if own and own[0].isdigit() and parts[0].isdigit():  # what follows in a Sequential
        return True
    return is_without_use(".".join(parts)) or bool(BESIDE.fullmatch(parts[0]))
