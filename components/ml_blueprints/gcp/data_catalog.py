"""The catalog on Google Cloud: what the data set is and who answers for it, and scans that look at what is in it."""

import json
from typing import Any

import pulumi
from pulumi_gcp import bigquery, dataplex

from ml_blueprints.gcp import facts, table_schema
from ml_blueprints.gcp.foundation import Foundation
from ml_blueprints.layers import Context

# When scans look at what came in since the last one, in UTC.
PROFILED = "0 4 * * *"
CHECKED = "30 4 * * *"

# Percent of the checked values that must be right; below, the owner is told.
QUALITY = 99.0

# How far an event's time may lie ahead, as everywhere in the platform.
FUTURE_MINUTES = 5


class DataCatalog(pulumi.ComponentResource):
    """An entry for the table of events in a group of the platform's own, and two scans of the table.

    aspect_type: what is told of a data set. entry_type, entry_group, entry. quality: a scan that judges each field by
    the contract. profile: a scan that measures it. The metadata takes a key of one's own for an organisation as a
    whole, if at all (https://cloud.google.com/dataplex/docs/cmek).
    """

    def __init__(
        self,
        context: Context,
        foundation: Foundation,
        table: bigquery.Table,
        arrivals: bool,
        opts: pulumi.ResourceOptions | None = None,
    ):
        super().__init__("ml-blueprints:gcp:DataCatalog", context.logical("data-catalog"), None, opts)
        self.context, self.foundation, self.table = context, foundation, table
        self.arrival = facts.PUBLISH_TIME if arrivals else context.workload.data.event_time
        self.governance = f"governance-{context.token}"
        self.resource = pulumi.Output.concat("//bigquery.googleapis.com/", table.id)
        self._types()
        self._entry()
        self._scans(self._rights())
        self.register_outputs({"entry": self.entry.id})

    def _child(self, **options: Any) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, **options)

    def _types(self) -> None:
        context, described = self.context, {"labels": self.context.tags, "location": self.foundation.region}
        self.aspect_type = dataplex.AspectType(
            context.logical("governance"),
            aspect_type_id=self.governance,
            description="Who answers for a data set, how secret it is, and how long it is kept",
            metadata_template=json.dumps(_template("governance", list(self._governance()))),
            opts=self._child(depends_on=self.foundation.ready),
            **described,
        )
        self.entry_type = dataplex.EntryType(
            context.logical("data-set"),
            entry_type_id=f"data-set-{context.token}",
            description="A data set that a contract describes",
            platform="Google Cloud",
            system="BigQuery",
            required_aspects=[dataplex.EntryTypeRequiredAspectArgs(type=self.aspect_type.name)],
            opts=self._child(depends_on=self.foundation.ready),
            **described,
        )
        self.entry_group = dataplex.EntryGroup(
            context.logical("data-sets"),
            entry_group_id=f"{context.name}-{context.token}",
            description=f"Data sets of {context.workload.name}",
            opts=self._child(depends_on=self.foundation.ready),
            **described,
        )

    def _governance(self) -> dict[str, str]:
        data = self.context.workload.data
        return {
            "owner": self.context.workload.owner,
            "classification": data.classification,
            "retention": f"{data.retention_days} days",
            "entity": data.entity,
            "contract": data.contract.record["name"],
            "compatibility": data.contract.compatibility,
        }

    def _entry(self) -> None:
        context, record = self.context, self.context.workload.data.contract.record
        self.entry = dataplex.Entry(
            context.logical("data-set"),
            location=self.foundation.region,
            entry_group_id=self.entry_group.entry_group_id,
            entry_id=record["name"].lower(),
            entry_type=self.entry_type.name,
            entry_source=dataplex.EntryEntrySourceArgs(
                resource=self.resource,
                system="BigQuery",
                platform="Google Cloud",
                display_name=record["name"],
                description=record.get("doc", context.workload.description),
                labels=context.tags,
            ),
            aspects=[
                dataplex.EntryAspectArgs(
                    aspect_key=pulumi.Output.concat(
                        self.foundation.project_number, f".{self.foundation.region}.{self.governance}"
                    ),
                    aspect=dataplex.EntryAspectAspectArgs(data=json.dumps(self._governance())),
                )
            ],
            opts=self._child(depends_on=[self.aspect_type]),
        )

    def _rights(self) -> list[pulumi.Resource]:
        """The service's agent scans: it reads this table, and starts queries."""
        agent = self.foundation.agents["dataplex"]
        return [
            bigquery.IamMember(
                self.context.logical("scan-data"),
                dataset_id=self.table.dataset_id,
                table_id=self.table.table_id,
                role=facts.ROLE_TABLE_READER,
                member=agent,
                opts=self._child(),
            ),
            self.foundation.grant_on_project("scan-data", "scan data", facts.SCAN_PERMISSIONS, agent),
        ]

    def _scans(self, ready: list[pulumi.Resource]) -> None:
        context = self.context
        tell = dataplex.DatascanDataQualitySpecPostScanActionsNotificationReportArgs(
            recipients=dataplex.DatascanDataQualitySpecPostScanActionsNotificationReportRecipientsArgs(
                emails=[context.workload.owner]
            ),
            score_threshold_trigger=dataplex.DatascanDataQualitySpecPostScanActionsNotificationReportScoreThresholdTriggerArgs(
                score_threshold=QUALITY
            ),
            job_failure_trigger=dataplex.DatascanDataQualitySpecPostScanActionsNotificationReportJobFailureTriggerArgs(),
        )
        self.quality = self._scan(
            "quality",
            f"Whether data of {context.workload.name} is as its contract says",
            CHECKED,
            ready,
            data_quality_spec=dataplex.DatascanDataQualitySpecArgs(
                rules=self._quality_rules(),
                post_scan_actions=dataplex.DatascanDataQualitySpecPostScanActionsArgs(notification_report=tell),
            ),
        )
        self.profile = self._scan(
            "profile",
            f"How the fields of {context.workload.name} are distributed",
            PROFILED,
            ready,
            data_profile_spec=dataplex.DatascanDataProfileSpecArgs(
                exclude_fields=dataplex.DatascanDataProfileSpecExcludeFieldsArgs(
                    field_names=list(facts.ARRIVAL_COLUMNS)
                )
                if self.arrival in facts.ARRIVAL_COLUMNS
                else None
            ),
        )

    def _scan(
        self, part: str, description: str, schedule: str, ready: list[pulumi.Resource], **specification: Any
    ) -> dataplex.Datascan:
        """A scan of what was added since the one before."""
        context = self.context
        return dataplex.Datascan(
            context.logical(part),
            data_scan_id=f"{part}-{context.token}",
            location=self.foundation.region,
            display_name=f"{context.name}: {part}",
            description=description,
            data=dataplex.DatascanDataArgs(resource=self.resource),
            execution_spec=dataplex.DatascanExecutionSpecArgs(
                field=self.arrival,
                trigger=dataplex.DatascanExecutionSpecTriggerArgs(
                    schedule=dataplex.DatascanExecutionSpecTriggerScheduleArgs(cron=f"TZ=UTC {schedule}")
                ),
            ),
            labels=context.tags,
            opts=self._child(depends_on=ready),
            **specification,
        )

    def _quality_rules(self) -> list[dataplex.DatascanDataQualitySpecRuleArgs]:
        """What the schema of the table doesn't see to itself."""
        data = self.context.workload.data
        soon = f"TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL {FUTURE_MINUTES} MINUTE)"
        rules = [
            _row("TIMELINESS", data.event_time, "is-not-in-the-future", f"`{data.event_time}` <= {soon}"),
            _row("COMPLETENESS", data.entity, "is-not-empty", f"CAST(`{data.entity}` AS STRING) != ''"),
        ]
        for found in table_schema.of_record(data.contract.record):
            if found["type"] == "FLOAT" and found["mode"] != "REPEATED":
                finite = f"NOT IS_NAN(`{found['name']}`) AND NOT IS_INF(`{found['name']}`)"
                rules.append(_row("VALIDITY", found["name"], "is-finite", finite))
        for field in data.contract.record["fields"]:
            if isinstance(field["type"], dict) and field["type"]["type"] == "enum":
                rules.append(
                    dataplex.DatascanDataQualitySpecRuleArgs(
                        dimension="VALIDITY",
                        name=f"{field['name'].replace('_', '-')}-is-known",
                        column=field["name"],
                        ignore_null=True,
                        set_expectation=dataplex.DatascanDataQualitySpecRuleSetExpectationArgs(
                            values=field["type"]["symbols"]
                        ),
                    )
                )
        return rules


def _row(dimension: str, field: str, sentence: str, condition: str) -> dataplex.DatascanDataQualitySpecRuleArgs:
    """A rule that holds of each row that has the field."""
    return dataplex.DatascanDataQualitySpecRuleArgs(
        dimension=dimension,
        name=f"{field.replace('_', '-')}-{sentence}",
        column=field,
        ignore_null=True,
        row_condition_expectation=dataplex.DatascanDataQualitySpecRuleRowConditionExpectationArgs(
            sql_expression=condition
        ),
    )


def _template(name: str, texts: list[str]) -> dict[str, Any]:
    """The template of an aspect that holds texts. https://cloud.google.com/dataplex/docs/enrich-entries-metadata"""
    return {
        "name": name,
        "type": "record",
        "recordFields": [
            {"name": text, "type": "string", "index": index, "constraints": {"required": True}}
            for index, text in enumerate(texts, start=1)
        ],
    }
