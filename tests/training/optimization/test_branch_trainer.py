"""Windows of micro-batches: what an optimizer step consists of, and when there is none."""

from __future__ import annotations

import math
import shutil

import pytest
import torch

from dr_ovo.errors import MachineError
from dr_ovo.models.backbone import create_backbone
from dr_ovo.models.compilation import Compiler
from dr_ovo.models.parts.random_layers import MaskedDropPath, draw_masks, masked_layers
from dr_ovo.models.precision import Precision
from dr_ovo.training.optimization.branch_trainer import BranchTrainer
from dr_ovo.training.optimization.guarded_optimizer import MAX_SKIPPED_IN_A_ROW
from tests.fixtures.slow import slow
from tests.fixtures.trainings import CPU

HEADS = {
    "shared": {},
    "independent": {"ovo_mode": "independent"},
    "softmax": {"head": "softmax"},
    "ordinal": {"head": "ordinal"},
}
FP16 = Precision(torch.device("cpu"), torch.float16)


def distance(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    return math.sqrt(sum(float((one[k] - other[k]).square().sum()) for k in one))


@pytest.mark.parametrize("head", ["shared", *slow("independent", "softmax", "ordinal")])
@pytest.mark.parametrize(("batch", "accumulation", "chunk"), [(2, 4, 8), *slow((1, 8, 5))])
def test_micro_batches_are_one_large_batch(head, batch, accumulation, chunk, bench):
    # 13 images, a single one of grade 4: windows of eight and five, and fewer in independent
    # branches. In float64, because Adam turns rounding into full steps where gradients vanish.
    kept = {"dtype": torch.float64, **HEADS[head]}
    large = bench(batch_size=8, gradient_accumulation_steps=1, **kept)
    start = large.weights()
    large.train(2)
    small = bench(batch_size=batch, gradient_accumulation_steps=accumulation, **kept)
    small.train(2, chunk)
    for name, run in large.model.runs.items():
        assert run.trainer.steps == small.model.runs[name].trainer.steps > 0
    moved = distance(large.weights(), start)
    assert moved > 0.01
    assert distance(large.weights(), small.weights()) < 1e-6 * moved


@pytest.mark.slow
def test_micro_batches_are_one_large_batch_for_a_pretrained_network(bench):
    kept = {"base_models": ("tf_efficientnet_lite0",), "pretrained_path": "", "img_size": 32}
    kept["dtype"] = torch.float64
    large = bench(batch_size=8, gradient_accumulation_steps=1, **kept)
    start = large.weights()
    large.train(1)
    small = bench(batch_size=2, gradient_accumulation_steps=4, **kept)
    small.train(1)
    end = large.weights()
    moved = distance(end, start)
    assert distance(end, small.weights()) < 1e-3 * moved
    buffers = [name for name in start if "running" in name]
    assert buffers
    assert all(torch.equal(start[name], end[name]) for name in buffers)


def test_each_window_has_the_gradient_of_its_mean_loss(bench):
    still = {"learning_rate": 1e-30, "min_lr": 0.0, "weight_decay": 0.0, "max_grad_norm": 0.0}
    made = bench(batch_size=2, gradient_accumulation_steps=4, **still)
    (run,) = made.model.runs.values()
    trainer = run.trainer
    found: list[torch.Tensor] = []
    trainer.optimizer.adamw.register_step_pre_hook(lambda *_: found.append(gradient(trainer)))
    trainer.begin_epoch(1)
    trainer.feed(made.features, made.targets)
    trainer.end_epoch()

    assert [len(found), trainer.done] == [2, 13]
    for got, window in zip(found, (slice(0, 8), slice(8, 13)), strict=True):
        targets = made.targets[window]
        cells = trainer.loss(trainer.branch(made.features[window]), targets)
        (cells.sum() / (4 * len(targets))).backward()  # each sample is in four pairs
        expected = gradient(trainer)
        trainer.optimizer.adamw.zero_grad()
        assert float((got - expected).norm()) < 1e-4 * float(expected.norm())


def gradient(trainer: BranchTrainer) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in trainer.branch.parameters()]).clone()


