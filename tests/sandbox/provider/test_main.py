"""A provider as the engine's plugin: the port it tells, wrong calls, and that it never outlives the engine."""

import select
import socket
import subprocess
import sys

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import provider_pb2_grpc

COMMAND = [sys.executable, "-m", "sandbox.provider"]


@pytest.mark.parametrize("arguments", [[], ["oracle"]])
def test_a_cloud_that_does_not_exist_is_refused_with_those_that_do(arguments: list[str]) -> None:
    ended = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "usage: python -m sandbox.provider aws|gcp|azure-native\n"


@pytest.mark.parametrize("package", ["aws", "gcp", "azure-native"])
def test_it_tells_its_port_serves_there_and_ends_when_the_engine_says_so(package: str) -> None:
    with subprocess.Popen([*COMMAND, package, "127.0.0.1:1"], stdout=subprocess.PIPE, text=True) as provider:
        assert provider.stdout is not None
        with grpc.insecure_channel(f"127.0.0.1:{int(provider.stdout.readline())}") as channel:
            stub = provider_pb2_grpc.ResourceProviderStub(channel)
            assert stub.GetPluginInfo(Empty()).version
            stub.Cancel(Empty())
        assert provider.wait(timeout=10) == 0


def test_it_ends_when_the_engine_is_gone() -> None:
    # The shell stands for the engine: it starts the provider, passes on its port, and is killed.
    script = f"'{sys.executable}' -m sandbox.provider aws & read line"
    with subprocess.Popen(
        ["/bin/sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as engine:
        assert engine.stdout is not None
        port = int(engine.stdout.readline())
        engine.kill()
        # The pipe that the provider holds open can be read to its end once it is gone.
        assert select.select([engine.stdout], [], [], 10)[0]
        assert engine.stdout.read() == ""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
