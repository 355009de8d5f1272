"""Azure: resource ids, names, parents and what lies in them, references, what is replaced, and the functions."""

import uuid
from typing import Any

import pytest
from sandbox.provider.azure_native import SUBSCRIPTION, TENANT
from sandbox.provider.cloud import CloudError

GROUP_ID = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/ml"
STORAGE = {"resourceGroupName": "ml", "kind": "StorageV2", "sku": {"name": "Standard_LRS"}}
VAULT_PROPERTIES = {"tenantId": TENANT, "sku": {"family": "A", "name": "standard"}}

GROUP = "azure-native:resources:ResourceGroup"
ACCOUNT = "azure-native:storage:StorageAccount"
CONTAINER = "azure-native:storage:BlobContainer"
BLOB = "azure-native:storage:Blob"
VAULT = "azure-native:keyvault:Vault"
KEY = "azure-native:keyvault:Key"
NETWORK = "azure-native:network:VirtualNetwork"
SUBNET = "azure-native:network:Subnet"
ENDPOINT_OF_NETWORK = "azure-native:network:PrivateEndpoint"
IDENTITY = "azure-native:managedidentity:UserAssignedIdentity"
ASSIGNMENT = "azure-native:authorization:RoleAssignment"
WORKSPACE = "azure-native:machinelearningservices:Workspace"
ENDPOINT = "azure-native:machinelearningservices:OnlineEndpoint"
TEMPLATE = "azure-native:resources:Deployment"
DEPLOYMENT = "azure-native:machinelearningservices:OnlineDeployment"
COMPONENT_VERSION = "azure-native:machinelearningservices:ComponentVersion"
MODEL_VERSION = "azure-native:machinelearningservices:ModelVersion"


@pytest.fixture(autouse=True)
def group(azure):
    return azure.make(GROUP, {"resourceGroupName": "ml"}, "ml")


def test_ids_are_paths_from_the_subscription_down(azure, group) -> None:
    assert group.id == GROUP_ID
    account = azure.make(ACCOUNT, {**STORAGE, "accountName": "lake"})
    assert account.id == f"{GROUP_ID}/providers/Microsoft.Storage/storageAccounts/lake"
    container = azure.make(CONTAINER, {"resourceGroupName": "ml", "accountName": "lake", "containerName": "raw"})
    assert container.id == f"{account.id}/blobServices/default/containers/raw"
    workspace = azure.make(WORKSPACE, {"resourceGroupName": "ml", "workspaceName": "hub"})
    endpoint = azure.make(
        ENDPOINT,
        {
            "resourceGroupName": "ml",
            "workspaceName": "hub",
            "endpointName": "fraud",
            "properties": {"authMode": "Key"},
        },
    )
    assert endpoint.id == f"{workspace.id}/onlineEndpoints/fraud"


def test_outputs_follow_from_the_id(azure, group) -> None:
    assert group.outputs["type"] == "Microsoft.Resources/resourceGroups"
    assert group.outputs["location"] == "westeurope"
    account = azure.make(ACCOUNT, {**STORAGE, "accountName": "lake", "location": "northeurope"}).outputs
    assert account["type"] == "Microsoft.Storage/storageAccounts"
    assert account["location"] == "northeurope"
    assert account["primaryEndpoints"]["dfs"] == "https://lake.dfs.core.windows.net/"
    assert account["provisioningState"] == "Succeeded"
    vault = azure.make(VAULT, {"resourceGroupName": "ml", "vaultName": "safe", "properties": VAULT_PROPERTIES}).outputs
    assert vault["properties"]["vaultUri"] == "https://safe.vault.azure.net/"
    key = azure.make(
        KEY, {"resourceGroupName": "ml", "vaultName": "safe", "keyName": "lake", "properties": {"kty": "RSA"}}
    ).outputs
    assert key["keyUri"] == "https://safe.vault.azure.net/keys/lake"
    identity = azure.make(IDENTITY, {"resourceGroupName": "ml", "resourceName": "trainer"}).outputs
    assert identity["tenantId"] == TENANT
    assert uuid.UUID(identity["principalId"]) != uuid.UUID(identity["clientId"])


