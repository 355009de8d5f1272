"""`python -m ml_pipelines.platforms.vertexai`: writes the pipelines of all workloads as Vertex AI takes them.

Each is compiled by KFP. A step is a lightweight Python component in the runtime image, which KFP's own local runner
executes, too; a search is a job of Vertex AI's tuner; a verdict is a condition with a branch that fails; what is
registered is a version in Vertex AI's model registry. The files are committed, so that a preview imports no SDK; a test
compiles them again and compares. `--check` writes nothing, and fails if a file would change.

What only a stack knows comes in as parameters, but for the image, which it puts where RUNTIME_IMAGE stands.
"""

import inspect
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from google_cloud_pipeline_components import _placeholders as vertex
from google_cloud_pipeline_components.types.artifact_types import UnmanagedContainerModel, VertexModel
from google_cloud_pipeline_components.v1.model import ModelUploadOp
from kfp import compiler, dsl
from kfp.dsl.base_component import BaseComponent

from ml_pipelines import compiled_files
from ml_pipelines.platforms import vertexai_components as components
from ml_pipelines.platforms.graph import From, Given, Graph, Parameter, Pipeline, Step, graph
from ml_pipelines.platforms.vertexai_components import RUNTIME_IMAGE
from ml_pipelines.tasks import TASKS

FOLDER = Path(__file__).parent / "compiled" / "vertexai"

# What a step runs on, by its module: CPUs and memory. Vertex AI takes the smallest machine that has so much.
# https://cloud.google.com/vertex-ai/docs/pipelines/machine-types
MACHINES: Mapping[str, tuple[str, str]] = dict.fromkeys(
    ("collect", "prepare", "trial", "train", "evaluate"), ("4", "16G")
)
_SMALL = ("2", "8G")
# A step that fails is run once more, a minute later.
_RETRIES, _BACKOFF = 1, "60s"

# The folder that isn't given but exported from BigQuery, where all events are.
_ARCHIVE = "archive"

_PURPOSES = {
    Pipeline.TRAINING: "Trains the best of its candidates, and registers it if the gates let it pass.",
    Pipeline.RETRAINING: "Trains the model in use again, and registers it if it is no worse.",
    Pipeline.BATCH_SCORING: "Scores all that is due with the model in use.",
}


def parameters(one: Graph) -> dict[str, str | None]:
    """What a pipeline is told when it starts, with what each is by default; None, and first, where it must be told."""
    told: dict[str, str | None] = {"table": None, "arrival": "publish_time"}
    told |= {name: None for name in one.givens if name != _ARCHIVE}
    told |= one.parameters
    if any(step.trials for step in one.steps):
        told |= {"network_attachment": None, "tensorboard": None, "strategy": "STANDARD"}
    if one.registers:
        told |= {"models": None, "registered_as": str(one.task.workload), "parent_model": "none"}
    if one.name is Pipeline.BATCH_SCORING:
        told |= {"predictions": None}
    return dict(sorted(told.items(), key=lambda item: item[1] is not None))


def pipeline(one: Graph) -> BaseComponent:
    """A pipeline of a workload, as KFP compiles it."""
    told = parameters(one)

    def body(*values: Any) -> None:
        _Tasks(one, dict(zip(told, values, strict=True))).make()

    # KFP reads a pipeline's parameters from its signature.
    body.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(
                name,
                inspect.Parameter.POSITIONAL_OR_KEYWORD,
                default=inspect.Parameter.empty if default is None else default,
                annotation=str,
            )
            for name, default in told.items()
        ]
    )
    made = dsl.pipeline(
        name=f"{one.task.workload}-{one.name}", description=f"{one.task.sentence} {_PURPOSES[one.name]}"
    )
    return made(body)


def write(one: Graph, to: Path) -> None:
    """Compile a pipeline into a file: KFP's intermediate representation, in YAML."""
    to.parent.mkdir(parents=True, exist_ok=True)
    compiler.Compiler().compile(pipeline(one), str(to))


