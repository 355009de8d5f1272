"""Who brings a whole stack up on Azure: all that it needs, nothing beside the stack, and no way to more."""

import asyncio
import functools
import re
from collections.abc import Callable
from typing import Any

import pytest
from ml_blueprints.azure import deploy_rights
from ml_blueprints.azure.deploy_rights import Grant
from ml_policies.azure_conditions import Request, read
from ml_policies.policy_documents import glob
from sandbox.provider.azure_native import PATHS
from tests.components.conftest import PEOPLE
from tests.components.test_conformance import PATTERNS

GRANT = "azure-native:authorization:RoleAssignment"
ROLE = "azure-native:authorization:RoleDefinition"
GROUP = "azure-native:resources:ResourceGroup"
IDENTITY = "azure-native:managedidentity:UserAssignedIdentity"
CREDENTIAL = "azure-native:managedidentity:FederatedIdentityCredential"
ACCOUNT = "azure-native:storage:StorageAccount"
CONTAINER = "azure-native:storage:BlobContainer"
ASSIGNMENTS = "Microsoft.Authorization/roleAssignments"
BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
IDENTITIES = "Microsoft.ManagedIdentity/userAssignedIdentities"
STACKS = ["streaming", "batch", "hybrid", "house", "hybrid_house", "other"]

CHAMPION = {"name": "gradient-boosting", "version": "1.2.0", "role": "champion", "traffic": 100}

# What built-in roles hold, on resources and on data.
# https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
BUILT_IN = {
    "acdd72a7-3385-48ef-bd42-f606fba81ae7": (["*/read"], []),
    "f58310d9-a9f6-439a-9e8d-f62e7b41a168": (
        [f"{ASSIGNMENTS}/write", f"{ASSIGNMENTS}/delete", "*/read", "Microsoft.Support/*"],
        [],
    ),
    "f1a07417-d97a-45cb-824c-7a7467783830": (
        [
            f"{IDENTITIES}/*/read",
            f"{IDENTITIES}/*/assign/action",
            "Microsoft.Authorization/*/read",
            "Microsoft.Insights/alertRules/*",
            "Microsoft.Resources/subscriptions/resourceGroups/read",
            "Microsoft.Resources/deployments/*",
            "Microsoft.Support/*",
        ],
        [],
    ),
    "8311e382-0749-4cb8-b61a-304f252e45ec": (
        ["Microsoft.ContainerRegistry/registries/pull/read", "Microsoft.ContainerRegistry/registries/push/write"],
        [],
    ),
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": (
        [
            "Microsoft.Storage/storageAccounts/blobServices/containers/delete",
            "Microsoft.Storage/storageAccounts/blobServices/containers/read",
            "Microsoft.Storage/storageAccounts/blobServices/containers/write",
            "Microsoft.Storage/storageAccounts/blobServices/generateUserDelegationKey/action",
        ],
        [f"{BLOBS}/delete", f"{BLOBS}/read", f"{BLOBS}/write", f"{BLOBS}/move/action", f"{BLOBS}/add/action"],
    ),
}


@functools.cache
def _pattern(action: str) -> re.Pattern[str]:
    return glob(action.lower())


@pytest.fixture
def may(principal) -> Callable:
    """Whether the deployer may do something with a resource (its id), or its data; other words are of the request."""

    def find(built, operation: str, on: str, data: bool = False, **said: str) -> bool:
        held = {role: (actions, on_data)[data] for role, (actions, on_data) in BUILT_IN.items()}
        for role in built.of_type(ROLE):
            (permission,) = role.inputs["permissions"]
            held[role.id.rpartition("/")[2]] = permission.get("dataActions" if data else "actions", [])
        source = "resource" if operation.endswith("/delete") else "request"
        request = Request(
            operation, {f"{source}[{ASSIGNMENTS.lower()}:{name.lower()}]": value for name, value in said.items()}
        )
        return any(
            f"{on}/".lower().startswith(f"{grant.inputs['scope']}/".lower())
            and any(
                _pattern(action).fullmatch(operation.lower())
                for action in held[grant.inputs["roleDefinitionId"].rpartition("/")[2]]
            )
            and ("condition" not in grant.inputs or read(grant.inputs["condition"]).lets(request) is True)
            for grant in built.of_type(GRANT)
            if grant.inputs["principalId"] == principal(built, "deployer")
        )

    return find


