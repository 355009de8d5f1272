"""A server of AWS's APIs, which runtimes and readers of secrets are tested against."""

from collections.abc import Callable, Generator
from typing import Any

import boto3
import pytest


@pytest.fixture(scope="session")
def aws_server() -> Generator[str]:
    """A moto server; its URL."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws(aws_server: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Clients of services, by name, on the moto server; so are those that the code under test makes."""
    for name, value in {
        "AWS_ENDPOINT_URL": aws_server,
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }.items():
        monkeypatch.setenv(name, value)
    return boto3.client
