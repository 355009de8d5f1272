"""What the service tells of itself: lines of JSON, metrics for Prometheus, and traces where a collector is named."""

import json
import logging
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
NO_TENANT = "-"


class Metrics:
    """Counters and histograms. Labels are tenants and versions of the table, whose number is known."""

    def __init__(self, registry: CollectorRegistry):
        self.registry = registry
        self.requests = Counter(
            "serving_requests",
            "Requests by tenant, protocol and status",
            ("tenant", "protocol", "status"),
            registry=registry,
        )
        self.seconds = Histogram(
            "serving_request_seconds", "Time of answered requests", ("tenant",), buckets=_BUCKETS, registry=registry
        )
        self.answers = Counter(
            "serving_answers", "Rows by the version that answered", ("model", "role"), registry=registry
        )
        self.failures = Counter(
            "serving_model_failures", "Requests that a version failed", ("model",), registry=registry
        )
        self.missing = Counter("serving_missing_inputs", "Requests that lacked an input", ("input",), registry=registry)
        self.shadow = Counter(
            "serving_shadow", "Copies by what became of them", ("model", "outcome"), registry=registry
        )
        self.degraded = Counter("serving_degraded", "Answers without a member or canary", ("model",), registry=registry)
        self.withdrawn = Gauge(
            "serving_canary_withdrawn",
            "1 for a canary that was withdrawn",
            ("model",),
            registry=registry,
            multiprocess_mode="max",
        )
        self.reloads = Counter(
            "serving_reloads", "Routing tables by what became of them", ("outcome",), registry=registry
        )
        self._bound: dict[Any, Any] = {}

    def count(self, metric: Counter, labels: tuple[str, ...], amount: float = 1) -> None:
        """Count; which child labels mean is looked up once."""
        key = (metric, labels)
        child = self._bound.get(key)
        if child is None:
            child = self._bound[key] = metric.labels(*labels)
        child.inc(amount)

    def took(self, tenant: str, seconds: float) -> None:
        """Note the time of a request."""
        child = self._bound.get(tenant)
        if child is None:
            child = self._bound[tenant] = self.seconds.labels(tenant)
        child.observe(seconds)


def exposed(registry: CollectorRegistry) -> CollectorRegistry:
    """What is told of the service: of all of its processes where there are several."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return registry
    from prometheus_client.multiprocess import MultiProcessCollector

    together = CollectorRegistry()
    MultiProcessCollector(together)
    return together


class JsonLines(logging.Formatter):
    """A line of JSON for each record; what `extra` gives as `fields` stands beside the message."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            # What Google Cloud reads it by; the others show it.
            "severity": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def set_up_logging() -> None:
    """Lines of JSON to standard error; the level is that of LOG_LEVEL."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=os.environ.get("LOG_LEVEL", "INFO"), handlers=[handler], force=True)


def tracing(variables: Mapping[str, str] = os.environ) -> Any:
    """Sends spans to the collector of OTEL_EXPORTER_OTLP_ENDPOINT; None without one, which costs nothing.

    How many traces are kept is for OTEL_TRACES_SAMPLER to say, as everywhere in OpenTelemetry.
    """
    if not variables.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def send_metrics(registry: CollectorRegistry, variables: Mapping[str, str] = os.environ) -> Any:
    """Send the counters to the same collector; returns what is to be shut down, or None without a collector."""
    if not variables.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return None
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.metrics import Observation
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    provider = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())])
    meter = provider.get_meter("ml_pipelines.serving")

    def observe(name: str) -> Any:
        def callback(_: Any) -> list[Observation]:
            return [
                Observation(sample.value, sample.labels)
                for family in registry.collect()
                for sample in family.samples
                if sample.name == name
            ]

        return callback

    for family in list(registry.collect()):
        if family.type == "counter":
            meter.create_observable_counter(
                family.name, [observe(f"{family.name}_total")], description=family.documentation
            )
        elif family.type == "histogram":
            for part in ("count", "sum"):
                name = f"{family.name}_{part}"
                meter.create_observable_counter(name, [observe(name)], description=family.documentation)
    return provider
