"""The feature layer on AWS: one feature group, with its history in the lake and the latest values where asked for."""

import json
import re

import pytest

KEY = "arn:aws:kms:eu-west-1:210987654321:key/5ec0de00-da7a-4000-8000-000000000000"
GROUP = "aws:sagemaker/featureGroup:FeatureGroup"


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
            "sagemaker:GetRecord": {"ingest", "serving"},
            "sagemaker:PutRecord": {"ingest"},
            "sagemaker:BatchGetRecord": {"serving"},
        }[action]
    )


@pytest.mark.parametrize("platform", ["streaming", "batch"])
def test_ingest_keeps_the_iceberg_table_and_nobody_else(request, allowed, platform):
    built = request.getfixturevalue(platform)
    # What AmazonSageMakerFeatureStoreAccess allows, on the table's own database only.
    assert allowed(built, "ingest", "glue:UpdateTable") == allowed(built, "ingest", "glue:GetTable")
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
