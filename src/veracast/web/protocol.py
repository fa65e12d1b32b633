"""HTTP/1.1 that waits only so long: a client that does not finish its headers, or keeps a connection that it never uses, is left.

uvicorn bounds the size of headers and the idle time between two requests, not the time that the headers of a request may take.
"""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

_SLOW = b'{"type":"urn:veracast:slow-headers","title":"Too slow","status":408,"detail":"The headers did not end in time.","remedy":"send them at once"}'  # fmt: skip
_ANSWER = (
    b"HTTP/1.1 408 Request Timeout\r\ncontent-type: application/problem+json\r\nconnection: close\r\ncontent-length: "
    + str(len(_SLOW)).encode()
    + b"\r\n\r\n"
    + _SLOW
)


def protocol(header_s: float) -> type[H11Protocol]:
    """uvicorn's protocol, with this many seconds for the headers of each request."""

    class Timed(H11Protocol):
        _deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._wait()

        def connection_lost(self, exc: Exception | None) -> None:
            self._unwait()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self._deadline is None and self.conn.their_state is h11.IDLE:
                self._wait()  # the first bytes of another request
            super().data_received(data)
            if self.conn.their_state is not h11.IDLE:
                self._unwait()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
                self._wait()

        def _wait(self) -> None:
            if self._deadline is None:
                self._deadline = self.loop.call_later(header_s, self._late)

        def _unwait(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

        def _late(self) -> None:
            self._deadline = None
            transport = self.transport
            if not transport.is_closing():
                transport.write(_ANSWER)
                transport.close()

    return Timed
