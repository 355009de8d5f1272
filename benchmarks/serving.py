"""The scoring service beside MLServer, BentoML and the least that serves a model, all in one run on the same cores.

The same ONNX model (100 trees, 20 inputs), one row a request, one process each; the clients are a process of their own.
Servers are measured in turns, so that whatever else the machine does meets all of them.
"""

import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table
from sandbox import home
from sandbox.errors import SandboxError

from benchmarks.environments import programs
from benchmarks.measure import Bench

INPUTS, TREES, BODIES = 20, 100, 500
# So long is a turn, and so many there are for each of the runs that are asked for.
SECONDS, TURNS = 1.0, 3
CLIENTS = (1, 16, 64)
# Models in one process.
HOSTED = (1, 10, 100)
SOAK_SECONDS, SOAK_PARTS = 300, 10
# Shares of the most requests that a process takes, at which its time is measured.
SHARES = (0.25, 0.5, 0.75, 0.9)
PEERS = Path(__file__).parent / "peers"
MLSERVER, BENTOML = "mlserver", "bentoml"
ONNX, SKLEARN = "ONNX", "scikit-learn"
FLOOR, ROUTER = "floor", "ours, router"
_PACKAGES = {
    MLSERVER: ("mlserver>=1.7,<1.8", "mlserver-sklearn>=1.7,<1.8", "onnxruntime"),
    BENTOML: ("bentoml>=1.4,<1.5", "onnxruntime", "scikit-learn"),
}
_READY_SECONDS = 60
_MEBIBYTE = 2**20
_NAMES = [f"input_{place}" for place in range(INPUTS)]


@dataclass
class Server:
    """A server that is measured: how it is started, where it answers, and what it is asked."""

    name: str
    command: Sequence[str]
    health: str
    path: str
    bodies: str = "own"
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    token: str | None = None
    # The server that this one asks.
    behind: "Server | None" = None
    port: int = 0


def serving(console: Console, bench: Bench, runs: int) -> None:
    """Rates and latencies beside the peers, what each feature costs, start, memory, and one tenant's flood."""
    with home.temporary() as folder:
        ground = Ground(folder)
        console.print("environments of the peers ...", style="dim")
        plain, everything = ground.ours(ROUTER), ground.everything()
        rows = {server.name: server for server in (ground.floor(), plain, everything, *ground.peers())}
        found = _in_turns(console, ground, list(rows.values()), CLIENTS, runs)
        _print_rates(console, found, ground.started)
        features = [ground.floor(), plain, *ground.features(), everything, ground.routed(plain)]
        _print_features(console, _in_turns(console, ground, features, (1, 16), runs))
        _print_sizing(console, ground, everything)
        _print_memory(console, ground)
        _print_flood(console, ground)


def soak(console: Console, bench: Bench, runs: int) -> None:
    """A soak alone, so many times as long as there are runs."""
    with home.temporary() as folder:
        ground = Ground(folder)
        _print_soak(console, ground, ground.everything(), runs * SOAK_SECONDS)


