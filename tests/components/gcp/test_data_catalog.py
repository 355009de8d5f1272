"""The catalog on Google Cloud: what is told of the data set, and what scans look for in it."""

import json

import pytest

DATASCAN = "gcp:dataplex/datascan:Datascan"
TABLE = "gcp:bigquery/table:Table"


def test_the_data_set_is_found_in_a_group_of_the_platforms_own(streaming, named):
    (group,) = streaming.of_type("gcp:dataplex/entryGroup:EntryGroup")
    (type_,) = streaming.of_type("gcp:dataplex/entryType:EntryType")
    (entry,) = streaming.of_type("gcp:dataplex/entry:Entry")
    assert entry.inputs["entryGroupId"] == group.inputs["entryGroupId"]
    assert entry.inputs["entryType"] == type_.id
    table = named(streaming, TABLE, "fraud-detection-raw")
    assert entry.inputs["entrySource"]["resource"] == f"//bigquery.googleapis.com/{table.id}"
    assert entry.inputs["entrySource"]["displayName"] == "CardTransaction"


def test_an_entry_says_who_answers_and_how_long_data_is_kept(streaming):
    (aspect_type,) = streaming.of_type("gcp:dataplex/aspectType:AspectType")
    (type_,) = streaming.of_type("gcp:dataplex/entryType:EntryType")
    (entry,) = streaming.of_type("gcp:dataplex/entry:Entry")
    assert type_.inputs["requiredAspects"] == [{"type": aspect_type.id}]
    (aspect,) = entry.inputs["aspects"]
    number, region, id_ = aspect["aspectKey"].split(".")
    assert number.isdigit()
    assert (region, id_) == ("europe-west1", aspect_type.inputs["aspectTypeId"])
    told = json.loads(aspect["aspect"]["data"])
    assert told["owner"] == "payments-risk@example.com"
    assert (told["classification"], told["retention"]) == ("restricted", "400 days")
    template = json.loads(aspect_type.inputs["metadataTemplate"])
    assert [field["name"] for field in template["recordFields"]] == list(told)
    assert [field["index"] for field in template["recordFields"]] == list(range(1, len(told) + 1))


@pytest.mark.parametrize("part", ["quality", "profile"])
def test_scans_look_daily_at_what_arrived(streaming, batch, named, part):
    scan = named(streaming, DATASCAN, f"fraud-detection-{part}").inputs
    assert scan["data"]["resource"].startswith("//bigquery.googleapis.com/projects/")
    assert scan["executionSpec"]["field"] == "publish_time"
    assert scan["executionSpec"]["trigger"]["schedule"]["cron"].startswith("TZ=UTC ")
    loaded = named(batch, DATASCAN, f"credit-scoring-{part}").inputs
    assert loaded["executionSpec"]["field"] == "event_time"


def test_the_quality_scan_judges_what_the_table_does_not_see_to(streaming, named):
    specification = named(streaming, DATASCAN, "fraud-detection-quality").inputs["dataQualitySpec"]
    rules = {rule["name"]: rule for rule in specification["rules"]}
    assert set(rules) == {
        "event-time-is-not-in-the-future",
        "card-id-is-not-empty",
        "amount-is-finite",
        "channel-is-known",
    }
    assert "INTERVAL 5 MINUTE" in rules["event-time-is-not-in-the-future"]["rowConditionExpectation"]["sqlExpression"]
    assert "contactless" in rules["channel-is-known"]["setExpectation"]["values"]
    assert all(rule["dimension"].isupper() for rule in rules.values())


def test_the_owner_is_told_of_bad_data_and_of_scans_that_fail(streaming, named):
    scan = named(streaming, DATASCAN, "fraud-detection-quality").inputs
    report = scan["dataQualitySpec"]["postScanActions"]["notificationReport"]
    assert report["recipients"] == {"emails": ["payments-risk@example.com"]}
    assert report["scoreThresholdTrigger"] == {"scoreThreshold": 99.0}
    assert "jobFailureTrigger" in report


def test_the_scanner_reads_this_table_and_starts_queries_and_no_more(streaming, named):
    reads = named(streaming, "gcp:bigquery/iamMember:IamMember", "fraud-detection-scan-data").inputs
    assert reads["role"] == "roles/bigquery.dataViewer"
    assert reads["tableId"] == "cardtransaction"
    assert "gcp-sa-dataplex" in reads["member"]
    may = named(streaming, "gcp:projects/iAMCustomRole:IAMCustomRole", "fraud-detection-scan-data").inputs
    assert may["permissions"] == ["bigquery.jobs.create"]
