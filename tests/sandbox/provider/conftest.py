"""A provider that serves over gRPC, and an engine that calls it with the messages of the `pulumi` package."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc
from sandbox.provider.protocol import provider_pb2_grpc as served_grpc
from sandbox.provider.servicer import Provider


class Engine:
    """Calls a provider with plain values, as the engine would."""

    def __init__(self, provider: Provider, stub: provider_pb2_grpc.ResourceProviderStub):
        self.provider, self.stub = provider, stub

    def check(self, urn: str, new: dict[str, Any], old: dict[str, Any] | None = None, **options: Any) -> Any:
        request = provider_pb2.CheckRequest(
            urn=urn, olds=_struct(old or {}), news=_struct(new), randomSeed=bytes.fromhex("a1b2c3d4e5f6a7b8"), **options
        )
        return self.stub.Check(request)

    def create(self, urn: str, inputs: dict[str, Any], preview: bool = False) -> Any:
        return self.stub.Create(provider_pb2.CreateRequest(urn=urn, properties=_struct(inputs), preview=preview))

    def read(self, urn: str, id_: str, **messages: dict[str, Any]) -> Any:
        return self.stub.Read(
            provider_pb2.ReadRequest(id=id_, urn=urn, **{name: _struct(value) for name, value in messages.items()})
        )


@pytest.fixture
def engine(aws) -> Iterator[Engine]:
    provider = Provider(aws.plane)
    server = grpc.server(ThreadPoolExecutor(8))
    served_grpc.add_ResourceProviderServicer_to_server(provider, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Engine(provider, provider_pb2_grpc.ResourceProviderStub(channel))
    server.stop(None).wait()


def _struct(values: dict[str, Any]) -> Struct:
    message = Struct()
    message.update(values)
    return message
