"""Who may ask: signed cookies, form tokens bound to them, the one shared token, and a brake on guessing it.

A cookie says nothing but a random name, when it ends and whether its holder knew the token; it is signed with a secret of this folder and the token,
so that another token ends all sessions. A form carries a signature of the cookie's name: no other site can know it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from veracast.core.files import storage_faults
from veracast.web.refusals import Refusal

COOKIE = "veracast"
LASTS_S = 12 * 3_600
_MINUTE_S = 60.0


@dataclass(frozen=True)
class Session:
    """name: random; ends: seconds since the epoch; trusted: its holder knew the token."""

    name: str
    ends: int
    trusted: bool


class Sessions:
    """Reads and makes cookies and form tokens. token None: everyone on this machine is trusted."""

    def __init__(self, secret: bytes, token: str | None, *, tries: int) -> None:
        self._key = hmac.digest(secret, b"session:" + (token or "").encode(), "sha256")
        self._token = hashlib.sha256(token.encode()).digest() if token is not None else None
        self._tries = tries
        self._wrong: deque[float] = deque()

    @property
    def guarded(self) -> bool:
        """Whether a token is needed at all."""
        return self._token is not None

    def knows(self, token: str) -> bool:
        """Whether this is the token, in constant time. Refusal 429 after too many wrong ones in a minute."""
        now = time.monotonic()
        while self._wrong and now - self._wrong[0] > _MINUTE_S:
            self._wrong.popleft()
        if len(self._wrong) >= self._tries:
            raise Refusal(429, "too-many-tries", f"{len(self._wrong)} wrong tokens within a minute.", "wait a minute, then try again", retry_s=60)  # fmt: skip
        found = hashlib.sha256(token.encode("utf-8", "replace")).digest()
        right = self._token is not None and hmac.compare_digest(found, self._token)
        if not right:
            self._wrong.append(now)
        return right

    def new(self, *, trusted: bool) -> Session:
        """A session with a name of its own; nothing of it is stored."""
        return Session(secrets.token_urlsafe(18), int(time.time()) + LASTS_S, trusted)

    def read(self, cookie: str | None) -> Session | None:
        """The session of a cookie; None for none, a forged one, one that has ended."""
        parts = (cookie or "").split(".")
        if len(parts) != 4 or not parts[1].isdigit() or len(parts[1]) > 12:
            return None
        if not hmac.compare_digest(self._sign(".".join(parts[:3])).encode(), parts[3].encode("utf-8", "replace")):
            return None
        found = Session(parts[0], int(parts[1]), parts[2] == "t")
        return found if found.ends > time.time() else None

    def cookie(self, session: Session) -> str:
        """The cookie's value."""
        body = f"{session.name}.{session.ends}.{'t' if session.trusted else 'a'}"
        return f"{body}.{self._sign(body)}"

    def form_token(self, session: Session) -> str:
        """What a form of this session carries."""
        return self._sign(f"form:{session.name}")

    def check_form(self, session: Session | None, given: str) -> None:
        """Refusal 403 for a form that was not drawn for this session."""
        if session is None or not hmac.compare_digest(self.form_token(session).encode(), given.encode("utf-8", "replace")):  # fmt: skip
            raise Refusal(403, "stale-form", "The form's token does not fit this session.", "load the page again and send the form once more; cookies of this address must be allowed")  # fmt: skip

    def _sign(self, text: str) -> str:
        return hmac.new(self._key, text.encode("utf-8", "replace"), hashlib.sha256).hexdigest()


def folder_secret(home: Path) -> bytes:
    """The secret of a state folder, made once; only its owner may read it."""
    path = home / "secret"
    with storage_faults(path):
        home.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            found = path.read_bytes()
            if len(found) == 32:
                return found
            path.unlink()  # cut short by a full disk
            return folder_secret(home)
        with os.fdopen(handle, "wb") as file:
            made = secrets.token_bytes(32)
            file.write(made)
        return made