def kind(type_: str) -> str:
    """A type as Resource Manager names it, from the form of its ids."""
    namespace, *names = PATHS[type_].rpartition("/providers/")[2].split("/")
    if type_ == GROUP:
        return "Microsoft.Resources/subscriptions/resourceGroups"
    types = names[::2]
    return "/".join((namespace, *types)).replace("{recordType}", "A")


def of_stack(built) -> list[Any]:
    return [one for one in built.resources if one.custom and one.type.startswith("azure-native:")]


@pytest.fixture
def promoting(once):
    return once("churn", environment="staging", promotes_to=["0b1c2d3e-4f50-4617-8293-a4b5c6d7e8f9"])


@pytest.fixture
def every(once, streaming, batch, hybrid, house, hybrid_house, other, promoting) -> list[Any]:
    """Platforms that have each option in one of them."""
    patterns = [once(workload, changes, **settings) for workload, changes, settings in PATTERNS.values()]
    return [streaming, batch, hybrid, house, hybrid_house, other, promoting, *patterns]


def test_there_are_rights_for_every_type_that_stacks_have(every):
    found = {one.type.removeprefix("azure-native:") for built in every for one in of_stack(built)}
    told = [
        set(deploy_rights.RIGHTS),
        set(deploy_rights.WATCHER_RIGHTS),
        deploy_rights.ADMINISTRATORS,
        deploy_rights.CONDITIONAL,
    ]
    assert found == set().union(*told)
    assert len(found) == sum(map(len, told))


def test_it_reads_and_changes_all_that_a_stack_has_but_who_may_do_what(every, may):
    for built in every:
        name, access = built.platform.context.name, built.platform.delivery.access_group
        own = {f"{name}-deployer", f"{name}-auditor", f"{name}-access"}
        assert access is not None
        for one in of_stack(built):
            if "/resourceGroups/house/" in one.id:
                # What is brought along is its owner's.
                continue
            operation = kind(one.type)
            assert may(built, f"{operation}/read", one.id), one.id
            if one.type.removeprefix("azure-native:") in deploy_rights.ADMINISTRATORS or one.name in own:
                assert not may(built, f"{operation}/write", one.id), one.id
                assert not may(built, f"{operation}/delete", one.id), one.id
            elif one.type != GRANT:
                assert may(built, f"{operation}/write", one.id), one.id


@pytest.mark.parametrize("platform", STACKS)
def test_it_gives_the_roles_that_the_stack_gives_and_takes_them_back(request, platform, may, principal):
    built = request.getfixturevalue(platform)
    own = {principal(built, "deployer"), principal(built, "auditor")}
    given = [one for one in built.of_type(GRANT) if "/resourceGroups/house/" not in one.id]
    assert {one.inputs["principalId"] for one in given} > own
    for grant in given:
        said = {
            "roleDefinitionId": grant.inputs["roleDefinitionId"].rpartition("/")[2],
            "principalId": grant.inputs["principalId"],
            "principalType": grant.inputs["principalType"],
        }
        platforms = grant.inputs["principalId"] not in own
        assert may(built, f"{ASSIGNMENTS}/write", grant.id, **said) is platforms, grant.name
        assert may(built, f"{ASSIGNMENTS}/delete", grant.id, **said) is platforms, grant.name


@pytest.fixture
def rights(granted, principal) -> Callable:
    """What is an administrator's: roles, identities, trust, who may get which role, and all that the deployer has."""

    def find(built) -> dict[str, Any]:
        names = {role.id.rpartition("/")[2]: role.name for role in built.of_type(ROLE)}
        parts = [one.name.removeprefix(f"{built.platform.context.name}-") for one in built.of_type(IDENTITY)]
        identities = {principal(built, part): part for part in parts}
        resolve = asyncio.get_event_loop().run_until_complete
        given = [resolve(one.future()) for one in built.platform.foundation.granted]
        return {
            "roles": {one.name: one.inputs["permissions"] for one in built.of_type(ROLE)},
            "trust": {one.name: one.inputs["subject"] for one in built.of_type(CREDENTIAL)},
            "given": {(names.get(one.role, one.role), identities.get(one.principal, "people")) for one in given},
            "own": {part: granted(built, part) for part in ("deployer", "auditor")},
        }

    return find


