"""The feature layer on Azure: the feature store, its offline store, its entity, and the latest values in Redis."""

import json

import pytest

CLUSTER = "azure-native:redisenterprise:RedisEnterprise"
DATABASE = "azure-native:redisenterprise:Database"
READER = "azure-native:redisenterprise:AccessPolicyAssignment"
ENTITY = "azure-native:machinelearningservices:FeaturestoreEntityVersion"
ML = "azure-native:machinelearningservices"


def test_features_are_kept_in_the_features_zone_under_an_identity_that_does_nothing_else(
    streaming, named, identity, granted, by_id
):
    (connection,) = streaming.of_type(f"{ML}:WorkspaceConnection")
    properties = connection.inputs["properties"]
    assert (properties["authType"], properties["category"]) == ("ManagedIdentity", "ADLSGen2")
    assert by_id(streaming, properties["target"]) == "BlobContainer features"
    assert properties["credentials"]["resourceId"] == identity(streaming, "materialization")
    # https://learn.microsoft.com/azure/machine-learning/how-to-setup-access-control-feature-store
    assert granted(streaming, "materialization") == {
        ("Storage Blob Data Reader", "BlobContainer raw"),
        ("Storage Blob Data Contributor", "BlobContainer features"),
        ("AzureML Data Scientist", "Workspace features"),
        ("Storage Blob Data Reader", "BlobContainer code"),
        ("record feature jobs", "Workspace ml"),
    }


def test_the_store_knows_the_connection_by_its_name(streaming, named):
    (connection,) = streaming.of_type(f"{ML}:WorkspaceConnection")
    store = named(streaming, f"{ML}:Workspace", f"features-{streaming.platform.context.token}")
    assert connection.inputs["workspaceName"] == store.id.rpartition("/")[2]
    settings = store.inputs["featureStoreSettings"]
    assert settings["offlineStoreConnectionName"] == connection.inputs["connectionName"]
    # https://learn.microsoft.com/azure/machine-learning/reference-yaml-feature-store: the one version that it takes.
    assert settings["computeRuntime"] == {"sparkRuntimeVersion": "3.4"}


@pytest.mark.parametrize(
    ("platform", "entity"),
    [("streaming", "card_id"), ("batch", "application_id"), ("hybrid", "restaurant_id")],
)
def test_the_entity_is_found_by_its_column(request, platform, entity):
    (version,) = request.getfixturevalue(platform).of_type(ENTITY)
    assert (version.inputs["name"], version.inputs["version"]) == (entity, "1")
    assert version.inputs["properties"]["indexColumns"] == [{"columnName": entity, "dataType": "String"}]
    assert version.inputs["properties"]["stage"] == "Production"


def test_the_feature_set_has_each_definition_and_waits_for_its_entity(streaming, waits_for):
    (found,) = streaming.of_type(f"{ML}:FeaturesetContainerEntity")
    assert found.inputs["name"] == "card_activity"
    assert found.inputs["properties"]["properties"] == {
        "transactions_1h": "integer",
        "amount_1h": "float",
        "largest_amount_1h": "float",
        "merchants_24h": "integer",
        "seconds_since_last": "float",
        "abroad_share_24h": "float",
    }
    assert "FeaturestoreEntityVersion entity" in waits_for(streaming, found)


def test_entity_and_feature_set_lie_in_the_feature_store(streaming, named):
    store = named(streaming, f"{ML}:Workspace", f"features-{streaming.platform.context.token}").id.rpartition("/")[2]
    kinds = ("FeaturestoreEntityContainerEntity", "FeaturestoreEntityVersion", "FeaturesetContainerEntity")
    for kind in (*kinds, "FeaturesetVersion", "WorkspaceConnection"):
        (found,) = streaming.of_type(f"{ML}:{kind}")
        assert found.inputs["workspaceName"] == store


