"""The archive of the stream: Firehose writes every event to the lake as Parquet, with the order of its arrival."""

from typing import Any

import pulumi
from pulumi_aws import cloudwatch, iam, kinesis, lambda_

from ml_blueprints.aws import facts, policy
from ml_blueprints.aws.data import Data, shards
from ml_blueprints.aws.development import Development
from ml_blueprints.aws.foundation import Foundation
from ml_blueprints.layers import Context, Zone, required
from ml_blueprints.settings import Purpose

# Firehose collects at least 64 MiB where it converts formats.
# https://docs.aws.amazon.com/firehose/latest/dev/enable-record-format-conversion.html
BUFFER_MIB = 128
BUFFER_SECONDS = 300


class Archive(pulumi.ComponentResource):
    """Decodes events by their contract, adds when and in which order they arrived, and keeps them by day of arrival.

    `transformation`: the function that decodes; what it can't decode goes to the zone's `errors/`. `delivery`: the
    delivery stream. `role`: the identity under which Firehose reads the stream and writes the lake.
    """

    def __init__(
        self,
        context: Context,
        foundation: Foundation,
        data: Data,
        development: Development,
        opts: pulumi.ResourceOptions | None = None,
    ):
        super().__init__("ml-blueprints:aws:Archive", context.logical("archive"), None, opts)
        self.context, self.foundation, self.data, self.development = context, foundation, data, development
        self.stream = required(data.event_stream, "a stream of events")
        self._transformation()
        self._role()
        self._delivery()
        self.register_outputs({"deliveryStreamArn": self.delivery.arn})

    def _child(self, **options: Any) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, **options)

    def _transformation(self) -> None:
        context, foundation = self.context, self.foundation
        self.transformation = lambda_.Function(
            context.logical("archive"),
            role=foundation.identities[Purpose.INGEST],
            package_type="Image",
            image_uri=self.development.image,
            image_config=lambda_.FunctionImageConfigArgs(
                entry_points=list(facts.HANDLER_ENTRY_POINT), commands=[facts.HANDLERS["archive"]]
            ),
            memory_size=512,
            timeout=300,
            reserved_concurrent_executions=facts.ARCHIVE_CONCURRENCY_PER_SHARD
            * shards(context.workload.data.events_per_second),
            kms_key_arn=foundation.key,
            vpc_config=lambda_.FunctionVpcConfigArgs(
                subnet_ids=foundation.subnets, security_group_ids=[foundation.security_group.id]
            ),
            environment=lambda_.FunctionEnvironmentArgs(variables={"WORKLOAD": context.workload.name}),
            logging_config=lambda_.FunctionLoggingConfigArgs(log_format="JSON", log_group=foundation.log_group.name),
            tracing_config=lambda_.FunctionTracingConfigArgs(mode="Active"),
            tags=context.tags,
            # Lambda tries the role on the network when the function is made.
            opts=self._child(depends_on=foundation.rights(Purpose.INGEST)),
        )

    def _role(self) -> None:
        """Firehose's own identity. https://docs.aws.amazon.com/firehose/latest/dev/controlling-access.html"""
        context, foundation, data = self.context, self.foundation, self.data
        raw = data.buckets[Zone.RAW]
        catalog = pulumi.Output.concat("arn:aws:glue:", foundation.region, ":", foundation.account, ":catalog")
        self.role = iam.Role(
            context.logical("archive"),
            description=f"{context.name}: writes the archive of the stream",
            assume_role_policy=policy.trust(["firehose.amazonaws.com"], foundation.account),
            permissions_boundary=foundation.boundary.arn,
            max_session_duration=3600,
            tags=context.tags,
            opts=self._child(),
        )
        self.rights = iam.RolePolicy(
            context.logical("archive"),
            role=self.role.name,
            policy=policy.document(
                policy.allow(
                    ["kinesis:DescribeStream", "kinesis:GetRecords", "kinesis:GetShardIterator", "kinesis:ListShards"],
                    [self.stream.arn],
                ),
                policy.allow(["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"], [raw.arn]),
                policy.allow(
                    ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"],
                    [pulumi.Output.concat(raw.arn, prefix) for prefix in ("/events/*", "/errors/*")],
                ),
                policy.allow(["lambda:GetFunctionConfiguration", "lambda:InvokeFunction"], [self.transformation.arn]),
                policy.allow(
                    ["glue:GetTable", "glue:GetTableVersion", "glue:GetTableVersions"],
                    [catalog, data.database.arn, data.table.arn],
                ),
                policy.allow(["kms:Decrypt", "kms:GenerateDataKey"], [foundation.key]),
                policy.allow(["logs:PutLogEvents"], [pulumi.Output.concat(foundation.log_group.arn, ":*")]),
            ),
            opts=self._child(),
        )

    def _delivery(self) -> None:
        context, foundation, data = self.context, self.foundation, self.data
        log_stream = cloudwatch.LogStream(
            context.logical("archive"),
            name="archive",
            log_group_name=foundation.log_group.name,
            opts=self._child(),
        )
        self.delivery = kinesis.FirehoseDeliveryStream(
            context.logical("archive"),
            destination="extended_s3",
            kinesis_source_configuration=kinesis.FirehoseDeliveryStreamKinesisSourceConfigurationArgs(
                kinesis_stream_arn=self.stream.arn, role_arn=self.role.arn
            ),
            extended_s3_configuration=kinesis.FirehoseDeliveryStreamExtendedS3ConfigurationArgs(
                role_arn=self.role.arn,
                bucket_arn=data.buckets[Zone.RAW].arn,
                prefix="events/day=!{timestamp:yyyy-MM-dd}/",
                error_output_prefix="errors/!{firehose:error-output-type}/day=!{timestamp:yyyy-MM-dd}/",
                buffering_size=BUFFER_MIB,
                buffering_interval=BUFFER_SECONDS,
                kms_key_arn=foundation.key,
                cloudwatch_logging_options=kinesis.FirehoseDeliveryStreamExtendedS3ConfigurationCloudwatchLoggingOptionsArgs(
                    enabled=True, log_group_name=foundation.log_group.name, log_stream_name=log_stream.name
                ),
                processing_configuration=self._decoding(),
                data_format_conversion_configuration=self._columns(),
            ),
            tags=context.tags,
            # Firehose tries its role on all of these when the delivery stream is made.
            opts=self._child(depends_on=[self.rights]),
        )

    def _decoding(self) -> kinesis.FirehoseDeliveryStreamExtendedS3ConfigurationProcessingConfigurationArgs:
        parameters = {
            "LambdaArn": self.transformation.arn,
            "BufferSizeInMBs": "1",
            "BufferIntervalInSeconds": "60",
            "NumberOfRetries": "3",
        }
        return kinesis.FirehoseDeliveryStreamExtendedS3ConfigurationProcessingConfigurationArgs(
            enabled=True,
            processors=[
                kinesis.FirehoseDeliveryStreamExtendedS3ConfigurationProcessingConfigurationProcessorArgs(
                    type="Lambda",
                    parameters=[
                        kinesis.FirehoseDeliveryStreamExtendedS3ConfigurationProcessingConfigurationProcessorParameterArgs(
                            parameter_name=name, parameter_value=value
                        )
                        for name, value in parameters.items()
                    ],
                )
            ],
        )

    def _columns(self) -> kinesis.FirehoseDeliveryStreamExtendedS3ConfigurationDataFormatConversionConfigurationArgs:
        prefix = "FirehoseDeliveryStreamExtendedS3ConfigurationDataFormatConversionConfiguration"

        def part(name: str, **values: Any) -> Any:
            return getattr(kinesis, f"{prefix}{name}Args")(**values)

        return part(
            "",
            enabled=True,
            input_format_configuration=part(
                "InputFormatConfiguration",
                deserializer=part(
                    "InputFormatConfigurationDeserializer",
                    open_x_json_ser_de=part("InputFormatConfigurationDeserializerOpenXJsonSerDe"),
                ),
            ),
            output_format_configuration=part(
                "OutputFormatConfiguration",
                serializer=part(
                    "OutputFormatConfigurationSerializer",
                    parquet_ser_de=part("OutputFormatConfigurationSerializerParquetSerDe", compression="SNAPPY"),
                ),
            ),
            schema_configuration=part(
                "SchemaConfiguration",
                database_name=self.data.database.name,
                table_name=self.data.table.name,
                role_arn=self.role.arn,
                region=self.foundation.region,
            ),
        )
