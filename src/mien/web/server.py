"""Uvicorn around the application: listening, logging, stopping."""

import asyncio
import ipaddress
import logging
import os
import socket
import sys
import traceback
from types import TracebackType

import uvicorn
from fastapi import FastAPI

from mien.errors import ServerError
from mien.predictor import Predictor
from mien.web.app import create_app
from mien.web.connections import BACKLOG, bounded, room_for_connections
from mien.web.settings import Settings

EVERYONE = (
    "mien: this listens on {host}, not on this machine alone: whoever can reach it can send photos, without "
    "a password and unencrypted. Put a proxy with TLS and a login in front of it."
)

NAMELESS = (
    "mien: it answers to addresses and to names without a dot; name others, such as mien.example.org, with "
    "--allowed-hosts (MIEN_ALLOWED_HOSTS)."
)


def serve(settings: Settings, predictor: Predictor | None = None) -> None:
    """Answer requests until SIGTERM or Ctrl-C, and then finish what is under way.

    Args:
        settings: For the application and for listening.
        predictor: See :func:`~mien.web.app.create_app`.

    Raises:
        MienError: If the model cannot be loaded or the address cannot be listened on.
    """
    if _a_loop_runs():
        raise ServerError(
            "An event loop runs here already, as in a notebook; start the server in a thread: "
            "threading.Thread(target=serve, args=[settings], daemon=True).start()"
        )
    with listen(settings.host, settings.port) as listener:
        config = configure(create_app(settings, predictor), settings)
        set_up_logging()
        announce(listener, settings)
        try:
            uvicorn.Server(config).run(sockets=[listener])
        except KeyboardInterrupt:  # raised again by Uvicorn after everything has been finished
            return


def _a_loop_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def configure(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """How Uvicorn is to serve the application."""
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        http=bounded(room_for_connections(settings.max_connections)),
        ws="none",
        backlog=BACKLOG,
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )


def announce(listener: socket.socket, settings: Settings) -> None:
    """Say where the server is, and a warning where others can reach it."""
    host, port = listener.getsockname()[:2]
    if (sentence := warning(host)) is not None:
        print(sentence, file=sys.stderr)
        if not settings.allowed_hosts:
            print(NAMELESS, file=sys.stderr)
    place = f"[{host}]" if ":" in host else host
    print(f"mien: http://{place}:{port} is ready; Ctrl-C stops it.", file=sys.stderr, flush=True)


def warning(host: str) -> str | None:
    """What to say before listening on an address that others may reach."""
    return None if ipaddress.ip_address(host).is_loopback else EVERYONE.format(host=host)


def listen(host: str, port: int) -> socket.socket:
    """A socket to accept connections on.

    Raises:
        ServerError: If there is no such address, or it is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        made = socket.create_server((host, port), family=family, backlog=BACKLOG)
        # asyncio switches off Nagle's algorithm, which would hold answers back, only where TCP is named.
        return socket.socket(made.family, made.type, socket.IPPROTO_TCP, fileno=made.detach())
    except OSError as error:
        reason = os.strerror(error.errno).lower() if error.errno and error.errno > 0 else "no such host"
        raise ServerError(
            f"Port {port} of {host} cannot be listened on ({reason}); choose another --port or --host."
        ) from None


def set_up_logging() -> None:
    """Write mien's lines, and Uvicorn's warnings, to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(DiscreetFormatter("%(asctime)s %(message)s", "%H:%M:%S"))
    for name, level in (("mien.web", logging.INFO), ("uvicorn", logging.WARNING)):
        log = logging.getLogger(name)
        log.handlers, log.propagate = [handler], False
        log.setLevel(level)


class DiscreetFormatter(logging.Formatter):
    """Formats an exception as its type and the lines of code: its message might hold a photo's name."""

    def formatException(
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None],
    ) -> str:
        """The traceback, with no word of what the code worked on."""
        kind, _, trace = ei
        lines = "".join(traceback.format_tb(trace)).rstrip()
        return f"{lines}\n{kind.__name__}" if kind is not None else lines