def test_a_version_of_the_feature_set_says_what_its_published_specification_says(streaming, published):
    (version,) = streaming.of_type(f"{ML}:FeaturesetVersion")
    written = json.loads(published(streaming)["FeatureSetSpec.yaml"])
    properties = version.inputs["properties"]
    # As azure-ai-ml 1.35 writes it of such a specification: FeaturesetSpecMetadata.load(...)._to_dict().
    assert json.loads(properties["properties"]["featuresetProperties"]) == {
        "source": {
            "type": "custom",
            "timestampColumn": {"name": "event_time"},
            "sourceDelay": {"Days": 0, "Hours": 6, "Minutes": 0},
            "source_process_code": {"path": "./source", "process_class": "feature_source.FeatureSource"},
        },
        "features": [
            {"FeatureName": feature["name"], "DataType": feature["type"], "Description": feature["description"]}
            for feature in written["features"]
        ],
        "indexColumns": [{"ColumnName": "card_id", "DataType": "string"}],
    }
    assert written["index_columns"] == [{"name": "card_id", "type": "string"}]
    assert written["source"]["timestamp_column"] == {"name": "event_time"}
    assert {feature["name"]: feature["type"] for feature in written["features"]} == {
        "transactions_1h": "long",
        "amount_1h": "double",
        "largest_amount_1h": "double",
        "merchants_24h": "long",
        "seconds_since_last": "double",
        "abroad_share_24h": "double",
    }
    assert properties["entities"] == ["azureml:card_id:1"]
    assert properties["stage"] == "Production"


def test_the_specification_lies_where_the_feature_store_can_name_it(streaming, named, published):
    (version,) = streaming.of_type(f"{ML}:FeaturesetVersion")
    (code,) = streaming.of_type(f"{ML}:CodeVersion")
    store = named(streaming, f"{ML}:Workspace", f"features-{streaming.platform.context.token}").id.rpartition("/")[2]
    assert version.inputs["version"] == code.inputs["version"]
    assert version.inputs["properties"]["specification"]["path"].endswith(
        f"/workspaces/{store}/datastores/code/paths/features/{code.inputs['version']}/"
    )


def test_features_are_read_where_the_job_writes_them(streaming, named, published):
    lake = named(streaming, "azure-native:storage:StorageAccount", "fraud-detection-lake").inputs["accountName"]
    written = job(streaming)["outputs"]["destination"]["uri"]
    assert written == f"abfss://features@{lake}.dfs.core.windows.net/offline/"
    assert json.loads(published(streaming)["FeatureSetSpec.yaml"])["source"]["kwargs"]["source_path"] == written
    catalogued = named(streaming, f"{ML}:DataVersion", "fraud-detection-offline").inputs
    assert catalogued["name"] == "card_activity_features"
    assert catalogued["properties"]["dataUri"].endswith("/datastores/features/paths/offline/")


def test_features_are_materialized_offline_once_a_day_and_failures_are_told(streaming):
    (version,) = streaming.of_type(f"{ML}:FeaturesetVersion")
    settings = version.inputs["properties"]["materializationSettings"]
    assert settings["storeType"] == "Offline"
    assert settings["schedule"]["frequency"] == "Day"
    assert settings["notification"] == {"emailOn": ["JobFailed"], "emails": ["payments-risk@example.com"]}


def job(built) -> dict:
    """The feature job, as its schedule starts it."""
    (schedule,) = [found for found in built.of_type(f"{ML}:Schedule") if found.inputs["name"] == "features"]
    return schedule.inputs["properties"]["action"]["jobDefinition"]


@pytest.mark.parametrize("platform", ["streaming", "batch", "hybrid", "house"])
def test_spark_computes_features_on_the_workloads_schedule_under_the_identity_for_it(request, identity, platform):
    built = request.getfixturevalue(platform)
    (schedule,) = [found for found in built.of_type(f"{ML}:Schedule") if found.inputs["name"] == "features"]
    properties = schedule.inputs["properties"]
    assert properties["isEnabled"] is True
    assert properties["trigger"] == {
        "triggerType": "Cron",
        "startTime": "2026-01-01T00:00:00",
        "expression": built.platform.context.workload.features.schedule,
        "timeZone": "UTC",
    }
    assert job(built)["jobType"] == "Spark"
    assert job(built)["resources"] == {"instanceType": "standard_e4s_v3", "runtimeVersion": "3.4"}
    assert job(built)["identity"]["resourceId"] == identity(built, "materialization")


@pytest.mark.parametrize(
    ("platform", "format_"), [("streaming", "capture"), ("hybrid", "capture"), ("batch", "parquet")]
)
def test_the_job_reads_what_was_captured_or_in_batch_what_was_put_there(request, platform, format_):
    found = job(request.getfixturevalue(platform))
    assert f"--format {format_}" in found["args"]
    # What was captured is computed from the last two days on; in batch, from all that lies there.
    assert ("--since 2d" in found["args"]) is (format_ == "capture")
    assert "--source ${{inputs.source}} --destination ${{outputs.destination}}" in found["args"]
    assert found["inputs"]["source"]["uri"].startswith("abfss://raw@")
    assert found["inputs"]["source"]["uri"].endswith(".dfs.core.windows.net/events/")
    assert {found["inputs"]["source"]["mode"], found["outputs"]["destination"]["mode"]} == {"Direct"}


