"""The moving average of weights: its values, and that it is evaluated, saved and resumed."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dr_ovo.training.optimization.weight_average import WeightAverage


def module_of(value: float) -> nn.BatchNorm1d:
    """A module with a parameter, running statistics, and an integer count of batches."""
    module = nn.BatchNorm1d(1)
    set_weight(module, value)
    return module


def set_weight(module: nn.Module, value: float) -> None:
    with torch.no_grad():
        module.weight.fill_(value)


def test_values_by_hand():
    module = module_of(1.0)
    average = WeightAverage(module, decay=0.15)
    set_weight(module, 2.0)
    average.update()  # decay 1/10
    assert average.values["weight"].item() == pytest.approx(0.1 * 1 + 0.9 * 2)
    set_weight(module, 4.0)
    average.update()  # 2/11 is above 0.15
    assert average.values["weight"].item() == pytest.approx(0.15 * 1.9 + 0.85 * 4)
    assert "num_batches_tracked" not in average.values


def test_the_module_has_the_average_for_a_while():
    module = module_of(1.0)
    average = WeightAverage(module, decay=0.9)
    set_weight(module, 3.0)
    average.update()
    mean = average.values["weight"].item()
    with average.in_place():
        assert module.weight.item() == mean
    assert module.weight.item() == 3.0
    assert average.values["weight"].item() == mean


def test_the_bits_of_the_plain_formula():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.Flatten(), nn.LazyLinear(2))
    module(torch.zeros(2, 3, 8, 8))
    average = WeightAverage(module, decay=0.7)
    state = {name: value.clone() for name, value in average.values.items()}
    assert {"0.weight", "1.running_mean", "3.bias"} <= state.keys()
    for step in range(12):
        module(torch.randn(2, 3, 8, 8))  # other statistics
        with torch.no_grad():
            for weight in module.parameters():
                weight.add_(torch.randn_like(weight))
        if step == 6:  # in another memory format, as the optimizer's weights are
            for weight in (w for w in module.parameters() if w.dim() == 4):
                weight.data = weight.data.clone(memory_format=torch.channels_last)
        average.update()
        decay = min(0.7, (1 + step) / (10 + step))
        weights = module.state_dict()
        for name, value in state.items():
            value.lerp_(weights[name], 1 - decay)
    assert all(torch.equal(average.values[name], value) for name, value in state.items())
    with average.in_place():
        weights = module.state_dict()
        assert all(torch.equal(weights[name], value) for name, value in state.items())


def test_training_averages_after_every_step_and_goes_on_from_the_last_weights(bench):
    made, plain = (bench(batch_size=2, ema_decay=decay) for decay in (0.5, 0.0))
    (run,) = made.model.runs.values()
    name = "head.weight"
    expected, steps = run.trainer.branch.state_dict()[name].clone(), []

    def record(*_: object) -> None:
        decay = min(0.5, (1 + len(steps)) / (10 + len(steps)))
        expected.lerp_(run.trainer.branch.state_dict()[name], 1 - decay)
        steps.append(decay)

    run.trainer.optimizer.adamw.register_step_post_hook(record)
    made.train(3)
    plain.train(3)
    assert len(steps) == 6
    own = made.weights()
    assert all(torch.equal(own[key], value) for key, value in plain.weights().items())
    with run.trainer.evaluated_weights():
        measured = run.trainer.branch.state_dict()[name].clone()
    assert torch.allclose(measured, expected, atol=1e-7)
    assert not torch.equal(measured, own[f"branches.ovo.{name}"])


def test_the_average_is_what_is_measured_and_kept(small, three_grades, trainer, tmp_path):
    words = (*small, "--dataset_path", three_grades, "--num_classes", 3, "--epochs", 1)
    words = (*words, "--learning_rate", "1e-2", "--warmup_epochs", 0)
    flags = {"last": (), "off": ("--ema_decay", 0), "average": ("--ema_decay", 0.5)}
    kept, losses = {}, {}
    for name, more in flags.items():
        assert trainer(*words, *more, "--output_dir", tmp_path / name).code == 0
        (path,) = (tmp_path / name / "models").glob("*.pth")
        saved = torch.load(path, weights_only=True)
        kept[name], losses[name] = saved["state_dict"]["head.weight"], saved["metrics"]["val_loss"]
    assert torch.equal(kept["last"], kept["off"])
    assert not torch.equal(kept["last"], kept["average"])
    assert losses["last"] == losses["off"] != losses["average"]
