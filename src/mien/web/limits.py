"""Bounds on what requests may send: bytes, time, and memory held by all of them together."""

import asyncio

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mien.web.problems import Problem, busy, too_large, too_slow
from mien.web.settings import Settings

PATIENCE = 4
"""A body that is too large is read on, and thrown away, up to so many times the limit: most clients look for
an answer only after they have sent everything."""


class UploadLimits:
    """ASGI middleware that refuses a body which is too large, too slow, or one too many to hold.

    The refusal is raised where the body is read, for the exception handlers to answer. The bytes of a request
    count as held until it is answered.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        """Wrap an app."""
        self.app = app
        self.settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its body watched."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = _Body(receive, Headers(scope=scope), self.settings, scope["app"].state.uploads)
        try:
            await self.app(scope, body, send)
        finally:
            body.release()


class HeldBytes:
    """How many bytes of uploads are in memory, of all requests together."""

    def __init__(self) -> None:
        """None yet."""
        self.count = 0


class _Body:
    """A ``receive`` that counts bytes and watches the time."""

    def __init__(self, receive: Receive, headers: Headers, settings: Settings, held: HeldBytes) -> None:
        self._receive = receive
        self._settings = settings
        self._held = held
        self._mine = 0
        self._finished = False
        self._deadline = asyncio.get_running_loop().time() + settings.upload_seconds
        announced = headers.get("content-length", "")
        self._announced = int(announced) if announced.isdecimal() else 0
        self._asks_first = headers.get("expect", "").lower() == "100-continue"

    async def __call__(self) -> Message:
        if self._finished:
            return await self._receive()  # waits for the client to leave
        if self._announced > self._settings.max_upload:
            if not self._asks_first:
                await self._discard()
            raise self._too_large()
        message = await self._next()
        size = len(message.get("body", b""))
        if self._mine + size > self._settings.max_upload:
            self.release()
            await self._discard()
            raise self._too_large()
        if self._held.count + size > self._settings.max_held:
            raise busy("The server holds as many uploads as it can; try again shortly.", retry_after=2)
        self._mine += size
        self._held.count += size
        return message

    def release(self) -> None:
        """The request is over."""
        self._held.count -= self._mine
        self._mine = 0

    async def _next(self) -> Message:
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            raise too_slow("The request took too long to arrive; send a smaller photo.") from None
        self._finished = not message.get("more_body", False)
        return message

    async def _discard(self) -> None:
        size = 0
        while not self._finished and size <= PATIENCE * self._settings.max_upload:
            size += len((await self._next()).get("body", b""))

    def _too_large(self) -> Problem:
        megabytes = self._settings.max_upload_mb
        return too_large(f"A request may have {megabytes:g} MB at most; send a smaller photo.")