@pytest.mark.parametrize(
    "changes",
    [
        {"models": [CHAMPION | {"version": "9.0.0"}]},
        {"models": [CHAMPION | {"name": "another"}, CHAMPION | {"version": "9.0.0", "role": "shadow", "traffic": 10}]},
        {"models": [CHAMPION | {"traffic": 90}, CHAMPION | {"version": "9.0.0", "role": "canary", "traffic": 10}]},
        {"serving": {"size": "large", "replicas": {"minimum": 3, "maximum": 9}}},
        {
            "monitoring": {
                "latency_objective_ms": 200,
                "drift": {"metric": "population_stability_index", "threshold": 0.3, "schedule": "0 3 * * *"},
            }
        },
    ],
)
def test_no_promotion_and_no_size_is_an_administrators(streaming, once, rights, changes):
    built = once("fraud_detection", changes)
    assert rights(built) == rights(streaming)


def test_nor_are_people_with_notebooks(streaming, once, rights):
    people = {"ada": PEOPLE["azure"], "grace": "6f3a1c52-9d0e-4b7a-8c61-2f5e0d7b9a35"}
    built = once("fraud_detection", workbench_users=people)
    assert len(built.of_type(GRANT)) == len(streaming.of_type(GRANT)) + 1
    assert rights(built) == rights(streaming)


def test_a_canary_gets_a_way_back_by_roles_that_the_deployer_gives(hybrid, may, principal):
    for grant in (one for one in hybrid.of_type(GRANT) if one.name.startswith("delivery-eta-rollback-")):
        said = {
            "roleDefinitionId": grant.inputs["roleDefinitionId"].rpartition("/")[2],
            "principalId": principal(hybrid, "rollback"),
            "principalType": "ServicePrincipal",
        }
        assert may(hybrid, f"{ASSIGNMENTS}/write", grant.id, **said)


def test_a_tenant_with_instances_of_its_own_is(hybrid, once, rights):
    assert rights(once("delivery_eta", {"serving": {"tenants": []}})) != rights(hybrid)


