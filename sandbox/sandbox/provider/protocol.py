"""The engine's protocol: the generated stubs of the `pulumi` wheel, loaded without the rest of the SDK.

`import pulumi` would bring the whole SDK along, which costs each start of a provider 0.15 s and 15 MB.
"""

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc
else:
    _spec = find_spec("pulumi")
    if _spec is None or _spec.origin is None:
        raise ModuleNotFoundError("the sandbox's providers need the package `pulumi`, which is not installed")
    # A package of our own over the folder of the stubs: they import one another relatively.
    _stubs = ModuleType("sandbox_protocol_stubs")
    _stubs.__path__ = [str(Path(_spec.origin).parent / "runtime" / "proto")]
    sys.modules[_stubs.__name__] = _stubs
    plugin_pb2 = import_module("sandbox_protocol_stubs.plugin_pb2")
    provider_pb2 = import_module("sandbox_protocol_stubs.provider_pb2")
    provider_pb2_grpc = import_module("sandbox_protocol_stubs.provider_pb2_grpc")

__all__ = ["plugin_pb2", "provider_pb2", "provider_pb2_grpc"]
