"""What every request passes before anything looks at it, and every answer on its way out.

    in     address, Host (DNS rebinding), method, Origin and Sec-Fetch-Site of a POST, its size and pace, token or session
    out    a content policy without inline scripts, no sniffing, no framing, no referrer; a cookie for forms; a limit on how long a reader may take

A plain ASGI layer: it costs some hundredths of a millisecond, and sees bodies before any parser does.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import quote, urlsplit

from veracast.web.refusals import Refusal
from veracast.web.sessions import COOKIE, LASTS_S, Session, Sessions
from veracast.web.settings import MIB, Settings
from veracast.web.uploads import too_large

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Answer = Callable[[Scope, Refusal], App]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Scripts and styles are files of ours. Attributes may carry style: bars and tints are drawn by numbers there, never by text from data."""
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",  # without any a browser says that our own forms come from nowhere
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=()",
    "cache-control": "private, no-cache",
}
UPLOADS = ("/upload", "/api/v1/uploads")
API_HEADER = "x-veracast"
_OPEN = ("/login", "/static/")
_HEADERS = 100
_METHODS = ("GET", "HEAD", "POST")
_DRAIN_BYTES, _DRAIN_S = 64 * MIB, 5.0


class Gate:
    """The outermost layer of the application. answer: how a refusal is told."""

    def __init__(self, app: App, settings: Settings, sessions: Sessions, *, answer: Answer) -> None:
        self._app, self._limits, self._sessions, self._answer = app, settings.limits, sessions, answer
        self._names = {name.lower() for name in (*settings.names, settings.host)}
        self._names |= {"localhost", "127.0.0.1", "::1"} if settings.local else {socket.gethostname().lower()}
        self._any_address = not settings.local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        scope = {**scope, "method": "GET"} if scope["method"] == "HEAD" else dict(scope)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        body = _Body(receive, self._limits.body_s)
        cookie: Session | None = None
        try:
            self._check(scope, headers)
            session = self._session(headers)
            if session is None and not scope["path"].startswith(("/static/", "/api/")):
                session = cookie = self._sessions.new(trusted=False)
            bearer = self._trust(scope, headers, session)
            scope["state"] = {**scope.get("state", {}), "session": session, "bearer": bearer}
            if scope["method"] == "POST":
                self._check_post(scope, headers, bearer=bearer)
                if scope["path"] in UPLOADS:
                    body.bound(self._limits.upload_bytes + MIB, self._limits.upload_s, too_large(self._limits))
                else:
                    await body.hold(self._limits.body_bytes)
            app: App = self._app
        except Refusal as refusal:
            await body.drain()
            app = self._answer(scope, refusal)
        await app(scope, body.receive, self._sender(send, cookie, close=body.left))

    def _check(self, scope: Scope, headers: Mapping[str, str]) -> None:
        """Address, method and Host."""
        raw: bytes = scope.get("raw_path") or scope["path"].encode()
        if len(raw) + len(scope["query_string"]) > self._limits.query_chars:
            raise Refusal(414, "long-address", f"The address has {len(raw) + len(scope['query_string']):,} characters.", f"at most {self._limits.query_chars:,}")  # fmt: skip
        size = sum(len(name) + len(value) for name, value in scope["headers"])
        if size > self._limits.header_bytes or len(scope["headers"]) > _HEADERS:
            raise Refusal(431, "headers", f"The request has {len(scope['headers'])} headers of {size:,} bytes.", f"at most {_HEADERS} of {self._limits.header_bytes:,} bytes; delete the cookies of this address")  # fmt: skip
        if any(ord(c) < 32 or ord(c) == 127 or 0xD800 <= ord(c) < 0xE000 or c == "\ufffd" for c in scope["path"]):
            raise Refusal(400, "address", "The address holds control characters or is no UTF-8.", "follow the links of the pages")  # fmt: skip
        if scope["method"] not in _METHODS:
            raise Refusal(405, "method", f"{scope['method'][:20]} is not served.", "use GET, HEAD or POST")
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or not self._is_ours(headers.get("host", "")):
            shown = headers.get("host", "")[:60]
            raise Refusal(421, "host", f"This server is not called “{shown}”.", "open it by the address that `veracast serve` printed, or start it with --name HOST")  # fmt: skip

    def _is_ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in self._names:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return self._any_address  # an address in figures cannot be made to point elsewhere

    def _check_post(self, scope: Scope, headers: Mapping[str, str], *, bearer: bool) -> None:
        """Where it comes from, and what it says of its body."""
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if origin is not None and urlsplit(origin).netloc.lower() != headers["host"].lower():
            raise Refusal(
                403, "origin", f"The request comes from “{origin[:60]}”.", "send it from a page of this server"
            )
        if site is not None and site not in ("same-origin", "none"):
            raise Refusal(403, "origin", "The request comes from a page of another site.", "send it from a page of this server")  # fmt: skip
        if scope["path"].startswith("/api/") and not bearer and API_HEADER not in headers:
            raise Refusal(403, "api-header", "A POST to the API needs a header that no form can send.", "add the header X-Veracast: 1, or Authorization: Bearer TOKEN")  # fmt: skip
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise Refusal(415, "content-encoding", f"The body is packed ({headers['content-encoding'][:20]}).", "send it as it is")  # fmt: skip
        most = self._limits.upload_bytes + MIB if scope["path"] in UPLOADS else self._limits.body_bytes
        said = headers.get("content-length", "0")
        if not said.isdigit() or len(said) > 18 or int(said) > most:
            if scope["path"] in UPLOADS:
                raise too_large(self._limits)
            raise _body_too_large(most)

    def _session(self, headers: Mapping[str, str]) -> Session | None:
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return None
        return self._sessions.read(found.value if found else None)

    def _trust(self, scope: Scope, headers: Mapping[str, str], session: Session | None) -> bool:
        """Whether the token came with the request. Refusal 401 where neither it nor a session is there."""
        scheme, _, given = headers.get("authorization", "").partition(" ")
        bearer = scheme.lower() == "bearer" and self._sessions.guarded
        if bearer and not self._sessions.knows(given.strip()):
            raise Refusal(401, "wrong-token", "The token is not the one that this server was started with.", "send Authorization: Bearer TOKEN")  # fmt: skip
        if bearer or not self._sessions.guarded or (session is not None and session.trusted):
            return bearer
        path: str = scope["path"]
        if path.startswith(_OPEN):
            return False
        target = quote(
            path + (f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else ""), safe="/"
        )
        scope["login"] = f"/login?next={target}" if scope["method"] == "GET" else "/login"
        raise Refusal(401, "no-token", "This server was started with a token.", "log in, or send Authorization: Bearer TOKEN")  # fmt: skip

    def _sender(self, send: Send, cookie: Session | None, *, close: bool) -> Send:
        async def wrapped(message: Message) -> None:
            if message["type"] == "http.response.start":
                there = {name for name, _ in message["headers"]}
                more = [
                    (name.encode(), value.encode()) for name, value in HEADERS.items() if name.encode() not in there
                ]
                if cookie is not None:
                    more.append((b"set-cookie", cookie_header(self._sessions, cookie).encode()))
                if close:
                    more.append((b"connection", b"close"))
                message = {**message, "headers": [*message["headers"], *more]}
            try:
                async with asyncio.timeout(self._limits.send_s):
                    await send(message)
            except TimeoutError as error:
                raise ConnectionError("the client does not read") from error

        return wrapped


