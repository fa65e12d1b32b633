"""What is refused, and how it is told: a page for people, problem details (RFC 9457) for programs; always with the remedy."""

from __future__ import annotations

from typing import Any

from veracast.core.errors import UserError

TITLES = {
    400: "Not understood", 401: "A token is needed", 403: "Refused", 404: "Not found", 405: "Not done this way", 408: "Too slow",
    409: "Not now", 410: "No longer there", 413: "Too large", 414: "Address too long", 415: "Not a kind of file that is read",
    421: "Not this server", 422: "Cannot be used", 429: "Too many", 431: "Headers too large", 503: "Busy", 507: "No space left",
}  # fmt: skip
PROBLEM = "application/problem+json"


class Refusal(UserError):
    """A request that is not served. status: of HTTP; detail: what was got and expected; remedy: what to do; retry_s: when to come again."""

    def __init__(self, status: int, slug: str, detail: str, remedy: str, *, retry_s: int | None = None) -> None:
        self.status, self.slug, self.detail, self.remedy, self.retry_s = status, slug, detail, remedy, retry_s
        super().__init__(f"{detail} -> {remedy}")

    @property
    def title(self) -> str:
        """Two or three words, the same for one status."""
        return TITLES.get(self.status, "Refused")

    @property
    def headers(self) -> dict[str, str]:
        """That the answer carries beside the body."""
        found = {"Retry-After": str(self.retry_s)} if self.retry_s is not None else {}
        return {**found, "WWW-Authenticate": 'Bearer realm="veracast"'} if self.status == 401 else found

    def problem(self) -> dict[str, Any]:
        """The body for programs."""
        return {
            "type": f"urn:veracast:{self.slug}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "remedy": self.remedy,
        }


def not_found(what: str, name: str, remedy: str) -> Refusal:
    """404 of a run, video, job or file; the name is shortened, for it comes from whoever asks."""
    shown = name if len(name) <= 80 else f"{name[:79]}…"
    return Refusal(404, f"no-{what}", f"There is no {what} called “{shown}”.", remedy)


def wants_json(path: str, accept: str) -> bool:
    """Whether whoever asks is a program: by the address, or by what it accepts."""
    return path.startswith("/api/") or ("text/html" not in accept and "json" in accept)
