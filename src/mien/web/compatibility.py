"""Requests as clients write them: HEAD, and a slash too many."""

from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PAGES = ("/info", "/help", "/docs", "/sample")
"""With a slash at their end, the addresses in these would lead astray."""


class Lenient:
    """ASGI middleware that answers HEAD as GET, without a body, and takes off a path's last slash."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an app."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on as it is meant."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        if scope["method"] == "HEAD":
            scope, send = {**scope, "method": "GET"}, _without_body(send)
        root, path = scope.get("root_path", ""), scope["path"]
        short = path.rstrip("/")
        if path.endswith("/") and short != root.rstrip("/"):
            if short.removeprefix(root) in PAGES:
                # Seen from the page with the slash; a proxy may serve it below any path, on any host.
                await RedirectResponse(f"../{short.rpartition('/')[2]}")(scope, receive, send)
                return
            scope = {**scope, "path": short, "raw_path": scope.get("raw_path", b"").rstrip(b"/")}
        await self.app(scope, receive, send)


def _without_body(send: Send) -> Send:
    async def send_head(message: Message) -> None:
        await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

    return send_head
