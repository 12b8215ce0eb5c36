"""What the gates say together, and by how many networks."""

import numpy as np

from dr_ovo.gates.gated import Gated, ungated


def test_reasons_in_their_order():
    p_values = np.array([[0.001, 0.5], [0.005, 0.5], [np.nan, np.nan]])
    gated = Gated(np.array([0.1, np.nan]), ["too red", ""], p_values, np.array([0.01, 0.01, 0]))
    first, second = gated.reasons
    assert first == (
        "no fundus photograph: too red",
        "unlike the photographs of the training (p 0.003)",
        "quality 0.10 is below 0.25",
    )
    assert second == ()


def test_more_than_half_of_the_networks_that_can_tell_decide():
    levels = np.full(4, 0.02)
    for values, unlike in (
        ([0.01, 0.01, 0.5, 0.5], False),
        ([0.01, 0.01, 0.01, 0.5], True),
        ([0.01, np.nan, np.nan, np.nan], True),
        ([0.02, 0.02, 0.021, np.nan], True),
        ([np.nan] * 4, False),
    ):
        gated = Gated(np.array([1.0]), [""], np.array(values)[:, None], levels)
        assert bool(gated.reasons[0]) == unlike


def test_where_no_network_can_tell_there_is_no_p_value():
    gated = ungated(np.array([0.9, np.nan]))
    assert gated.reasons == [(), ()]
    assert np.isnan(gated.p_like_train).all()
