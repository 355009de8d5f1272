"""The compiled pipelines of a workload as components of its workspace, each step once for all of them."""

from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi_azure_native import machinelearningservices

from ml_blueprints.azure import facts, pipeline_definition
from ml_blueprints.azure.pipeline_definition import Definition
from ml_blueprints.layers import Context


class RegisteredPipelines(pulumi.ComponentResource):
    """Command and pipeline components of a workspace.

    A version follows from its specification, so that another one is another version, and the old one stays in the runs
    that it made. The service makes the container of a component's versions with the first of them.

    steps, pipelines: the versions by name.
    """

    def __init__(
        self,
        context: Context,
        place: Mapping[str, pulumi.Output[str]],
        environment: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ):
        super().__init__("ml-blueprints:azure:RegisteredPipelines", context.logical("pipelines"), None, opts)
        self.context, self.place, self.environment = context, place, environment
        self.steps: dict[str, machinelearningservices.ComponentVersion] = {}
        self.pipelines: dict[str, machinelearningservices.ComponentVersion] = {}
        self.register_outputs({})

    def register(self, name: str) -> tuple[Definition, machinelearningservices.ComponentVersion]:
        """Register a pipeline by its name, such as `training`, with the steps that no other one has registered yet."""
        definition = Definition.parse(facts.PIPELINES.source(self.context.workload, name))
        for part, specification in definition.steps.items():
            if part not in self.steps:
                made = pipeline_definition.step(specification, self.environment)
                self.steps[part] = self._component(part, made)
        ids = {part: self.steps[part].id for part in definition.steps}
        whole = pipeline_definition.pipeline(definition.pipeline, ids)
        self.pipelines[name] = self._component(definition.pipeline["name"], whole)
        return definition, self.pipelines[name]

    def _component(self, name: str, specification: dict[str, Any]) -> machinelearningservices.ComponentVersion:
        context = self.context
        return machinelearningservices.ComponentVersion(
            context.logical(name.replace("_", "-")),
            name=name,
            version=pipeline_definition.version(specification),
            properties=machinelearningservices.ComponentVersionPropertiesArgs(
                component_spec=specification, description=f"{name} of {context.workload.name}", tags=context.tags
            ),
            opts=pulumi.ResourceOptions(parent=self),
            **self.place,
        )
