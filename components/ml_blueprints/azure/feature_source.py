"""How the feature store reads features: published beside the specification of a feature set, run by Spark.

The feature job writes times as milliseconds since 1970, and the store compares a column of timestamps.
https://learn.microsoft.com/azure/machine-learning/tutorial-develop-feature-set-with-custom-source
"""

from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class FeatureSource:
    """Features under a path, whose event time is a column of timestamps."""

    def __init__(self, **kwargs: str):
        self.path = kwargs["source_path"]
        self.event_time = kwargs["timestamp_column_name"]

    def process(self, start_time: datetime | None, end_time: datetime | None, **kwargs: Any) -> "DataFrame":
        """The features of a time, from the first moment to just before the last; without bounds, all of them."""
        from pyspark.sql import SparkSession
        from pyspark.sql.functions import col, expr, lit

        features = SparkSession.builder.getOrCreate().read.parquet(self.path)
        features = features.withColumn(self.event_time, expr(f"timestamp_millis(`{self.event_time}`)"))
        if start_time:
            features = features.filter(col(self.event_time) >= lit(start_time))
        if end_time:
            features = features.filter(col(self.event_time) < lit(end_time))
        return features
