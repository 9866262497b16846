"""One log line and one count per request, without any text that a client chose."""

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mien.web.metrics import Metrics

log = logging.getLogger("mien.web")

LEFT = 499
"""Status logged if the client disconnects before the answer, as in nginx."""

QUIET = ("/healthz", "/readyz", "/metrics", "/static", "/docs/assets")
"""Routes that machines request often; successes are logged only at level debug."""

METHODS = ("GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE")


class AccessLog:
    """ASGI middleware that logs and counts requests by route, without queries, file names or addresses."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        """Wrap an app."""
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, then log and count its status and duration."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = time.monotonic()
        status = LEFT  # until an answer starts

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, send_and_note)
        except BaseException:
            status = 500
            raise
        finally:
            seconds = time.monotonic() - start
            method = scope["method"] if scope["method"] in METHODS else "other"
            self.metrics.count_request(method, route_of(scope), status, seconds)
            self._log(method, route_of(scope), status, seconds)

    def _log(self, method: str, route: str, status: int, seconds: float) -> None:
        level = logging.DEBUG if route in QUIET and status < 400 else logging.INFO
        fields = {"method": method, "route": route, "status": status, "ms": round(1000 * seconds)}
        text = "%s %s %d %.0f ms"
        log.log(level, text, method, route, status, 1000 * seconds, extra={"fields": fields})


def route_of(scope: Scope) -> str:
    """The pattern of the route that answered, since the requested path might contain a name."""
    for assets in ("/static", "/docs/assets"):
        if scope["path"].startswith(f"{assets}/"):
            return assets
    return getattr(scope.get("route"), "path", None) or "unknown"
