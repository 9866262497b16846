"""The names by which a server may be asked for."""

import ipaddress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from mien.web.problems import wrong_host


class AllowedHosts:
    """ASGI middleware that answers only to its own names (421, RFC 9110, section 15.5.20).

    A page whose name comes to stand for this machine's address ("DNS rebinding") is of one origin with the
    server to a browser, and could read everything. Such a name is public, and so has a dot: ``localhost`` and
    other names without one are let in, as are plain addresses.

    Args:
        app: To wrap.
        names: Further names; ``*.example.org`` stands for all below it, ``*`` for any.
    """

    def __init__(self, app: ASGIApp, names: tuple[str, ...]) -> None:
        """Wrap an app."""
        self.app = app
        self.names = tuple(name.lower().rstrip(".") for name in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on if it asks for this server."""
        if scope["type"] != "http" or self.allows(Headers(scope=scope).get("host", "")):
            await self.app(scope, receive, send)
        else:
            problem = wrong_host()
            scope["app"].state.metrics.count_rejection(problem.kind)
            await problem.response()(scope, receive, send)

    def allows(self, host: str) -> bool:
        """Whether a Host header, with or without a port, names this server."""
        name = host.lower()
        if not name.endswith("]"):
            name = name.rpartition(":")[0] or name
        name = name.rstrip(".")
        return "." not in name or name.endswith(".localhost") or _is_address(name) or self._lists(name)

    def _lists(self, name: str) -> bool:
        return any(
            name == listed or listed == "*" or (listed.startswith("*.") and name.endswith(listed[1:]))
            for listed in self.names
        )


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
