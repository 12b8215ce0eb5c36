"""The .npz of predictions: round trip, damaged files, inconsistent fields."""

from dataclasses import fields, replace

import numpy as np
import pytest

from dr_ovo.errors import UserError
from dr_ovo.pairs import class_pairs
from dr_ovo.predictions.predictions_file import (
    Predictions,
    load_predictions,
    pair_logits,
    save_predictions,
)

KEYS = (
    "schema head decoder class_names sample_ids patient_ids eyes quality calibration targets "
    "predicted pairs logits probabilities"
)


def test_what_is_saved_is_loaded(tmp_path, draw):
    saved = draw(eyes_per_patient=2, eyes=["left", "right"] * 60, class_names=list("äbcde"))
    save_predictions(tmp_path / "predictions_test.npz", saved)
    loaded = load_predictions(tmp_path / "predictions_test.npz")
    for field in fields(Predictions):
        before, after = getattr(saved, field.name), getattr(loaded, field.name)
        np.testing.assert_array_equal(before, after)
        assert getattr(before, "dtype", None) == getattr(after, "dtype", None)
    assert [path.name for path in tmp_path.iterdir()] == ["predictions_test.npz"]


def test_the_file_holds_exactly_the_documented_keys_and_no_pickle(tmp_path, draw):
    save_predictions(tmp_path / "p.npz", draw())
    with np.load(tmp_path / "p.npz", allow_pickle=False) as file:
        assert sorted(file.files) == sorted(KEYS.split())
        assert all(file[name].dtype != object for name in file.files)
        assert file["sample_ids"].dtype.kind == "U"
        assert file["schema"] == 1


def test_marks_stand_in_the_file_where_there_are_any(tmp_path, draw):
    save_predictions(tmp_path / "p.npz", replace(draw(), marks=["LEAKY"]))
    assert load_predictions(tmp_path / "p.npz").marks.tolist() == ["LEAKY"]


@pytest.mark.parametrize("cut", [0, 10, 0.5, 0.99])
def test_a_damaged_file_is_named(tmp_path, draw, cut):
    path = tmp_path / "p.npz"
    save_predictions(path, draw())
    content = path.read_bytes()
    path.write_bytes(content[: int(cut * len(content)) if cut < 1 else cut])
    with pytest.raises(UserError, match=r"p\.npz can't be read as predictions"):
        load_predictions(path)


def test_a_missing_file_says_how_to_make_it(tmp_path):
    with pytest.raises(UserError, match="--mode evaluate"):
        load_predictions(tmp_path / "p.npz")


def test_pickled_arrays_are_refused(tmp_path):
    np.savez(tmp_path / "p.npz", schema=np.array({"a": 1}, dtype=object))
    with pytest.raises(UserError, match=r"holds Python objects \(schema: object\)"):
        load_predictions(tmp_path / "p.npz")


def test_another_schema_or_content_is_named(tmp_path, draw):
    arrays = {field.name: getattr(draw(), field.name) for field in fields(Predictions)}
    np.savez(tmp_path / "new.npz", **{**arrays, "schema": 2})
    with pytest.raises(UserError, match="schema 2; this version reads schema 1"):
        load_predictions(tmp_path / "new.npz")
    np.savez(tmp_path / "other.npz", schema=1, targets=[0, 1])
    with pytest.raises(UserError, match="without head, decoder"):
        load_predictions(tmp_path / "other.npz")
    np.save(tmp_path / "array.npy", np.zeros(3))
    with pytest.raises(UserError, match="can't be read"):
        load_predictions(tmp_path / "array.npy")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"patient_ids": ["a"]}, r"'patient_ids' has shape \(1,\).*\(120,\)"),
        ({"probabilities": np.full((120, 4), 0.25)}, r"'probabilities'.*\(120, 5\)"),
        ({"logits": np.zeros((120, 5))}, r"'logits'.*'ovo' need \(120, 10\)"),
        ({"pairs": [[0, 1]]}, "have the pairs"),
        ({"head": "ranking"}, "Unknown head 'ranking'"),
        ({"targets": np.full(120, 5)}, "a class outside 0..4"),
        ({"predicted": np.full(120, -1)}, "a class outside 0..4"),
        ({"logits": np.full((120, 10), np.nan)}, "a logit that is not finite"),
        ({"probabilities": np.full((120, 5), 0.3)}, "probabilities that don't sum to 1"),
        ({"probabilities": np.tile([1.5, -0.5, 0, 0, 0], (120, 1))}, "a negative probability"),
        ({"sample_ids": ["a"] * 120}, "a duplicate sample"),
    ],
)
def test_parts_that_do_not_fit_are_named(draw, changes, said):
    with pytest.raises(UserError, match=said):
        replace(draw(), **changes)


def test_no_samples_are_an_error(build):
    with pytest.raises(UserError, match="no samples"):
        build(np.zeros(0, dtype=int), np.zeros((0, 10)))


def test_every_head_has_pair_logits(draw, build):
    ovo = draw()
    np.testing.assert_array_equal(pair_logits(ovo), ovo.logits)
    softmax = build(np.arange(5), np.random.default_rng(0).normal(size=(5, 5)), head="softmax")
    expected = np.stack([softmax.logits[:, b] - softmax.logits[:, a] for a, b in class_pairs(5)])
    np.testing.assert_allclose(pair_logits(softmax), expected.T)
    ordinal = build(np.arange(5), np.full((5, 4), -800.0), head="ordinal")
    assert np.isfinite(pair_logits(ordinal)).all()
    assert (pair_logits(ordinal)[:, 0] < 0).all()
