"""Limits on connections: their number, and the time that they may stay silent."""

import asyncio
import contextlib
import math
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0
"""Seconds for the head of a request to arrive, from the start of the connection or the previous answer."""

RESERVE = 64
"""Number of files that the server may open besides its connections: the model, the log, static files …"""

BACKLOG = 128
"""Number of connections that the operating system queues until they are accepted."""


def bounded(most: int) -> type[asyncio.Protocol]:
    """Uvicorn's protocol with limits on connections.

    Silent connections are closed after :data:`HEAD_SECONDS`. If there are more than ``most`` connections, the
    one that has been silent longest is closed, so that new requests are answered.

    Args:
        most: Maximum number of connections at a time.
    """

    class Bounded(H11Protocol):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._silent_since = self.loop.time()
            self._timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in H11Protocol
            super().connection_made(transport)
            self._wait_for_head()
            if len(self.connections) > most:
                silent = (c for c in self.connections if isinstance(c, Bounded) and not c._is_busy())
                min(silent, key=lambda c: c._silent_since, default=self)._hang_up()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self._is_busy():
                self._stop_waiting()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if not self._is_busy():
                self._wait_for_head()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            super().connection_lost(exc)

        def _is_busy(self) -> bool:
            return self.cycle is not None and not self.cycle.response_complete

        def _wait_for_head(self) -> None:
            self._stop_waiting()
            self._silent_since = self.loop.time()
            self._timer = self.loop.call_later(HEAD_SECONDS, self._hang_up)

        def _stop_waiting(self) -> None:
            if self._timer is not None:
                self._timer.cancel()

        def _hang_up(self) -> None:
            self.connections.discard(self)
            self.transport.abort()

    return Bounded


def room_for_connections(wanted: int) -> int:
    """Number of possible connections; raises the process's limit of open files for them if permitted.

    Args:
        wanted: Wanted number of connections at a time.

    Returns:
        ``wanted``, or fewer if the limit of open files is lower; at least 1.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return wanted
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft, hard = (math.inf if limit == resource.RLIM_INFINITY else limit for limit in limits)
    most = min(hard, wanted + BACKLOG + RESERVE)
    if soft < most:
        with contextlib.suppress(ValueError, OSError):  # the system may have a still lower limit
            resource.setrlimit(resource.RLIMIT_NOFILE, (int(most), limits[1]))
            soft = most
    return int(max(1, min(wanted, soft - BACKLOG - RESERVE)))
