"""Limits on request bodies: size, time, and the memory of all requests together."""

import asyncio
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mien.web.problems import Problem, busy, too_large, too_slow
from mien.web.settings import Settings

ROOM_FOR_JSON = 10_000
"""Bytes reserved in a JSON document for everything but the photos."""


class UploadLimits:
    """ASGI middleware that refuses a body that is too large, too slow, or too much for the memory limit.

    Reading the body raises the :class:`~mien.web.problems.Problem`, which the exception handlers answer. The
    bytes of a request count as held until it is answered. If the client disconnects before that, the request
    is cancelled, and its waiting photos leave the queue.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        """Wrap an app."""
        self.app = app
        self.settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with limits on its body."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = _Body(receive, scope, self.settings, scope["app"].state.uploads)
        answering = asyncio.current_task()
        assert answering is not None

        async def send_and_note(message: Message) -> None:
            body.answered |= message["type"] == "http.response.body" and not message.get("more_body", False)
            await send(message)

        leaving = asyncio.create_task(body.watch(answering))
        try:
            await self.app(scope, body, send_and_note)
        except asyncio.CancelledError:
            if not body.abandoned:
                raise
            answering.uncancel()
        finally:
            leaving.cancel()
            body.release()


class HeldBytes:
    """Number of bytes of uploads in memory, over all requests."""

    def __init__(self) -> None:
        """Start at 0."""
        self.count = 0


class _Body:
    """A ``receive`` callable that enforces the limits on bytes and time."""

    def __init__(self, receive: Receive, scope: Scope, settings: Settings, held: HeldBytes) -> None:
        headers = Headers(scope=scope)
        self.answered = self.abandoned = False
        self._receive = receive
        self._settings = settings
        self._held = held
        kind = headers.get("content-type", "").lower()
        # Base64 encodes three bytes as four characters; read_document checks the size of the decoded photos.
        room = 4 / 3 if kind.startswith("application/json") else 1
        self._most = int(room * settings.max_upload) + (ROOM_FOR_JSON if room > 1 else 0)
        self._mine = 0
        self._finished, self._gone = asyncio.Event(), asyncio.Event()
        if scope["method"] in ("GET", "HEAD"):  # their body is never read
            self._finished.set()
        self._deadline = asyncio.get_running_loop().time() + settings.upload_seconds
        announced = headers.get("content-length", "")
        self._announced = int(announced) if announced.isdecimal() else 0
        self._asks_first = headers.get("expect", "").lower() == "100-continue"

    async def __call__(self) -> Message:
        if self._finished.is_set():
            await self._gone.wait()
            return {"type": "http.disconnect"}
        if self._announced > self._most:
            if not self._asks_first:
                await self._discard()
            raise self._too_large()
        message = await self._next()
        size = len(message.get("body", b""))
        if self._mine + size > self._most:
            self.release()
            await self._discard()
            raise self._too_large()
        if self._held.count + size > self._settings.max_held:
            raise busy("The server holds as many uploads as it can; try again shortly.", retry_after=2)
        self._mine += size
        self._held.count += size
        return message

    async def watch(self, answering: asyncio.Task[object]) -> None:
        """Cancel the task of the answer if the client disconnects before the answer is complete."""
        await self._finished.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone.set()
        if not self.answered:
            self.abandoned = True
            answering.cancel()

    def release(self) -> None:
        """Stop counting the bytes of this request as held."""
        self._held.count -= self._mine
        self._mine = 0

    async def _next(self) -> Message:
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            raise too_slow("The request took too long to arrive; send a smaller photo.") from None
        if not message.get("more_body", False):
            self._finished.set()
        return message

    async def _discard(self) -> None:
        """Read and discard the rest: most clients read an answer only after they have sent the whole body."""
        with suppress(Problem):
            while not self._finished.is_set():
                await self._next()

    def _too_large(self) -> Problem:
        megabytes = self._settings.max_upload_mb
        return too_large(f"A request may have {megabytes:g} MB at most; send a smaller photo.")