class Ground:
    """A folder with models, bodies and keys, and the servers that use them."""

    def __init__(self, folder: Path):
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        self.folder, self.registry = folder, folder / "registry"
        self.started: dict[str, list[float]] = {}
        self.processes: dict[str, psutil.Process] = {}
        self.key = Ed25519PrivateKey.generate()
        self.content = _model(7)
        (folder / "model.onnx").write_bytes(self.content)
        for version in range(3):
            self.register("trees", f"1.{version}.0", _model(7 + version))
        self._bodies()
        self._keys()

    def register(self, name: str, version: str, content: bytes) -> None:
        """A signed version in the registry."""
        from ml_pipelines.serving.drill import put

        put(self.registry, name, version, content, _NAMES, self.key)

    def _bodies(self) -> None:
        import numpy as np

        draw = np.random.default_rng(1)
        own, v2 = [], []
        for number in range(BODIES):
            row = dict(zip(_NAMES, draw.normal(size=INPUTS).round(4).tolist(), strict=True))
            own.append(json.dumps({"entity": f"card-{number}", "event_id": f"event-{number}", "features": row}))
            tensors = [{"name": name, "shape": [1], "datatype": "FP64", "data": [row[name]]} for name in _NAMES]
            v2.append(json.dumps({"inputs": tensors}))
        bare = [json.dumps({"features": json.loads(line)["features"]}) for line in own]
        matrix = []
        for line in bare:
            tensor = {"name": "rows", "shape": [1, INPUTS], "datatype": "FP64"}
            tensor["data"] = list(json.loads(line)["features"].values())
            matrix.append(json.dumps({"inputs": [tensor], "outputs": [{"name": "predict_proba"}]}))
        for name, lines in (("own", own), ("v2", v2), ("bare", bare), ("matrix", matrix)):
            (self.folder / f"{name}.jsonl").write_text("\n".join(lines))

    def _keys(self) -> None:
        import jwt

        jwk = json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(self.key.public_key())) | {"kid": "one"}
        (self.folder / "jwks.json").write_text(json.dumps({"keys": [jwk]}))

    def token(self, tenant: str) -> str:
        """A token of a tenant."""
        import jwt

        claims = {"iss": "https://issuer", "aud": "scores", "exp": time.time() + 86_400, "tenant": tenant}
        return jwt.encode(claims, self.key, algorithm="EdDSA", headers={"kid": "one"})

    def ours(
        self,
        name: str,
        versions: Sequence[tuple[str, str, float]] = (),
        token: str | None = None,
        captured: bool = False,
        workers: int = 1,
        **said: Any,
    ) -> Server:
        """Our service with these versions (number, role and traffic); `said` are fields of its routing table."""
        from ml_pipelines.steps import manifest

        table = {
            "workload": "measured",
            "entity": "card_id",
            "features": [],
            "models": [
                {"name": "trees", "version": version, "role": role, "traffic": share}
                for version, role, share in versions or [("1.0.0", "champion", 100)]
            ],
            "ensemble": None,
            "tenants": {},
        } | said
        return Server(
            name,
            [sys.executable, "-m", "ml_pipelines.serving"],
            "/health",
            "/v1/score",
            token=token,
            environment={
                "ML_BLUEPRINTS_ROUTING": json.dumps(table),
                "MODELS": str(self.registry),
                "TRUSTED_KEYS": manifest.as_word(self.key.public_key()),
                **({"CAPTURED": str(self.folder / "captured")} if captured else {}),
                "DRAIN_SECONDS": "0",
                "WORKERS": str(workers),
                "LOG_LEVEL": "ERROR",
                **(
                    {
                        "TOKEN_ISSUER": "https://issuer",
                        "TOKEN_AUDIENCE": "scores",
                        "TOKEN_KEYS": str(self.folder / "jwks.json"),
                    }
                    if table["tenants"]
                    else {}
                ),
            },
        )

    def features(self) -> list[Server]:
        """Our service with one feature each."""
        members = [
            {"name": name, "version": "1.0.0", "role": role, "traffic": 100}
            for name, role in (("first", "champion"), ("second", "member"), ("third", "member"))
        ]
        for member in members:
            if not (self.registry / member["name"]).exists():
                self.register(member["name"], "1.0.0", self.content)
        joint = {"method": "weighted_mean", "members": [member["name"] for member in members]}
        return [
            self.ours("canary 10%", [("1.0.0", "champion", 90), ("1.1.0", "canary", 10)]),
            self.ours("shadow 20%", [("1.0.0", "champion", 100), ("1.2.0", "shadow", 20)]),
            self.ours("captured", captured=True),
            self.ours("ensemble of 3", ensemble=joint, models=members),
            self.ours("tenants", token=self.token("shop"), tenants={"shop": 100_000, "bank": 100_000}),
        ]

    def everything(self, workers: int = 1) -> Server:
        """Our service with canary, shadow, tenants, and all kept that is asked and answered."""
        return self.ours(
            "ours, all features",
            [("1.0.0", "champion", 90), ("1.1.0", "canary", 10), ("1.2.0", "shadow", 20)],
            token=self.token("shop"),
            tenants={"shop": 100_000, "bank": 100_000},
            captured=True,
            workers=workers,
        )

    def routed(self, container: Server) -> Server:
        """Our service as router in front of a container of ours, a process each."""
        made = self.ours(f"router and {container.name}")
        made.behind = container
        return made

    def floor(self) -> Server:
        """The least that serves the model."""
        command = [sys.executable, str(PEERS / "floor.py"), "{port}"]
        return Server(FLOOR, command, "/health", "/v1/score", environment={"MODEL": str(self.folder / "model.onnx")})

    def peers(self) -> list[Server]:
        """MLServer and BentoML in environments of their own, with the same graph and with scikit-learn's trees."""
        onnx = self.folder / "model.onnx"
        made = []
        for kind, model in ((ONNX, onnx), (SKLEARN, self._trees(MLSERVER))):
            said: dict[str, Any] = {"name": "trees", "implementation": "mlserver_model.Scored"}
            if model != onnx:
                said |= {"implementation": "mlserver_sklearn.SKLearnModel", "parameters": {"uri": str(model)}}
            folder = self._folder(MLSERVER, kind, "mlserver_model.py")
            (folder / "model-settings.json").write_text(json.dumps(said))
            # It doesn't start with workers of its own; requests are handled in one process.
            environment = {"MODEL": str(model), "MLSERVER_PARALLEL_WORKERS": "0", "MLSERVER_HTTP_PORT": "{port}"}
            command = [str(_environment(MLSERVER) / MLSERVER), "start", "."]
            bodies = "v2" if model == onnx else "matrix"
            paths = ("/v2/health/ready", "/v2/models/trees/infer")
            name = f"{MLSERVER}, {kind}"
            made.append(Server(name, command, *paths, bodies, environment | {"MLSERVER_DEBUG": "false"}, folder))
        for kind, model in ((ONNX, onnx), (SKLEARN, self._trees(BENTOML))):
            folder = self._folder(BENTOML, kind, "bentoml_service.py")
            command = [str(_environment(BENTOML) / BENTOML), "serve", "bentoml_service:Scored", "--port", "{port}"]
            environment = {"MODEL": str(model), "BENTOML_DO_NOT_TRACK": "true"}
            made.append(Server(f"{BENTOML}, {kind}", command, "/readyz", "/score", "bare", environment, folder))
        return made

    def _folder(self, peer: str, kind: str, code: str) -> Path:
        folder = self.folder / f"{peer}-{kind}"
        folder.mkdir()
        (folder / code).write_bytes((PEERS / code).read_bytes())
        return folder

    def _trees(self, peer: str) -> Path:
        file = self.folder / f"{peer}.joblib"
        subprocess.run([str(_environment(peer) / "python"), str(PEERS / "fit.py"), str(file)], check=True)
        return file

    @contextlib.contextmanager
    def running(self, server: Server) -> Generator[psutil.Process]:
        """The server while it runs. Raises SandboxError where it doesn't get ready."""
        port = str(_free())
        # MLServer listens on two more ports.
        extra = {"MLSERVER_GRPC_PORT": str(_free()), "MLSERVER_METRICS_PORT": str(_free())}
        environment = {name: value.replace("{port}", port) for name, value in server.environment.items()}
        if server.behind is not None:
            environment["SCORING_ENDPOINT"] = f"http://127.0.0.1:{server.behind.port}"
        log = self.folder / "server.log"
        started = time.perf_counter()
        with log.open("wb") as output:
            process = subprocess.Popen(
                [part.replace("{port}", port) for part in server.command],
                cwd=server.folder or self.folder,
                env={**os.environ, "PORT": port, **extra, **environment},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        watched = psutil.Process(process.pid)
        try:
            while not _answers(f"http://127.0.0.1:{port}{server.health}"):
                if process.poll() is not None or time.perf_counter() - started > _READY_SECONDS:
                    raise SandboxError(f"{server.name} doesn't get ready:\n{log.read_text()[-3000:]}")
                time.sleep(0.02)
            self.started.setdefault(server.name, []).append(time.perf_counter() - started)
            server.port, self.processes[server.name] = int(port), watched
            yield watched
        finally:
            for one in [*watched.children(recursive=True), watched] if process.poll() is None else []:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()

    def asked(
        self,
        server: Server,
        clients: int,
        seconds: float,
        token: str | None = None,
        rate: float | None = None,
        arrivals: float | None = None,
        latencies: Path | None = None,
    ) -> subprocess.Popen[str]:
        """Clients that ask a running server, in a process of their own."""
        token = token or server.token
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "ml_pipelines.serving.load", f"http://127.0.0.1:{server.port}{server.path}"),
                *("--bodies", str(self.folder / f"{server.bodies}.jsonl"), "--clients", str(clients)),
                *("--seconds", str(seconds)),
                *(("--token", token) if token else ()),
                *(("--rate", str(rate)) if rate else ()),
                *(("--arrivals", str(arrivals)) if arrivals else ()),
                *(("--latencies", str(latencies)) if latencies else ()),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )

    def loaded(self, server: Server, clients: int, seconds: float = SECONDS, **changed: Any) -> dict[str, Any]:
        """What clients found, and the processor's time that a request took. Raises SandboxError where one failed.

        `cpu_us` is that of all of a server's processes, `own_cpu_us` that of the one that was started.
        """
        before, own = self._cpu_seconds(server), self._own_cpu_seconds(server)
        found = _result(server, self.asked(server, clients, seconds, **changed))
        requests = sum(found["statuses"].values())
        found["cpu_us"] = 1e6 * (self._cpu_seconds(server) - before) / requests
        found["own_cpu_us"] = 1e6 * (self._own_cpu_seconds(server) - own) / requests
        return found

    def _own_cpu_seconds(self, server: Server) -> float:
        times = self.processes[server.name].cpu_times()
        return times.user + times.system

    def _cpu_seconds(self, server: Server) -> float:
        """What a server's processes have taken so far, and those of the server behind it."""
        watched = self.processes[server.name]
        taken = [one.cpu_times() for one in (watched, *watched.children(recursive=True))]
        behind = self._cpu_seconds(server.behind) if server.behind else 0.0
        return behind + sum(times.user + times.system for times in taken)


