"""Features of delivery-eta. Written by `make jobs` from job.py; change nothing here.

    job.py --source <URI or table> --format parquet|bigquery|capture --destination <URI or table>
           [--since <date>|<n>d] [--until <date>]

`make jobs` makes a job of each workload of this file, by putting what is compiled of its definitions between the two
marks below. It runs on Spark 3.4 and 3.5 with Python from 3.8 on.

Sources: `parquet` is a folder or a table of the catalog; `bigquery` a table that a BigQuery subscription fills (the
connector is part of Dataproc); `capture` a folder of Avro files as Event Hubs captures events, which are decoded here.
What a source doesn't say of arrivals is derived: in batch an event arrives when it happens.

The destination gets a row for each event that counts. As Parquet it is partitioned by `arrived_on`, the day of arrival
in UTC, and days that are computed anew replace what was there. A BigQuery table gets the rows that it lacks. With
`--since` the log is read from further back, for as long as windows reach, so that rows are the same as without: as long
as no event was held up for more than a day.
"""

from __future__ import annotations

import argparse
import json
import struct
import zlib
from datetime import datetime, timedelta, timezone

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f

# <compiled>
WORKLOAD = "delivery-eta"
COLUMNS = {"order_id": "string",
 "restaurant_id": "string",
 "event_time": "bigint",
 "distance_km": "double",
 "items": "bigint",
 "hour": "double",
 "day": "string",
 "minutes": "double",
 "arrived_at": "bigint",
 "sequence": "string"}
