"""Bounds on connections: their number, and the time until one of them asks for something."""

import asyncio
import contextlib
import math
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0
"""Time for the head of a request to arrive: from the connection's begin, or from the answer before."""

RESERVE = 64
"""Files that the server opens beside its connections: the model, the log, static files …"""

BACKLOG = 128
"""Connections that the system holds until they are accepted."""


def bounded(most: int) -> type[asyncio.Protocol]:
    """Uvicorn's protocol, with connections that are bounded in number and patience.

    Silent connections are closed after :data:`HEAD_SECONDS`. Where there are more than ``most`` connections,
    the one that has been silent longest makes room, so that whoever asks for something is answered.

    Args:
        most: Connections at a time.
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
    """How many connections there can be; raises the limit of open files to what they need, if it may.

    Args:
        wanted: Connections at a time.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return wanted
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft, hard = (math.inf if limit == resource.RLIM_INFINITY else limit for limit in limits)
    most = min(hard, wanted + BACKLOG + RESERVE)
    if soft < most:
        with contextlib.suppress(ValueError, OSError):  # the system knows a lower one
            resource.setrlimit(resource.RLIMIT_NOFILE, (int(most), limits[1]))
            soft = most
    return int(max(1, min(wanted, soft - BACKLOG - RESERVE)))
