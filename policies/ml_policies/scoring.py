"""Which resources score, as rules of several groups need to know it: their types, and what tells them from others."""

from collections.abc import Iterator, Mapping
from typing import Any

from ml_policies.checks import Check, Result, Scope, any_of, matches, present, some
from ml_policies.relations import where
from ml_policies.resource import Resource, Stack
from ml_policies.rule import Relation

AWS_ENDPOINT = "aws:sagemaker/endpoint:Endpoint"
AWS_CONFIGURATION = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
AWS_MODEL = "aws:sagemaker/model:Model"
AWS_PIPELINE = "aws:sagemaker/pipeline:Pipeline"
GCP_ENDPOINT = "gcp:vertex/aiEndpoint:AiEndpoint"
GCP_GARDEN_ENDPOINT = "gcp:vertex/aiEndpointWithModelGardenDeployment:AiEndpointWithModelGardenDeployment"
# Resources of ml_blueprints.dynamic.vertex_ai, which the provider lacks.
GCP_MODEL = "pulumi-python:dynamic/ml_blueprints:VertexModel"
GCP_DEPLOYMENT = "pulumi-python:dynamic/ml_blueprints:VertexDeployment"
GCP_SERVICE = "gcp:cloudrunv2/service:Service"
GCP_API_CONFIG = "gcp:apigateway/apiConfig:ApiConfig"
GCP_WORKFLOW = "gcp:workflows/workflow:Workflow"
AZURE_ENDPOINT = "azure-native:machinelearningservices:OnlineEndpoint"
AZURE_DEPLOYMENT = "azure-native:machinelearningservices:OnlineDeployment"
AZURE_BATCH_ENDPOINT = "azure-native:machinelearningservices:BatchEndpoint"
AZURE_SERVERLESS = "azure-native:machinelearningservices:ServerlessEndpoint"
AZURE_SCHEDULE = "azure-native:machinelearningservices:Schedule"
AZURE_WORKSPACE = "azure-native:machinelearningservices:Workspace"

# Cloud Run runs anything. A service scores when it is labelled with a model, or told of one by a variable's name.
serves_a_model: Check = any_of(
    present("labels.model"),
    some(
        "template.containers[].envs[]", matches("name", r"(?i)(.*_)?models?(_.*)?", "a model"), "a variable of a model"
    ),
)


def models_on(endpoint: Resource, stack: Stack) -> Iterator[Resource]:
    """The models that are deployed on an endpoint of Vertex AI."""
    for deployment in stack.dependents(endpoint, GCP_DEPLOYMENT):
        yield from stack.dependencies(deployment, GCP_MODEL)


def of_scorers(relation: Relation) -> Relation:
    """A relation that counts for services that score: they serve a model, and ask no other service that does."""
    counted = where(serves_a_model, relation)

    def judged(resource: Resource, stack: Stack, parameters: Mapping[str, Any]) -> Iterator[Result]:
        asked = stack.dependencies(resource, GCP_SERVICE)
        if all(list(serves_a_model(Scope(one, one.properties))) for one in asked):
            yield from counted(resource, stack, parameters)

    return judged