def _free() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:  # noqa: S310 (one of ours)
            return answer.status == 200
    except OSError:
        return False


def _result(server: Server, asked: "subprocess.Popen[str]") -> dict[str, Any]:
    output, _ = asked.communicate()
    if asked.returncode:
        raise SandboxError(f"{server.name}: nobody answers")
    found = json.loads(output)
    if set(found["statuses"]) != {"200"}:
        raise SandboxError(f"{server.name}: requests failed: {found['statuses']}")
    return found


def _environment(name: str) -> Path:
    """The programs of a peer. Raises SandboxError where it can't be installed."""
    return programs(name, _PACKAGES[name])


def _model(seed: int) -> bytes:
    """100 trees of 20 inputs, as a training exports them."""
    import numpy as np
    from ml_pipelines.steps.models import fit
    from ml_pipelines.tasks.candidates import BOOSTING
    from ml_pipelines.tasks.task import Input, Predicts

    draw = np.random.default_rng(seed)
    arrays = {name: draw.normal(size=4000) for name in _NAMES}
    level = sum(arrays[name] for name in _NAMES[:5]) + arrays["input_5"] * arrays["input_6"]
    outcomes = (level + draw.normal(size=4000) > 0).astype(np.float64)
    inputs = tuple(Input(name) for name in _NAMES)
    model = fit(BOOSTING, {"iterations": TREES}, inputs, Predicts.CLASS, arrays, outcomes, seed)
    return model.graph({"task": "measured"}).SerializeToString(deterministic=True)