def test_it_gives_no_other_role_and_nobody_else_one(streaming, may, principal):
    group = streaming.named(GROUP, "fraud-detection-platform").id
    training, serving = principal(streaming, "training"), principal(streaming, "serving")
    blobs, contributor, pull = (
        "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
        "b24988ac-6180-42a0-ab88-20f7382dd24c",
        "7f951dda-4ed3-4680-a7ca-43fe172d538d",
    )

    def gives(role: str, principal_: str, kind_: str = "ServicePrincipal") -> bool:
        said = {"roleDefinitionId": role, "principalId": principal_, "principalType": kind_}
        return may(streaming, f"{ASSIGNMENTS}/write", f"{group}/providers/x", **said)

    assert gives(blobs, training)
    assert gives(contributor, principal(streaming, "workspaces"))
    assert not gives(contributor, training)
    for role in (blobs, contributor, pull, *BUILT_IN):
        for other in (principal(streaming, "deployer"), principal(streaming, "auditor")):
            assert not gives(role, other)
    for role in ("8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "f58310d9-a9f6-439a-9e8d-f62e7b41a168"):
        assert not gives(role, training)
    stranger = "99999999-9999-4999-8999-999999999999"
    assert not gives(blobs, stranger)
    assert not gives(blobs, stranger, "User")
    assert not gives("acdd72a7-3385-48ef-bd42-f606fba81ae7", serving)


def test_people_open_notebooks_and_get_no_other_role(streaming, may):
    ada = streaming.named(GRANT, "fraud-detection-ada-opens")
    opens = ada.inputs["roleDefinitionId"].rpartition("/")[2]
    said = {"principalId": "99999999-9999-4999-8999-999999999999", "principalType": "User"}
    assert may(streaming, f"{ASSIGNMENTS}/write", ada.id, roleDefinitionId=opens, **said)
    assert may(streaming, f"{ASSIGNMENTS}/delete", ada.id, roleDefinitionId=opens, **said)
    explore = streaming.named(ROLE, "fraud-detection-explore").id.rpartition("/")[2]
    assert not may(streaming, f"{ASSIGNMENTS}/write", ada.id, roleDefinitionId=explore, **said)


def test_it_changes_neither_roles_nor_trust_nor_itself(streaming, may):
    role = streaming.named(ROLE, "fraud-detection-deploy").id
    trust = streaming.named(CREDENTIAL, "fraud-detection-deployer").id
    training = streaming.named(IDENTITY, "fraud-detection-training").id
    online = streaming.named("azure-native:redisenterprise:Database", "fraud-detection-online").id
    trusts = f"{IDENTITIES}/federatedIdentityCredentials"
    for operation, on in [
        ("Microsoft.Authorization/roleDefinitions/write", role),
        ("Microsoft.Authorization/roleDefinitions/delete", role),
        ("Microsoft.Authorization/policyAssignments/write", role),
        ("Microsoft.Authorization/elevateAccess/action", role),
        ("Microsoft.Authorization/locks/delete", role),
        (f"{trusts}/write", trust),
        (f"{trusts}/delete", trust),
        (
            "Microsoft.Cache/redisEnterprise/databases/accessPolicyAssignments/write",
            f"{online}/accessPolicyAssignments/x",
        ),
        # Nor does it let anybody sign in as an identity of the platform.
        (f"{trusts}/write", f"{training}/federatedIdentityCredentials/x"),
    ]:
        assert not may(streaming, operation, on), operation


def test_it_attaches_the_platforms_identities_and_neither_its_own_nor_the_auditors(hybrid, may):
    # The built-in role spells it with a wildcard before.
    attach = f"{IDENTITIES}/x/assign/action"
    attached = {one.name for one in hybrid.of_type(IDENTITY) if may(hybrid, attach, one.id)}
    every_one = {one.name for one in hybrid.of_type(IDENTITY)}
    assert every_one - attached == {"delivery-eta-deployer", "delivery-eta-auditor"}


def test_its_identities_lie_where_its_rights_do_not_reach(streaming):
    group = streaming.named(GROUP, "fraud-detection-platform").id
    access = streaming.named(GROUP, "fraud-detection-access").id
    assert not access.startswith(f"{group}/")
    for part in ("deployer", "auditor"):
        assert streaming.named(IDENTITY, f"fraud-detection-{part}").id.startswith(f"{access}/")
        assert streaming.named(CREDENTIAL, f"fraud-detection-{part}").id.startswith(f"{access}/")


def test_it_does_nothing_beside_the_stack(streaming, may):
    subscription = streaming.named(GROUP, "fraud-detection-platform").id.partition("/resourceGroups/")[0]
    beside = [
        f"{subscription}/resourceGroups/other/providers/Microsoft.Storage/storageAccounts/x",
        f"{subscription}/resourceGroups/NetworkWatcherRG/providers/Microsoft.Network/networkWatchers/x/flowLogs/other",
        subscription,
    ]
    operations = {action for needed in deploy_rights.RIGHTS.values() for action in needed}
    for on in beside:
        for operation in (*operations, "Microsoft.Network/networkWatchers/flowLogs/write", f"{ASSIGNMENTS}/write"):
            assert not may(streaming, operation, on), (operation, on)


def test_the_group_of_a_stack_stays(streaming, may):
    group = streaming.named(GROUP, "fraud-detection-platform").id
    assert may(streaming, "Microsoft.Resources/subscriptions/resourceGroups/write", group)
    assert not may(streaming, "Microsoft.Resources/subscriptions/resourceGroups/delete", group)


def test_it_sees_no_data_and_no_key_beside_its_states(streaming, may):
    for container in streaming.of_type(CONTAINER):
        states = container.name == "fraud-detection-state"
        for operation in ("read", "write", "add/action", "delete"):
            assert may(streaming, f"{BLOBS}/{operation}", container.id, data=True) is states, container.name
    for account in streaming.of_type(ACCOUNT):
        for operation in ("listKeys/action", "listAccountSas/action", "regenerateKey/action"):
            assert not may(streaming, f"Microsoft.Storage/storageAccounts/{operation}", account.id)
    for operation, type_ in [
        ("Microsoft.KeyVault/vaults/secrets/getSecret/action", "azure-native:keyvault:Vault"),
        ("Microsoft.KeyVault/vaults/secrets/write", "azure-native:keyvault:Vault"),
        ("Microsoft.KeyVault/vaults/keys/delete", "azure-native:keyvault:Vault"),
        ("Microsoft.EventHub/namespaces/authorizationRules/listkeys/action", "azure-native:eventhub:Namespace"),
        ("Microsoft.EventHub/namespaces/messages/receive/action", "azure-native:eventhub:Namespace"),
        ("Microsoft.Cache/redisEnterprise/databases/listKeys/action", "azure-native:redisenterprise:Database"),
        (
            "Microsoft.MachineLearningServices/workspaces/listKeys/action",
            "azure-native:machinelearningservices:Workspace",
        ),
        (
            "Microsoft.MachineLearningServices/workspaces/datastores/listSecrets/action",
            "azure-native:machinelearningservices:Workspace",
        ),
        (
            "Microsoft.MachineLearningServices/workspaces/onlineEndpoints/score/action",
            "azure-native:machinelearningservices:OnlineEndpoint",
        ),
    ]:
        for one in streaming.of_type(type_):
            assert not may(streaming, operation, one.id), operation
            assert not may(streaming, operation, one.id, data=True), operation


def test_a_preview_asks_for_the_addresses_of_workflows(hybrid, may):
    workflows = hybrid.of_type("azure-native:logic:Workflow")
    assert workflows
    for one in workflows:
        assert may(hybrid, "Microsoft.Logic/workflows/triggers/listCallbackUrl/action", one.id)


def test_it_submits_runs_pushes_images_and_shares_models(promoting, may):
    (registry,) = promoting.of_type("azure-native:containerregistry:Registry")
    (shared,) = promoting.of_type("azure-native:machinelearningservices:Registry")
    workspace = promoting.named(
        "azure-native:machinelearningservices:Workspace", f"ml-{promoting.platform.context.token}"
    )
    assert may(promoting, "Microsoft.ContainerRegistry/registries/push/write", registry.id)
    assert may(promoting, "Microsoft.MachineLearningServices/registries/assets/write", shared.id)
    assert may(promoting, "Microsoft.MachineLearningServices/workspaces/experiments/runs/submit/action", workspace.id)


def test_of_an_experiment_it_has_states_until_it_is_over(once, named):
    built = once(
        "churn",
        environment="experiment",
        experiment={"expires_on": "2027-02-28", "monthly_usd": 500, "classification": "confidential"},
    )
    grant = named(built, GRANT, "churn-deployer-states").inputs
    assert grant["conditionVersion"] == "2.0"
    assert "@Environment[UtcNow] DateTimeLessThan '2027-03-01T00:00:00.0Z'" in grant["condition"]
    condition = read(grant["condition"])
    # The time decides of each of these, and of nothing else.
    for operation in ("read", "write", "add/action", "delete"):
        assert condition.lets(Request(f"{BLOBS}/{operation}", {})) not in (True, False)
    assert condition.lets(Request("Microsoft.Storage/storageAccounts/blobServices/containers/read", {})) is True
    assert "condition" not in named(built, GRANT, "churn-auditor-states").inputs


def test_elsewhere_states_have_no_end(streaming, named):
    assert "condition" not in named(streaming, GRANT, "fraud-detection-deployer-states").inputs


@pytest.mark.parametrize("platform", STACKS)
def test_what_it_holds_is_within_azures_limits(request, platform):
    built = request.getfixturevalue(platform)
    name = built.platform.context.name
    roles = [one for one in built.of_type(ROLE) if one.name.startswith(f"{name}-deploy")]
    assert len(roles) == (1 if built.platform.context.settings.network.existing_network else 2)
    group = built.named(GROUP, f"{name}-platform").id
    for role in roles:
        assert role.inputs["scope"] == group
        assert len(role.inputs["roleName"]) <= 512
        (permission,) = role.inputs["permissions"]
        assert "dataActions" not in permission
        # Nothing but reading is for whatever there is.
        wide = [action for action in permission["actions"] if "*" in action]
        assert wide == ["*/read"]
    (grant,) = [one for one in built.of_type(GRANT) if one.name == f"{name}-deployer-roles"]
    assert len(grant.inputs["condition"]) <= 8192
    assert grant.inputs["conditionVersion"] == "2.0"


def test_a_condition_that_azure_would_refuse_is_refused():
    many = [
        Grant(f"{number:08}-0000-4000-8000-000000000000", f"{number:08}-1111-4000-8000-000000000000")
        for number in range(60)
    ]
    with pytest.raises(ValueError, match="8192 may be"):
        deploy_rights.only(many)


def test_what_realises_it_is_the_role(every):
    for built in every:
        assert built.platform.delivery.deploys.role is not None
        assert "stack-deployment" in built.platform.capabilities
