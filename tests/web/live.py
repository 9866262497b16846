"""A real server in a thread, and what the tests send it."""

import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from mien.web.listening import listen
from mien.web.server import configure
from mien.web.settings import Settings


@contextmanager
def live(app: FastAPI, settings: Settings | None = None) -> Iterator[str]:
    """Serve an app on a free port; give its address."""
    listener = listen("127.0.0.1", 0)
    server = uvicorn.Server(configure(app, settings or app.state.settings))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def started(
    model: Path, *flags: str, command: Sequence[str] | None = None
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run ``mien serve``, or another command, as a process; give it and its address."""
    serve = [sys.executable, "-c", "from mien.cli import main; main()", "serve", "--model", str(model)]
    process = subprocess.Popen(command or [*serve, "--port", "0", *flags], stderr=subprocess.PIPE, text=True)
    with process:
        assert process.stderr is not None
        try:
            yield (
                process,
                next(found[0] for line in process.stderr if (found := re.search(r"http://\S+", line))),
            )
        finally:
            process.kill()
