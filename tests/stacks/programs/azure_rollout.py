"""The online endpoints and the rollback of a workload on Azure, with as little around them as they take.

The stack's configuration and its workload file are those of `azure-hybrid`; a test edits the latter.
"""

from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pulumi
from ml_blueprints import capabilities, routing
from ml_blueprints.azure import containers
from ml_blueprints.azure.data import Data
from ml_blueprints.azure.foundation import Foundation
from ml_blueprints.azure.online_endpoint import OnlineEndpoint
from ml_blueprints.azure.rollback import Rollback, RollbackIdentity
from ml_blueprints.layers import Context
from ml_blueprints.settings import Purpose, Settings
from ml_blueprints.workload import Role, Workload
from pulumi_azure_native import (
    authorization,
    machinelearningservices,
    managedidentity,
    operationalinsights,
    resources,
)

settings = Settings.from_config()
workload = Workload.load(Path(__file__).parent / settings.workload)
register = capabilities.Register("azure", capabilities.asked_by(settings.architecture, workload))
context = Context(workload.name, workload, settings, register)

group = resources.ResourceGroup("platform")
serving = managedidentity.UserAssignedIdentity("serving", resource_group_name=group.name)
foundation = SimpleNamespace(
    context=context,
    resource_group=group,
    group=group.name,
    location="westeurope",
    subscription=authorization.get_client_config_output().subscription_id,
    log_workspace=operationalinsights.Workspace("logs", resource_group_name=group.name),
    user_identities={Purpose.SERVING: serving},
    identities={Purpose.SERVING: serving.id},
    own_identities={},
    granted=[],
    _roles={},
    child=pulumi.ResourceOptions,
)
for name in ("assign", "expect", "role", "role_definition", "identity", "keep_logs", "client"):
    setattr(foundation, name, partial(getattr(Foundation, name), foundation))

workspace = machinelearningservices.Workspace("ml", resource_group_name=group.name)
place = {"resource_group_name": group.name, "workspace_name": workspace.name}
data = SimpleNamespace(
    context=context,
    foundation=foundation,
    workspace=workspace,
    path=lambda zone, path: f"azureml://datastores/{zone}/paths/{path}",
    uri=lambda zone, path: f"abfss://{zone}@lake.dfs.core.windows.net/{path}",
)
data.catalogued = partial(Data.catalogued, data)
image = machinelearningservices.EnvironmentVersion(
    "image",
    name=machinelearningservices.EnvironmentContainer("image", name="image", properties={}, **place).name,
    version="1",
    properties={},
    **place,
)
development = SimpleNamespace(place=place, workspace=workspace, environment_version=image)
registered = {
    name: machinelearningservices.ModelContainer(name, name=name, properties={}, **place)
    for name in routing.grouped_by_name(workload.models)
}
models = {
    routing.deployment_name(model): machinelearningservices.ModelVersion(
        routing.deployment_name(model), name=registered[model.name].name, version=model.version, properties={}, **place
    )
    for model in routing.deployed(workload)
}


def online(behind: tuple[containers.Container, ...], tenant: str | None = None) -> OnlineEndpoint:
    """The endpoint of these containers."""
    return OnlineEndpoint(context, foundation, data, development, models, behind, {}, True, [], tenant)


endpoints = [online(containers.shared(workload))]
endpoints += [online(behind, tenant) for tenant, behind in containers.dedicated(workload).items()]
for endpoint in endpoints:
    who = RollbackIdentity(foundation, endpoint)
    if any(container.role is Role.CANARY for container in endpoint.containers):
        Rollback(context, foundation, who)