@pytest.mark.parametrize(
    ("type_", "inputs", "logical", "name"),
    [
        (GROUP, {}, "rg", "rga1b2c3d4"),
        (ACCOUNT, STORAGE, "Data-Lake", "datalakea1b2c3d4"),
        (ACCOUNT, STORAGE, "lake-with-a-very-long-name", "lakewithaverylona1b2c3d4"),
        (WORKSPACE, {"resourceGroupName": "ml"}, "hub", "huba1b2c3d4"),
        (
            VAULT,
            {"resourceGroupName": "ml", "properties": VAULT_PROPERTIES},
            "safe-for-model-secrets",
            "safe-for-model-sa1b2c3d4",
        ),
    ],
)
def test_auto_naming_adds_eight_digits_and_keeps_to_the_services_rules(
    azure, type_: str, inputs: dict[str, Any], logical: str, name: str
) -> None:
    assert azure.make(type_, inputs, logical).outputs["name"] == name


def test_the_generated_name_of_a_role_assignment_is_a_uuid(azure, group) -> None:
    identity = azure.make(IDENTITY, {"resourceGroupName": "ml"})
    inputs = {
        "scope": group.id,
        "principalId": identity.outputs["principalId"],
        "roleDefinitionId": f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/reader",
    }
    names = [azure.make(ASSIGNMENT, inputs, name).outputs["name"] for name in ("first", "second")]
    assert uuid.UUID(names[0]) != uuid.UUID(names[1])


@pytest.mark.parametrize("name", ["Lake", "la-ke", "l" * 25])
def test_a_name_against_the_services_rules_is_refused(azure, name: str) -> None:
    (refusal,) = azure.refusals(ACCOUNT, {**STORAGE, "accountName": name})
    assert refusal.startswith(f"accountName: `{name}` is not a legal name: at most 24 characters")


def test_a_name_that_is_taken_is_refused_in_any_spelling(azure) -> None:
    azure.make(IDENTITY, {"resourceGroupName": "ml", "resourceName": "trainer"})
    for group_name, name in (("ml", "trainer"), ("ML", "trainer"), ("ml", "Trainer")):
        with pytest.raises(CloudError, match=rf"/userAssignedIdentities/{name}` already exists$"):
            azure.make(IDENTITY, {"resourceGroupName": group_name, "resourceName": name})


def test_a_resource_needs_what_it_lies_in(azure) -> None:
    with pytest.raises(CloudError, match=r"^there is no `/subs.*/resourceGroups/none` in which `lake` could be made"):
        azure.make(ACCOUNT, {**STORAGE, "resourceGroupName": "none", "accountName": "lake"})
    with pytest.raises(CloudError, match=r"^there is no `.*/storageAccounts/none` in which `raw` could be made"):
        azure.make(CONTAINER, {"resourceGroupName": "ml", "accountName": "none", "containerName": "raw"})


def test_a_version_of_a_component_comes_into_being_in_its_workspace_without_a_container(azure) -> None:
    inputs = {"resourceGroupName": "ml", "workspaceName": "ml", "name": "train", "version": "1", "properties": {}}
    with pytest.raises(CloudError, match=r"^there is no `.*/workspaces/ml` in which"):
        azure.make(COMPONENT_VERSION, inputs)
    azure.make(WORKSPACE, {"resourceGroupName": "ml", "workspaceName": "ml"})
    assert azure.make(COMPONENT_VERSION, inputs).id.endswith("/workspaces/ml/components/train/versions/1")
    with pytest.raises(CloudError, match=r"^there is no `.*/models/boosting` in which"):
        azure.make(MODEL_VERSION, {**inputs, "name": "boosting"})


def test_a_group_is_named_in_any_spelling(azure) -> None:
    assert azure.make(IDENTITY, {"resourceGroupName": "ML", "resourceName": "trainer"}).id.startswith("/subscriptions/")