@pytest.mark.parametrize("sampler", ["natural", *slow("balanced")])
def test_no_branch_starves(sampler, bench):
    made = bench(ovo_mode="independent", batch_size=2, sampler=sampler)
    before = made.weights()
    seen: dict[str, list[torch.Tensor]] = {}
    for name, run in made.model.runs.items():
        seen[name] = []
        run.trainer.branch.register_forward_pre_hook(
            lambda _, inputs, kept=seen[name]: kept.append(inputs[0])
        )
    made.train(1)
    drawn = made.order(1)
    for name, run in made.model.runs.items():
        own = torch.isin(made.targets[drawn], torch.tensor(run.trainer.spec.pairs[0]))
        features = made.features[drawn[own]]
        assert as_rows(torch.cat(seen[name])) == as_rows(features)
        assert run.trainer.steps == math.ceil(len(features) / 8)
        assert any(
            not torch.equal(before[key], value)
            for key, value in made.weights().items()
            if key.startswith(f"branches.{name}.")
        )


def as_rows(features: torch.Tensor) -> list[list[float]]:
    return sorted(features.flatten(1).tolist())


def test_nothing_steps_without_samples(bench):
    made = bench(ovo_mode="independent", batch_size=2)
    trainer = made.model.runs["0_1"].trainer
    before = made.weights()
    others = ~torch.isin(made.targets, torch.tensor([0, 1]))
    trainer.begin_epoch(1)
    trainer.feed(made.features[others], made.targets[others])
    assert trainer.end_epoch() == 0.0
    assert trainer.steps == 0
    assert not trainer.optimizer.adamw.state
    after = made.weights()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_what_an_interrupted_epoch_left_is_forgotten(bench):
    made, fresh = bench(batch_size=2), bench(batch_size=2)
    (run,) = made.model.runs.values()
    run.trainer.begin_epoch(1)
    run.trainer.feed(made.features[:5], made.targets[:5])  # two micro-batches, one sample waits
    made.train(1)
    fresh.train(1)
    assert fresh.has(made.weights())


def test_numbers_gone_bad_end_the_run_before_they_reach_the_weights(bench):
    made = bench(batch_size=2)
    (run,) = made.model.runs.values()
    made.train(1)
    before = made.weights()
    run.trainer.begin_epoch(2)
    bad = made.features.clone()
    bad[3] = math.nan
    with pytest.raises(MachineError, match=r"branch ovo .*epoch 2.*--learning_rate"):
        run.trainer.feed(bad, made.targets)
    after = made.weights()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_float16_leaves_an_overflowing_step_out_and_goes_on(bench):
    made = bench(batch_size=8, gradient_accumulation_steps=1, precision=FP16)
    (run,) = made.model.runs.values()
    trainer, before = run.trainer, made.weights()
    scale = trainer.optimizer.scaler.get_scale()
    trainer.begin_epoch(1)
    with FP16.autocast():
        trainer.feed(made.features[:8] * math.inf, made.targets[:8])
    after = made.weights()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert (trainer.skipped_steps, trainer.steps) == (1, 1)
    assert trainer.optimizer.scaler.get_scale() == scale / 2

    # The loss reported is of the other window: each of its samples is in four pairs.
    with torch.no_grad(), FP16.autocast():
        logits = trainer.branch(made.features[8:])
    loss = float(trainer.loss(logits, made.targets[8:]).sum()) / (4 * 5)
    trainer.feed(made.features[8:], made.targets[8:])
    assert trainer.end_epoch() == pytest.approx(loss)
    assert (trainer.skipped_steps, trainer.steps) == (1, 2)
    assert distance(made.weights(), before) > 0


@pytest.mark.slow
def test_float16_that_only_overflows_ends_the_run(bench):
    made = bench(batch_size=1, gradient_accumulation_steps=1, precision=FP16)
    (run,) = made.model.runs.values()
    trainer = run.trainer
    trainer.samples = MAX_SKIPPED_IN_A_ROW + 1
    trainer.begin_epoch(1)
    bad, target = made.features[:1] * math.inf, made.targets[:1]
    for _ in range(MAX_SKIPPED_IN_A_ROW):
        trainer.feed(bad, target)
    with pytest.raises(MachineError, match="no longer finite"):
        trainer.feed(bad, target)