class _Tasks:
    """The tasks of a pipeline that is being compiled: what each step's folders and the given ones are in KFP's terms.

    `told` are the pipeline's parameters.
    """

    def __init__(self, one: Graph, told: Mapping[str, Any]):
        self.graph, self.task, self.told = one, one.task, told
        self.folders: dict[Given | From, Any] = {}

    def make(self) -> None:
        """All tasks, from the archive on."""
        exported = components.export(self.task)(
            table=self.told["table"], arrival=self.told["arrival"], since=self.told["since"]
        )
        exported.set_caching_options(False)
        self.folders[Given(_ARCHIVE)] = exported.outputs[_ARCHIVE]
        for name in self.graph.givens:
            if name != _ARCHIVE:
                kind = getattr(dsl, components.kind(name))
                given = dsl.importer(artifact_uri=self.told[name], artifact_class=kind, reimport=False)
                given.set_display_name(name)
                self.folders[Given(name)] = given.output
        self._from(0)

    def _from(self, start: int) -> None:
        """The steps from one on; those after a verdict are in its branch."""
        for place, step in enumerate(self.graph.steps[start:], start):
            made = self._step(step)
            if step.verdict:
                with dsl.If(made.outputs["passed"] == True, name=f"{step.name}-passed"):  # noqa: E712 (KFP compares)
                    self._from(place + 1)
                with dsl.Else(name=f"{step.name}-refused"):
                    refused = components.refuse()(verdict=made.outputs[step.verdict], failed=made.outputs["failed"])
                    refused.set_caching_options(False).set_display_name(f"{step.name} says no")
                return
        if self.graph.registers:
            self._register(self.folders[self.graph.registers])

    def _step(self, step: Step) -> dsl.PipelineTask:
        given = {components.input_name(one): self.folders[one] for one in step.inputs}
        if step.trials:
            given |= {name: self.told[name] for name in ("network_attachment", "tensorboard", "strategy")}
            made = components.trials(step, self.task)(**given)
        else:
            given |= {one.name: self.told[one.name] for one in step.arguments if isinstance(one, Parameter)}
            if step.module == "batch_score":
                given |= {"predictions": self.told["predictions"], "run_name": dsl.PIPELINE_JOB_NAME_PLACEHOLDER}
            made = components.step(step, self.task)(**given)
            _sized(made, step.module)
        made.set_caching_options(step.cached).set_display_name(step.name)
        self.folders |= {From(step.name, output): made.outputs[components.name(output)] for output in step.outputs}
        return made

    def _register(self, registered: Any) -> None:
        """Copy a version to where models are served from, and make it one in the registry: of the model that the
        workload has there, or its first."""
        told = self.told
        published = components.publish()(registered=registered, models=told["models"])
        _sized(published.set_caching_options(False), "publish")
        unmanaged = dsl.importer(
            artifact_uri=published.outputs["uri"],
            artifact_class=UnmanagedContainerModel,
            metadata={"containerSpec": {"imageUri": RUNTIME_IMAGE}},
            reimport=False,
        )
        version = {
            "display_name": told["registered_as"],
            "location": vertex.LOCATION_PLACEHOLDER,
            "unmanaged_container_model": unmanaged.outputs["artifact"],
            "description": published.outputs["description"],
            "version_aliases": published.outputs["aliases"],
            "labels": published.outputs["labels"],
            "encryption_spec_key_name": vertex.ENCRYPTION_SPEC_KMS_KEY_NAME_PLACEHOLDER,
        }
        with dsl.If(told["parent_model"] == "none", name="first-of-the-workload"):
            ModelUploadOp(**version).set_caching_options(False).set_display_name("register in Vertex AI")
        with dsl.Else(name="another-of-the-workload"):
            parent = dsl.importer(
                artifact_uri=f"https://{vertex.LOCATION_PLACEHOLDER}-aiplatform.googleapis.com/v1/{told['parent_model']}",
                artifact_class=VertexModel,
                metadata={"resourceName": told["parent_model"]},
                reimport=False,
            )
            uploaded = ModelUploadOp(**version, parent_model=parent.outputs["artifact"])
            uploaded.set_caching_options(False).set_display_name("register in Vertex AI")


def _sized(made: dsl.PipelineTask, module: str) -> None:
    cpu, memory = MACHINES.get(module, _SMALL)
    made.set_cpu_limit(cpu).set_memory_limit(memory).set_retry(num_retries=_RETRIES, backoff_duration=_BACKOFF)


def compiled() -> dict[Path, str]:
    """Every pipeline of every workload, by file."""
    found = {}
    with tempfile.TemporaryDirectory() as temporary:
        fresh = Path(temporary) / "fresh.yaml"
        for task in TASKS.values():
            for name in Pipeline if task.workload else ():
                write(graph(task, name), fresh)
                found[FOLDER / str(task.workload) / f"{name}.yaml"] = fresh.read_text(encoding="utf-8")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the files; returns the exit code."""
    return compiled_files.run("ml_pipelines.platforms.vertexai", __doc__, compiled, "compile", arguments)


if __name__ == "__main__":
    sys.exit(main())
