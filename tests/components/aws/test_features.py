"""The feature layer on AWS: one feature group, with its history in the lake and the latest values where asked for."""

import json
import re

import pytest

KEY = "arn:aws:kms:eu-west-1:210987654321:key/5ec0de00-da7a-4000-8000-000000000000"
GROUP = "aws:sagemaker/featureGroup:FeatureGroup"
TABLE = "aws:dynamodb/table:Table"


def test_the_group_has_its_entity_its_time_and_each_definition(streaming):
    (group,) = streaming.of_type(GROUP)
    assert group.inputs["recordIdentifierFeatureName"] == "card_id"
    assert group.inputs["eventTimeFeatureName"] == "event_time"
    kinds = {feature["featureName"]: feature["featureType"] for feature in group.inputs["featureDefinitions"]}
    assert kinds == {
        "card_id": "String",
        "event_time": "Fractional",
        "transactions_1h": "Integral",
        "amount_1h": "Fractional",
        "largest_amount_1h": "Fractional",
        "merchants_24h": "Integral",
        "seconds_since_last": "Fractional",
        "abroad_share_24h": "Fractional",
    }


@pytest.mark.parametrize(
    ("workload", "feature", "kind"),
    [("churn", "is_monthly", "Integral"), ("personalization", "favourite_genre", "String")],
)
def test_each_type_of_feature_has_its_own(once, workload, feature, kind):
    (group,) = once(workload).of_type(GROUP)
    assert {"featureName": feature, "featureType": kind} in group.inputs["featureDefinitions"]


def test_the_name_is_the_groups_and_this_platforms(streaming):
    (group,) = streaming.of_type(GROUP)
    assert re.fullmatch(r"card-activity-[0-9a-f]{8}", group.inputs["featureGroupName"])


def test_the_history_is_kept_in_the_features_zone_with_the_key(house):
    (group,) = house.of_type(GROUP)
    offline = group.inputs["offlineStoreConfig"]
    assert offline["tableFormat"] == "Iceberg"
    assert offline["s3StorageConfig"]["kmsKeyId"] == KEY
    assert re.fullmatch(r"s3://fraud-detection-features-[0-9a-f]+/offline", offline["s3StorageConfig"]["s3Uri"])
    assert group.inputs["roleArn"] == "arn:aws:iam::210987654321:role/house-ingest"


def test_without_records_the_history_is_what_the_feature_job_computes(batch, named):
    (group,) = batch.of_type(GROUP)
    table = named(batch, "aws:glue/catalogTable:CatalogTable", "credit-scoring-features")
    offline = group.inputs["offlineStoreConfig"]
    assert offline["dataCatalogConfig"] == {
        "catalog": "AwsDataCatalog",
        "database": table.inputs["databaseName"],
        "tableName": table.inputs["name"],
    }
    # SageMaker makes no table beside it, and takes one of ours in this format only.
    assert (offline["disableGlueTableCreation"], offline["tableFormat"]) == (True, "Glue")
    assert table.urn in group.depends_on


@pytest.mark.parametrize(("platform", "hours"), [("house", 48), ("hybrid_house", 24)])
def test_the_latest_values_are_served_encrypted_for_as_long_as_asked(request, platform, hours):
    (group,) = request.getfixturevalue(platform).of_type(GROUP)
    online = group.inputs["onlineStoreConfig"]
    assert online["enableOnlineStore"] is True
    assert online["securityConfig"] == {"kmsKeyId": KEY}
    assert online["ttlDuration"] == {"unit": "Hours", "value": hours}


def test_batch_keeps_features_but_serves_none(batch, allowed):
    (group,) = batch.of_type(GROUP)
    assert "onlineStoreConfig" not in group.inputs
    assert batch.platform.features.online is None
    assert not allowed(batch, "serving", "sagemaker:GetRecord")
    assert not allowed(batch, "ingest", "sagemaker:PutRecord")


@pytest.mark.parametrize("action", ["sagemaker:GetRecord", "sagemaker:PutRecord", "sagemaker:BatchGetRecord"])
def test_ingest_writes_records_and_serving_reads_them(streaming, allowed, action):
    (group,) = streaming.of_type(GROUP)
    may = {
        purpose
        for purpose in ("ingest", "training", "serving", "monitoring")
        if any(
            arn.endswith(f":feature-group/{group.inputs['featureGroupName']}")
            for arn in allowed(streaming, purpose, action)
        )
    }
    assert (
        may
        == {
            "sagemaker:GetRecord": {"serving"},
            "sagemaker:PutRecord": {"ingest"},
            "sagemaker:BatchGetRecord": {"serving"},
        }[action]
    )