Found = dict[str, dict[int, list[dict[str, Any]]]]


def _in_turns(console: Console, ground: Ground, servers: Sequence[Server], clients: Sequence[int], runs: int) -> Found:
    """Measure servers in short turns, all of which are there and wait, after each was warmed up."""
    found: Found = {server.name: {count: [] for count in clients} for server in servers}
    with contextlib.ExitStack() as running:
        for server in servers:
            console.print(f"{server.name} ...", style="dim")
            running.enter_context(ground.running(server))
            ground.loaded(server, 4, 0.5)
        for turn in range(TURNS * runs):
            console.print(f"turn {turn + 1} of {TURNS * runs} ...", style="dim")
            for server in servers:
                for count in clients:
                    found[server.name][count].append(ground.loaded(server, count))
    return found


def _median(found: Sequence[Mapping[str, Any]], what: str) -> float:
    return statistics.median(one[what] for one in found)


def _print_rates(console: Console, found: Found, started: Mapping[str, Sequence[float]]) -> None:
    table = Table(
        title=f"One row a request, {TREES} trees, {INPUTS} inputs, one process", title_justify="left", box=None
    )
    table.add_column("server")
    for count in CLIENTS:
        for column in (f"{count}: req/s", "p50 ms", "p99 ms"):
            table.add_column(column, justify="right")
    for column in ("of floor", "x ONNX peer", "x sklearn peer", "ready s"):
        table.add_column(column, justify="right")
    rates = {name: _median(by[16], "rate") for name, by in found.items()}
    for name, by in found.items():
        cells = [
            text
            for count in CLIENTS
            for text in (
                f"{_median(by[count], 'rate'):,.0f}",
                f"{_median(by[count], 'p50_ms'):.2f}",
                f"{_median(by[count], 'p99_ms'):.2f}",
            )
        ]
        # The better of the peers with this kind of model.
        beside = (
            rates[name] / max(rate for other, rate in rates.items() if other.endswith(f", {kind}"))
            for kind in (ONNX, SKLEARN)
        )
        table.add_row(
            name,
            *cells,
            f"{rates[name] / rates[FLOOR]:.0%}",
            *(f"{times:.1f}" for times in beside),
            f"{statistics.median(started[name]):.1f}",
        )
    console.print(table)


