"""The definition of a model monitor: what was scored, compared with what the champion was trained on."""

import pulumi
from pulumi_azure_native import machinelearningservices

from ml_blueprints.azure import facts
from ml_blueprints.workload import Drift, Feature

# A feature whose values are names, not numbers.
CATEGORICAL = frozenset({"string", "boolean"})


def window(schedule: str) -> str:
    """How much is looked at, as an ISO 8601 duration: what came since the last look."""
    hour = schedule.split()[1]
    if hour == "*":
        return "PT1H"
    return f"PT{hour.removeprefix('*/')}H" if hour.startswith("*/") else "P1D"


def thresholds(
    drift: Drift, features: tuple[Feature, ...]
) -> list[
    machinelearningservices.NumericalDataDriftMetricThresholdArgs
    | machinelearningservices.CategoricalDataDriftMetricThresholdArgs
]:
    """When features count as drifted: for numbers, and for categories, as far as the features have any."""
    numerical, categorical = facts.DRIFT_METRICS[drift.metric]
    kinds = {feature.type in CATEGORICAL for feature in features}
    limit = machinelearningservices.MonitoringThresholdArgs(value=drift.threshold)
    found: list[
        machinelearningservices.NumericalDataDriftMetricThresholdArgs
        | machinelearningservices.CategoricalDataDriftMetricThresholdArgs
    ] = []
    if False in kinds:
        found.append(
            machinelearningservices.NumericalDataDriftMetricThresholdArgs(
                data_type="Numerical", metric=numerical, threshold=limit
            )
        )
    if True in kinds:
        found.append(
            machinelearningservices.CategoricalDataDriftMetricThresholdArgs(
                data_type="Categorical", metric=categorical, threshold=limit
            )
        )
    return found


def definition(
    drift: Drift,
    features: tuple[Feature, ...],
    scored: pulumi.Input[str],
    baseline: pulumi.Input[str],
    identity: pulumi.Input[str],
    owner: str,
) -> machinelearningservices.MonitorDefinitionArgs:
    """A monitor that compares two folders (their URIs) under an identity (its resource id), and tells the owner."""
    signal = machinelearningservices.DataDriftMonitoringSignalArgs(
        signal_type="DataDrift",
        production_data=machinelearningservices.RollingInputDataArgs(
            input_data_type="Rolling",
            job_input_type="uri_folder",
            uri=scored,
            data_context="model_inputs",
            window_size=window(drift.schedule),
            window_offset="PT0S",
        ),
        reference_data=machinelearningservices.FixedInputDataArgs(
            input_data_type="Fixed", job_input_type="mltable", uri=baseline, data_context="training"
        ),
        metric_thresholds=thresholds(drift, features),
        features=machinelearningservices.FeatureSubsetArgs(
            filter_type="FeatureSubset", features=[feature.name for feature in features]
        ),
        feature_data_type_override={
            feature.name: "Categorical" if feature.type in CATEGORICAL else "Numerical" for feature in features
        },
        notification_types=[machinelearningservices.MonitoringNotificationType.AML_NOTIFICATION],
    )
    return machinelearningservices.MonitorDefinitionArgs(
        compute_configuration=machinelearningservices.MonitorServerlessSparkComputeArgs(
            compute_type="ServerlessSpark",
            instance_type=facts.SPARK_INSTANCE_TYPE,
            runtime_version=facts.SPARK_VERSION,
            compute_identity=machinelearningservices.ManagedComputeIdentityArgs(
                compute_identity_type="ManagedIdentity",
                identity=machinelearningservices.ManagedServiceIdentityArgs(
                    type=machinelearningservices.ManagedServiceIdentityType.USER_ASSIGNED,
                    user_assigned_identities=[identity],
                ),
            ),
        ),
        signals={"drift": signal},
        alert_notification_settings=machinelearningservices.MonitorNotificationSettingsArgs(
            email_notification_settings=machinelearningservices.MonitorEmailNotificationSettingsArgs(emails=[owner])
        ),
    )