DEFAULTS = {"minutes": None}
ENTITY = "restaurant_id"
EVENT_TIME = "event_time"
KEYS = ("restaurant_id", "event_time", "order_id")
LOOKBACK_MS = 180000000
SQL = """
SELECT
  `t8`.`restaurant_id`,
  `t8`.`event_time`,
  `t8`.`order_id`,
  `t8`.`arrived_at`,
  `t8`.`orders_1h`,
  IF(
    ABS(`t8`.`mean_minutes_2h`) <= CAST('1.7976931348623157e+308' AS DOUBLE),
    `t8`.`mean_minutes_2h`,
    CAST(NULL AS DOUBLE)
  ) AS `mean_minutes_2h`,
  IF(
    ABS(`t8`.`mean_distance_2h`) <= CAST('1.7976931348623157e+308' AS DOUBLE),
    `t8`.`mean_distance_2h`,
    CAST(NULL AS DOUBLE)
  ) AS `mean_distance_2h`
FROM (
  SELECT
    `t7`.`restaurant_id`,
    `t7`.`event_time`,
    `t7`.`order_id`,
    `t7`.`arrived_at`,
    COUNT(*) OVER (
      PARTITION BY `t7`.`restaurant_id`
      ORDER BY `t7`.`key` ASC NULLS LAST
      RANGE BETWEEN 3600000000 PRECEDING AND CURRENT ROW
    ) AS `orders_1h`,
    AVG(`t7`.`minutes`) OVER (
      PARTITION BY `t7`.`restaurant_id`
      ORDER BY `t7`.`key` ASC NULLS LAST
      RANGE BETWEEN 7200000000 PRECEDING AND CURRENT ROW
    ) AS `mean_minutes_2h`,
    AVG(`t7`.`distance_km`) OVER (
      PARTITION BY `t7`.`restaurant_id`
      ORDER BY `t7`.`key` ASC NULLS LAST
      RANGE BETWEEN 7200000000 PRECEDING AND CURRENT ROW
    ) AS `mean_distance_2h`
  FROM (
    SELECT
      `t6`.`order_id`,
      `t6`.`restaurant_id`,
      `t6`.`event_time`,
      `t6`.`distance_km`,
      `t6`.`items`,
      `t6`.`hour`,
      `t6`.`day`,
      `t6`.`minutes`,
      `t6`.`arrived_at`,
      `t6`.`sequence`,
      `t6`.`clock`,
      MAX((
        `t6`.`event_time` * 1000
      ) - `t6`.`position`) OVER (
        PARTITION BY `t6`.`restaurant_id`
        ORDER BY `t6`.`sequence` ASC NULLS LAST
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) + `t6`.`position` AS `key`
    FROM (
      SELECT
        `t5`.`order_id`,
        `t5`.`restaurant_id`,
        `t5`.`event_time`,
        `t5`.`distance_km`,
        `t5`.`items`,
        `t5`.`hour`,
        `t5`.`day`,
        `t5`.`minutes`,
        `t5`.`arrived_at`,
        `t5`.`sequence`,
        ROW_NUMBER() OVER (PARTITION BY `t5`.`restaurant_id` ORDER BY `t5`.`sequence` ASC NULLS LAST) - 1 AS `position`,
        `t5`.`clock`
      FROM (
        SELECT
          *
        FROM (
          SELECT
            `t3`.`order_id`,
            `t3`.`restaurant_id`,
            `t3`.`event_time`,
            `t3`.`distance_km`,
            `t3`.`items`,
            `t3`.`hour`,
            `t3`.`day`,
            `t3`.`minutes`,
            `t3`.`arrived_at`,
            `t3`.`sequence`,
            `t3`.`position`,
            MAX(`t3`.`event_time`) OVER (
              PARTITION BY `t3`.`restaurant_id`
              ORDER BY `t3`.`sequence` ASC NULLS LAST
              ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
            ) AS `clock`
          FROM (
            SELECT
              *
            FROM (
              SELECT
                `t1`.`order_id`,
                `t1`.`restaurant_id`,
                `t1`.`event_time`,
                `t1`.`distance_km`,
                `t1`.`items`,
                `t1`.`hour`,
                `t1`.`day`,
                `t1`.`minutes`,
                `t1`.`arrived_at`,
                `t1`.`sequence`,
                ROW_NUMBER() OVER (
                  PARTITION BY `t1`.`restaurant_id`, `t1`.`order_id`
                  ORDER BY `t1`.`sequence` ASC NULLS LAST
                ) - 1 AS `position`
              FROM (
                SELECT
                  *
                FROM `log` AS `t0`
                WHERE
                  (
                    `t0`.`minutes` IS NOT NULL AND NOT ISNAN(`t0`.`minutes`)
                  )
                  AND `t0`.`event_time` <= (
                    `t0`.`arrived_at` + 300000
                  )
              ) AS `t1`
            ) AS `t2`
            WHERE
              `t2`.`position` = 0
          ) AS `t3`
        ) AS `t4`
        WHERE
          `t4`.`event_time` >= (
            `t4`.`clock` - 7200000
          )
      ) AS `t5`
    ) AS `t6`
  ) AS `t7`
) AS `t8`
"""
# The versions of the contract, by their fingerprints.
SCHEMAS = {
    "b061e4543d5b4740": """
{"type": "record", "name": "Delivery", "namespace": "ml_blueprints", "fields": [
{"name": "order_id", "type": "string"},
{"name": "restaurant_id", "type": "string"},
{"name": "event_time", "type": {"type": "long", "logicalType": "timestamp-millis"}},
{"name": "distance_km", "type": "double"},
{"name": "items", "type": "int"},
{"name": "hour", "type": "double"},
{"name": "day", "type": "string"},
{"name": "minutes", "type": ["null", "double"], "default": null}
]}
""",
}
READER = SCHEMAS["b061e4543d5b4740"]
# </compiled>

ARRIVED_AT, SEQUENCE, ARRIVED_ON = "arrived_at", "sequence", "arrived_on"
SINGLE_OBJECT = b"\xc3\x01"
DAY_MS = 86_400_000


class JobError(Exception):
    """Something about the source that only people can put right."""