class _Body:
    """A request's body: held whole where it is small, else passed on piece by piece within bounds."""

    def __init__(self, receive: Receive, silence_s: float) -> None:
        self._receive, self._silence_s = receive, silence_s
        self._most, self._ends, self._refusal = 0, float("inf"), _body_too_large(0)
        self._got, self._more = 0, True
        self._held: bytes | None = None

    @property
    def left(self) -> bool:
        """Whether more may come that nobody will read."""
        return self._more and self._got > 0

    def bound(self, most: int, total_s: float, refusal: Refusal) -> None:
        self._most, self._ends, self._refusal = most, time.monotonic() + total_s, refusal

    async def hold(self, most: int) -> None:
        """Read it all. Refusal 413 beyond `most` bytes, 408 where it stops coming."""
        self.bound(most, 4 * self._silence_s, _body_too_large(most))
        pieces = []
        while self._more:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                break
            pieces.append(message.get("body", b""))
        self._held = b"".join(pieces)

    async def receive(self) -> Message:
        if self._held is not None:
            held, self._held = self._held, None
            return {"type": "http.request", "body": held, "more_body": False}
        if not self._more:
            return await self._receive()  # it waits for the client to leave
        try:
            async with asyncio.timeout(self._silence_s):
                message = await self._receive()
        except TimeoutError:
            raise _slow(self._silence_s) from None
        self._more = message["type"] == "http.request" and message.get("more_body", False)
        self._got += len(message.get("body", b""))
        if self._got > self._most:
            raise self._refusal
        if time.monotonic() > self._ends:
            raise Refusal(408, "slow-body", "The body took longer than it may.", "send it over a faster line, or use `veracast run` on this machine")  # fmt: skip
        return message

    async def drain(self) -> None:
        """Read on for a while what will be refused: a browser that is still sending would see a broken line instead of the reason."""
        ends, self._held = time.monotonic() + _DRAIN_S, b""
        try:
            async with asyncio.timeout(_DRAIN_S):
                while self._more and self._got < _DRAIN_BYTES and time.monotonic() < ends:
                    message = await self._receive()
                    self._more = message["type"] == "http.request" and message.get("more_body", False)
                    self._got += len(message.get("body", b""))
        except TimeoutError:
            pass


def cookie_header(sessions: Sessions, session: Session) -> str:
    """Set-Cookie of a session; only our own pages send it back, no script reads it."""
    return f"{COOKIE}={sessions.cookie(session)}; HttpOnly; SameSite=Strict; Path=/; Max-Age={LASTS_S}"


def _body_too_large(most: int) -> Refusal:
    return Refusal(413, "body-size", f"The body has more than {most:,} bytes.", "send less")


def _slow(silence_s: float) -> Refusal:
    return Refusal(408, "slow-body", f"Nothing came for {silence_s:g} s.", "send it without a pause")
