"""What is fitted has a value at every cut that is asked, or says which cut has none."""

import numpy as np
import pytest

from features.definitions.compiled import compile_definition, hash_of, load_definition
from features.definitions.views import FeatureView
from features.errors import MissingError
from features.values.fits import Fits, curve_names, fit_names, fit_places
from tests.golden.views import VIEWS

VIEW = VIEWS["merchant_late"]
CUTS = np.array([0, 86_400_000_000])


def test_a_cut_without_a_fit_is_named() -> None:
    fits = Fits(view=VIEW.name, cuts=CUTS[:1], values={name: np.zeros((1, 1)) for name in fit_names(VIEW)})
    feature = next(f for f in VIEW.features if f.name == "chargebacks_corrected_rate_smoothed_3d")
    with pytest.raises(
        MissingError,
        match="'merchant_late' has nothing fitted at cut 1970-01-02T00-00Z, which 'chargebacks_corrected_rate_smoothed_3d' needs",
    ):
        fits.of(feature, curve_names(VIEW)[feature.name], CUTS)  # type: ignore[arg-type]


def test_rates_that_differ_in_their_window_or_smoothing_share_a_lag_curve() -> None:
    assert set(curve_names(VIEW).values()) == {"chargebacks_corrected_rate_3d__lag_curve"}
    assert fit_places(VIEW) == {
        "chargebacks_corrected_rate_3d__lag_curve": 4,
        "chargebacks_corrected_rate_smoothed_3d__prior": 8,
    }


def test_the_compiled_definition_is_read_back_with_the_same_hash() -> None:
    again = load_definition(compile_definition(VIEW), FeatureView)
    assert hash_of(again) == hash_of(VIEW)
    assert hash_of(again) != hash_of(VIEWS["merchant_chargebacks"])
    assert again.fitted
    assert not VIEWS["merchant_chargebacks"].fitted
