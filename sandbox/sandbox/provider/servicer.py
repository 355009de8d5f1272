"""Serves one cloud to the engine: the resource provider's protocol on one side, a control plane on the other."""

import functools
import json
import threading
import traceback
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar

import grpc
from google.protobuf.empty_pb2 import Empty

from sandbox.errors import SandboxError
from sandbox.faults import FaultError
from sandbox.provider.cloud import CloudError
from sandbox.provider.control_plane import ControlPlane, Naming
from sandbox.provider.diff import Difference
from sandbox.provider.protocol import plugin_pb2, provider_pb2, provider_pb2_grpc
from sandbox.provider.values import from_struct, to_struct
from sandbox.schema import Failure, UnknownTypeError

_Result = TypeVar("_Result")

# Settings of every provider resource that are the engine's own.
_ENGINE_SETTINGS = frozenset({"version", "pluginDownloadURL"})


class _NotServedError(Exception):
    """The request is for something that the sandbox doesn't have at all."""


def _answers(method: Callable[..., _Result]) -> Callable[..., _Result]:
    """Turn what a cloud refuses into the protocol's error, so that the engine shows its text and nothing else."""

    @functools.wraps(method)
    def answer(self: "Provider", request: Any, context: grpc.ServicerContext) -> _Result:
        try:
            return method(self, request, context)
        except (CloudError, FaultError, SandboxError, UnknownTypeError) as error:
            context.abort(grpc.StatusCode.UNKNOWN, str(error))
        except _NotServedError as error:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, str(error))
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{place.filename}:{place.lineno}"
            context.abort(
                grpc.StatusCode.INTERNAL, f"a defect of the sandbox itself: {type(error).__name__}: {error} ({where})"
            )

    return answer


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """The provider of one cloud.

    Secrets stay with the engine: it takes them off the inputs and marks the outputs of the same name, which it does for
    every provider that doesn't ask for them. `stopping` is set when the engine has no more use for the provider.
    """

    def __init__(self, control_plane: ControlPlane):
        self.control_plane, self.cloud = control_plane, control_plane.cloud
        self.stopping = threading.Event()

    @_answers
    def Handshake(self, request: provider_pb2.ProviderHandshakeRequest, context: grpc.ServicerContext):  # noqa: N802
        return provider_pb2.ProviderHandshakeResponse(supports_autonaming_configuration=True)

    @_answers
    def GetPluginInfo(self, request: Empty, context: grpc.ServicerContext):  # noqa: N802
        return plugin_pb2.PluginInfo(version=self.cloud.schema.version)

    @_answers
    def Attach(self, request: plugin_pb2.PluginAttach, context: grpc.ServicerContext):  # noqa: N802
        return Empty()

    @_answers
    def Cancel(self, request: Empty, context: grpc.ServicerContext):  # noqa: N802
        self.stopping.set()
        return Empty()

    @_answers
    def CheckConfig(self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext):  # noqa: N802
        configuration = _configuration(from_struct(request.news))
        known = self.cloud.schema.configuration()
        failures = [
            Failure(name, f"the provider {self.cloud.package} has no such setting")
            for name in configuration
            if name not in known and name not in _ENGINE_SETTINGS and not name.startswith("__")
        ]
        failures += [
            Failure(name, "this is not the JSON of an object or a list")
            for name, value in configuration.items()
            if _looks_like_json(value)
        ]
        failures += self.cloud.check_configuration(configuration)
        return provider_pb2.CheckResponse(inputs=request.news, failures=_failures(failures))

    @_answers
    def DiffConfig(self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext):  # noqa: N802
        old, new = from_struct(request.old_inputs or request.olds), from_struct(request.news)
        changed = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
        kind = provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(changes=kind, diffs=changed)

    @_answers
    def Configure(self, request: provider_pb2.ConfigureRequest, context: grpc.ServicerContext):  # noqa: N802
        self.cloud.configuration = _configuration(from_struct(request.args))
        return provider_pb2.ConfigureResponse(supportsPreview=True, supports_autonaming_configuration=True)

    @_answers
    def Check(self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext):  # noqa: N802
        autonaming, modes = request.autonaming, provider_pb2.CheckRequest.AutonamingOptions
        naming = Naming(
            random=request.randomSeed.hex(),
            proposed=autonaming.proposed_name,
            disabled=autonaming.mode == modes.DISABLE,
        )
        old, new = from_struct(request.olds), from_struct(request.news)
        inputs, failures = self.control_plane.check(request.urn, old, new, naming)
        return provider_pb2.CheckResponse(inputs=to_struct(inputs), failures=_failures(failures))

    @_answers
    def Diff(self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext):  # noqa: N802
        old, new = from_struct(request.old_inputs), from_struct(request.news)
        return _diff_response(self.control_plane.diff(request.urn, old, new))

    @_answers
    def Create(self, request: provider_pb2.CreateRequest, context: grpc.ServicerContext):  # noqa: N802
        inputs = from_struct(request.properties)
        if request.preview:
            outputs = self.control_plane.preview_create(request.urn, inputs)
            return provider_pb2.CreateResponse(properties=to_struct(outputs))
        id_, outputs = self.control_plane.create(request.urn, inputs)
        return provider_pb2.CreateResponse(id=id_, properties=to_struct(outputs))

    @_answers
    def Read(self, request: provider_pb2.ReadRequest, context: grpc.ServicerContext):  # noqa: N802
        properties = from_struct(request.inputs) or from_struct(request.properties)
        type_ = request.type or request.urn.split("::")[2].rpartition("$")[2]
        record = self.control_plane.read(type_, request.id, properties)
        if record is None:
            return provider_pb2.ReadResponse()
        inputs, outputs = to_struct(record.inputs), to_struct(record.outputs)
        return provider_pb2.ReadResponse(id=record.id, inputs=inputs, properties=outputs)

    @_answers
    def Update(self, request: provider_pb2.UpdateRequest, context: grpc.ServicerContext):  # noqa: N802
        old, new = from_struct(request.old_inputs), from_struct(request.news)
        if request.preview:
            outputs = self.control_plane.preview_update(request.urn, old, from_struct(request.olds), new)
        else:
            outputs = self.control_plane.update(request.urn, request.id, old, new)
        return provider_pb2.UpdateResponse(properties=to_struct(outputs))

    @_answers
    def Delete(self, request: provider_pb2.DeleteRequest, context: grpc.ServicerContext):  # noqa: N802
        type_ = request.type or request.urn.split("::")[2].rpartition("$")[2]
        self.control_plane.delete(type_, request.id, from_struct(request.properties))
        return Empty()

    @_answers
    def Invoke(self, request: provider_pb2.InvokeRequest, context: grpc.ServicerContext):  # noqa: N802
        result, failures = self.control_plane.invoke(request.tok, from_struct(request.args))
        response = provider_pb2.InvokeResponse(failures=_failures(failures))
        # The field's name is a keyword of Python's.
        getattr(response, "return").CopyFrom(to_struct(result))
        return response

    @_answers
    def GetSchema(self, request: provider_pb2.GetSchemaRequest, context: grpc.ServicerContext):  # noqa: N802
        # `pulumi import` asks for it once all is imported, to write code.
        self._refuse(
            "package schema", "; `pulumi import` needs `--generate-code=false`, or imports without writing code"
        )

    @_answers
    def Call(self, request: provider_pb2.CallRequest, context: grpc.ServicerContext):  # noqa: N802
        self._refuse("methods of resources")

    @_answers
    def Construct(self, request: provider_pb2.ConstructRequest, context: grpc.ServicerContext):  # noqa: N802
        self._refuse("components")

    @_answers
    def Parameterize(self, request: provider_pb2.ParameterizeRequest, context: grpc.ServicerContext):  # noqa: N802
        self._refuse("parameters")

    @_answers
    def GetMapping(self, request: provider_pb2.GetMappingRequest, context: grpc.ServicerContext):  # noqa: N802
        self._refuse("mappings")

    @_answers
    def GetMappings(self, request: provider_pb2.GetMappingsRequest, context: grpc.ServicerContext):  # noqa: N802
        self._refuse("mappings")

    @_answers
    def List(self, request: provider_pb2.ListRequest, context: grpc.ServicerContext):  # noqa: N802
        self._refuse("listings")

    def _refuse(self, what: str, way_out: str = "") -> NoReturn:
        refusal = f"the sandbox's provider {self.cloud.package} has no {what}: it serves resources and functions only"
        raise _NotServedError(refusal + way_out)


