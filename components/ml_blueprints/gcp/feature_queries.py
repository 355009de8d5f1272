"""The views by which Vertex AI reads the table of features, as queries of BigQuery.

Features count as known from when their event arrived: what is older by its own clock may have come later. Entities are
given as text, which is what Vertex AI takes (https://cloud.google.com/vertex-ai/docs/featurestore/latest/prepare-data-source).
"""

from ml_blueprints.gcp import facts
from ml_blueprints.workload import Workload


def history(workload: Workload, table: str) -> str:
    """Every row, with the columns of a feature group's source. `table` is `project.dataset.table`."""
    since = f"`{facts.ARRIVED_AT}` AS `{facts.FEATURE_TIME}`"
    return f"SELECT {_entity(workload)}, {since}, {_features(workload)} FROM `{table}`"  # noqa: S608 (names of ours)


def latest(workload: Workload, table: str) -> str:
    """The last row of each entity, if it arrived within the time that a value may be served."""
    entity, event_time = workload.data.entity, workload.data.event_time
    return (
        f"SELECT {_entity(workload)}, {_features(workload)} FROM `{table}` "  # noqa: S608 (names of ours)
        f"WHERE `{facts.ARRIVED_AT}` >= "
        f"TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL {workload.features.online_ttl_hours} HOUR) "
        f"QUALIFY ROW_NUMBER() OVER "
        f"(PARTITION BY `{entity}` ORDER BY `{facts.ARRIVED_AT}` DESC, `{event_time}` DESC) = 1"
    )


def _entity(workload: Workload) -> str:
    return f"CAST(`{workload.data.entity}` AS STRING) AS `{workload.data.entity}`"


def _features(workload: Workload) -> str:
    return ", ".join(f"`{feature.name}`" for feature in workload.features.definitions)
