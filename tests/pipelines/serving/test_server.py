"""The service as a process: it starts, drains, and lives through the drill; and what it traces."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import httpx
import psutil
import pytest
from ml_pipelines.serving.drill import drill
from ml_pipelines.serving.workers import processors
from ml_pipelines.steps import manifest

from .conftest import KEY, table
from .test_service import EVENT


def environment(registry, **changed):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    variables = {
        "ML_BLUEPRINTS_ROUTING": json.dumps(table()),
        "MODELS": str(registry),
        "TRUSTED_KEYS": manifest.as_word(KEY.public_key()),
        "PORT": str(port),
        "WORKERS": "1",
    }
    return port, os.environ | variables | changed


def start(variables):
    return subprocess.Popen(
        [sys.executable, "-m", "ml_pipelines.serving"], env=variables, stderr=subprocess.PIPE, text=True
    )


def until_ready(port):
    for _ in range(600):
        try:
            if httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError("the service isn't ready in 30 s")


def test_an_end_is_told_beforehand_and_no_request_is_lost(registry):
    port, variables = environment(registry, DRAIN_SECONDS="1")
    process = start(variables)
    until_ready(port)
    process.send_signal(signal.SIGTERM)
    statuses, health = [], []
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as http:
        end = time.monotonic() + 0.7
        while time.monotonic() < end:
            statuses.append(http.post("/v1/score", json=EVENT).status_code)
            health.append(http.get("/health").status_code)
    assert set(statuses) == {200}
    assert 503 in health
    # uvicorn ends by the signal that it was sent, when all is done.
    assert process.wait(15) == -signal.SIGTERM


@pytest.fixture
def two(registry):
    """Two processes of the service on one port, with a port of their own for metrics; both end with the test."""
    _, taken = environment(registry)
    port, variables = environment(registry, WORKERS="2", DRAIN_SECONDS="0.3", METRICS_PORT=taken["PORT"])
    process = start(variables)
    until_ready(port)
    yield process, port, int(taken["PORT"])
    process.kill()
    process.wait()


def test_several_processes_serve_count_and_drain_together(two):
    process, port, metrics = two
    workers = psutil.Process(process.pid).children()
    assert len(workers) == 2
    end = time.monotonic() + 20
    # Each connection is of one process; after a while both have some.
    while any(not worker.net_connections() for worker in workers) and time.monotonic() < end:
        time.sleep(0.05)
    asked = 40
    for _ in range(asked):
        assert httpx.post(f"http://127.0.0.1:{port}/v1/score", json=EVENT).status_code == 200
    counted = 'serving_requests_total{protocol="own",status="200",tenant="-"} 40.0'
    assert counted in httpx.get(f"http://127.0.0.1:{metrics}/metrics").text
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0
    assert not any(worker.is_running() for worker in workers)


def test_processes_that_cant_start_end_the_service_with_the_reason(registry):
    (registry / "trees" / "1.0.0" / "manifest.sig").unlink()
    _, variables = environment(registry, WORKERS="2")
    process = start(variables)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "serving: model trees/1.0.0" in said


@pytest.mark.parametrize(("quota", "most"), [("max 100000", 64), ("150000 100000", 2), ("50000 100000", 1), ("x", 64)])
def test_the_processors_are_those_of_the_container(tmp_path, monkeypatch, quota, most):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    (tmp_path / "cpu.max").write_text(quota)
    assert processors(tmp_path / "cpu.max") == most


def test_a_model_that_is_refused_ends_the_service_with_its_reason(registry):
    (registry / "trees" / "1.0.0" / "manifest.sig").unlink()
    _, variables = environment(registry)
    process = start(variables)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "serving: model trees/1.0.0" in said
    assert "Traceback" not in said


def test_the_drill_fails_no_request(tmp_path):
    said = []
    outcome = drill(tmp_path, said.append, settle=0.3)
    assert outcome.failed == 0
    assert outcome.answered > 100
    assert outcome.detected_seconds < 5
    assert any("is refused" in line for line in said)
    assert any("is withdrawn" in line for line in said)


class Collector:
    """Takes what is sent to an OpenTelemetry collector."""

    def __init__(self):
        from http.server import BaseHTTPRequestHandler, HTTPServer

        received = self.received = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                received.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def collector():
    made = Collector()
    yield made
    made.server.shutdown()


def test_traces_continue_the_callers_and_metrics_are_sent(registry, collector):
    port, variables = environment(
        registry,
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{collector.server.server_port}",
        DRAIN_SECONDS="0",
    )
    process = start(variables)
    until_ready(port)
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    assert httpx.post(f"http://127.0.0.1:{port}/v1/score", json=EVENT, headers=headers).status_code == 200
    process.terminate()
    process.wait(15)
    spans = b"".join(body for path, body in collector.received if path == "/v1/traces")
    metrics = b"".join(body for path, body in collector.received if path == "/v1/metrics")
    assert bytes.fromhex(trace) in spans
    assert b"trees/1.0.0" in spans
    assert b"serving_answers" in metrics
