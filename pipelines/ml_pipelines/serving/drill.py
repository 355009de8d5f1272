"""A drill of rollback: `make drill` deploys bad versions under load, and shows that nobody notices.

A service is started on this machine with a signed champion. While clients ask it as often as they can, its routing
table is changed: to a canary that was changed after it was signed, to one that gives no score for half of the requests,
back, and to a good one, which is promoted. Each change has to show in what the service tells of itself, and no request
may fail.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from onnx import ModelProto, helper, numpy_helper

from ml_pipelines.serving.models import MODEL
from ml_pipelines.serving.process import ProcessError, put_table, running
from ml_pipelines.steps import manifest
from ml_pipelines.steps.models import OUTPUT, fit
from ml_pipelines.tasks.candidates import LINEAR
from ml_pipelines.tasks.task import Input, Predicts

NAME = "scores"
CHAMPION, CHANGED, BROKEN, BETTER = "1.0.0", "1.1.0", "1.2.0", "1.3.0"
SHARE = 20
CLIENTS = 16
_INPUTS = ("first", "second", "third")


class DrillError(ProcessError):
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
    """Run it in a folder; `settle` is how long each table is asked. Raises ProcessError."""
    key = Ed25519PrivateKey.generate()
    _versions(folder / "registry", key)
    routing = folder / "routing.json"
    put_table(routing, _table({CHAMPION: ("champion", 100)}))
    told = {"MODELS": str(folder / "registry"), "TRUSTED_KEYS": manifest.as_word(key.public_key())}
    with running(folder, routing, told) as service, _clients(folder, service.port) as clients:
        time.sleep(settle)
        say(f"{CHAMPION} serves {CLIENTS} clients")

        service.route(_table({CHAMPION: ("champion", 100 - SHARE), CHANGED: ("canary", SHARE)}))
        service.until("refused", lambda: service.metric('serving_reloads_total{outcome="refused"}') == 1)
        say(f"canary {CHANGED}, changed after it was signed, is refused; {CHAMPION} goes on")

        service.route(_table({CHAMPION: ("champion", 100 - SHARE), BROKEN: ("canary", SHARE)}))
        service.until("taken", lambda: BROKEN in service.listed())
        started = time.perf_counter()
        service.until("withdrawn", lambda: bool(service.listed()[BROKEN]["withdrawn"]))
        detected = time.perf_counter() - started
        why = service.listed()[BROKEN]["withdrawn"]
        say(f"canary {BROKEN} is withdrawn {detected:.2f} s after it got {SHARE}%: {why}")
        failures = int(service.metric(f'serving_model_failures_total{{model="{NAME}/{BROKEN}"}}'))
        say(f"its {failures} failures were answered by {CHAMPION}")

        service.route(_table({CHAMPION: ("champion", 100)}))
        service.until("rolled back", lambda: list(service.listed()) == [CHAMPION])
        time.sleep(settle)
        say(f"rolled back to {CHAMPION} alone")

        service.route(_table({CHAMPION: ("champion", 100 - SHARE), BETTER: ("canary", SHARE)}))
        service.until("taken", lambda: BETTER in service.listed())
        time.sleep(settle)
        service.route(_table({BETTER: ("champion", 100)}))
        service.until("promoted", lambda: list(service.listed()) == [BETTER])
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


def _table(versions: Mapping[str, tuple[str, int]]) -> dict[str, Any]:
    return {
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


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 1 where a request failed."""
    argparse.ArgumentParser(prog="python -m ml_pipelines.serving.drill", description=__doc__).parse_args(arguments)
    began = time.perf_counter()

    def say(text: str) -> None:
        print(f"{time.perf_counter() - began:6.1f} s  {text}", flush=True)

    try:
        with tempfile.TemporaryDirectory(prefix="drill-") as folder:
            outcome = drill(Path(folder), say)
    except ProcessError as error:
        print(f"drill: {error}", file=sys.stderr)
        return 1
    shares = ", ".join(f"{count:,} by {model}" for model, count in sorted(outcome.models.items()))
    say(f"{outcome.answered:,} requests, {outcome.failed} failed, p99 {outcome.p99_ms:.1f} ms; {shares}")
    return 1 if outcome.failed else 0


if __name__ == "__main__":
    sys.exit(main())
