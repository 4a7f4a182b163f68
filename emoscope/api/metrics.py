"""What Prometheus reads: requests, how long they take, the queue, the seconds of sound, and the model in use."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from emoscope.report import Report

if TYPE_CHECKING:
    from emoscope.analyzer import Analyzer
    from emoscope.jobs import Jobs

LATENCIES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)  # seconds
OTHERS = "studio"  # every route that is not named here: there must not be a series for each file
METHODS = ("GET", "HEAD", "POST", "DELETE")
ALONE = ("/health", "/ready", "/metrics")


class Metrics:
    """The measurements of one process."""

    def __init__(self, analyzer: "Analyzer", jobs: "Jobs") -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.registry.register(_Now(analyzer, jobs))
        self.requests = Counter(
            "emoscope_requests", "Requests that were answered.", ("route", "method", "status"), registry=self.registry
        )
        self.latency = Histogram(
            "emoscope_request_seconds",
            "Seconds until a request was answered to its end.",
            ("route", "method"),
            buckets=LATENCIES,
            registry=self.registry,
        )
        self.analyses = Counter("emoscope_analyses", "Analyses that are done.", ("mode",), registry=self.registry)
        self.sound = Counter("emoscope_audio_seconds", "Seconds of sound that were heard.", registry=self.registry)

    def count(self, report: Report) -> None:
        """Count an analysis that is done."""
        self.analyses.labels(report.mode).inc()
        if report.heard:
            self.sound.inc(report.recording.wave.seconds)

    def text(self) -> bytes:
        """Return all of it as Prometheus reads it."""
        return generate_latest(self.registry)


class _Now(Collector):
    """What is true at the moment of looking."""

    def __init__(self, analyzer: "Analyzer", jobs: "Jobs") -> None:
        self._analyzer = analyzer
        self._jobs = jobs

    def collect(self) -> Iterator[Metric]:
        """Look at the queue and the model."""
        queue = GaugeMetricFamily("emoscope_queue", "Analyses in the queue.", labels=("state",))
        queue.add_metric(("waiting",), self._jobs.waiting)
        queue.add_metric(("running",), self._jobs.running)
        yield queue
        status = self._analyzer.status
        ready = float(status.state == "ready")
        yield GaugeMetricFamily("emoscope_ready", "1 when a speech model can answer.", ready)
        if status.model:
            model = InfoMetricFamily("emoscope_model", "The speech model that answers.")
            names = ("name", "kind", "weights", "precision", "device")
            model.add_metric((), {name: getattr(status.model, name) for name in names})
            yield model


class Measured:
    """Counts what passes through it; pure ASGI, so that streams are not buffered."""

    def __init__(self, app: ASGIApp, metrics: Metrics, prefix: str) -> None:
        self._app = app
        self._metrics = metrics
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, path = time.perf_counter(), 500, scope["path"]

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            route = self._route(path, scope)
            method = scope["method"] if scope["method"] in METHODS else "other"
            self._metrics.requests.labels(route, method, status).inc()
            if route != OTHERS:  # its streams last as long as somebody looks at the page
                self._metrics.latency.labels(route, method).observe(time.perf_counter() - began)

    def _route(self, path: str, scope: Scope) -> str:
        """Return the template of a route, of which there are few, and not a path, of which there is no end."""
        if path in ALONE:
            return path
        if path.startswith(f"{self._prefix}/"):
            template = getattr(scope.get("route"), "path", "/unknown")
            return f"{self._prefix}{template}"
        return OTHERS