def _print_features(console: Console, found: Found) -> None:
    """Latencies with one client, where nobody waits for another; rates with 16."""
    table = Table(title="What each costs", title_justify="left", box=None)
    table.add_column("service")
    columns = ("1: p50 ms", "p99 ms", "p99 over floor", "p99 over router", "16: req/s", "p99 ms", "of floor")
    # It hardly depends on what else a machine does.
    for column in (*columns, "CPU µs a request", "of floor"):
        table.add_column(column, justify="right")
    alone = {name: _median(by[1], "p99_ms") for name, by in found.items()}
    rates = {name: _median(by[16], "rate") for name, by in found.items()}
    taken = {name: _median(by[16], "cpu_us") for name, by in found.items()}
    for name, by in found.items():
        table.add_row(
            name,
            f"{_median(by[1], 'p50_ms'):.2f}",
            f"{alone[name]:.2f}",
            f"{alone[name] - alone[FLOOR]:+.2f}",
            f"{alone[name] - alone[ROUTER]:+.2f}",
            f"{rates[name]:,.0f}",
            f"{_median(by[16], 'p99_ms'):.2f}",
            f"{rates[name] / rates[FLOOR]:.0%}",
            f"{taken[name]:.0f}",
            f"{taken[FLOOR] / taken[name]:.0%}",
        )
    console.print(table)


def _print_sizing(console: Console, ground: Ground, server: Server) -> None:
    """What one process takes with all features, and its time at shares of that."""
    table = Table(title="All features, requests that arrive at fixed times", title_justify="left", box=None)
    for column in ("processes", "of the most", "requests/s", "p50 ms", "p99 ms"):
        table.add_column(column, justify="right")
    two = ground.everything(2)
    with ground.running(server), ground.running(two):
        ground.loaded(server, 4, 0.5)
        ground.loaded(two, 16, 0.5)
        most = _median([ground.loaded(server, 64, 2 * SECONDS) for _ in range(TURNS)], "rate")
        both = _median([ground.loaded(two, 64, 2 * SECONDS) for _ in range(TURNS)], "rate")
        for share in SHARES:
            found = [ground.loaded(server, 64, 2 * SECONDS, arrivals=share * most) for _ in range(TURNS)]
            times = (f"{_median(found, part):.2f}" for part in ("p50_ms", "p99_ms"))
            table.add_row("1", f"{share:.0%}", f"{_median(found, 'rate'):,.0f}", *times)
    table.add_row("1", "the most", f"{most:,.0f}", "", "")
    table.add_row("2", "the most", f"{both:,.0f}", "", "")
    console.print(table)


