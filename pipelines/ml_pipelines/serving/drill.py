"""A drill of rollback: `make drill` deploys bad versions under load, and shows that nobody notices.

A service is started on this machine with a signed champion. While clients ask it as often as they can, its routing
table is changed: to a canary that was changed after it was signed, to one that gives no score for half of the requests,
back, and to a good one, which is promoted. Each change has to show in what the service tells of itself, and no request
may fail.
"""

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from onnx import ModelProto, helper, numpy_helper

from ml_pipelines.serving.models import MODEL
from ml_pipelines.serving.settings import ROUTING_FILE
from ml_pipelines.steps import manifest
from ml_pipelines.steps.models import OUTPUT, fit
from ml_pipelines.tasks.candidates import LINEAR
from ml_pipelines.tasks.task import Input, Predicts

NAME = "scores"
CHAMPION, CHANGED, BROKEN, BETTER = "1.0.0", "1.1.0", "1.2.0", "1.3.0"
SHARE = 20
CLIENTS = 16
_INPUTS = ("first", "second", "third")
_PATIENCE_SECONDS = 20.0


class DrillError(Exception):
    """What the drill should have shown and didn't."""


@dataclass(frozen=True)
class Outcome:
    """What the clients saw: answers by version, and failed requests; and how long the bad canary took to be seen."""

    answered: int
    failed: int
    models: Mapping[str, int]
    detected_seconds: float
    canary_requests: int
    p99_ms: float


def drill(folder: Path, say: Callable[[str], None], settle: float = 1.0) -> Outcome:
    """Run it in a folder; `settle` is how long each table is asked. Raises DrillError."""
    key = Ed25519PrivateKey.generate()
    _versions(folder / "registry", key)
    routing = folder / "routing.json"
    _route(routing, {CHAMPION: ("champion", 100)})
    with _service(folder, routing, key) as port, _clients(folder, port) as clients:
        time.sleep(settle)
        say(f"{CHAMPION} serves {CLIENTS} clients")

        _route(routing, {CHAMPION: ("champion", 100 - SHARE), CHANGED: ("canary", SHARE)})
        _until(port, "refused", lambda: _metric(port, 'serving_reloads_total{outcome="refused"}') == 1)
        say(f"canary {CHANGED}, changed after it was signed, is refused; {CHAMPION} goes on")

        _route(routing, {CHAMPION: ("champion", 100 - SHARE), BROKEN: ("canary", SHARE)})
        _until(port, "taken", lambda: BROKEN in _listed(port))
        started = time.perf_counter()
        _until(port, "withdrawn", lambda: bool(_listed(port)[BROKEN]["withdrawn"]))
        detected = time.perf_counter() - started
        say(
            f"canary {BROKEN} is withdrawn {detected:.2f} s after it got {SHARE}%: {_listed(port)[BROKEN]['withdrawn']}"
        )
        failures = int(_metric(port, f'serving_model_failures_total{{model="{NAME}/{BROKEN}"}}'))
        say(f"its {failures} failures were answered by {CHAMPION}")

        _route(routing, {CHAMPION: ("champion", 100)})
        _until(port, "rolled back", lambda: list(_listed(port)) == [CHAMPION])
        time.sleep(settle)
        say(f"rolled back to {CHAMPION} alone")

        _route(routing, {CHAMPION: ("champion", 100 - SHARE), BETTER: ("canary", SHARE)})
        _until(port, "taken", lambda: BETTER in _listed(port))
        time.sleep(settle)
        _route(routing, {BETTER: ("champion", 100)})
        _until(port, "promoted", lambda: list(_listed(port)) == [BETTER])
        time.sleep(settle)
        say(f"canary {BETTER} is promoted")
        found = _ended(clients)
    answered = sum(found["statuses"].values())
    good = found["statuses"].get("200", 0)
    for version in (CHAMPION, BETTER):
        if not found["models"].get(f"{NAME}/{version}"):
            raise DrillError(f"{version} answered nobody: {found['models']}")
    if found["models"].get(f"{NAME}/{CHANGED}"):
        raise DrillError(f"{CHANGED} answered although it was changed")
    canary = found["models"].get(f"{NAME}/{BROKEN}", 0) + failures
    return Outcome(answered, answered - good, found["models"], detected, canary, found["p99_ms"])


def put(registry: Path, name: str, version: str, graph: bytes, inputs: Sequence[str], key: Ed25519PrivateKey) -> None:
    """Put a signed version into a registry: a graph whose inputs are numbers."""
    folder = registry / name / version
    folder.mkdir(parents=True)
    (folder / MODEL).write_bytes(graph)
    said = {
        "format": manifest.FORMAT,
        "task": "drill",
        "name": name,
        "version": version,
        "threshold": 0.5,
        "inputs": [{"name": one, "kind": "number"} for one in inputs],
        "files": manifest.hashes(folder),
    }
    (folder / manifest.MANIFEST).write_text(json.dumps(said))
    manifest.sign(folder, key)


