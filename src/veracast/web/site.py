"""What the pages are drawn from and with: the store, the jobs, the cache, the templates, and the frame around each page."""

from __future__ import annotations

import functools
import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import jinja2
from fastapi import Request
from fastapi.responses import Response
from markupsafe import Markup

from veracast.report.shell import Frame, Heading, environment
from veracast.web import assets
from veracast.web.cache import PageCache
from veracast.web.commands import BY_NAME, TAKES_FILES
from veracast.web.jobs import Jobs
from veracast.web.refusals import Refusal, not_found
from veracast.web.sessions import Sessions, folder_secret
from veracast.web.settings import Settings
from veracast.web.store import GROUPS, Store

SECTIONS = (
    ("runs", "/", "Runs"),
    ("audits", "/audits", "Audits"),
    ("cards", "/cards", "Cards"),
    ("compare", "/compare", "Compare"),
    ("catalogue", "/catalogue", "Catalogue"),
    ("jobs", "/jobs", "Jobs"),
    ("upload", "/upload", "Upload"),
)
STATUS_WORDS = {"ok": "finished", "findings": "findings", "not_measured": "not measured", "failed": "failed"}


def run_url(id: str) -> str:
    """Of a run's page; its files lie under it."""
    return f"/runs/{quote(id, safe='')}/"


def video_url(id: str, video_id: str) -> str:
    """Of a video in a run."""
    return f"{run_url(id)}video?{urlencode({'id': video_id})}"


def job_url(id: str) -> str:
    """Of a job."""
    return f"/jobs/{quote(id, safe='')}"


@functools.cache
def templates() -> jinja2.Environment:
    """Ours before those of the report, which they extend."""
    base = environment()
    own = jinja2.PackageLoader("veracast.web", "templates")
    if base.loader is None:
        raise RuntimeError("the report has no templates")
    found = base.overlay(loader=jinja2.ChoiceLoader([own, base.loader]))
    found.globals = {
        **base.globals, "run_url": run_url, "video_url": video_url, "job_url": job_url, "kinds": BY_NAME, "takes_files": TAKES_FILES,
        "status_words": STATUS_WORDS, "sections": SECTIONS, "groups": GROUPS,
    }  # fmt: skip
    return found


class Site:
    """One application."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.limits = settings, settings.limits
        secret = folder_secret(settings.home)
        self.sessions = Sessions(secret, settings.token, tries=settings.limits.login_tries)
        self.store = Store(settings.runs.absolute(), record_bytes=settings.limits.record_bytes)
        self.jobs = Jobs(settings, ended=lambda: self.store.refresh(now=True))
        self.cache = PageCache(settings.home / "pages", memory_bytes=settings.limits.cache_bytes, disk_bytes=settings.limits.disk_cache_bytes)  # fmt: skip
        self.slot = f"form-token-{hmac.new(secret, b'slot', hashlib.sha256).hexdigest()[:32]}"
        """Stands in drawn pages where each session's form token belongs."""
        self.streams = 0
        self.uploads = 0

    def frame(
        self, section: str, *, below: str = "", scripts: Sequence[str] = (assets.PAGE, assets.APP),
        video: Callable[[str], str] = str, chart: Callable[[str], str] = str,
    ) -> Frame:  # fmt: skip
        """Around a page of a section of the bar."""
        bar = templates().get_template("bar.html.jinja").render(section=section, slot=self.slot, guarded=self.sessions.guarded)  # fmt: skip
        return Frame(
            bar=Markup(bar),
            below=Markup(below),
            style=assets.asset(assets.STYLE).address,
            scripts=tuple(assets.asset(name).address for name in scripts),
            vega=(assets.asset(assets.VEGA).address,),
            video=video,
            chart=chart,
        )

    def draw(self, template: str, section: str, heading: Heading | str, /, **given: Any) -> str:
        """A page of our own."""
        head = heading if isinstance(heading, Heading) else Heading(heading, None, "ok", "")
        found = templates().get_template(template)
        return found.render(frame=self.frame(section), heading=head, drawn=False, slot=self.slot, **given)

    def part(self, template: str, **given: Any) -> str:
        """Markup that stands inside a page."""
        return templates().get_template(template).render(slot=self.slot, **given)

    def send(self, request: Request, body: bytes | str, *, status: int = 200) -> Response:
        """A drawn page, with the form token of whoever asks; 304 where the browser has it."""
        raw = body.encode("utf-8", "replace") if isinstance(body, str) else body
        session = getattr(request.state, "session", None)
        if session is not None:
            raw = raw.replace(self.slot.encode(), self.sessions.form_token(session).encode())
        tag = f'"{hashlib.blake2b(raw, digest_size=12).hexdigest()}"'
        if status == 200 and request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers={"etag": tag})
        return Response(raw, status, headers={"etag": tag}, media_type="text/html; charset=utf-8")


def site_of(request: Request) -> Site:
    """Of the application that a request came to."""
    site: Site = request.app.state.site
    return site


def page_number(text: str) -> int:
    """Of a list. Refusal 422 for what is no number from 1."""
    if not text:
        return 1
    if not text.isascii() or not text.isdigit() or len(text) > 6 or int(text) < 1:
        raise Refusal(422, "page", f"“{text[:20]}” is no page.", "give a number from 1")
    return int(text)


def one_of(name: str, value: str, known: Sequence[str]) -> str:
    """A choice, or nothing. Refusal 422 for another value."""
    if value and value not in known:
        raise Refusal(422, "choice", f"{name} is “{value[:40]}”.", f"one of {', '.join(known)}, or nothing")
    return value


def video_of(found: str) -> str:
    """An id that was given. Refusal 404 where it is none at all."""
    if not found or "\0" in found or len(found) > 500:
        raise not_found("video", found, "follow “why” in the table of a run")
    return found
