"""A resource provider that does nothing, at once: whatever a run with it takes is the engine's and the program's."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

_PARENT_CHECK_SECONDS = 2


class Nothing(provider_pb2_grpc.ResourceProviderServicer):
    """Takes every resource and keeps none. The methods' names are the protocol's."""

    def __init__(self) -> None:
        self.stopping = threading.Event()

    def Handshake(self, request, context):  # noqa: N802
        return provider_pb2.ProviderHandshakeResponse()

    def GetPluginInfo(self, request, context):  # noqa: N802
        return plugin_pb2.PluginInfo(version="1.0.0")

    def Attach(self, request, context):  # noqa: N802
        return Empty()

    def Cancel(self, request, context):  # noqa: N802
        self.stopping.set()
        return Empty()

    def CheckConfig(self, request, context):  # noqa: N802
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request, context):  # noqa: N802
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request, context):  # noqa: N802
        return provider_pb2.ConfigureResponse(supportsPreview=True)

    def Check(self, request, context):  # noqa: N802
        return provider_pb2.CheckResponse(inputs=request.news)

    def Diff(self, request, context):  # noqa: N802
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Create(self, request, context):  # noqa: N802
        return provider_pb2.CreateResponse(id=request.urn, properties=request.properties)

    def Delete(self, request, context):  # noqa: N802
        return Empty()


def main() -> None:
    """Serve on a free port, which is the one line that the engine reads, until the engine is gone."""
    nothing = Nothing()
    server = grpc.server(ThreadPoolExecutor(16))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(nothing, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    engine = os.getppid()
    while not nothing.stopping.wait(_PARENT_CHECK_SECONDS) and os.getppid() == engine:
        pass
    server.stop(grace=1).wait()
    sys.exit(0)


if __name__ == "__main__":
    main()
