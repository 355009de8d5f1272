"""The feature job on AWS: EMR Serverless computes features from the lake, and a schedule starts it."""

import hashlib
from typing import Any

import pulumi
from pulumi_aws import s3, scheduler

from ml_blueprints import schedules
from ml_blueprints.aws import day_table, facts, policy
from ml_blueprints.aws.data import Data
from ml_blueprints.aws.foundation import Foundation
from ml_blueprints.layers import Context, Zone
from ml_blueprints.settings import Purpose

# The schedule's own call of another service, and what it replaces in the input.
# https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-universal.html
START_JOB = "arn:aws:scheduler:::aws-sdk:emrserverless:startJobRun"
EXECUTION_ID = "<aws.scheduler.execution-id>"


class FeatureJob(pulumi.ComponentResource):
    """`code`: the job's file, named by its content, so that a run can't meet half of a change. `table`: what it writes,
    as Athena and training find it. `schedule`: when it runs. `destination`: the folder of what it writes."""

    def __init__(
        self, context: Context, foundation: Foundation, data: Data, opts: pulumi.ResourceOptions | None = None
    ):
        super().__init__("ml-blueprints:aws:FeatureJob", context.logical("feature-job"), None, opts)
        self.context, self.foundation, self.data = context, foundation, data
        self.destination = pulumi.Output.concat(data.zones[Zone.FEATURES], "/computed/")
        self._code()
        self._table()
        self._rights()
        self._schedule()
        self.register_outputs({"scheduleArn": self.schedule.arn, "tableArn": self.table.arn})

    def _child(self, **options: Any) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, **options)

    def _code(self) -> None:
        """In the zone of the models, from which nothing expires."""
        source = self.context.workload.features.job_source
        self.key = f"jobs/{hashlib.sha256(source.encode()).hexdigest()[:16]}.py"
        self.code = s3.BucketObjectv2(
            self.context.logical("feature-job"),
            bucket=self.data.buckets[Zone.MODELS].bucket,
            key=self.key,
            content=source,
            content_type="text/x-python",
            kms_key_id=self.foundation.key,
            tags=self.context.tags,
            opts=self._child(),
        )

    def _table(self) -> None:
        workload = self.context.workload
        columns = {workload.data.entity: "string", workload.data.event_time: "bigint", "arrived_at": "bigint"}
        columns |= {feature.name: facts.FEATURE_COLUMNS[feature.type] for feature in workload.features.definitions}
        self.table = day_table.day_table(
            self.context.logical("features"),
            f"{workload.features.group}_features",
            self.data.database.name,
            f"Features of {workload.name} with their history, as the feature job computes them",
            "arrived_on",
            "Day of arrival, UTC",
            self.destination,
            day_table.columns(columns),
            self._child(),
        )

    def _rights(self) -> None:
        """The job acts as the identity that ingests; days that it computes anew replace what was there."""
        foundation, data = self.foundation, self.data
        models, features = data.buckets[Zone.MODELS].arn, data.buckets[Zone.FEATURES].arn
        log_groups = pulumi.Output.concat("arn:aws:logs:", foundation.region, ":", foundation.account, ":log-group:*")
        foundation.grant(
            Purpose.INGEST,
            "feature-job",
            policy.allow(["s3:GetObject"], [pulumi.Output.concat(models, "/jobs/*")]),
            policy.allow(["s3:DeleteObject"], [pulumi.Output.concat(features, "/computed/*")]),
            # EMR Serverless looks for the group of its logs among all.
            # https://docs.aws.amazon.com/emr/latest/EMR-Serverless-UserGuide/logging.html
            policy.allow(["logs:DescribeLogGroups"], [log_groups]),
        )
        self.may_start = foundation.grant(
            Purpose.MONITORING,
            "feature-job",
            policy.allow(["emr-serverless:StartJobRun"], [data.spark.arn]),
            policy.allow(
                ["emr-serverless:TagResource"], [data.spark.arn, pulumi.Output.concat(data.spark.arn, "/jobruns/*")]
            ),
            policy.allow(
                ["iam:PassRole"],
                [foundation.identities[Purpose.INGEST]],
                StringEquals={"iam:PassedToService": "emr-serverless.amazonaws.com"},
            ),
        )

    def _schedule(self) -> None:
        context, foundation = self.context, self.foundation
        self.schedule = scheduler.Schedule(
            context.logical("feature-job"),
            description=f"Computes the features of {context.workload.name}",
            schedule_expression=schedules.aws(context.workload.features.schedule),
            flexible_time_window=scheduler.ScheduleFlexibleTimeWindowArgs(mode="OFF"),
            kms_key_arn=foundation.key,
            target=scheduler.ScheduleTargetArgs(
                arn=START_JOB,
                role_arn=foundation.identities[Purpose.MONITORING],
                input=self._run(),
                retry_policy=scheduler.ScheduleTargetRetryPolicyArgs(maximum_retry_attempts=3),
            ),
            opts=self._child(depends_on=[self.code, *self.may_start]),
        )

    def _run(self) -> pulumi.Output[str]:
        """https://docs.aws.amazon.com/emr-serverless/latest/APIReference/API_StartJobRun.html"""
        data, zones = self.data, self.data.zones
        arguments = ["--source", pulumi.Output.concat(zones[Zone.RAW], "/events/"), "--format", "parquet"]
        arguments += ["--destination", self.destination]
        if self.data.stream is not None:
            arguments += ["--since", facts.FEATURE_JOB_SINCE]
        return pulumi.Output.json_dumps(
            {
                "ApplicationId": data.spark.id,
                "ClientToken": EXECUTION_ID,
                "ExecutionRoleArn": self.foundation.identities[Purpose.INGEST],
                "ExecutionTimeoutMinutes": facts.FEATURE_JOB_MINUTES,
                "Name": self.context.logical("features"),
                "JobDriver": {
                    "SparkSubmit": {
                        "EntryPoint": pulumi.Output.concat(zones[Zone.MODELS], "/", self.key),
                        "EntryPointArguments": arguments,
                    }
                },
                "ConfigurationOverrides": {
                    "MonitoringConfiguration": {
                        "CloudWatchLoggingConfiguration": {
                            "Enabled": True,
                            "LogGroupName": self.foundation.log_group.name,
                            "EncryptionKeyArn": self.foundation.key,
                        },
                        # EMR's own storage of logs would be a second one, outside of the account.
                        "ManagedPersistenceMonitoringConfiguration": {"Enabled": False},
                    }
                },
                "Tags": self.context.tags,
            }
        )
