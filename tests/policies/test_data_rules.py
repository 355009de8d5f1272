"""What tables can't say of the rules on data: what Pulumi protects, and parameters that allow everything."""

from ml_policies.evaluation import Evaluator
from ml_policies.resource import UNKNOWN, Resource, Stack
from ml_policies.rules import RULES


def found(rule, *resources, **parameters):
    evaluator = Evaluator([RULES[rule]], {rule: parameters})
    return [one.message for one in evaluator.everything(Stack(resources))]


def table(**marks):
    return Resource("aws:dynamodb/table:Table", "features", "urn:features", {}, **marks)


def provider(name, region):
    return Resource("pulumi:providers:aws", name, f"urn:{name}", {"region": region})


def test_what_pulumi_protects_needs_no_protection_of_the_cloud():
    assert found("MLB-DAT-012", table())
    assert found("MLB-DAT-012", table(protect=True)) == []


def test_a_feature_group_registers_its_table_or_names_the_one_that_it_has():
    def group(**store):
        properties = {"description": "Activity of cards.", "offlineStoreConfig": store}
        return Resource("aws:sagemaker/featureGroup:FeatureGroup", "cards", "urn:cards", properties)

    assert found("MLB-DAT-006", group()) == []
    assert found("MLB-DAT-006", group(disableGlueTableCreation=True))
    assert found("MLB-DAT-006", group(disableGlueTableCreation=True, dataCatalogConfig={"tableName": "cards"})) == []


def test_no_region_is_wrong_where_none_is_named():
    assert found("MLB-DAT-003", table()) == []
    assert found("MLB-DAT-003", table(), provider("one", UNKNOWN)) == []


def test_several_providers_pass_only_if_each_works_in_an_allowed_region():
    near, far = provider("near", "eu-west-1"), provider("far", "us-east-1")
    assert found("MLB-DAT-003", table(), near, allowed_regions=["eu-west-1"]) == []
    assert found("MLB-DAT-003", table(), near, far, allowed_regions=["eu-west-1", "us-east-1"]) == []
    # Which of the two the table has isn't told.
    assert found("MLB-DAT-003", table(), near, far, allowed_regions=["eu-west-1"]) == ["region: decided at deployment"]
    assert found("MLB-DAT-003", table(), allowed_regions=["eu-west-1"]) == ["region: decided at deployment"]
    assert "us-east-1" in found("MLB-DAT-003", table(), far, allowed_regions=["eu-west-1"])[0]
