"""Architectures: layers composed once, for every cloud, and never without what was asked for."""

import ast
import importlib
from pathlib import Path
from typing import Any

import pulumi
import pytest
from ml_blueprints import architectures, capabilities, layers
from ml_blueprints.architectures.batch import Batch
from ml_blueprints.architectures.hybrid import Hybrid
from ml_blueprints.architectures.streaming import Streaming
from ml_blueprints.compiled_pipelines import CompiledPipelines
from ml_blueprints.errors import BlueprintError, Problem
from ml_blueprints.limits import Limits
from ml_blueprints.settings import Settings
from ml_blueprints.workload import Mode, Workload

WORKLOADS = Path(__file__).parents[3] / "stacks" / "workloads"
SOURCES = sorted(Path(architectures.__path__[0]).glob("*.py"))
CLOUD_WORDS = (
    *("aws", "amazon", "sagemaker", "kinesis", "lambda", "bedrock", "gcp", "google", "vertex", "pubsub", "bigquery"),
    *("azure", "microsoft", "azureml", "eventhub"),
)
LAYERS = ("foundation", "data", "features", "development", "serving", "monitoring", "delivery")


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_an_architecture_names_no_cloud(source):
    text = source.read_text().lower()
    assert [word for word in CLOUD_WORDS if word in text] == []


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_an_architecture_imports_no_cloud(source):
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(source.read_text()))
        for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [])
    }
    assert imported <= {"importlib", "pulumi"}


def test_there_are_sources_to_look_at():
    assert {"architecture", "batch", "hybrid", "streaming"} <= {source.stem for source in SOURCES}


class Cloud:
    """A cloud of the tests' own: it notes how its layers are made, and registers what it is told to leave out not."""

    PIPELINES = CompiledPipelines("sagemaker", "json")
    LIMITS = Limits("aws", 40, "", 10, 10, 100, canary_beside_shadow=True, scale_to_zero=True)

    def __init__(self, left_out: str = ""):
        self.made: list[tuple[str, tuple[str, ...], dict[str, Any]]] = []
        self.left_out = left_out

    def __getattr__(self, name: str) -> Any:
        contract = getattr(layers, name)

        def make(context: layers.Context, *before: layers.Layer, opts: pulumi.ResourceOptions, **options: Any) -> Any:
            layer = type(name, (contract,), {"cloud": "cumulus"})(context, opts)
            self.made.append((name, tuple(type(needed).__name__ for needed in before), options))
            for capability in capabilities.CAPABILITIES.values():
                if capability.layer is contract.layer and capability.id != self.left_out:
                    context.register.brought(capability.id)
            layer.give(**dict.fromkeys(contract.GIVES, f"of {name}"))
            return layer

        return make


def settings(kind: str, **more: Any) -> Settings:
    return Settings.model_validate(
        {
            "cloud": "aws",
            "architecture": kind,
            "environment": "production",
            "workload": "workload.yaml",
            "serving_image": f"ml-serving@sha256:{'5f70bf18' * 8}",
            "delivery": {"repository": "example/ml-platform"},
            "trusted_keys": ["ed25519:u0eLuYxoWsIhPj6ab8/6P/4nBD0s5MYZ6+Qt0RrWo10="],
            "tokens": {
                "issuer": "https://login.example.com",
                "audience": "eta",
                "keys": "https://login.example.com/jwks",
            },
        }
        | more
    )


@pytest.fixture
def on(run_program, monkeypatch):
    """Build an architecture on a cloud of the tests' own."""

    def build(cloud: Cloud, architecture: type, stem: str):
        real = importlib.import_module
        monkeypatch.setattr(
            importlib, "import_module", lambda name: cloud if name == "ml_blueprints.aws" else real(name)
        )
        workload = Workload.load(WORKLOADS / f"{stem}.yaml")
        built = []
        record = run_program(
            "aws", lambda _: built.append(architecture("mine", workload, settings(architecture.kind.value)))
        )
        return built[0], record.resources

    return build