def test_the_scaler_serves_float16_alone():
    assert FP16.scaler().is_enabled()
    for dtype in (None, torch.bfloat16):
        assert not Precision(torch.device("cpu"), dtype).scaler().is_enabled()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_compiled_training_is_training_up_to_rounding(bench):
    flags = {"batch_size": 4, "gradient_accumulation_steps": 1, "ovo_dropout": 0.5}
    plain, made = (bench(**flags) for _ in range(2))
    (run,) = made.model.runs.values()
    compiler = Compiler(torch.device("cpu"))
    run.trainer.gradients.forward = compiler(run.trainer.branch)
    start = made.weights()
    for one in (plain, made):
        one.train(2)
    assert compiler.works
    moved = max(float((plain.weights()[name] - value).abs().max()) for name, value in start.items())
    for name, value in plain.weights().items():
        assert torch.allclose(made.weights()[name], value, atol=1e-2 * moved), name


@pytest.mark.parametrize("mode", ["shared", *slow("independent")])
def test_layer_decay_slows_the_layers_far_from_the_head(mode, bench):
    def moved(layer_decay: float, frozen: int = 0) -> dict[str, float]:
        made = bench(ovo_mode=mode, layer_decay=layer_decay, freeze_stages=frozen)
        before = made.weights()
        made.train(1)
        after = made.weights()
        return {name: float((after[name] - before[name]).abs().max()) for name in before}

    name = "ovo" if mode == "shared" else "0_1"
    first, head = f"branches.{name}.rest.conv_stem.weight", f"branches.{name}.head.weight"
    plain, slow = moved(1.0), moved(0.1)
    assert 0 < slow[first] < 1e-2 * plain[first]
    assert slow[head] > 0.3 * plain[head]
    assert moved(0.1, frozen=4) == moved(1.0, frozen=4)  # there is no layer but the head


@pytest.mark.slow
def test_drop_path_leaves_out_trained_blocks_alone_and_none_in_evaluation(bench):
    kept = {"base_models": ("tf_efficientnet_lite0",), "pretrained_path": "", "freeze_stages": 2}
    made = bench(**kept, drop_path=0.5)
    network, branch = made.model.network.train(), made.model.network.branch("ovo")
    layers = [layer for layer in masked_layers(branch) if isinstance(layer, MaskedDropPath)]
    shares = [layer.share for layer in layers]
    assert shares == sorted(shares)
    assert 0.1 < shares[0] < shares[-1] < 0.5  # the first ones are frozen
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(network.stem_features(images), network.stem_features(images))
    draw_masks(layers, len(made.features), 1, CPU.device)
    plain = bench(**kept).model.network
    with torch.no_grad():
        assert not torch.equal(branch(made.features), plain.train().branch("ovo")(made.features))
        assert torch.equal(network.eval()(images), plain.eval()(images))


def test_drop_path_does_not_depend_on_the_micro_batch(bench, tmp_path):
    weights = tmp_path / "resnet.pth"  # with which BatchNorm keeps its statistics
    torch.save(create_backbone("test_resnet", 32, weights=None).state_dict(), weights)
    kept = {"base_models": ("test_resnet",), "pretrained_path": str(weights)}
    kept |= {"dtype": torch.float64, "drop_path": 0.5, "freeze_stages": 2}
    whole = bench(batch_size=8, gradient_accumulation_steps=1, **kept)
    start = whole.weights()
    whole.train(1)
    parts = bench(batch_size=2, gradient_accumulation_steps=4, **kept)
    parts.train(1)
    without = bench(batch_size=8, gradient_accumulation_steps=1, **(kept | {"drop_path": 0.0}))
    without.train(1)
    moved = distance(whole.weights(), start)
    assert distance(whole.weights(), parts.weights()) < 1e-4 * moved
    assert distance(whole.weights(), without.weights()) > 0.1 * moved


def test_options_that_do_nothing_say_so(bench, caplog):
    both = {"layer_decay": 0.5, "drop_path": 0.2}
    bench(**both, freeze_stages=2)
    assert "--drop_path has no effect: no trained block" in caplog.text  # its blocks have no skips
    assert "--layer_decay" not in caplog.text
    both |= {"base_models": ("test_resnet",), "pretrained_path": "", "pretrained": False}
    bench(**both, freeze_stages=4)
    for option in ("--layer_decay", "--drop_path"):
        assert f"{option} has no effect: --freeze_stages 4" in caplog.text
    caplog.clear()
    bench(**both, freeze_stages=2)
    assert "has no effect" not in caplog.text