def main(arguments=None):
    """Compute the features that are asked for."""
    parser = argparse.ArgumentParser(description=f"Features of {WORKLOAD}")
    parser.add_argument("--source", required=True, help="folder or table of the log of events")
    parser.add_argument("--format", required=True, choices=sorted(READERS), help="what the source is")
    parser.add_argument("--destination", required=True, help="folder for Parquet, or a BigQuery table")
    parser.add_argument("--since", type=day, help="first day of arrival, as in 2026-01-31, or days ago, as in 2d")
    parser.add_argument("--until", type=day, help="day of arrival before which to stop")
    options = parser.parse_args(arguments)
    spark = SparkSession.builder.appName(f"features of {WORKLOAD}").getOrCreate()
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    # As the features are defined: an element that isn't there is missing.
    spark.conf.set("spark.sql.ansi.enabled", "false")
    log = as_log(READERS[options.format](spark, options.source), options.source)
    write(features(spark, log, options.since, options.until), options.destination)


def day(text):
    """Milliseconds since 1970 at the beginning of a day in UTC."""
    if text.endswith("d") and text[:-1].isdigit():
        found = datetime.now(timezone.utc) - timedelta(days=int(text[:-1]))
    else:
        found = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=timezone.utc)
    return int(found.timestamp()) // 86_400 * DAY_MS


def features(spark: SparkSession, log: DataFrame, since=None, until=None) -> DataFrame:
    """The features of the events that arrived in a time."""
    arrived = f.col(ARRIVED_AT)
    if since is not None:
        log = log.where(arrived >= since - LOOKBACK_MS)
    if until is not None:
        log = log.where(arrived < until)
    log.createOrReplaceTempView("log")
    computed = spark.sql(SQL)
    return computed if since is None else computed.where(arrived >= since)


def as_log(found: DataFrame, source: str) -> DataFrame:
    """What a source holds with the columns of the log, in their types."""
    types = dict(found.dtypes)
    columns = {}
    for name, wanted in COLUMNS.items():
        if name in types:
            column = f.expr(f"unix_millis(`{name}`)") if types[name].startswith("timestamp") else f.col(f"`{name}`")
            columns[name] = column.cast(wanted)
        elif name in DEFAULTS:
            columns[name] = f.lit(DEFAULTS[name]).cast(wanted)
        elif name not in (ARRIVED_AT, SEQUENCE):
            raise JobError(f"{source} has no column `{name}`; it has {', '.join(types)}")
    columns.setdefault(ARRIVED_AT, columns[EVENT_TIME])
    # Digits sort as numbers do if there are as many of them everywhere, and none is negative.
    arrival = f.lpad((columns[ARRIVED_AT] + f.lit(10**15)).cast("string"), 16, "0")
    columns.setdefault(SEQUENCE, f.concat_ws("-", arrival, *(columns[key].cast("string") for key in KEYS)))
    return found.select(*(columns[name].alias(name) for name in COLUMNS))


def read_parquet(spark: SparkSession, source: str) -> DataFrame:
    """A folder of Parquet files, or a table of the catalog."""
    return spark.read.parquet(source) if "/" in source else spark.table(source)


def read_bigquery(spark: SparkSession, source: str) -> DataFrame:
    """A table with the metadata of Pub/Sub; its messages arrived when they were published."""
    found = spark.read.format("bigquery").option("table", source).load()
    return from_pubsub(found)


def from_pubsub(found: DataFrame) -> DataFrame:
    """Arrival and sequence from the metadata that a BigQuery subscription writes, unless they are there."""
    if ARRIVED_AT in found.columns or "publish_time" not in found.columns:
        return found
    published = f.lpad(f.expr("unix_micros(publish_time)").cast("string"), 17, "0")
    sequence = f.concat_ws("-", published, f.lpad(f.col("message_id"), 20, "0"))
    return found.withColumn(ARRIVED_AT, f.expr("unix_millis(publish_time)")).withColumn(SEQUENCE, sequence)


