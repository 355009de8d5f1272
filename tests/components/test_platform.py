"""From configuration to platform: the stack says which architecture is built, from which file, on which cloud."""

import json
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from ml_blueprints import platform
from ml_blueprints.architectures.architecture import Architecture
from ml_blueprints.architectures.batch import Batch
from ml_blueprints.architectures.hybrid import Hybrid
from ml_blueprints.architectures.streaming import Streaming
from ml_blueprints.workload import MODES, ArchitectureKind

STACKS = Path(__file__).parents[2] / "stacks"


@pytest.mark.parametrize(("kind", "expected"), [("streaming", Streaming), ("batch", Batch), ("hybrid", Hybrid)])
def test_each_kind_has_its_class(kind, expected):
    assert platform.architecture(ArchitectureKind(kind)) is expected
    assert expected.kind is ArchitectureKind(kind)


@pytest.mark.parametrize("kind", ArchitectureKind)
def test_an_architecture_serves_in_the_modes_that_its_workloads_may_have(kind):
    assert platform.architecture(kind).modes >= MODES[kind]


@pytest.mark.parametrize("stack", ["aws-streaming", "aws-batch", "gcp-hybrid", "azure-streaming"])
def test_a_stack_is_built_from_its_configuration(run_program, stack):
    cloud, _, kind = stack.partition("-")
    content = yaml.safe_load((STACKS / f"Pulumi.{stack}.yaml").read_text())["config"]
    built: list[Architecture] = []

    def program(_: Any) -> None:
        texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in content.items()}
        pulumi.runtime.set_all_config(texts)
        built.append(platform.from_config(STACKS))

    record = run_program(cloud, program).resources
    (found,) = built
    assert found.kind is ArchitectureKind(kind)
    assert found.context.settings.cloud == cloud
    stem = Path(content["ml-blueprints:workload"]).stem
    assert found.context.name == found.context.workload.name == stem.replace("_", "-")
    (root,) = (one for one in record if one.type == f"ml-blueprints:architectures:{kind.title()}")
    assert root.name == found.context.name
