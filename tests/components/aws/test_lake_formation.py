"""Lake Formation: who reads the catalogued events under its grants, and as whom it reads their files."""

import json

import pytest

LOCATION = "aws:lakeformation/resource:Resource"
PERMISSIONS = "aws:lakeformation/permissions:Permissions"
OPT_IN = "aws:lakeformation/optIn:OptIn"
READERS = {"ingest", "training"}
KEY = "arn:aws:kms:eu-west-1:210987654321:key/5ec0de00-da7a-4000-8000-000000000000"


def by_purpose(built, kind: str) -> dict:
    prefix = f"{built.platform.context.name}-"
    return {found.name.removeprefix(prefix).removesuffix("-raw"): found for found in built.of_type(kind)}


@pytest.mark.parametrize("platform", ["streaming", "batch", "hybrid"])
def test_ingest_and_training_may_read_the_catalogued_events_and_no_more(request, named, platform):
    built = request.getfixturevalue(platform)
    name = built.platform.context.name
    table = named(built, "aws:glue/catalogTable:CatalogTable", f"{name}-raw").inputs
    grants = by_purpose(built, PERMISSIONS)
    assert set(grants) == READERS
    for purpose, grant in grants.items():
        assert grant.inputs["permissions"] == ["DESCRIBE", "SELECT"]
        assert "permissionsWithGrantOptions" not in grant.inputs
        assert grant.inputs["table"]["name"] == table["name"]
        assert grant.inputs["table"]["databaseName"] == table["databaseName"]
        assert f":role/{name}-{purpose}-" in grant.inputs["principal"]


def test_who_has_a_grant_is_held_to_it(streaming):
    grants, opt_ins = by_purpose(streaming, PERMISSIONS), by_purpose(streaming, OPT_IN)
    assert set(opt_ins) == READERS
    for purpose, opt_in in opt_ins.items():
        (principal,), (resource,) = opt_in.inputs["principals"], opt_in.inputs["resourceDatas"]
        assert principal == {"dataLakePrincipalIdentifier": grants[purpose].inputs["principal"]}
        assert resource["table"]["name"] == grants[purpose].inputs["table"]["name"]
        assert grants[purpose].urn in opt_in.depends_on


def test_files_are_registered_beside_what_iam_allows(streaming):
    (location,) = streaming.of_type(LOCATION)
    assert location.inputs["arn"].startswith("arn:aws:s3:::fraud-detection-raw-")
    assert location.inputs["hybridAccessEnabled"] is True
    # EMR reads nothing that is registered with the service's own role, and that role has no right to our key.
    assert ":role/fraud-detection-lake-formation-" in location.inputs["roleArn"]
    assert not location.inputs.get("useServiceLinkedRole")
    # Lake Formation knows a place once, so that another registration of it comes after the first is gone.
    assert location.delete_before_replace is True
    for grant in streaming.of_type(PERMISSIONS):
        assert location.urn in grant.depends_on


def test_lake_formation_reads_the_raw_zone_with_the_key_and_writes_nothing(house, named):
    grant = named(house, "aws:iam/rolePolicy:RolePolicy", "fraud-detection-lake-formation")
    rights = {
        action: statement["Resource"]
        for statement in json.loads(grant.inputs["policy"])["Statement"]
        for action in statement["Action"]
    }
    (location,) = house.of_type(LOCATION)
    bucket = location.inputs["arn"]
    assert rights == {"s3:ListBucket": [bucket], "s3:GetObject": [f"{bucket}/*"], "kms:Decrypt": [KEY]}
    assert grant.urn in location.depends_on