def read_capture(spark: SparkSession, source: str) -> DataFrame:
    """Files of Event Hubs' capture. Events that no version of the contract fits are left out: they are dead letters."""
    files = (
        spark.read.format("binaryFile")
        .option("recursiveFileLookup", "true")
        .option("pathGlobFilter", "*.avro")
        .load(source)
    )
    schema = ", ".join(f"`{name}` {type_}" for name, type_ in COLUMNS.items())
    return spark.createDataFrame(files.select("content").rdd.flatMap(lambda row: captured(bytes(row.content))), schema)


READERS = {"parquet": read_parquet, "bigquery": read_bigquery, "capture": read_capture}


def write(computed: DataFrame, destination: str) -> None:
    """Put features where they belong; doing it again changes nothing."""
    if "/" in destination:
        computed = computed.withColumn(ARRIVED_ON, f.expr(f"date(timestamp_millis({ARRIVED_AT}))"))
        (
            computed.repartition(ARRIVED_ON)
            .write.mode("overwrite")
            .option("partitionOverwriteMode", "dynamic")
            .partitionBy(ARRIVED_ON)
            .parquet(destination)
        )
        return
    for name in (EVENT_TIME, ARRIVED_AT):
        computed = computed.withColumn(name, f.expr(f"timestamp_millis(`{name}`)"))
    spark = computed.sparkSession
    there = spark.read.format("bigquery").option("table", destination).load().select(*KEYS)
    missing = computed.join(there, list(KEYS), "left_anti")
    missing.write.format("bigquery").option("writeMethod", "direct").mode("append").save(destination)


def captured(content: bytes):
    """The events of one captured file, as rows of the log."""
    reader = json.loads(READER)
    writers = {bytes.fromhex(name): json.loads(text) for name, text in SCHEMAS.items()}
    for record in container(content):
        body = record["Body"]
        if body is None or body[:2] != SINGLE_OBJECT or body[2:10] not in writers:
            continue
        try:
            writer = writers[body[2:10]]
            value, end = decode(writer, body, 10, named(writer))
        except (IndexError, struct.error, UnicodeDecodeError, ValueError, OverflowError):
            continue
        if end != len(body):
            continue
        event = resolved(value, reader)
        arrived_at = enqueued(record["EnqueuedTimeUtc"])
        event[ARRIVED_AT] = arrived_at
        # A partition numbers its events, and numbers begin anew if an entity moves to another one.
        event[SEQUENCE] = f"{arrived_at // 1000:013}-{record['SequenceNumber']:020}"
        yield tuple(event[name] for name in COLUMNS)


def enqueued(text: str) -> int:
    """Milliseconds since 1970 from the time of a captured event, in either way in which it is written."""
    for pattern in ("%m/%d/%Y %I:%M:%S %p", "%Y-%m-%dT%H:%M:%S.%fZ", "%Y-%m-%dT%H:%M:%SZ"):
        try:
            found = datetime.strptime(text, pattern).replace(tzinfo=timezone.utc)
        except ValueError:
            continue
        return int((found - datetime(1970, 1, 1, tzinfo=timezone.utc)) / timedelta(milliseconds=1))
    raise JobError(f"a captured event was enqueued at `{text}`, which is no time as in `1/31/2026 1:05:00 PM`")


def resolved(value: dict, reader: dict) -> dict:
    """A record as the reader's version has it: fields by name or alias, defaults for those that were not written."""
    event = {}
    for field in reader["fields"]:
        written = [name for name in (field["name"], *field.get("aliases", ())) if name in value]
        found = value[written[0]] if written else field["default"]
        type_ = field["type"]
        wide = ("float", "double")
        if isinstance(found, int) and (type_ in wide or (isinstance(type_, list) and any(w in type_ for w in wide))):
            found = found if isinstance(found, bool) else float(found)
        event[field["name"]] = found
    return event


