"""Running the application with Uvicorn: listening, logging, stopping."""

import asyncio
import ipaddress
import socket
import sys

import uvicorn
from fastapi import FastAPI

from mien.errors import ServerError
from mien.predictor import Predictor
from mien.web.app import create_app
from mien.web.connections import BACKLOG, bounded, room_for_connections
from mien.web.listening import listener_for
from mien.web.logs import set_up_logging
from mien.web.settings import Settings

EVERYONE = (
    "mien: the server listens on {host}, not on this machine alone: anyone who can reach it can send photos, "
    "without a password and unencrypted. Put a proxy with TLS and a login in front of it."
)

NAMELESS = (
    "mien: the server answers to IP addresses and to names without a dot; allow other names, such as "
    "mien.example.org, with --allowed-hosts (MIEN_ALLOWED_HOSTS)."
)


def serve(settings: Settings, predictor: Predictor | None = None) -> None:
    """Answer requests until SIGTERM or Ctrl-C, then finish the requests in progress.

    Args:
        settings: Settings of the application and of the server.
        predictor: See :func:`~mien.web.app.create_app`.

    Raises:
        MienError: If the model cannot be loaded, the server cannot listen on the address, or an event loop is
            already running in this thread.
    """
    if _a_loop_runs():
        raise ServerError(
            "An event loop runs here already, as in a notebook; start the server in a thread: "
            "threading.Thread(target=serve, args=[settings], daemon=True).start()"
        )
    with listener_for(settings) as listener:
        config = configure(create_app(settings, predictor), settings)
        set_up_logging(settings.log_format, settings.log_level)
        announce(listener, settings)
        try:
            uvicorn.Server(config).run(sockets=[listener])
        except KeyboardInterrupt:  # Uvicorn raises it again after it has finished all requests
            return


def _a_loop_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def configure(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """The configuration of Uvicorn for the application."""
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        http=bounded(room_for_connections(settings.max_connections)),
        ws="none",
        backlog=BACKLOG,
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )


def announce(listener: socket.socket, settings: Settings) -> None:
    """Print the address of the server, and a warning if other machines can reach it."""
    if listener.family not in (socket.AF_INET, socket.AF_INET6):
        print(f"mien: {listener.getsockname()} is ready; Ctrl-C stops it.", file=sys.stderr, flush=True)
        return
    host, port = listener.getsockname()[:2]
    if (sentence := warning(host)) is not None:
        print(sentence, file=sys.stderr)
        if not settings.allowed_hosts:
            print(NAMELESS, file=sys.stderr)
    place = f"[{host}]" if ":" in host else host
    print(f"mien: http://{place}:{port} is ready; Ctrl-C stops it.", file=sys.stderr, flush=True)


def warning(host: str) -> str | None:
    """The warning for an address that other machines may reach; None for a loopback address."""
    return None if ipaddress.ip_address(host).is_loopback else EVERYONE.format(host=host)
