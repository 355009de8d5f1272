"""The job that looks for drift: how much of what was asked or scored it looks at."""

import pytest
from ml_blueprints.azure import drift_check


@pytest.mark.parametrize(
    ("drift", "hours"), [("0 * * * *", 1), ("0 */2 * * *", 2), ("0 */12 * * *", 12), ("0 6 * * *", 24)]
)
def test_it_looks_back_to_the_last_look(drift, hours):
    assert drift_check.hours(drift) == hours


@pytest.mark.parametrize(
    ("scoring", "hours"),
    [("0 3 * * *", 24), ("0 */4 * * *", 24), ("0 4 * * 1", 168), ("0 4 1 * *", 744), ("0 4 * * 1-5", 168)],
)
def test_a_batch_is_looked_at_since_the_last_scoring(scoring, hours):
    assert drift_check.hours("0 6 * * *", scoring) == hours