def test_without_records_nobody_writes_an_iceberg_table(batch, allowed):
    for purpose in ("ingest", "training", "serving", "monitoring"):
        assert not allowed(batch, purpose, "glue:UpdateTable")


@pytest.mark.parametrize("platform", ["streaming", "hybrid"])
def test_ingest_keeps_the_iceberg_table_and_nobody_else(request, allowed, platform):
    built = request.getfixturevalue(platform)
    # What AmazonSageMakerFeatureStoreAccess allows, on its own database; beside it, ingest reads raw events.
    own = allowed(built, "ingest", "glue:UpdateTable")
    raw = allowed(built, "ingest", "glue:GetDatabase")
    assert sorted(allowed(built, "ingest", "glue:GetTable")) == sorted(own + raw)
    assert [arn.rpartition(":")[2] for arn in allowed(built, "ingest", "glue:UpdateTable")] == [
        "catalog",
        "database/sagemaker_featurestore",
        "table/sagemaker_featurestore/*",
    ]
    (written,) = allowed(built, "ingest", "s3:PutObjectAcl")
    assert "-features-" in written
    for purpose in ("training", "serving", "monitoring"):
        assert not allowed(built, purpose, "glue:UpdateTable")


def test_the_group_waits_for_the_rights_that_sagemaker_tries(streaming, rights):
    (group,) = streaming.of_type(GROUP)
    waits_for = {urn.rpartition("::")[2] for urn in group.depends_on}
    assert {
        "fraud-detection-ingest-lake",
        "fraud-detection-ingest-network",
        "fraud-detection-ingest-offline-features",
    } <= waits_for
    assert json.dumps(rights(streaming, "ingest")).count("kms:GenerateDataKey") == 1


@pytest.mark.parametrize("platform", ["house", "hybrid_house"])
def test_the_state_of_windows_is_encrypted_kept_and_goes_when_it_is_empty(request, platform):
    (state,) = request.getfixturevalue(platform).of_type(TABLE)
    assert state.inputs["hashKey"] == "entity"
    assert state.inputs["attributes"] == [{"name": "entity", "type": "S"}]
    assert state.inputs["ttl"] == {"attributeName": "expires_at", "enabled": True}
    assert state.inputs["pointInTimeRecovery"] == {"enabled": True}
    assert state.inputs["serverSideEncryption"] == {"enabled": True, "kmsKeyArn": KEY}


@pytest.mark.parametrize(("environment", "protected"), [("production", True), ("experiment", False)])
def test_production_keeps_the_state_of_windows_from_being_deleted(streaming, experiment, environment, protected):
    (state,) = (streaming if environment == "production" else experiment()).of_type(TABLE)
    assert state.inputs["deletionProtectionEnabled"] is protected


@pytest.mark.parametrize(("platform", "units"), [("streaming", 16_000), ("hybrid", 400)])
def test_the_state_of_windows_is_paid_by_use_up_to_what_the_events_can_take(request, platform, units):
    (state,) = request.getfixturevalue(platform).of_type(TABLE)
    assert state.inputs["billingMode"] == "PAY_PER_REQUEST"
    # Four units an event, twice, at 2000 and 50 events a second.
    assert state.inputs["onDemandThroughput"] == {"maxReadRequestUnits": units, "maxWriteRequestUnits": units}


def test_batch_keeps_no_state_of_windows(batch, allowed):
    assert not batch.of_type(TABLE)
    assert batch.platform.features.window_state is None
    assert not allowed(batch, "ingest", "dynamodb:PutItem")


def test_only_the_processor_reads_and_writes_windows_and_only_their_items(streaming, rights):
    (state,) = streaming.of_type(TABLE)
    of_windows = [
        (purpose, statement)
        for purpose in ("ingest", "training", "serving", "monitoring")
        for statement in rights(streaming, purpose)
        if any(action.startswith("dynamodb:") for action in statement["Action"])
    ]
    ((purpose, statement),) = of_windows
    assert purpose == "ingest"
    assert statement["Action"] == ["dynamodb:GetItem", "dynamodb:PutItem"]
    (table,) = statement["Resource"]
    assert table.endswith(f":table/{state.id}")