@pytest.mark.parametrize("platform", ["streaming", "hybrid", "batch"])
def test_the_job_knows_the_arguments_that_it_is_given(request, platform):
    built = request.getfixturevalue(platform)
    given = [word for word in job(built)["args"].split() if word.startswith("--")]
    assert {"--source", "--destination", "--format"} <= set(given)
    for argument in given:
        assert f'add_argument("{argument}"' in built.platform.context.workload.features.job_source


def test_the_job_waits_for_its_rights_and_its_ways_to_the_lake(streaming, waits_for):
    (schedule,) = [found for found in streaming.of_type(f"{ML}:Schedule") if found.inputs["name"] == "features"]
    rights = {f"RoleAssignment materialization-{part}" for part in ("raw", "features", "store", "code", "runs")}
    rules = {f"ManagedNetworkSettingsRule ml-to-lake-{part}" for part in ("dfs", "blob")}
    assert rights | rules <= waits_for(streaming, schedule)


def test_the_latest_values_are_served_privately_and_survive_a_node(streaming):
    (cluster,) = streaming.of_type(CLUSTER)
    assert cluster.inputs["publicNetworkAccess"] == "Disabled"
    assert cluster.inputs["minimumTlsVersion"] == "1.2"
    assert cluster.inputs["highAvailability"] == "Enabled"


@pytest.mark.parametrize("platform", ["streaming", "house"])
def test_the_latest_values_are_encrypted_with_a_version_of_the_key(request, identity, waits_for, platform):
    built = request.getfixturevalue(platform)
    (cluster,) = built.of_type(CLUSTER)
    encryption = cluster.inputs["encryption"]["customerManagedKeyEncryption"]
    if platform == "house":
        assert encryption["keyEncryptionKeyUrl"] == "https://house-keys.vault.azure.net/keys/data/0123456789abcdef"
    else:
        key = built.named("azure-native:keyvault:Key", f"{built.platform.context.name}-key")
        assert f"/keys/{key.id.rpartition('/')[2]}/" in encryption["keyEncryptionKeyUrl"]
    user = identity(built, "encryption")
    assert encryption["keyEncryptionKeyIdentity"] == {
        "identityType": "userAssignedIdentity",
        "userAssignedIdentityResourceId": user,
    }
    assert cluster.inputs["identity"]["userAssignedIdentities"] == [user]
    assert "RoleAssignment use-key" in waits_for(built, cluster)


def test_the_latest_values_are_reached_by_tls_and_identities_only(streaming):
    (database,) = streaming.of_type(DATABASE)
    (cluster,) = streaming.of_type(CLUSTER)
    assert database.parent == cluster.urn
    assert database.inputs["clusterName"] == cluster.id.rpartition("/")[2]
    assert database.inputs["clientProtocol"] == "Encrypted"
    assert database.inputs["accessKeysAuthentication"] == "Disabled"
    assert database.inputs["port"] == 10000


@pytest.mark.parametrize("platform", ["streaming", "hybrid"])
def test_only_ingest_and_serving_come_to_the_latest_values(request, platform, named):
    built = request.getfixturevalue(platform)
    name = built.platform.context.name
    readers = {reader.name.removeprefix(f"{name}-"): reader.inputs for reader in built.of_type(READER)}
    routers = {"router-online"} if built.platform.serving.router else set()
    assert set(readers) == {"ingest-online", "serving-online"} | routers
    readers.pop("router-online", None)
    (cluster,) = built.of_type(CLUSTER)
    for part, reader in readers.items():
        purpose = part.removesuffix("-online")
        assert (reader["accessPolicyAssignmentName"], reader["accessPolicyName"]) == (purpose, "default")
        assert (reader["clusterName"], reader["databaseName"]) == (cluster.id.rpartition("/")[2], "default")
        zone = {"ingest": "raw", "serving": "features"}[purpose]
        grant = named(built, "azure-native:authorization:RoleAssignment", f"{name}-{purpose}-{zone}")
        assert reader["user"] == {"objectId": grant.inputs["principalId"]}


def test_identities_that_are_brought_along_are_their_owners_to_let_in(house):
    assert house.of_type(DATABASE)
    assert not house.of_type(READER)


def test_batch_keeps_features_but_serves_none(batch):
    assert batch.of_type(ENTITY)
    for token in (CLUSTER, DATABASE, READER):
        assert not batch.of_type(token)
    assert batch.platform.features.online is None
