"""Tolerance for HEAD requests and for trailing slashes."""

from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PAGES = ("/info", "/help", "/docs", "/sample")
"""Pages with relative links, which would be wrong below a path with a trailing slash."""


class Lenient:
    """ASGI middleware that answers HEAD like GET but without a body, and accepts trailing slashes.

    A page is redirected to its path without the slash. For other paths the slash is removed.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an app."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with the normalised method and path."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        if scope["method"] == "HEAD":
            scope, send = {**scope, "method": "GET"}, _without_body(send)
        root, path = scope.get("root_path", ""), scope["path"]
        short = path.rstrip("/")
        if path.endswith("/") and short != root.rstrip("/"):
            if short.removeprefix(root) in PAGES:
                # The target is relative, since a proxy may serve the page below any path and on any host.
                await RedirectResponse(f"../{short.rpartition('/')[2]}")(scope, receive, send)
                return
            scope = {**scope, "path": short, "raw_path": scope.get("raw_path", b"").rstrip(b"/")}
        await self.app(scope, receive, send)


def _without_body(send: Send) -> Send:
    async def send_head(message: Message) -> None:
        await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

    return send_head
