"""Counts for Prometheus; none holds anything of a photo or of who sent it."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from mien.photo_result import PhotoResult

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """The counts of one application.

    Args:
        pending: Tells how many photos are being looked at or wait for it.
        held: Tells how many bytes of uploads are in memory.
    """

    def __init__(self, pending: Callable[[], float], held: Callable[[], float]) -> None:
        """Make a registry of its own, so that one process may hold several applications."""
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "mien_requests", "Requests answered.", ["method", "route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "mien_request_seconds",
            "From a request's first byte to its answer.",
            ["route"],
            buckets=SECONDS,
            registry=registry,
        )
        self._photos = Counter("mien_photos", "Photos looked at.", ["outcome"], registry=registry)
        self._faces = Counter("mien_faces", "Faces estimated.", registry=registry)
        self._rejections = Counter(
            "mien_rejections", "Requests answered with a problem.", ["kind"], registry=registry
        )
        Gauge(
            "mien_pending_photos", "Photos being looked at, or waiting for it.", registry=registry
        ).set_function(pending)
        Gauge("mien_held_bytes", "Bytes of uploads in memory.", registry=registry).set_function(held)

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def count_photo(self, result: PhotoResult) -> None:
        """A photo was looked at, or could not be."""
        self._photos.labels("failed" if result.error is not None else "read").inc()
        self._faces.inc(len(result.faces))

    def count_rejection(self, kind: str) -> None:
        """A request was answered with a problem of this kind."""
        self._rejections.labels(kind).inc()

    def exposition(self) -> bytes:
        """Everything in Prometheus's text format."""
        return generate_latest(self._registry)
