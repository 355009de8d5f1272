"""Builds platforms with Pulumi mocks and keeps a plain record of what was registered, for tests to assert on.

The program runs to its end first; assertions come after it, on the record, so that none can be left out unnoticed. The
mocks answer as the sandbox's clouds do, in this process: every input is checked by the SDK's schema on the way.

The conftest of a cloud's tests says which `cloud` it is and what can be `brought_along` there; the platforms that most
tests share (`streaming`, `batch`, `hybrid`, `house`, `hybrid_house`) are then built here, each once in a session.
"""

import asyncio
import base64
import gc
import itertools
import pickle
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from ml_blueprints.architectures.architecture import Architecture
from ml_blueprints.platform import architecture
from ml_blueprints.settings import Settings
from ml_blueprints.workload import Workload
from pulumi.runtime import mocks, resource
from pulumi.runtime.proto.source_pb2 import StackTrace
from pulumi.runtime.settings import SETTINGS
from pulumi.runtime.stack import run_pulumi_func
from sandbox.apis.vertex_ai import service_attachment
from sandbox.provider.cloud import CloudError
from sandbox.provider.clouds import CLOUDS
from sandbox.provider.control_plane import ControlPlane, Naming
from sandbox.store import Record, Store

WORKLOADS = Path(__file__).parents[2] / "stacks" / "workloads"
PACKAGES = {"aws": "aws", "gcp": "gcp", "azure": "azure-native"}
PROVIDER_SETTINGS = {
    "aws": {"region": "eu-west-1"},
    "gcp": {"project": "ml-blueprints-dev", "region": "europe-west1"},
    "azure-native": {"location": "westeurope"},
}
TRUSTED_KEY = "ed25519:u0eLuYxoWsIhPj6ab8/6P/4nBD0s5MYZ6+Qt0RrWo10="
PEOPLE = {"aws": "ada", "gcp": "ada@example.com", "azure": "6f3a1c52-9d0e-4b7a-8c61-2f5e0d7b9a34"}
IMAGE = f"ml-serving@sha256:{'5f70bf18' * 8}"
TOKENS = {
    "issuer": "https://login.example.com",
    "audience": "predictions",
    "keys": "https://login.example.com/.well-known/jwks.json",
}
# The issuer that a network on Azure reaches without a way to the internet.
ENTRA = {
    "issuer": "https://login.microsoftonline.com/7d6e5f40-3c2b-4a19-8877-665544332211/v2.0",
    "audience": "predictions",
    "keys": "https://login.microsoftonline.com/7d6e5f40-3c2b-4a19-8877-665544332211/discovery/v2.0/keys",
}


@dataclass(frozen=True)
class Registration:
    """One resource as the program registered it; `inputs` in the provider's spelling, generated names left out.

    arn: where it has one, on AWS.
    """

    type: str
    name: str
    id: str
    inputs: dict[str, Any]
    custom: bool
    urn: str
    parent: str
    provider: str
    protect: bool
    depends_on: tuple[str, ...]
    delete_before_replace: bool
    ignore_changes: tuple[str, ...]
    arn: str = ""


def kind(token: str) -> str:
    """A type without its provider and class: `s3/bucket` of `aws:s3/bucket:Bucket`."""
    return token.split(":")[1]


@dataclass
class Built:
    """A platform, and everything that was registered while it was built."""

    platform: Architecture | None = None
    resources: list[Registration] = field(default_factory=list)

    @property
    def kinds(self) -> set[str]:
        """The types of what providers make, as tables of rights name them."""
        types = {found.type for found in self.resources if found.custom and not found.type.startswith("pulumi:")}
        return set(map(kind, types))

    def of_type(self, token: str) -> list[Registration]:
        """The resources of a type by name, as the order of registration is not fixed."""
        return sorted((found for found in self.resources if found.type == token), key=lambda found: found.name)

    def named(self, token: str, name: str) -> Registration:
        """The one resource of a type with a logical name."""
        found = [resource for resource in self.of_type(token) if resource.name == name]
        assert len(found) == 1, f"{name} among {[resource.name for resource in self.of_type(token)]}"
        return found[0]


def _plain(value: Any) -> Any:
    """A value without its marks of secrets, which the engine too takes off before a provider sees it."""
    if mocks.rpc.is_rpc_secret(value):
        return _plain(mocks.rpc.unwrap_rpc_secret(value))
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