def _versions(registry: Path, key: Ed25519PrivateKey) -> None:
    draw = np.random.default_rng(1)
    arrays = {name: draw.normal(size=2000) for name in _INPUTS}
    outcomes = (arrays["first"] + draw.normal(size=2000) > 0).astype(np.float64)
    inputs = tuple(Input(name) for name in _INPUTS)
    for seed, version in enumerate((CHAMPION, CHANGED, BROKEN, BETTER)):
        graph = fit(LINEAR, {}, inputs, Predicts.CLASS, arrays, outcomes, seed).graph({"task": "drill"})
        if version == BROKEN:
            _break(graph)
        put(registry, NAME, version, graph.SerializeToString(), _INPUTS, key)
    with (registry / NAME / CHANGED / MODEL).open("ab") as file:
        file.write(b"changed")


def _break(graph: ModelProto) -> None:
    """Give the scores of rows with a positive first input as NaN, as a model does that divides by nothing."""
    for node in graph.graph.node:
        for place, name in enumerate(node.output):
            if name == OUTPUT:
                node.output[place] = "whole"
    for name, value in (("nothing", 0.0), ("nan", float("nan"))):
        graph.graph.initializer.append(numpy_helper.from_array(np.array([[value]]), name))
    graph.graph.node.append(helper.make_node("Greater", [_INPUTS[0], "nothing"], ["positive"]))
    graph.graph.node.append(helper.make_node("Where", ["positive", "nan", "whole"], [OUTPUT]))


def _route(file: Path, versions: Mapping[str, tuple[str, int]]) -> None:
    """Put a routing table in place of the one before, as a whole."""
    table = {
        "workload": "drill",
        "entity": "customer",
        "features": [],
        "models": [
            {"name": NAME, "version": version, "role": role, "traffic": traffic}
            for version, (role, traffic) in versions.items()
        ],
        "ensemble": None,
        "tenants": {},
    }
    part = file.with_suffix(".part")
    part.write_text(json.dumps(table))
    part.replace(file)


@contextlib.contextmanager
def _service(folder: Path, routing: Path, key: Ed25519PrivateKey) -> Generator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = folder / "service.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "ml_pipelines.serving"],
            env=os.environ
            | {
                ROUTING_FILE: str(routing),
                "MODELS": str(folder / "registry"),
                "TRUSTED_KEYS": manifest.as_word(key.public_key()),
                "PORT": str(port),
                "DRAIN_SECONDS": "0",
            },
            stderr=output,
        )
    try:
        _until(port, "started", lambda: _read(port, "/health") is not None, lambda: log.read_text()[-2000:])
        yield port
    finally:
        process.terminate()
        process.wait(30)


@contextlib.contextmanager
def _clients(folder: Path, port: int) -> Generator["subprocess.Popen[str]"]:
    draw = np.random.default_rng(2)
    bodies = [
        json.dumps({"entity": f"customer-{number}", "features": dict(zip(_INPUTS, row, strict=True))})
        for number, row in enumerate(draw.normal(size=(1000, len(_INPUTS))).tolist())
    ]
    (folder / "bodies.jsonl").write_text("\n".join(bodies))
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "ml_pipelines.serving.load", f"http://127.0.0.1:{port}/v1/score"),
            *("--bodies", str(folder / "bodies.jsonl"), "--clients", str(CLIENTS), "--seconds", "600"),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _ended(clients: "subprocess.Popen[str]") -> dict[str, Any]:
    clients.terminate()
    output, _ = clients.communicate(timeout=30)
    if clients.returncode:
        raise DrillError("the clients failed")
    return json.loads(output)


def _read(port: int, path: str) -> bytes | None:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.read()
    except OSError:
        return None


def _listed(port: int) -> dict[str, Any]:
    return {one["version"]: one for one in json.loads(_read(port, "/v1/models") or b'{"models": []}')["models"]}


def _metric(port: int, name: str) -> float:
    lines = (_read(port, "/metrics") or b"").decode().splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")), 0.0)


def _until(port: int, what: str, there: Callable[[], bool], why: Callable[[], str] = lambda: "") -> None:
    end = time.monotonic() + _PATIENCE_SECONDS
    while not there():
        if time.monotonic() > end:
            raise DrillError(f"nothing was {what} in {_PATIENCE_SECONDS:g} s: {list(_listed(port))} {why()}")
        time.sleep(0.02)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 1 where a request failed."""
    argparse.ArgumentParser(prog="python -m ml_pipelines.serving.drill", description=__doc__).parse_args(arguments)
    began = time.perf_counter()

    def say(text: str) -> None:
        print(f"{time.perf_counter() - began:6.1f} s  {text}", flush=True)

    try:
        with tempfile.TemporaryDirectory(prefix="drill-") as folder:
            outcome = drill(Path(folder), say)
    except DrillError as error:
        print(f"drill: {error}", file=sys.stderr)
        return 1
    shares = ", ".join(f"{count:,} by {model}" for model, count in sorted(outcome.models.items()))
    say(f"{outcome.answered:,} requests, {outcome.failed} failed, p99 {outcome.p99_ms:.1f} ms; {shares}")
    return 1 if outcome.failed else 0


if __name__ == "__main__":
    sys.exit(main())
