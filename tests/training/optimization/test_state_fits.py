"""A resume state that is not one of the branch is recognised before anything of it is used."""

from __future__ import annotations

import copy

import pytest
import torch


@pytest.fixture(scope="module")
def trainer(bench):
    """Read only: tests change copies of its state."""
    trained = bench(batch_size=8, gradient_accumulation_steps=1, ema_decay=0.9)
    trained.train(1)
    (run,) = trained.model.runs.values()
    return run.trainer


def first(tensors):
    return next(iter(tensors))


CHANGES = {
    "no steps": lambda s: s.pop("steps"),
    "steps below 0": lambda s: s.update(steps=-1),
    "steps that are no number": lambda s: s.update(steps="x"),
    "no branch": lambda s: s.update(branch=None),
    "a part is missing": lambda s: s["branch"].pop(first(s["branch"])),
    "a part of another shape": lambda s: s["branch"].update({"head.bias": torch.zeros(1)}),
    "a part that is no tensor": lambda s: s["branch"].update({"head.bias": 1.0}),
    "whole numbers": lambda s: s["branch"].update(
        {"head.bias": torch.zeros_like(s["branch"]["head.bias"], dtype=torch.int64)}
    ),
    "no average": lambda s: s.update(average=None),
    "an average of another network": lambda s: s["average"].update(values={"x": torch.zeros(1)}),
    "an average without steps": lambda s: s["average"].pop("steps"),
    "no moments": lambda s: s["optimizer"].pop("state"),
    "moments of another shape": lambda s: s["optimizer"]["state"][0].update(
        exp_avg=torch.zeros(1, 2, 3)
    ),
    "moments of a parameter too many": lambda s: s["optimizer"]["state"].update({10**6: {}}),
    "moments that are none": lambda s: s["optimizer"]["state"].update({0: [1]}),
    "a group too few": lambda s: s["optimizer"]["param_groups"].pop(),
    "a rate that is none": lambda s: s["optimizer"]["param_groups"][0].update(lr=float("nan")),
    "betas that are none": lambda s: s["optimizer"]["param_groups"][0].update(betas=0.9),
    "a tensor for the weights": lambda s: s.update(branch=torch.zeros(3)),
    "a tensor for the plateau": lambda s: s.update(plateau=torch.zeros(3)),
    "a key that is no text": lambda s: s["branch"].update({(1, 2): torch.zeros(1)}),
    "a number that is another's key": lambda s: s.update(steps={(1, 2): 3}),
    "a plateau that is none": lambda s: s["plateau"].update(scale=0.0),
    "a place inside an epoch that is none": lambda s: s.update(within={"done": -1}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_does_not_fit_is_said(change, trainer):
    state = copy.deepcopy(trainer.state_dict(within=True))
    assert trainer.problem_of(state) == ""
    CHANGES[change](state)
    assert trainer.problem_of(state)


@pytest.mark.parametrize("content", [None, [], 5, {}, {"branch": {}}])
def test_what_is_no_state(content, trainer):
    assert trainer.problem_of(content)