def container(content: bytes):
    """The records of an Avro file. https://avro.apache.org/docs/1.12.0/specification/#object-container-files"""
    if content[:4] != b"Obj\x01":
        raise JobError("a captured file is an Avro file, and this one isn't: it begins with " + repr(content[:4]))
    metadata, position = decode({"type": "map", "values": "bytes"}, content, 4, {})
    codec = metadata.get("avro.codec", b"null").decode()
    if codec not in ("null", "deflate"):
        raise JobError(f"a captured file is compressed with {codec}; null and deflate are known")
    schema = json.loads(metadata["avro.schema"])
    types = named(schema)
    position += 16
    while position < len(content):
        count, position = decode("long", content, position, types)
        size, position = decode("long", content, position, types)
        block = content[position : position + size]
        position += size + 16
        if codec == "deflate":
            block = zlib.decompress(block, -15)
        at = 0
        for _ in range(count):
            record, at = decode(schema, block, at, types)
            yield record


def named(schema, found=None):
    """The types of a schema that have a name, by this name."""
    found = {} if found is None else found
    if isinstance(schema, list):
        for option in schema:
            named(option, found)
    elif isinstance(schema, dict):
        if "name" in schema:
            found[schema["name"]] = schema
            found[f"{schema.get('namespace', '')}.{schema['name']}"] = schema
        for inner in ("type", "items", "values"):
            named(schema.get(inner), found)
        for field in schema.get("fields", ()):
            named(field["type"], found)
    return found


def decode(schema, data: bytes, position: int, types: dict):
    """A value in Avro's binary encoding and where it ends. Raises IndexError or ValueError if it isn't one."""
    if isinstance(schema, list):
        branch, position = decode("long", data, position, types)
        if not 0 <= branch < len(schema):
            raise ValueError("no such branch")
        return decode(schema[branch], data, position, types)
    kind = schema["type"] if isinstance(schema, dict) else schema
    if isinstance(kind, (dict, list)):
        return decode(kind, data, position, types)
    if kind in types and not (isinstance(schema, dict) and kind in ("record", "enum", "fixed")):
        return decode(types[kind], data, position, types)
    if kind == "null":
        return None, position
    if kind == "boolean":
        return bool(data[position]), position + 1
    if kind in ("int", "long", "enum"):
        value = shift = 0
        while True:
            byte = data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
            if shift > 63:
                raise ValueError("a number of more than 64 bits")
        value = (value >> 1) ^ -(value & 1)
        return (schema["symbols"][value] if kind == "enum" else value), position
    if kind in ("float", "double"):
        size = 4 if kind == "float" else 8
        return struct.unpack_from("<f" if kind == "float" else "<d", data, position)[0], position + size
    if kind in ("string", "bytes", "fixed"):
        size, position = (schema["size"], position) if kind == "fixed" else decode("long", data, position, types)
        if size < 0 or position + size > len(data):
            raise ValueError("longer than what is left")
        value = data[position : position + size]
        return (value.decode() if kind == "string" else value), position + size
    if kind == "record":
        record = {}
        for field in schema["fields"]:
            record[field["name"]], position = decode(field["type"], data, position, types)
        return record, position
    if kind in ("array", "map"):
        return blocks(schema, data, position, types)
    raise ValueError(f"no such type: {kind}")


def blocks(schema, data: bytes, position: int, types: dict):
    """An array or a map."""
    items = []
    while True:
        count, position = decode("long", data, position, types)
        if count == 0:
            return (items if schema["type"] == "array" else dict(items)), position
        if count < 0:
            count = -count
            _, position = decode("long", data, position, types)
        for _ in range(count):
            if schema["type"] == "array":
                item, position = decode(schema["items"], data, position, types)
            else:
                key, position = decode("string", data, position, types)
                value, position = decode(schema["values"], data, position, types)
                item = (key, value)
            items.append(item)


if __name__ == "__main__":
    main()
