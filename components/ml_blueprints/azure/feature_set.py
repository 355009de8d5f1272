"""The feature set of a workload as Azure's feature store takes it: its specification, and when it is materialized.

The specification is a file, FeatureSetSpec.yaml
(https://learn.microsoft.com/azure/machine-learning/reference-yaml-featureset-spec), and its parts are properties of the
version too, by which the store knows its features: Azure's own SDK writes both (azure-ai-ml,
`FeatureSetOperations.begin_create_or_update`). Features lie in the lake as the feature job computed them, so that
nothing is transformed; only how they are read is code of our own (feature_source.py).
"""

import json
from pathlib import Path
from typing import Any

from pulumi_azure_native import machinelearningservices

from ml_blueprints import schedules
from ml_blueprints.azure import facts
from ml_blueprints.workload import Workload

SPECIFICATION = "FeatureSetSpec.yaml"
SOURCE = Path(__file__).with_name("feature_source.py")
SOURCE_FOLDER = "source"

# Hours after the feature job began in which it has ended, and hours in which events may come late. What is materialized
# at an hour is what happened before both.
JOB_HOURS = 4
LATE_HOURS = 2


def index_type(record: dict[str, Any], column: str) -> str:
    """The type of an entity's column in a feature store, from the column's Avro type; text for what has no other."""
    avro = next(field["type"] for field in record["fields"] if field["name"] == column)
    if isinstance(avro, list):
        avro = next(branch for branch in avro if branch != "null")
    return facts.INDEX_TYPES.get(avro["type"] if isinstance(avro, dict) else avro, "String")


def delay(expression: str) -> dict[str, int]:
    """How long after it happened an event is in what the feature job wrote, for a job on this schedule."""
    _, _, day, month, weekday = schedules.parse(expression)
    days = 366 if month != "*" else 31 if day != "*" else 7 if weekday != "*" else 0
    return {"days": days, "hours": JOB_HOURS + LATE_HOURS, "minutes": 0}


def since(expression: str) -> str:
    """From when on a job on this schedule computes anew: all that came since its last run, and a day before that."""
    return f"{delay(expression)['days'] + 2}d"


def specification(workload: Workload, source: str) -> dict[str, Any]:
    """The specification of a workload's feature set, whose features lie as Parquet under `source` (an abfss:// URI)."""
    data, features = workload.data, workload.features
    index = index_type(data.contract.record, data.entity).lower()
    return {
        "$schema": "http://azureml/sdk-2-0/FeatureSetSpec.json",
        "source": {
            "type": "custom",
            "kwargs": {"source_path": source, "timestamp_column_name": data.event_time},
            "timestamp_column": {"name": data.event_time},
            "source_delay": delay(features.schedule),
            "source_process_code": {"path": f"./{SOURCE_FOLDER}", "process_class": f"{SOURCE.stem}.FeatureSource"},
        },
        "features": [
            {"name": feature.name, "type": facts.FEATURE_TYPES[feature.type], "description": feature.description}
            for feature in features.definitions
        ],
        "index_columns": [{"name": data.entity, "type": index}],
    }


def files(found: dict[str, Any]) -> dict[str, str]:
    """The specification and the code that it names, as files by name."""
    return {
        SPECIFICATION: json.dumps(found, indent=2),
        f"{SOURCE_FOLDER}/{SOURCE.name}": SOURCE.read_text(encoding="utf-8"),
    }


def properties(found: dict[str, Any]) -> dict[str, str]:
    """The specification as properties of a version, in the words that Azure's SDK uses there."""
    source = found["source"]
    told = {
        "source": {
            "type": source["type"],
            "timestampColumn": source["timestamp_column"],
            "sourceDelay": {unit.title(): length for unit, length in source["source_delay"].items()},
            "source_process_code": source["source_process_code"],
        },
        "features": [
            {"FeatureName": feature["name"], "DataType": feature["type"], "Description": feature["description"]}
            for feature in found["features"]
        ],
        "indexColumns": [
            {"ColumnName": column["name"], "DataType": column["type"]} for column in found["index_columns"]
        ],
    }
    return {"featuresetPropertiesVersion": "1", "featuresetProperties": json.dumps(told)}


def materialization(workload: Workload) -> machinelearningservices.MaterializationSettingsArgs:
    """Once a day, after the feature job, what came to the lake is materialized in the offline store.

    Not online: Azure's own materialization writes to Azure Cache for Redis, which is retired and takes no
    customer-managed key, and a day late; the event processor keeps the latest values in Azure Managed Redis
    (https://learn.microsoft.com/azure/machine-learning/feature-set-materialization-concepts).
    """
    minute, hour, *_ = schedules.parse(workload.features.schedule)
    return machinelearningservices.MaterializationSettingsArgs(
        store_type=machinelearningservices.MaterializationStoreType.OFFLINE,
        resource=machinelearningservices.MaterializationComputeResourceArgs(instance_type=facts.SPARK_INSTANCE_TYPE),
        schedule=machinelearningservices.RecurrenceTriggerArgs(
            trigger_type="Recurrence",
            frequency=machinelearningservices.RecurrenceFrequency.DAY,
            interval=1,
            schedule=machinelearningservices.RecurrenceScheduleArgs(
                hours=[((int(hour) if hour.isdigit() else 0) + JOB_HOURS) % 24],
                minutes=[int(minute) if minute.isdigit() else 0],
            ),
            time_zone="UTC",
        ),
        notification=machinelearningservices.NotificationSettingArgs(
            email_on=[machinelearningservices.EmailNotificationEnableType.JOB_FAILED], emails=[workload.owner]
        ),
    )
