"""One architecture after the other: what one of them took is free before the next is built."""

from __future__ import annotations

import gc
import weakref
from typing import Any

from dr_ovo.training import pipeline


def test_a_network_is_gone_before_the_next_is_built(
    small, three_grades, trainer, tmp_path, monkeypatch
):
    built: list[weakref.ref] = []
    left: list[bool] = []
    build = pipeline.build_model

    def build_and_watch(*arguments: Any) -> Any:
        left.extend(network() is not None for network in built)
        model = build(*arguments)
        built.append(weakref.ref(model.network))
        return model

    monkeypatch.setattr(pipeline, "build_model", build_and_watch)
    gc.disable()  # which would find a cycle, at some time
    try:
        outcome = trainer(
            *small, "--dataset_path", three_grades, "--num_classes", 3, "--epochs", 1,
            "--base_models", "test_efficientnet", "test_resnet", "--no-pretrained",
            "--pretrained_path", "", "--output_dir", tmp_path,
        )  # fmt: skip
    finally:
        gc.enable()
    assert outcome.code == 0, outcome.stderr
    assert len(built) == 2
    assert left == [False]