def _configuration(settings: Mapping[str, Any]) -> dict[str, Any]:
    """A provider's configuration; the engine hands objects and lists over as JSON."""
    return {name: _from_json(value) if _looks_like_json(value) else value for name, value in settings.items()}


def _looks_like_json(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(("{", "["))


def _from_json(text: str) -> Any:
    """What a JSON text means; a text that is none means itself, for the check to complain of."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _failures(failures: list[Failure]) -> list[provider_pb2.CheckFailure]:
    """The path goes into the text: the engine itself knows top-level properties only, and would print their value."""
    return [
        provider_pb2.CheckFailure(reason=f"{failure.path}: {failure.reason}" if failure.path else failure.reason)
        for failure in failures
    ]


def _diff_response(difference: Difference) -> provider_pb2.DiffResponse:
    kinds = provider_pb2.PropertyDiff
    detailed = {}
    for path, change in difference.changes.items():
        suffix = "_REPLACE" if path in difference.replacing else ""
        detailed[path] = provider_pb2.PropertyDiff(kind=kinds.Kind.Value(change.upper() + suffix), inputDiff=True)
    top = {path: path.partition(".")[0].partition("[")[0] for path in difference.changes}
    changed = provider_pb2.DiffResponse.DIFF_SOME if difference.changes else provider_pb2.DiffResponse.DIFF_NONE
    return provider_pb2.DiffResponse(
        changes=changed,
        diffs=sorted(set(top.values())),
        replaces=sorted({top[path] for path in difference.replacing}),
        deleteBeforeReplace=difference.delete_first,
        detailedDiff=detailed,
        hasDetailedDiff=True,
    )
