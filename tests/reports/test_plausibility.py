"""The warning about figures that are too good."""

import pytest

from dr_ovo.reports.plausibility import implausible


@pytest.mark.parametrize(
    ("accuracy", "kappa", "said"),
    [
        (0.921, 0.5, ["accuracy of 92.1 % is"]),
        (0.5, 0.951, ["kappa of 0.951 is"]),
        (1.0, 1.0, ["accuracy of 100.0 % and a kappa of 1.000 are"]),
        (None, 0.96, ["a kappa of 0.960 is"]),
    ],
)
def test_what_is_too_good_names_the_checks(accuracy, kappa, said):
    warning = implausible({"value": accuracy}, {"value": kappa})
    for part in [*said, "prepare_dataset.py --from_tree DIR", "two splits", ".863", ".936", ".84"]:
        assert part in warning


@pytest.mark.parametrize(("accuracy", "kappa"), [(0.92, 0.95), (0.6, 0.7), (None, None)])
def test_what_is_plausible_passes(accuracy, kappa):
    assert implausible({"value": accuracy}, {"value": kappa}) is None
