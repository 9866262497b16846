"""Security headers of pages and answers."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "font-src 'self'; connect-src 'self'; media-src 'self' blob:; manifest-src 'self'; "
        "form-action 'self'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(self), geolocation=(), microphone=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class SecurityHeaders:
    """ASGI middleware that adds :data:`HEADERS` and ``Cache-Control`` to every answer.

    ``Cache-Control`` is ``no-cache`` for static files and ``no-store`` for everything else.

    Args:
        app: The app to wrap.
        frame_origins: Origins whose pages may show this server in a frame; by default none.
    """

    def __init__(self, app: ASGIApp, frame_origins: tuple[str, ...] = ()) -> None:
        """Wrap an app."""
        self.app = app
        framed_by = " ".join(("'self'", *frame_origins)) if frame_origins else "'none'"
        policy = f"{HEADERS['Content-Security-Policy']}; frame-ancestors {framed_by}"
        self.headers = HEADERS | {"Content-Security-Policy": policy}
        if not frame_origins:
            self.headers["X-Frame-Options"] = "DENY"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and add headers to its answer."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self.headers.items():
                    headers.setdefault(name, value)
                static = scope["path"].startswith(("/static/", "/docs/assets/"))
                headers.setdefault("Cache-Control", "no-cache" if static else "no-store")
            await send(message)

        await self.app(scope, receive, send_with_headers)