@pytest.mark.parametrize(
    ("architecture", "stem", "stream", "online", "modes"),
    [
        (Streaming, "fraud_detection", True, True, {Mode.STREAM, Mode.REAL_TIME}),
        (Batch, "churn", False, False, {Mode.BATCH}),
        (Hybrid, "delivery_eta", True, True, {Mode.REAL_TIME, Mode.BATCH}),
    ],
)
def test_layers_are_built_in_order_from_those_before_them(on, architecture, stem, stream, online, modes):
    cloud = Cloud()
    built, record = on(cloud, architecture, stem)
    assert cloud.made == [
        ("Foundation", (), {}),
        ("Data", ("Foundation",), {"stream": stream}),
        ("Features", ("Foundation", "Data"), {"online": online}),
        ("Development", ("Foundation", "Data", "Features"), {}),
        ("Serving", ("Foundation", "Data", "Features", "Development"), {"modes": modes}),
        ("Monitoring", ("Foundation", "Data", "Development", "Serving"), {}),
        ("Delivery", ("Foundation", "Development"), {}),
    ]
    for name in LAYERS:
        assert isinstance(getattr(built, name), getattr(layers, name.title()))
    assert built.endpoint_url == "of Serving"
    (root,) = (found for found in record if found.type == f"ml-blueprints:architectures:{architecture.__name__}")
    assert {found.parent for found in record if found is not root} == {root.urn}


def test_a_platform_that_lacks_what_was_asked_for_is_not_built(on):
    with pytest.raises(RuntimeError) as refused:
        on(Cloud(left_out="dead-letters"), Streaming, "fraud_detection")
    assert str(refused.value) == (
        "no resource on aws realises what the streaming architecture asks for: "
        "dead-letters: Events that can't be used are kept with their reason."
    )


def test_what_was_not_asked_for_may_be_left_out(on):
    built, _ = on(Cloud(left_out="canary"), Streaming, "fraud_detection")
    assert built.capabilities == {}


@pytest.mark.parametrize(
    ("architecture", "stem", "found"),
    [
        (Streaming, "credit_scoring", "batch"),
        (Streaming, "delivery_eta", "hybrid"),
        (Batch, "fraud_detection", "streaming"),
        (Batch, "delivery_eta", "hybrid"),
        (Hybrid, "personalization", "streaming"),
        (Hybrid, "churn", "batch"),
    ],
)
@pytest.mark.parametrize("cloud", ["aws", "gcp", "azure"])
def test_nothing_is_registered_for_a_workload_of_another_architecture(run_program, cloud, architecture, stem, found):
    workload = Workload.load(WORKLOADS / f"{stem}.yaml")
    wanted = settings(architecture.kind.value).model_copy(update={"cloud": cloud})

    def program(_):
        with pytest.raises(BlueprintError) as refused:
            architecture(workload.name, workload, wanted)
        assert refused.value.source == f"workload {workload.name}"
        assert refused.value.problems == (
            Problem("architecture", f"`{found}`", f"this stack's architecture is `{architecture.kind}`"),
        )

    assert run_program(cloud, program).resources == []


def _cheapest(workload: Workload, budget: int) -> Workload:
    serving = workload.serving.model_copy(update={"size": "cheapest", "monthly_usd": budget})
    return workload.model_copy(update={"serving": serving})


@pytest.mark.parametrize(
    ("more", "budget", "field"), [({"tokens": None}, 1600, "ml-blueprints:tokens"), ({}, 1, "serving.size")]
)
def test_what_a_stack_or_a_budget_lacks_is_said_before_anything_is_registered(run_program, more, budget, field):
    workload = _cheapest(Workload.load(WORKLOADS / "delivery_eta.yaml"), budget)
    raised: list[BlueprintError] = []

    def program(_: Any) -> None:
        with pytest.raises(BlueprintError) as error:
            Hybrid("mine", workload, settings("hybrid", **more))
        raised.append(error.value)

    built = run_program("aws", program)
    ((problem,),) = (error.problems for error in raised)
    assert problem.field == field
    assert built.resources == []
