"""The division of an online endpoint's traffic, declared once its deployments exist.

Traffic is a property of the endpoint and names deployments, which lie in the endpoint: neither can be made first with
all that it says, and Azure refuses an endpoint that sends traffic to what isn't there
(https://github.com/hashicorp/terraform-provider-azurerm/pull/32011 leaves traffic out for this reason). Nor can a
resource be declared twice. So the endpoint is declared without traffic, and a template deployment writes the same
endpoint again with its traffic, after the deployments. Both are plain declarations: what stays the same is left alone.

An update of the endpoint itself writes it without traffic. The template therefore holds all properties of the endpoint:
whatever changes there changes the template too, and traffic follows in the same run.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from ml_blueprints import routing
from ml_blueprints.azure import facts
from ml_blueprints.workload import Model, Role

SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"


def shares(models: Sequence[Model], *roles: Role) -> dict[str, int]:
    """Deployment name to percent, for the models with one of these roles."""
    return {routing.deployment_name(model): model.traffic for model in models if model.role in roles}


def template(
    endpoint: Mapping[str, Any], properties: Mapping[str, Any], models: Sequence[Model]
) -> dict[str, pulumi.Input[Any]]:
    """A template that writes an endpoint with its traffic, and what is mirrored to shadows.

    endpoint: the resource's own attributes in Azure's spelling: name, location, identity, tags. properties: those of
    the endpoint, without traffic.
    """
    divided = {
        "traffic": shares(models, Role.CHAMPION, Role.CANARY),
        "mirrorTraffic": shares(models, Role.SHADOW),
    }
    return {
        "$schema": SCHEMA,
        "contentVersion": "1.0.0.0",
        "resources": [
            {
                "type": "Microsoft.MachineLearningServices/workspaces/onlineEndpoints",
                "apiVersion": facts.ML_API_VERSION,
                **endpoint,
                "properties": {**properties, **divided},
            }
        ],
    }
