"""What is reported while an epoch runs."""

from __future__ import annotations

import torch

from dr_ovo.training.epochs.epoch_report import running_note


def test_the_loss_so_far_is_that_of_all_samples_so_far(bench):
    still = {"learning_rate": 1e-30, "min_lr": 0.0, "weight_decay": 0.0}
    made = bench(batch_size=2, gradient_accumulation_steps=4, **still)
    (run,) = made.model.runs.values()
    trainer = run.trainer
    trainer.begin_epoch(1)
    assert running_note([trainer]).startswith("loss -, lr ")
    for start in range(0, 12, 2):  # a window has eight
        mine = slice(start, start + 2)
        trainer.feed(made.features[mine], made.targets[mine])
        if start + 2 < 8:
            assert running_note([trainer]).startswith("loss -, lr ")
    seen = slice(0, 8)
    with torch.no_grad():
        total = trainer.loss(trainer.branch(made.features[seen]), made.targets[seen]).sum()
    expected = float(total) / (4 * 8)  # each sample is in four pairs
    assert running_note([trainer]).startswith(f"loss {expected:.4f}, lr ")


def test_the_note_is_the_mean_of_the_branches(bench):
    made = bench(ovo_mode="independent", batch_size=1, gradient_accumulation_steps=1)
    trainers = [run.trainer for run in made.model.runs.values()]
    for trainer in trainers:
        trainer.begin_epoch(1)
    trainers[0].feed(made.features[:2], made.targets[:2])
    alone = running_note(trainers[:1])
    assert running_note(trainers) == alone  # what has seen nothing does not count
    trainers[1].feed(made.features, made.targets)
    both = [float(running_note([t]).split()[1].rstrip(",")) for t in trainers[:2]]
    assert abs(float(running_note(trainers).split()[1].rstrip(",")) - sum(both) / 2) < 2e-4
