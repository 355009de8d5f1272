"""The division of an online endpoint's traffic, declared once its deployments exist.

Traffic is a property of the endpoint and names deployments, which lie in the endpoint: neither can be made first with
all that it says, and Azure refuses an endpoint that sends traffic to what isn't there
(https://github.com/hashicorp/terraform-provider-azurerm/pull/32011 leaves traffic out for this reason). Nor can a
resource be declared twice. So the endpoint is made without traffic, and a template deployment writes the same endpoint
again with its traffic, after the deployments.

Whoever wrote the endpoint again without its traffic would take it away, and nobody would be answered until the template
came. So the endpoint itself is never changed once it is there (`LEFT_ALONE`): the template holds all that it has, and
each change of it goes in with its traffic, at once.
"""

from collections.abc import Mapping
from typing import Any

import pulumi

from ml_blueprints.azure import facts

SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"

# What the template changes, and the declaration of the endpoint doesn't.
LEFT_ALONE = ("properties", "identity", "tags")


def template(
    endpoint: Mapping[str, Any], properties: Mapping[str, Any], traffic: Mapping[str, int], mirrored: Mapping[str, int]
) -> dict[str, pulumi.Input[Any]]:
    """A template that writes an endpoint with its traffic, and what is mirrored.

    endpoint: the resource's own attributes in Azure's spelling: name, location, identity, tags. properties: those of
    the endpoint, without traffic. traffic, mirrored: percent of the requests, and of copies, by deployment.
    """
    return {
        "$schema": SCHEMA,
        "contentVersion": "1.0.0.0",
        "resources": [
            {
                "type": "Microsoft.MachineLearningServices/workspaces/onlineEndpoints",
                "apiVersion": facts.ML_API_VERSION,
                **endpoint,
                "properties": divided(properties, traffic, mirrored),
            }
        ],
    }


def divided(
    properties: Mapping[str, Any], traffic: Mapping[str, int], mirrored: Mapping[str, int]
) -> dict[str, pulumi.Input[Any]]:
    """An endpoint's properties with its traffic, whole: what isn't named gets none."""
    return {**properties, "traffic": dict(traffic), "mirrorTraffic": dict(mirrored)}
