"""Check of the host name in requests, against DNS rebinding."""

import ipaddress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from mien.web.problems import wrong_host


class AllowedHosts:
    """ASGI middleware that refuses requests for unknown host names with 421 (RFC 9110, section 15.5.20).

    In a DNS rebinding attack, a page's host name changes to this machine's address. The browser then counts
    the page and the server as one origin, and the page could read every answer. Such a name is public and so
    has a dot. Therefore ``localhost``, other names without a dot, and IP addresses are always allowed.

    Args:
        app: The app to wrap.
        names: Further allowed names; ``*.example.org`` allows all subdomains, ``*`` any name.
    """

    def __init__(self, app: ASGIApp, names: tuple[str, ...]) -> None:
        """Wrap an app."""
        self.app = app
        self.names = tuple(name.lower().rstrip(".") for name in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on if its host is allowed, else answer 421."""
        if scope["type"] != "http" or self.allows(Headers(scope=scope).get("host", "")):
            await self.app(scope, receive, send)
        else:
            problem = wrong_host()
            scope["app"].state.metrics.count_rejection(problem.kind)
            await problem.response()(scope, receive, send)

    def allows(self, host: str) -> bool:
        """Whether the value of a Host header, with or without a port, is allowed."""
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
