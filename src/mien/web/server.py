"""Uvicorn around the application: listening, logging, stopping."""

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
    with listener_for(settings) as listener:
        config = configure(create_app(settings, predictor), settings)
        set_up_logging(settings.log_format, settings.log_level)
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
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )


def announce(listener: socket.socket, settings: Settings) -> None:
    """Say where the server is, and a warning where others can reach it."""
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
    """What to say before listening on an address that others may reach."""
    return None if ipaddress.ip_address(host).is_loopback else EVERYONE.format(host=host)
