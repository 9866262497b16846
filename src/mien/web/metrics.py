"""Metrics for Prometheus, without data of photos or clients."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from mien.photo_result import PhotoResult

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """The metrics of one application.

    Args:
        pending: Returns the number of photos in work or waiting.
        held: Returns the number of bytes of uploads in memory.
    """

    def __init__(self, pending: Callable[[], float], held: Callable[[], float]) -> None:
        """Create a registry of its own, so that one process may hold several applications."""
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "mien_requests", "Requests answered.", ["method", "route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "mien_request_seconds",
            "Seconds from the start of a request to its answer.",
            ["route"],
            buckets=SECONDS,
            registry=registry,
        )
        self._photos = Counter("mien_photos", "Photos processed.", ["outcome"], registry=registry)
        self._faces = Counter("mien_faces", "Faces estimated.", registry=registry)
        self._rejections = Counter(
            "mien_rejections", "Requests answered with a problem document.", ["kind"], registry=registry
        )
        Gauge("mien_pending_photos", "Photos in work or waiting.", registry=registry).set_function(pending)
        Gauge("mien_held_bytes", "Bytes of uploads in memory.", registry=registry).set_function(held)

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answered request, and its duration in seconds."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def count_photo(self, result: PhotoResult) -> None:
        """Count a photo, as read or failed, and its faces."""
        self._photos.labels("failed" if result.error is not None else "read").inc()
        self._faces.inc(len(result.faces))

    def count_rejection(self, kind: str) -> None:
        """Count a request answered with a problem of this kind."""
        self._rejections.labels(kind).inc()

    def exposition(self) -> bytes:
        """All metrics in the text format of Prometheus."""
        return generate_latest(self._registry)