def _print_memory(console: Console, ground: Ground) -> None:
    table = Table(title="Models in one process", title_justify="left", box=None)
    for column in ("models", "MiB", "MiB for each more", "ready s"):
        table.add_column(column, justify="right")
    first = 0.0
    for count in HOSTED:
        models = [{"name": "trees", "version": "1.0.0", "role": "champion", "traffic": 100}]
        for number in range(1, count):
            name = f"more-{number}"
            if not (ground.registry / name).exists():
                ground.register(name, "1.0.0", ground.content)
            models.append({"name": name, "version": "1.0.0", "role": "member", "traffic": 0})
        server = ground.ours(f"{count} models", models=models)
        with ground.running(server) as process:
            ground.loaded(server, 4, 0.5)
            held = process.memory_info().rss / _MEBIBYTE
        first = first or held
        more = f"{(held - first) / (count - 1):.2f}" if count > 1 else ""
        table.add_row(str(count), f"{held:.0f}", more, f"{ground.started[server.name][-1]:.1f}")
    console.print(table)


def _print_flood(console: Console, ground: Ground) -> None:
    """One tenant asks 200 times a second while another asks as often as it can, and may do so 100 times a second."""
    table = Table(title="A tenant beside another's flood", title_justify="left", box=None)
    table.add_column("the other")
    for column in ("p50 ms", "p99 ms", "refused/s"):
        table.add_column(column, justify="right")
    server = ground.ours("tenants", token=ground.token("shop"), tenants={"shop": 10_000, "bank": 100})
    seconds = 3 * SECONDS
    quiet, flooded, refused = [], [], []
    with ground.running(server):
        ground.loaded(server, 4, 0.5)
        for _ in range(3):
            quiet.append(ground.loaded(server, 2, seconds, rate=200))
            flood = ground.asked(server, 8, seconds + 1, token=ground.token("bank"))
            time.sleep(0.7)
            flooded.append(ground.loaded(server, 2, seconds, rate=200))
            output, _ = flood.communicate()
            refused.append(json.loads(output)["statuses"].get("429", 0) / (seconds + 1))
    table.add_row("silent", f"{_median(quiet, 'p50_ms'):.2f}", f"{_median(quiet, 'p99_ms'):.2f}", "")
    table.add_row(
        "floods",
        f"{_median(flooded, 'p50_ms'):.2f}",
        f"{_median(flooded, 'p99_ms'):.2f}",
        f"{statistics.median(refused):,.0f}",
    )
    console.print(table)


def _print_soak(console: Console, ground: Ground, server: Server, seconds: float = SOAK_SECONDS) -> None:
    """Memory of the process that answers, and of the one of its shadows, while 16 clients ask as often as they can."""
    table = Table(title=f"Soak, all features, {seconds:.0f} s", title_justify="left", box=None)
    for column in ("seconds", "requests", "MiB", "of shadows"):
        table.add_column(column, justify="right")
    with ground.running(server) as process:
        requests = 0.0
        for part in range(SOAK_PARTS):
            requests += ground.loaded(server, 16, seconds / SOAK_PARTS)["rate"] * seconds / SOAK_PARTS
            held = process.memory_info().rss / _MEBIBYTE
            beside = sum(child.memory_info().rss for child in process.children()) / _MEBIBYTE
            passed = (part + 1) * seconds / SOAK_PARTS
            table.add_row(f"{passed:.0f}", f"{requests:,.0f}", f"{held:.1f}", f"{beside:.1f}")
    console.print(table)
