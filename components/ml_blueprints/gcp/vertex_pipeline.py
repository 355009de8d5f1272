"""A compiled pipeline on Vertex AI: its definition as an object in Cloud Storage, and the workflow that runs it.

A run is the body of pipelineJobs.create
(https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.pipelineJobs). The source of a workflow
has at most 128 KB (https://cloud.google.com/workflows/quotas), so that it reads the definition when a run starts.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pulumi
import yaml
from pulumi_gcp import storage, workflows

from ml_blueprints.compiled_pipelines import NOTHING
from ml_blueprints.errors import BlueprintError, Problem
from ml_blueprints.gcp import facts
from ml_blueprints.gcp.foundation import Foundation
from ml_blueprints.gcp.pipeline_definition import PATIENCE, asked, waited, workflow
from ml_blueprints.layers import Context
from ml_blueprints.settings import Purpose
from ml_blueprints.workload import Workload

# The parameter that the workflow itself sets: the model of the registry that a run adds a version to.
PARENT = "parent_model"
# The parameter that says what this model is called.
REGISTERED_AS = "registered_as"

# How the search of a candidate begins among the executors of a pipeline.
_SEARCH = "exec-tune-"

# What failed, and where the verdict is that stopped a pipeline, is in the error of the run.
_ENDED = '${run.body.name + " ended as " + run.body.state + ": " + json.encode_to_string(map.get(run.body, "error"))}'


@dataclass(frozen=True)
class Run:
    """How a compiled pipeline runs: which one, under whose identity, in which image and network.

    root: URI of the folder for what its steps leave. told: its parameters; those that it doesn't have are left out.
    """

    pipeline: str
    identity: Purpose
    image: pulumi.Input[str]
    root: pulumi.Input[str]
    told: Mapping[str, pulumi.Input[str]]


class VertexPipeline(pulumi.ComponentResource):
    """`definition`: the object that holds the pipeline; `workflow`: runs it, and fails where it fails."""

    def __init__(
        self,
        part: str,
        context: Context,
        foundation: Foundation,
        code: storage.Bucket,
        run: Run,
        opts: pulumi.ResourceOptions | None = None,
        ready: Sequence[pulumi.Resource] = (),
    ):
        super().__init__("ml-blueprints:gcp:VertexPipeline", context.logical(part), None, opts)
        self.context, self.foundation = context, foundation
        specification = compiled(context.workload, run.pipeline)
        told = parameters(context.workload, run, specification)
        text = pulumi.Output.from_input(run.image).apply(
            lambda image: json.dumps(specification).replace(facts.RUNTIME_IMAGE, image)
        )
        self.definition = storage.BucketObject(
            context.logical(part),
            bucket=code.name,
            name=text.apply(lambda content: f"pipelines/{run.pipeline}-{_hash(content)}.json"),
            content=text,
            # A workflow takes apart by itself what comes as JSON.
            content_type="application/json",
            opts=self._child(),
        )
        self.workflow = workflows.Workflow(
            context.logical(part),
            region=foundation.region,
            description=f"Runs the {run.pipeline} pipeline of {context.workload.name}",
            service_account=foundation.identities[run.identity],
            source_contents=workflow(*self._steps(run, told)),
            crypto_key_name=foundation.key,
            call_log_level="LOG_ERRORS_ONLY",
            deletion_protection=False,
            labels=context.tags,
            opts=self._child(depends_on=[*foundation.ready, *ready]),
        )
        self.register_outputs({"workflow": self.workflow.id})

    def _child(self, **options: Any) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, **options)

    def _steps(self, run: Run, told: Mapping[str, pulumi.Input[str]]) -> list[dict[str, Any]]:
        """See to it that lineage is encrypted, find the model, read the definition, start it, and wait for its end."""
        region = self.foundation.region
        api = f"https://{region}-aiplatform.googleapis.com/v1/"
        parent = pulumi.Output.concat(api, "projects/", self.foundation.project, "/locations/", region)
        finds = self._find_model(parent, told[REGISTERED_AS]) if REGISTERED_AS in told else []
        definition = pulumi.Output.all(self.definition.bucket, self.definition.name).apply(
            lambda names: facts.OBJECTS_URL.format(bucket=names[0], path=quote(names[1], safe=""))
        )
        return [
            *self._metadata_store(parent),
            *finds,
            {"read": asked("http.get", {"url": definition}, "definition")},
            *self._start(parent, self._body(run, told)),
            *waited(asked("http.get", {"url": f'${{"{api}" + started}}'}, "run"), "run", "PIPELINE_STATE_", _ENDED),
        ]

    def _metadata_store(self, parent: pulumi.Output[str]) -> list[dict[str, Any]]:
        """A project's pipelines share one store in a region, which takes a key only when it is made, before any runs.

        No stack can own what a project has once. https://cloud.google.com/vertex-ai/docs/ml-metadata/configure
        """
        stores = pulumi.Output.concat(parent, "/metadataStores")
        store = pulumi.Output.concat(stores, "/default")
        body = {"encryptionSpec": {"kmsKeyName": self.foundation.key}}
        create = {"url": stores, "query": {"metadataStoreId": "default"}, "body": body}
        return [
            {
                "find_store": {
                    **asked("http.get", {"url": store}, "store"),
                    "except": {
                        "as": "missing",
                        "steps": [
                            _raised_unless(404, "missing"),
                            {"make_store": asked("http.post", create, "store")},
                            {"wait_for_store": {"call": "sys.sleep", "args": {"seconds": PATIENCE}}},
                        ],
                    },
                }
            }
        ]

    def _find_model(self, parent: pulumi.Output[str], name: pulumi.Input[str]) -> list[dict[str, Any]]:
        """The model of the registry that has this name; a version of a model must be told which one it is of."""
        query = {"filter": pulumi.Output.concat('display_name="', name, '"')}
        models = {"url": pulumi.Output.concat(parent, "/models"), "query": query}
        return [
            {"first": {"assign": [{PARENT: NOTHING}]}},
            {"find_model": asked("http.get", models, "found")},
            {
                "another": {
                    "switch": [
                        {
                            "condition": '${"models" in found.body}',
                            "steps": [{"take": {"assign": [{PARENT: "${found.body.models[0].name}"}]}}],
                        }
                    ]
                }
            },
        ]

    def _start(self, parent: pulumi.Output[str], body: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Start a run whose id is that of the execution, so that a request that is repeated starts nothing anew."""
        runs = pulumi.Output.concat(parent, "/pipelineJobs")
        name = pulumi.Output.concat(
            *("projects/", self.foundation.project, "/locations/", self.foundation.region, "/pipelineJobs/")
        )
        return [
            {
                "name": {
                    "assign": [
                        {"id": '${"run-" + sys.get_env("GOOGLE_CLOUD_WORKFLOW_EXECUTION_ID")}'},
                        {"started": pulumi.Output.concat('${"', name, '" + id}')},
                    ]
                }
            },
            {
                "start": {
                    **asked("http.post", {"url": runs, "query": {"pipelineJobId": "${id}"}, "body": body}, "run"),
                    "except": {
                        "as": "refused",
                        "steps": [_raised_unless(409, "refused")],
                    },
                }
            },
        ]

    def _body(self, run: Run, told: Mapping[str, pulumi.Input[str]]) -> dict[str, Any]:
        foundation = self.foundation
        found = {PARENT: f"${{{PARENT}}}"} if REGISTERED_AS in told else {}
        return {
            "displayName": f"{self.context.name}-{run.pipeline}",
            "labels": self.context.tags,
            "pipelineSpec": "${definition.body}",
            "runtimeConfig": {
                "gcsOutputDirectory": run.root,
                "parameterValues": {**told, **found},
                "failurePolicy": "PIPELINE_FAILURE_POLICY_FAIL_FAST",
            },
            "encryptionSpec": {"kmsKeyName": foundation.key},
            "serviceAccount": foundation.identities[run.identity],
            "pscInterfaceConfig": {"networkAttachment": foundation.network_component.attachment.id},
        }