class _Clouds(mocks.Mocks):
    """Answers as the sandbox's clouds do. Raises AssertionError for what they would refuse."""

    def __init__(self, control_plane: ControlPlane):
        self.control_plane = control_plane

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        if not args.custom or args.typ.startswith("pulumi:"):
            return "", args.inputs
        if args.typ.startswith("pulumi-python:"):
            return _made_by_the_program(args)
        urn = f"urn:pulumi:test::ml-blueprints::{args.typ}::{args.name}"
        inputs, failures = self.control_plane.check(urn, {}, _plain(args.inputs), Naming())
        assert not failures, f"{args.typ} {args.name}: {[f'{failure.path}: {failure.reason}' for failure in failures]}"
        try:
            return self.control_plane.create(urn, inputs)
        except CloudError as error:
            raise AssertionError(f"{args.typ} {args.name}: {error}") from None

    def call(self, args: mocks.MockCallArgs) -> dict[str, Any]:
        result, failures = self.control_plane.invoke(args.token, args.args)
        assert not failures, f"{args.token}: {failures}"
        return result


def _made_by_the_program(args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
    """A dynamic resource, which its own provider checks and names; it isn't told to any service."""
    inputs = _plain(args.inputs)
    provider = pickle.loads(base64.b64decode(inputs.pop("__provider")))  # noqa: S301 (this program's own)
    failures = provider.check({}, inputs).failures
    assert not failures, f"{args.typ} {args.name}: {[f'{one.property}: {one.reason}' for one in failures]}"
    id_, outputs = provider.named(inputs)
    entry = {"service_attachment": service_attachment(inputs["endpoint"])} if "service_attachment" in outputs else {}
    return id_, outputs | entry


class _Recorder(mocks.MockMonitor):
    """A mock monitor that keeps what Pulumi's own forgets: parent, provider and options."""

    def __init__(self, clouds: _Clouds, built: Built):
        super().__init__(clouds)
        self.built = built

    def RegisterResource(self, request):  # noqa: N802 (the protocol's name)
        response = super().RegisterResource(request)
        if request.type != "pulumi:pulumi:Stack":
            self.built.resources.append(
                Registration(
                    type=request.type,
                    name=request.name,
                    id=response.id,
                    inputs=mocks.rpc.deserialize_properties(request.object),
                    custom=request.custom,
                    urn=response.urn,
                    parent=request.parent,
                    provider=request.provider,
                    protect=request.protect,
                    depends_on=tuple(request.dependencies),
                    delete_before_replace=request.deleteBeforeReplace,
                    ignore_changes=tuple(request.ignoreChanges),
                    arn=mocks.rpc.deserialize_properties(response.object).get("arn", ""),
                )
            )
        return response


async def _with_all_outputs(program: Callable[[Built], None], built: Built) -> None:
    """Run a program and wait for its outputs, as Pulumi would: it waits for all anew whenever one is there, which takes
    a third of the time that a platform takes."""
    program(built)
    while SETTINGS.outputs:
        done, _ = await asyncio.wait(set(SETTINGS.outputs), return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            await task


@pytest.fixture(scope="session", autouse=True)
def _nobody_asks_for_lines() -> Generator[None]:
    """Pulumi tells the engine from which lines of which files a resource comes, for each of them down the stack."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resource, "_get_stack_trace", StackTrace)
        yield


@pytest.fixture(scope="session")
def run_program(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Built]:
    """Run a Pulumi program against one cloud (`aws`, `gcp` or `azure`) to its end, and return the record.

    Whatever has one of the identifiers `existing` was on the cloud before.
    """
    runs = itertools.count()
    # Pulumi keeps one runtime per process; tests may make outputs after a program has ended, on the same loop.
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)

    def run(cloud: str, program: Callable[[Built], None], existing: Iterable[str] = ()) -> Built:
        package = PACKAGES[cloud]
        store = Store(tmp_path_factory.mktemp("cloud") / f"{next(runs)}.sqlite")
        on_cloud = CLOUDS[package](store)
        on_cloud.configuration = dict(PROVIDER_SETTINGS[package])
        for identifier in existing:
            store.add(Record("existing", "", identifier, "", {}, {}), [on_cloud.normal(identifier)], [])
        settings = {f"{package}:{key}": value for key, value in PROVIDER_SETTINGS[package].items()}
        built = Built()
        SETTINGS.outputs.clear()
        monitor = _Recorder(_Clouds(ControlPlane(on_cloud)), built)
        mocks.set_mocks(monitor.mocks, "ml-blueprints", f"{cloud}-test", preview=False, monitor=monitor)
        pulumi.runtime.set_all_config(settings)
        gc.disable()
        try:
            loop.run_until_complete(run_pulumi_func(lambda: _with_all_outputs(program, built)))
        finally:
            gc.enable()
            # What a program that failed left waiting would be reported as lost.
            for task in asyncio.all_tasks(loop):
                task.cancel()
            store.close()
        return built

    return run


def changed_workload(workload: str, changes: Mapping[str, Any]) -> Workload:
    """The workload of a file (its stem) with some parts replaced, as valid as any."""
    content = yaml.safe_load((WORKLOADS / f"{workload}.yaml").read_text())
    for part, value in changes.items():
        content[part] = content.get(part, {}) | value if isinstance(value, Mapping) else value
    return Workload.model_validate(content, context={"directory": WORKLOADS})


@pytest.fixture(scope="session")
def build(run_program: Callable) -> Callable[..., Built]:
    """Build the platform of a workload (the stem of its file) on a cloud; further arguments are settings.

    `changes` are parts of the workload that replace those of its file, such as `{"models": [...]}`; the words of a part
    that is an object are changed one by one.
    """

    def build_platform(
        cloud: str, workload: str, changes: Mapping[str, Any] | None = None, **settings: object
    ) -> Built:
        wanted = changed_workload(workload, changes or {})
        given = {
            "cloud": cloud,
            "architecture": wanted.architecture.value,
            "environment": "production",
            "workload": f"workloads/{workload}.yaml",
            "serving_image": IMAGE,
            "delivery": {"provider": "github", "repository": "example/ml-platform"},
            "workbench_users": {"ada": PEOPLE[cloud]},
        }
        if settings.get("environment") != "experiment":
            given["trusted_keys"] = [TRUSTED_KEY]
        if wanted.serving.tenants:
            # API Gateway on Google Cloud has a public address by its nature.
            given |= {"tokens": ENTRA if cloud == "azure" else TOKENS, "public_api": cloud == "gcp"}
        validated = Settings.model_validate(given | settings)

        def program(built: Built) -> None:
            built.platform = architecture(validated.architecture)(wanted.name, wanted, validated)

        return run_program(cloud, program, _brought(validated))

    return build_platform


def _brought(settings: Settings) -> list[str]:
    """The identifiers of what a stack's settings bring along."""
    network = settings.network
    given = (network.existing_network, *network.existing_subnets, settings.encryption.existing_key)
    return [identifier for identifier in (*given, *settings.identities.values()) if identifier]


@pytest.fixture(scope="session")
def built_platforms() -> dict[str, Built]:
    """What was built so far: a record of registrations doesn't change, so that tests can share it."""
    return {}


@pytest.fixture
def once(cloud: str, build: Callable[..., Built], built_platforms: dict[str, Built]) -> Callable[..., Built]:
    """Build a platform on the tests' cloud, or take the one that an earlier test built."""

    def get(workload: str, changes: Mapping[str, Any] | None = None, **settings: object) -> Built:
        wanted = f"{cloud} {workload} {changes} {settings}"
        if wanted not in built_platforms:
            built_platforms[wanted] = build(cloud, workload, changes, **settings)
        return built_platforms[wanted]

    return get


@pytest.fixture
def streaming(once: Callable[..., Built]) -> Built:
    """Streaming first: fraud detection, a champion and a shadow."""
    return once("fraud_detection")


@pytest.fixture
def batch(once: Callable[..., Built]) -> Built:
    """Batch centric: credit scoring."""
    return once("credit_scoring")


@pytest.fixture
def hybrid(once: Callable[..., Built]) -> Built:
    """Hybrid: delivery times, a champion and a canary, and two tenants, one of them on instances of its own."""
    return once("delivery_eta")


@pytest.fixture
def house(once: Callable[..., Built], brought_along: dict[str, object]) -> Built:
    """Streaming first, with key, network and identities of the organisation."""
    return once("fraud_detection", **brought_along)


@pytest.fixture
def hybrid_house(once: Callable[..., Built], brought_along: dict[str, object]) -> Built:
    """Hybrid, with key, network and identities of the organisation."""
    return once("delivery_eta", **brought_along)


@pytest.fixture
def named() -> Callable[[Built, str, str], Registration]:
    """Find the one resource of a type with a logical name."""
    return Built.named
