"""The model monitor on Azure: how much it looks at, when features count as drifted, and as whom it runs."""

import pytest
from ml_blueprints.azure import drift_monitor, facts
from ml_blueprints.workload import Drift, Feature
from pulumi_azure_native import machinelearningservices

NUMBERS = (Feature(name="amount", type="float"), Feature(name="count", type="integer"))
NAMES = (Feature(name="country", type="string"), Feature(name="abroad", type="boolean"))
IDENTITY = "/identities/monitoring"


def monitor(features=NUMBERS + NAMES, **drift):
    """A monitor, and the one signal that it has."""
    found = drift_monitor.definition(
        Drift(**drift),
        features,
        scored="azureml://scored",
        baseline="azureml://baseline",
        identity=IDENTITY,
        owner="o@e",
    )
    return found, found.signals["drift"]


@pytest.mark.parametrize(
    ("schedule", "window"),
    [
        ("0 * * * *", "PT1H"),
        ("0 */2 * * *", "PT2H"),
        ("0 */12 * * *", "PT12H"),
        ("0 0 * * *", "P1D"),
        ("0 6 * * *", "P1D"),
        ("0 23 * * *", "P1D"),
    ],
)
def test_a_look_takes_in_what_came_since_the_last(schedule, window):
    assert drift_monitor.window(schedule) == window


@pytest.mark.parametrize(
    ("metric", "numerical", "categorical"),
    [
        ("population_stability_index", "PopulationStabilityIndex", "PopulationStabilityIndex"),
        ("kolmogorov_smirnov", "TwoSampleKolmogorovSmirnovTest", "PearsonsChiSquaredTest"),
        ("jensen_shannon", "JensenShannonDistance", "JensenShannonDistance"),
        ("wasserstein", "NormalizedWassersteinDistance", "JensenShannonDistance"),
    ],
)
def test_numbers_and_categories_have_the_metric_that_azure_has_for_them(metric, numerical, categorical):
    numbers, names = drift_monitor.thresholds(Drift(metric=metric, threshold=0.15), NUMBERS + NAMES)
    assert (numbers.data_type, numbers.metric, numbers.threshold.value) == ("Numerical", numerical, 0.15)
    assert (names.data_type, names.metric, names.threshold.value) == ("Categorical", categorical, 0.15)


def test_every_metric_is_one_that_the_sdk_knows():
    numerical, categorical = zip(*facts.DRIFT_METRICS.values(), strict=True)
    assert set(numerical) <= {metric.value for metric in machinelearningservices.NumericalDataDriftMetric}
    assert set(categorical) <= {metric.value for metric in machinelearningservices.CategoricalDataDriftMetric}


@pytest.mark.parametrize(("features", "kinds"), [(NUMBERS, ["Numerical"]), (NAMES, ["Categorical"]), ((), [])])
def test_there_is_no_threshold_for_what_there_is_none_of(features, kinds):
    assert [found.data_type for found in drift_monitor.thresholds(Drift(), features)] == kinds


def test_what_was_scored_is_compared_with_what_the_champion_was_trained_on():
    _, signal = monitor(schedule="0 */6 * * *")
    assert signal.signal_type == "DataDrift"
    production, reference = signal.production_data, signal.reference_data
    assert (production.input_data_type, production.uri) == ("Rolling", "azureml://scored")
    assert (production.window_size, production.window_offset) == ("PT6H", "PT0S")
    assert production.data_context == "model_inputs"
    assert (reference.input_data_type, reference.uri) == ("Fixed", "azureml://baseline")
    assert reference.data_context == "training"


def test_every_feature_is_looked_at_as_what_it_is():
    _, signal = monitor()
    assert signal.features.features == ["amount", "count", "country", "abroad"]
    assert signal.feature_data_type_override == {
        "amount": "Numerical",
        "count": "Numerical",
        "country": "Categorical",
        "abroad": "Categorical",
    }


def test_a_monitor_runs_under_its_identity():
    found, _ = monitor()
    compute = found.compute_configuration
    assert compute.compute_type == "ServerlessSpark"
    assert compute.compute_identity.compute_identity_type == "ManagedIdentity"
    assert compute.compute_identity.identity.user_assigned_identities == [IDENTITY]


def test_the_owner_is_told():
    found, signal = monitor()
    assert found.alert_notification_settings.email_notification_settings.emails == ["o@e"]
    assert signal.notification_types == ["AmlNotification"]
