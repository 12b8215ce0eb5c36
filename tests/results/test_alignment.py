"""Models brought to the same samples, or refused with what differs."""

from dataclasses import replace

import numpy as np
import pytest

from dr_ovo.errors import UserError
from dr_ovo.predictions.calibration import calibration_share, fit_calibration
from dr_ovo.predictions.predictions_file import take
from dr_ovo.reports.diversity.diversity import diversity
from dr_ovo.reports.ensemble.study import CombinationRule, study_ensemble
from dr_ovo.reports.paired_comparison import by_val_kappa, selection_share
from dr_ovo.results.alignment import align
from dr_ovo.results.model_results import read_results
from dr_ovo.results.result_sets import ResultSet
from dr_ovo.synthetic.simulated_predictions import Simulation


@pytest.fixture(scope="module")
def models(simulated):
    names = ("coatnet", "swinv2")
    return [read_results(simulated / f"{name}_5class_results", name) for name in names]


def changed(model, split="test", **fields):
    return replace(model, **{split: replace(getattr(model, split), **fields)})


def test_another_order_is_put_right(models):
    coatnet, swinv2 = models
    shuffled = replace(swinv2, test=take(swinv2.test, np.random.default_rng(0).permutation(120)))
    first, second = align([coatnet, shuffled], intersect=False)
    np.testing.assert_array_equal(first.test.sample_ids, second.test.sample_ids)
    by_id = dict(zip(swinv2.test.sample_ids, swinv2.test.predicted, strict=True))
    assert second.test.predicted.tolist() == [by_id[i] for i in second.test.sample_ids]
    assert set(first.test.sample_ids) == set(coatnet.test.sample_ids)


@pytest.mark.parametrize("split", ["val", "test"])
def test_other_samples_are_listed(models, split):
    coatnet, swinv2 = models
    predictions = getattr(swinv2, split)
    fewer = replace(swinv2, **{split: take(predictions, np.arange(2, len(predictions.targets)))})
    with pytest.raises(UserError) as error:
        align([coatnet, fewer], intersect=False)
    text = str(error.value)
    assert f"different {split} images ({len(predictions.targets) - 2} in common)" in text
    assert f"- {coatnet.folder}: 2 not in all others: " in text
    assert all(name in text for name in predictions.sample_ids[:2])
    assert str(swinv2.folder) not in text  # it has none of its own
    assert "--intersect" in text


def test_out_of_fold_and_val_are_different_images(models, tmp_path):
    coatnet, swinv2 = models
    folds = replace(swinv2, folder=tmp_path)
    (tmp_path / "folds.json").touch()
    for intersect in (False, True):
        with pytest.raises(UserError, match="only models of --folds, or only others") as error:
            align([coatnet, folds], intersect=intersect)
        assert f"{tmp_path} is of --folds" in str(error.value)
    align([replace(coatnet, folder=tmp_path), folds], intersect=False)


def test_intersect_goes_on_with_the_common_ones(models):
    coatnet, swinv2 = models
    fewer = replace(swinv2, test=take(swinv2.test, np.arange(5, 120)))
    less = replace(coatnet, test=take(coatnet.test, np.arange(110)))
    first, second = align([less, fewer], intersect=True)
    expected = sorted(coatnet.test.sample_ids[5:110])
    assert first.test.sample_ids.tolist() == second.test.sample_ids.tolist() == expected


def test_nothing_in_common_is_no_intersection(models):
    coatnet, swinv2 = models
    other = np.char.add("x", swinv2.test.sample_ids)
    for intersect in (False, True):
        with pytest.raises(UserError, match=r"0 in common") as error:
            align([coatnet, changed(swinv2, sample_ids=other)], intersect=intersect)
        assert "--intersect" not in str(error.value)


def test_other_grades_of_a_sample(models):
    coatnet, swinv2 = models
    targets = swinv2.test.targets.copy()
    targets[3] = (targets[3] + 1) % 5
    with pytest.raises(UserError, match=r"different grades for the same test images") as error:
        align([coatnet, changed(swinv2, targets=targets)], intersect=False)
    assert swinv2.test.sample_ids[3] in str(error.value)


def test_another_number_of_classes(models, simulated):
    coatnet, swinv2 = models
    three = replace(
        swinv2.test,
        class_names=["0", "1", "2"],
        targets=swinv2.test.targets % 3,
        predicted=swinv2.test.predicted % 3,
        logits=np.zeros((120, 3)),
        probabilities=np.full((120, 3), 1 / 3),
    )
    with pytest.raises(UserError, match=r"has the classes 0, 1, 2, 3, 4, and .* 0, 1, 2\."):
        align([coatnet, replace(swinv2, test=three)], intersect=False)


def test_one_model_twice(models):
    coatnet, _ = models
    with pytest.raises(UserError, match="one model twice"):
        align([coatnet, coatnet], intersect=False)


@pytest.fixture
def divided(models):
    """Two models on a val of 300 images, of which the second lacks 16, so that another share of the
    others is left for its calibration."""
    val, test = Simulation((0.8, 0.7), 0.25, 0.25).draw(150, 2, seed=1), [m.test for m in models]
    first, second = (
        replace(model, val=own, test=on_test, calibration=fit_calibration(own, []))
        for model, own, on_test in zip(models, val, test, strict=True)
    )
    fewer = take(second.val, np.arange(16, 300))
    share = calibration_share(fewer.sample_ids, fewer.patient_ids, fewer.targets)
    assert (share != first.val.calibration[16:]).any()
    return [first, replace(second, val=replace(fewer, calibration=share))]


def test_what_any_model_leaves_out_of_selection_none_is_chosen_on(divided):
    one, other = align(divided, intersect=True)
    left_out = set()
    for model in divided:
        left_out |= set(model.val.sample_ids[model.val.calibration])
    assert len(one.val.sample_ids) == 284
    expected = [name in left_out for name in one.val.sample_ids]
    assert one.val.calibration.tolist() == other.val.calibration.tolist() == expected
    patients = [set(one.val.patient_ids[chosen]) for chosen in (expected, np.invert(expected))]
    assert not patients[0] & patients[1]


def test_reports_on_the_common_images_choose_on_the_same_ones(divided):
    results = ResultSet(tuple(align(divided, intersect=True)))
    for method in ("mean", "weighted", "greedy"):
        study = study_ensemble(results, CombinationRule(method), [])
        assert study.whole.fitted.val.calibration.tolist() == [*results.models[0].val.calibration]
    assert [row["model"] for row in diversity(results).data["contributions"]]
    first, second = (selection_share(model.val) for model, _ in by_val_kappa(results.models))
    assert first.sample_ids.tolist() == second.sample_ids.tolist()


def test_a_share_that_takes_everything_is_refused(divided):
    first, second = divided
    common = second.val.sample_ids
    half = np.isin(first.val.sample_ids, common[::2])
    rest = np.isin(common, common[1::2])
    pair = [changed(first, "val", calibration=half), changed(second, "val", calibration=rest)]
    with pytest.raises(UserError, match=r"284 val images .* none is left to choose on"):
        align(pair, intersect=True)
