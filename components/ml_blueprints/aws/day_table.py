"""Tables of the catalog whose Parquet files lie in a folder for each day."""

from collections.abc import Mapping, Sequence

import pulumi
from pulumi_aws import glue

Column = glue.CatalogTableStorageDescriptorColumnArgs


def columns(types: Mapping[str, str]) -> list[Column]:
    """The columns of a table by name, with their Hive types."""
    return [Column(name=name, type=kind) for name, kind in types.items()]


def day_table(
    logical: str,
    name: str,
    database: pulumi.Input[str],
    description: str,
    day: str,
    comment: str,
    location: pulumi.Input[str],
    columns: Sequence[Column],
    opts: pulumi.ResourceOptions,
    parameters: Mapping[str, str] | None = None,
) -> glue.CatalogTable:
    """A table by the column `day`, whose folders are `<location><day>=2026-01-31/`.

    Athena finds days by rule (projection), so that nobody must register them.
    https://docs.aws.amazon.com/athena/latest/ug/partition-projection-supported-types.html
    """
    return glue.CatalogTable(
        logical,
        name=name,
        database_name=database,
        description=description,
        table_type="EXTERNAL_TABLE",
        parameters={
            "classification": "parquet",
            "projection.enabled": "true",
            f"projection.{day}.type": "date",
            f"projection.{day}.format": "yyyy-MM-dd",
            f"projection.{day}.range": "2020-01-01,NOW",
            "storage.location.template": pulumi.Output.concat(location, f"{day}=${{{day}}}/"),
            **(parameters or {}),
        },
        partition_keys=[glue.CatalogTablePartitionKeyArgs(name=day, type="string", comment=comment)],
        storage_descriptor=glue.CatalogTableStorageDescriptorArgs(
            location=location,
            input_format="org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
            output_format="org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
            ser_de_info=glue.CatalogTableStorageDescriptorSerDeInfoArgs(
                serialization_library="org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
            ),
            columns=list(columns),
        ),
        opts=opts,
    )
