"""train_features.npz is read as it was written, or refused in words."""

from __future__ import annotations

import numpy as np
import pytest

from dr_ovo.errors import UserError
from dr_ovo.gates.features_file import load_features, save_features
from dr_ovo.gates.nearest_features import VAL, NearestFeatures


@pytest.fixture
def kept() -> NearestFeatures:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((30, 8)).astype(np.float16)
    return NearestFeatures(features, np.sort(rng.random(50)), VAL)


def test_read_as_written(tmp_path, kept):
    path = tmp_path / "train_features.npz"
    save_features(path, kept, {"best_a.pth": "0" * 64})
    found, checkpoints = load_features(path)
    assert np.array_equal(found.features, kept.features)
    assert np.array_equal(found.distances, kept.distances)
    assert found.calibrated_on == VAL
    assert checkpoints == {"best_a.pth": "0" * 64}


@pytest.mark.parametrize("name", ["features", "distances", "checkpoints", "calibrated_on"])
def test_what_was_changed_is_refused(tmp_path, kept, name):
    path = tmp_path / "train_features.npz"
    save_features(path, kept, {"best_a.pth": "0" * 64})
    with np.load(path) as file:
        arrays = dict(file)
    arrays[name] = arrays[name][::-1].copy() if arrays[name].ndim == 1 else arrays[name]
    if arrays[name].ndim == 2:
        arrays[name] = arrays[name].copy()
        arrays[name][0, 0] = "other" if arrays[name].dtype.kind == "U" else 9
    if not arrays[name].ndim:
        arrays[name] = np.array("test")
    np.savez(path, **arrays)
    with pytest.raises(UserError, match="not as it was written"):
        load_features(path)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04"])
def test_what_is_no_archive_is_refused(tmp_path, content):
    path = tmp_path / "train_features.npz"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"can't be read as features.*Restore it"):
        load_features(path)


def test_what_lacks_an_array_is_refused(tmp_path, kept):
    path = tmp_path / "train_features.npz"
    np.savez(path, features=kept.features)
    with pytest.raises(UserError, match="can't be read as features"):
        load_features(path)
