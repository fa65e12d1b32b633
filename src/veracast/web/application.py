"""All of it put together: routes, the gate before them, and how a refusal is told."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from veracast import __version__
from veracast.core.errors import StorageError, UserError
from veracast.web import actions, api, assets, pages
from veracast.web.ahead import Ahead
from veracast.web.gate import App, Gate, Scope
from veracast.web.refusals import PROBLEM, Refusal, not_found, wants_json
from veracast.web.settings import Settings
from veracast.web.site import Site

log = logging.getLogger("veracast.web")


def application(settings: Settings, *, site: Site | None = None) -> Gate:
    """The ASGI application of a folder of runs. StorageError where its state cannot be written."""
    site = site or Site(settings)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        site.store.refresh(now=True)
        assets.asset(assets.VEGA)  # seconds, that the first who asks need not wait
        site.jobs.open()
        ahead = Ahead(site)
        ahead.open()
        try:
            yield
        finally:
            ahead.close()
            site.jobs.close()

    app = FastAPI(
        title="Veracast",
        version=__version__,
        summary="Rates how far a short video will spread, says why, and vouches for the data and the models behind the answer.",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # its pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.site = site
    app.include_router(api.router)
    _routes(app)
    _faults(app)
    _describe(app)
    return Gate(app, settings, site.sessions, answer=lambda scope, refusal: _answer(site, scope, refusal))


def _routes(app: FastAPI) -> None:
    shown = {
        "/": pages.listing, "/audits": pages.listing, "/cards": pages.listing, "/runs/{id}": pages.run_slash, "/runs/{id}/": pages.run,
        "/runs/{id}/video": pages.video, "/runs/{id}/chart.svg": pages.chart, "/compare": pages.compare, "/catalogue": pages.catalogue_page,
        "/static/{name}": pages.static, "/upload": actions.upload_form, "/jobs": actions.job_list, "/jobs/{id}": actions.job_page,
        "/jobs/{id}/events": actions.events, "/login": actions.login_form, "/runs/{id}/{name}": pages.file,
    }  # fmt: skip
    done = {
        "/upload": actions.upload, "/runs/{id}/jobs": actions.ask, "/compare": actions.ask, "/jobs/{id}/cancel": actions.cancel,
        "/login": actions.login, "/logout": actions.logout,
    }  # fmt: skip
    for path, page in shown.items():
        app.add_route(path, page, methods=["GET"], include_in_schema=False)
    for path, page in done.items():
        app.add_route(path, page, methods=["POST"], include_in_schema=False)


def _faults(app: FastAPI) -> None:
    """Every way in which a request can fail ends as a Refusal; a fault of ours is logged and told without its inside."""

    async def refused(request: Request, error: Exception) -> Response:
        if isinstance(error, Refusal):
            refusal = error
        elif isinstance(error, RequestValidationError):
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            refusal = Refusal(422, "unfit", f"{where}: {first['msg']}.", "see /api/v1/openapi.json")
        elif isinstance(error, StorageError):
            log.error("%s", error)
            refusal = Refusal(507, "storage", "The server cannot write.", "free some space, or look at the permissions of its folder")  # fmt: skip
        elif isinstance(error, UserError):
            refusal = Refusal(422, "unfit", f"{error}.", "see the message")
        elif isinstance(error, HTTPException) and error.status_code == 405:
            refusal = Refusal(405, "method", f"{request.method} is not served here.", "follow the links of the pages, or see /api/v1/openapi.json")  # fmt: skip
        elif isinstance(error, HTTPException) and error.status_code == 404:
            refusal = not_found("page", request.url.path, "begin at /")
        elif isinstance(error, HTTPException) and error.status_code < 500:
            refusal = Refusal(error.status_code, "not-understood", f"{error.detail}.", "see /api/v1/openapi.json")
        else:
            log.exception("%s %s", request.method, request.url.path, exc_info=error)
            refusal = Refusal(500, "fault", "A fault of Veracast, written to the server's log.", "try again; if it stays, report it with the log")  # fmt: skip
        return _told(request.app.state.site, request, refusal)

    for kind in (Refusal, RequestValidationError, UserError, HTTPException, Exception):
        app.add_exception_handler(kind, refused)


def _told(site: Site, request: Request, refusal: Refusal) -> Response:
    if wants_json(request.url.path, request.headers.get("accept", "")):
        return JSONResponse(refusal.problem(), refusal.status, refusal.headers, PROBLEM)
    body = site.draw("refusal.html.jinja", "", refusal.title, refusal=refusal)
    answer = site.send(request, body, status=refusal.status)
    answer.headers.update(refusal.headers)
    return answer


def _answer(site: Site, scope: Scope, refusal: Refusal) -> App:
    """Of the gate, before the application has seen the request."""
    request = Request(scope)
    if refusal.slug == "no-token" and not wants_json(scope["path"], request.headers.get("accept", "")):
        return RedirectResponse(scope["login"], 303)
    return _told(site, request, refusal)


def _describe(app: FastAPI) -> None:
    """How one proves who one is, in the OpenAPI document."""
    made = app.openapi

    def described() -> dict[str, Any]:
        found = made()
        parts = found.setdefault("components", {})
        parts.setdefault("schemas", {})["Problem"] = api.Problem.model_json_schema()
        parts["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer", "description": "the token of a server that was started with one"},
            "header": {"type": "apiKey", "in": "header", "name": "X-Veracast", "description": "any value; needed by a POST without a token"},
        }  # fmt: skip
        for path in found["paths"].values():
            for method, operation in path.items():
                operation["security"] = [{"token": []}, {"header": []} if method == "post" else {}]
        return found

    app.openapi = described  # type: ignore[method-assign]