def test_what_lies_in_a_resource_disappears_with_it(azure, group) -> None:
    account = azure.make(ACCOUNT, {**STORAGE, "accountName": "lake"})
    container = azure.make(CONTAINER, {"resourceGroupName": "ml", "accountName": "lake", "containerName": "raw"})
    other = azure.make(ACCOUNT, {**STORAGE, "accountName": "lake2"})
    azure.delete(account)
    assert not azure.exists(container)
    assert azure.exists(other)
    azure.delete(group)
    assert azure.store.find() == []


@pytest.mark.parametrize(
    ("inputs", "path", "missing"),
    [
        (
            {"storageAccount": f"{GROUP_ID}/providers/Microsoft.Storage/storageAccounts/none"},
            "storageAccount",
            f"{GROUP_ID}/providers/Microsoft.Storage/storageAccounts/none".lower(),
        ),
        (
            {
                "encryption": {
                    "status": "Enabled",
                    "keyVaultProperties": {
                        "keyVaultArmId": "",
                        "keyIdentifier": "https://safe.vault.azure.net/keys/none",
                    },
                }
            },
            "encryption.keyVaultProperties.keyIdentifier",
            "https://safe.vault.azure.net/keys/none",
        ),
    ],
)
def test_a_reference_to_what_does_not_exist_is_refused_by_its_path(
    azure, inputs: dict[str, Any], path: str, missing: str
) -> None:
    azure.make(VAULT, {"resourceGroupName": "ml", "vaultName": "safe", "properties": VAULT_PROPERTIES})
    with pytest.raises(CloudError) as error:
        azure.make(WORKSPACE, {"resourceGroupName": "ml", **inputs})
    assert str(error.value) == f"{path}: there is nothing with the identifier `{missing}` on this cloud"


def test_references_to_what_exists_are_taken_in_any_spelling(azure) -> None:
    account = azure.make(ACCOUNT, {**STORAGE, "accountName": "lake"})
    azure.make(VAULT, {"resourceGroupName": "ml", "vaultName": "safe", "properties": VAULT_PROPERTIES})
    azure.make(KEY, {"resourceGroupName": "ml", "vaultName": "safe", "keyName": "k", "properties": {"kty": "RSA"}})
    azure.make(WORKSPACE, {"resourceGroupName": "ml", "storageAccount": account.id.upper(), "description": "hub"})


@pytest.mark.parametrize(
    "text",
    [
        f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/reader",
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups/NetworkWatcherRG/providers/Microsoft.Network/networkWatchers/w",
        "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/theirs",
        "https://example.com/keys",
        "https://theirs.vault.azure.net/keys/none",
    ],
)
def test_what_exists_by_itself_or_elsewhere_is_no_reference(azure, text: str) -> None:
    azure.make(WORKSPACE, {"resourceGroupName": "ml", "description": text})