def compiled(workload: Workload, pipeline: str) -> dict[str, Any]:
    """A pipeline of the workload as KFP compiled it. Raises BlueprintError for what isn't such a thing."""
    text = facts.PIPELINES.source(workload, pipeline)
    try:
        found = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 (a SafeLoader)
    except yaml.YAMLError as error:
        raise _wrong(workload, f"{pipeline}.yaml", f"YAML is expected: {error}") from None
    if not isinstance(found, dict) or "deploymentSpec" not in found or "root" not in found:
        raise _wrong(
            workload, f"{pipeline}.yaml", "a pipeline as KFP compiles it is expected; `make compile` writes it"
        )
    return found


def candidates(specification: Mapping[str, Any]) -> list[str]:
    """What a training pipeline chooses from, as its searches are called."""
    executors = specification["deploymentSpec"].get("executors", {})
    return [name.removeprefix(_SEARCH) for name in executors if name.startswith(_SEARCH)]


def parameters(workload: Workload, run: Run, specification: Mapping[str, Any]) -> dict[str, pulumi.Input[str]]:
    """What a run tells the pipeline. Raises BlueprintError for what it must be told and a stack doesn't know."""
    asks = specification["root"].get("inputDefinitions", {}).get("parameters", {})
    unknown = [name for name, one in asks.items() if name not in run.told and "defaultValue" not in one]
    if unknown:
        right = f"a stack knows {', '.join(sorted(run.told))}; give `{unknown[0]}` a default"
        raise _wrong(workload, f"{run.pipeline}.yaml: parameter `{unknown[0]}`", right)
    return {name: run.told[name] for name in asks if name in run.told}


def _raised_unless(code: int, error: str) -> dict[str, Any]:
    """A step of a workflow that raises an error again, but for the answer of a service that is looked for."""
    condition = f'${{map.get({error}, "code") != {code}}}'
    return {f"unless_{code}": {"switch": [{"condition": condition, "steps": [{error: {"raise": f"${{{error}}}"}}]}]}}


def _wrong(workload: Workload, found: str, right: str) -> BlueprintError:
    return BlueprintError(f"workload {workload.name} on gcp", [Problem("pipelines", found, right)])


def _hash(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()[:16]