def test_a_subnet_is_held_fast_by_the_private_endpoint_in_it(azure) -> None:
    azure.make(
        NETWORK,
        {"resourceGroupName": "ml", "virtualNetworkName": "net", "addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}},
    )
    subnet = azure.make(
        SUBNET,
        {
            "resourceGroupName": "ml",
            "virtualNetworkName": "net",
            "subnetName": "private",
            "addressPrefix": "10.0.1.0/24",
        },
    )
    endpoint = azure.make(ENDPOINT_OF_NETWORK, {"resourceGroupName": "ml", "subnet": {"id": subnet.id}})
    with pytest.raises(CloudError, match=r"can't be deleted: it is in use by azure-native:network:PrivateEndpoint"):
        azure.delete(subnet)
    azure.delete(endpoint)
    azure.delete(subnet)
    assert not azure.exists(subnet)


@pytest.mark.parametrize(
    ("type_", "property_", "replaced"),
    [
        (ACCOUNT, "accountName", True),
        (ACCOUNT, "resourceGroupName", True),
        (ACCOUNT, "location", True),
        (ACCOUNT, "minimumTlsVersion", False),
        (CONTAINER, "accountName", True),
        (CONTAINER, "publicAccess", False),
        (WORKSPACE, "description", False),
        (DEPLOYMENT, "endpointName", True),
        (ASSIGNMENT, "scope", True),
    ],
)
def test_what_is_part_of_the_path_is_replaced(azure, type_: str, property_: str, replaced: bool) -> None:
    difference = azure.plane.diff(azure.urn(type_), {property_: "old"}, {property_: "new"})
    assert bool(difference.replacing) is replaced
    assert difference.changes == {property_: "update"}


def test_a_type_of_which_the_form_of_the_id_is_not_known_is_refused(azure) -> None:
    (refusal,) = azure.refusals("azure-native:compute:VirtualMachine", {"resourceGroupName": "ml"})
    assert "does not know how Azure forms the id of azure-native:compute:VirtualMachine" in refusal


@pytest.mark.parametrize("keys", [True, False, None])
def test_a_blob_is_written_with_a_key_where_the_account_takes_one(azure, keys: bool | None) -> None:
    account = {**STORAGE, "accountName": "lake", **({} if keys is None else {"allowSharedKeyAccess": keys})}
    account_id = azure.make(ACCOUNT, account).id
    azure.make(CONTAINER, {"resourceGroupName": "ml", "accountName": "lake", "containerName": "raw"})
    blob = {"resourceGroupName": "ml", "accountName": "lake", "containerName": "raw", "blobName": "job.py"}
    if keys is False:
        with pytest.raises(CloudError, match=r"^403 KeyBasedAuthenticationNotPermitted: `.*/storageAccounts/lake`"):
            azure.make(BLOB, blob)
        return
    assert azure.make(BLOB, blob).id == f"{account_id}/blobServices/default/containers/raw/blobs/job.py"


def test_functions_know_the_client_and_the_keys_of_what_exists(azure) -> None:
    client, _ = azure.plane.invoke("azure-native:authorization:getClientConfig", {})
    assert (client["subscriptionId"], client["tenantId"]) == (SUBSCRIPTION, TENANT)
    azure.make(ACCOUNT, {**STORAGE, "accountName": "lake"})
    names = {"resourceGroupName": "ml", "accountName": "lake"}
    keys, _ = azure.plane.invoke("azure-native:storage:listStorageAccountKeys", names)
    assert len(keys["keys"][0]["value"]) == 43
    assert azure.plane.invoke("azure-native:storage:listStorageAccountKeys", names)[0] == keys


@pytest.mark.parametrize("function", ["listStorageAccountKeys", "getStorageAccount"])
def test_functions_refuse_what_does_not_exist(azure, function: str) -> None:
    arguments = {"resourceGroupName": "ml", "accountName": "none"}
    with pytest.raises(CloudError, match=rf"^azure-native:storage:{function}: there is no `.*/storageAccounts/none`$"):
        azure.plane.invoke(f"azure-native:storage:{function}", arguments)


def test_a_data_source_finds_what_exists_in_any_spelling(azure) -> None:
    account = azure.make(ACCOUNT, {**STORAGE, "accountName": "lake"})
    for group_name in ("ml", "ML"):
        arguments = {"resourceGroupName": group_name, "accountName": "lake"}
        result, _ = azure.plane.invoke("azure-native:storage:getStorageAccount", arguments)
        assert result["id"] == account.id


class Online:
    """A workspace with an online endpoint, as the tests below make and change it."""

    def __init__(self, azure):
        self.azure = azure
        self.place = {"resourceGroupName": "ml", "workspaceName": "hub"}
        azure.make(WORKSPACE, {**self.place}, "hub")
        self.endpoint = azure.make(
            ENDPOINT, {**self.place, "endpointName": "fraud", "properties": {"authMode": "AADToken"}}
        )

    def deployment(self, name: str):
        inputs = {**self.place, "endpointName": "fraud", "deploymentName": name}
        return self.azure.make(DEPLOYMENT, {**inputs, "properties": {"endpointComputeType": "Managed"}})

    def divide(self, traffic: dict[str, int], mirrored: dict[str, int] | None = None, endpoint: str = "fraud"):
        properties = {"authMode": "AADToken", "traffic": traffic, "mirrorTraffic": mirrored or {}}
        written = {"type": "Microsoft.MachineLearningServices/workspaces/onlineEndpoints", "name": f"hub/{endpoint}"}
        template = {"resources": [{**written, "properties": properties}]}
        inputs = {"resourceGroupName": "ml", "properties": {"mode": "Incremental", "template": template}}
        return self.azure.make(TEMPLATE, inputs, f"traffic-{uuid.uuid4().hex[:4]}")

    @property
    def properties(self) -> dict[str, Any]:
        return self.azure.plane.read(ENDPOINT, self.endpoint.id, {}).outputs["properties"]


@pytest.fixture
def online(azure) -> Online:
    return Online(azure)


def test_a_template_gives_an_endpoint_its_traffic_and_keeps_where_it_is_asked(online) -> None:
    online.deployment("one")
    online.divide({"one": 100})
    assert online.properties["traffic"] == {"one": 100}
    assert online.properties["scoringUri"] == online.endpoint.outputs["properties"]["scoringUri"]


@pytest.mark.parametrize(
    ("traffic", "mirrored", "refusal"),
    [
        ({"one": 50, "three": 50}, {}, "has no deployment `three`"),
        ({"one": 100}, {"three": 10}, "has no deployment `three`"),
        ({"one": 60, "two": 30}, {}, "adds up to 90"),
        ({"one": 100}, {"two": 51}, "mirrors 51%"),
        ({"one": 90, "two": 10}, {"two": 10}, "gets requests, and copies"),
    ],
)
def test_traffic_that_cannot_be_is_refused_and_what_was_there_stays(online, traffic, mirrored, refusal) -> None:
    for name in ("one", "two"):
        online.deployment(name)
    online.divide({"one": 100})
    with pytest.raises(CloudError, match=refusal):
        online.divide(traffic, mirrored)
    assert online.properties["traffic"] == {"one": 100}


def test_an_endpoint_cannot_be_made_with_traffic_for_what_is_to_come(azure, online) -> None:
    with pytest.raises(CloudError, match="has no deployment `blue`"):
        azure.make(
            ENDPOINT,
            {
                **online.place,
                "endpointName": "other",
                "properties": {"authMode": "Key", "traffic": {"blue": 100}},
            },
        )


def test_a_template_writes_no_endpoint_that_is_not_there(online) -> None:
    with pytest.raises(CloudError, match=r"there is no `.*/onlineEndpoints/lost`"):
        online.divide({}, endpoint="lost")


def test_a_deployment_stays_for_as_long_as_it_has_traffic_or_copies(azure, online) -> None:
    one, two = online.deployment("one"), online.deployment("two")
    online.divide({"one": 100}, {"two": 20})
    for deployment, has in ((one, "100% traffic"), (two, "20% mirrored traffic")):
        with pytest.raises(CloudError, match=f"can't be deleted: it has {has}"):
            azure.delete(deployment)
    online.divide({"two": 100})
    azure.delete(one)
    with pytest.raises(CloudError, match="it has 100% traffic"):
        azure.delete(two)
    azure.delete(online.endpoint)
    assert not azure.store.find(DEPLOYMENT)


@pytest.mark.parametrize(
    ("properties", "refusal"),
    [
        ({"sku": {"name": "StandardV2", "capacity": 1}, "virtualNetworkType": "Internal"}, "`StandardV2` can't be in"),
        ({"sku": {"name": "Developer", "capacity": 1}, "publicNetworkAccess": "Disabled"}, "needs a private endpoint"),
    ],
)
def test_an_api_management_that_cannot_be_placed_so_is_refused(azure, properties, refusal) -> None:
    token = "azure-native:apimanagement:ApiManagementService"
    inputs = {"resourceGroupName": "ml", "publisherName": "ml", "publisherEmail": "ml@example.com", **properties}
    (found,) = azure.refusals(token, inputs)
    assert refusal in found
