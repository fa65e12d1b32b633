"""The JSON API under /api/v1, described by /api/v1/openapi.json. What is refused is told as problem details (RFC 9457)."""

from __future__ import annotations

import functools
from typing import Annotated, Any, Literal

import polars as pl
from anyio import to_thread
from fastapi import APIRouter, Body, Path, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from veracast import __version__
from veracast.core.errors import UserError
from veracast.core.records import Record, to_json
from veracast.recipes import catalogue as catalogue_recipe
from veracast.recipes.compare import differences
from veracast.report.tables import names_of, ranked, read
from veracast.web import actions
from veracast.web.commands import BY_NAME
from veracast.web.job_files import Job, steps
from veracast.web.pages import whole_scores
from veracast.web.refusals import PROBLEM, Refusal, not_found
from veracast.web.site import Site, one_of, run_url, site_of
from veracast.web.store import Entry

Id = Annotated[str, Path(min_length=1, max_length=200)]
Words = Annotated[str, Query(max_length=200)]
Number = Annotated[int, Query(ge=1, le=999_999)]
Rows = Annotated[int, Query(ge=1, le=1_000)]
_COLUMNS = [
    "video_id", "title", "platform", "topic", "url", "state", "rated_at", "age_h", "level_expected", "level_floor", "level_probs", "p_alert",
    "level_set_by", "out_of_distribution", "indicator", "now", "point", "low_80", "high_80",
]  # fmt: skip


class Problem(BaseModel):
    """RFC 9457, with what to do."""

    type: str
    title: str
    status: int
    detail: str
    remedy: str


def refused(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Answers of an endpoint beside the good one."""
    content = {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    every = sorted({400, 401, 403, 404, 405, 408, 413, 414, 415, 421, 422, 429, *statuses})
    return {status: {"description": "Refused, with the reason and the remedy", "content": content} for status in every}


class RunHead(BaseModel):
    """A run in a list."""

    id: str
    kind: str
    status: str
    verdict: str
    started_at: str
    ended_at: str
    page: str
    open: int | None = Field(description="videos whose horizon has not passed")
    video_id: str | None = Field(description="of what an explanation is about")


class RunList(BaseModel):
    """A page of runs, newest first. damaged: folders whose record cannot be read, with the reason."""

    total: int
    page: int
    pages: int
    runs: list[RunHead]
    damaged: dict[str, str]


class Videos(BaseModel):
    """Open videos of a run, most likely first. Values that could not be measured are null."""

    total: int
    page: int
    pages: int
    indicator: str
    alert_level: int
    videos: list[dict[str, Any]]


class Step(BaseModel):
    """seconds: it took, null while it runs; share: done of it, null where that is not known."""

    name: str
    seconds: float | None
    share: float | None


class JobState(BaseModel):
    """A job. run: id of the run that it wrote, once it is done; why: of an end that was not wished for."""

    id: str
    kind: str
    title: str
    state: Literal["waiting", "running", "done", "failed", "cancelled"]
    created_at: str
    started_at: str | None
    ended_at: str | None
    attempts: int
    exit_code: int | None
    why: str | None
    verdict: str | None
    run: str | None
    steps: list[Step]


class Question(BaseModel):
    """A job about runs that are there. explain: run and video; explain-overall, card: run; compare: a and b."""

    model_config = ConfigDict(extra="forbid")
    kind: Literal["explain", "explain-overall", "card", "compare"]
    run: str | None = Field(None, max_length=200)
    video: str | None = Field(None, max_length=500)
    a: str | None = Field(None, max_length=200)
    b: str | None = Field(None, max_length=200)


router = APIRouter(prefix="/api/v1", responses=refused())


@router.get("/about", tags=["about"])
async def about(request: Request) -> dict[str, str]:
    """Version, and the address of the description."""
    return {"version": __version__, "openapi": "/api/v1/openapi.json"}


@router.get("/runs", tags=["runs"])
async def runs(request: Request, q: Words = "", kind: Words = "", status: Words = "", page: Number = 1, rows: Rows = 50) -> RunList:  # fmt: skip
    """Runs whose id, kind, verdict or title holds all words of q."""
    site = site_of(request)
    one_of("status", status, ("ok", "findings", "not_measured", "failed"))
    found = site.store.listing(words=q, kinds=(kind,) if kind else (), status=status, page=page, rows=rows)
    return RunList(total=found.total, page=found.page, pages=found.pages, runs=[_head(one) for one in found.entries], damaged=dict(found.damaged))  # fmt: skip


@router.get("/runs/{id}", tags=["runs"], responses={200: {"content": {"application/json": {"schema": {"type": "object"}}}}})  # fmt: skip
async def run(request: Request, id: Id) -> Response:
    """A run's record, as `--json` prints it."""
    site = site_of(request)
    record = await to_thread.run_sync(site.store.record, site.store.get(id))
    return Response(to_json(_without_folder(record, id)), media_type="application/json")


@router.get("/runs/{id}/videos", tags=["runs"])
async def videos(request: Request, id: Id, q: Words = "", page: Number = 1, rows: Rows = 50) -> Videos:
    """Open videos of a run whose id, title, platform or topic holds all words of q, with the forecast that the portfolio shows."""
    site = site_of(request)
    return await to_thread.run_sync(functools.partial(_videos, site, id, q, page, rows))


@router.get("/runs/{id}/video", tags=["runs"])
async def video(request: Request, id: Id, video: Annotated[str, Query(alias="id", min_length=1, max_length=500)]) -> dict[str, Any]:  # fmt: skip
    """An open video: its rating, curve, contributions, similar videos and neighbourhood, as tables of rows; and its explanations."""
    site = site_of(request)
    return await to_thread.run_sync(functools.partial(_video, site, id, video))


@router.get("/compare", tags=["runs"])
async def compare(request: Request, a: Annotated[str, Query(min_length=1, max_length=200)], b: Annotated[str, Query(min_length=1, max_length=200)]) -> dict[str, Any]:  # fmt: skip
    """Settings in which two runs differ, the scores of both, and comparisons that were made of them."""
    site = site_of(request)
    first, second = site.store.get(a), site.store.get(b)
    pair = [await to_thread.run_sync(site.store.record, one) for one in (first, second)]
    tested = [one.id for one in site.store.citing(first) if one.kind == "compare" and second.digest in one.cites]
    return {
        "config": differences(pair[0].config, pair[1].config),
        "scores": {
            "a": [s.to_dict() for s in whole_scores(pair[0])],
            "b": [s.to_dict() for s in whole_scores(pair[1])],
        },
        "comparisons": tested,
    }


@router.get("/catalogue", tags=["catalogue"])
async def catalogue(request: Request, q: Words = "", branch: Words = "", kind: Words = "") -> list[dict[str, Any]]:
    """Methods and data sets that explain cross-modal reasoning, the best match first."""
    try:
        return catalogue_recipe.rows(catalogue_recipe.Config(q, branch or None, kind or None))
    except UserError as error:
        raise Refusal(422, "catalogue", f"{error}.", "see the names that the message gives") from error


@router.get("/jobs", tags=["jobs"])
async def jobs(request: Request) -> list[JobState]:
    """Jobs, newest first."""
    site = site_of(request)
    return [_state(site, job) for job in site.jobs.all()]


@router.get("/jobs/{id}", tags=["jobs"])
async def job(request: Request, id: Id) -> JobState:
    """A job, with the steps that it has done."""
    site = site_of(request)
    return _state(site, site.jobs.get(id))


@router.post("/jobs", tags=["jobs"], status_code=202, responses=refused(503))
async def ask(request: Request, question: Annotated[Question, Body()]) -> JobState:
    """Queue a job about runs. The same question, while it waits or runs, is one job."""
    site = site_of(request)
    given = question.model_dump(exclude_none=True)
    return _state(site, await to_thread.run_sync(functools.partial(actions.take_question, site, given)))


@router.post("/jobs/{id}/cancel", tags=["jobs"], status_code=202)
async def cancel(request: Request, id: Id) -> JobState:
    """End a job that waits or runs; one that has ended stays as it is."""
    site = site_of(request)
    return _state(site, await to_thread.run_sync(site.jobs.cancel, id))


_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "kind": {"type": "string", "enum": ["run", "audit-agent-data", "audit-images"], "default": "run"},
                        **{name: {"type": "string"} for name in BY_NAME["run"].options},
                        "mapping": {"type": "string", "format": "binary"},
                        "file": {"type": "string", "format": "binary"},
                    },
                }
            }
        },
    }
}  # fmt: skip


@router.post("/uploads", tags=["jobs"], status_code=202, responses=refused(503, 507), openapi_extra=_FORM)
async def upload(request: Request) -> JobState:
    """Queue a job about files: fields first, then one or more parts called file."""
    site = site_of(request)
    return _state(site, await actions.take_upload(site, request))


def _head(entry: Entry) -> RunHead:
    return RunHead(id=entry.id, kind=entry.kind, status=entry.status, verdict=entry.verdict, started_at=entry.started_at, ended_at=entry.ended_at, page=run_url(entry.id), open=entry.open, video_id=entry.video_id)  # fmt: skip


def _without_folder(record: Record, id: str) -> Record:
    """Without the place of the run on this machine."""
    return Record(**{**vars(record), "run": id, "report": run_url(id)})


def _state(site: Site, job: Job) -> JobState:
    shown = [Step(name=one.name, seconds=one.seconds, share=one.share) for one in steps(site.jobs.place(job))]
    names = ("id", "kind", "title", "state", "created_at", "started_at", "ended_at", "attempts", "exit_code", "why", "verdict")  # fmt: skip
    return JobState(**{name: getattr(job, name) for name in names}, run=job.out if job.state == "done" else None, steps=shown)  # fmt: skip


def _videos(site: Site, id: str, words: str, page: int, rows: int) -> Videos:
    record = site.store.record(site.store.get(id))
    names = names_of(record)
    frame = ranked(record).select(_COLUMNS)
    for word in words.lower().split():
        said = pl.concat_str(
            [pl.col(c).fill_null("") for c in ("video_id", "title", "platform", "topic")], separator=" "
        )
        frame = frame.filter(said.str.to_lowercase().str.contains(word, literal=True))
    pages = max(1, -(-frame.height // rows))
    page = min(page, pages)
    return Videos(total=frame.height, page=page, pages=pages, indicator=names.indicator, alert_level=names.alert_level, videos=_rows(frame.slice((page - 1) * rows, rows)))  # fmt: skip


def _video(site: Site, id: str, video_id: str) -> dict[str, Any]:
    entry = site.store.get(id)
    record = site.store.record(entry)
    rating = read(record, "ratings", video_id=video_id).filter(pl.col("role") == "open")
    if rating.is_empty():
        raise not_found("video", video_id, "see /runs/{id}/videos")
    tables = {kind: _rows(read(record, kind, video_id=video_id)) for kind in ("forecasts", "curves", "contributions", "similar", "neighbourhoods")}  # fmt: skip
    told = [one.id for one in site.store.citing(entry) if one.kind == "explain" and one.video_id == video_id]
    return {"rating": _rows(rating)[0], **tables, "explanations": told}


def _rows(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """JSON-able: what is not finite is null."""
    floats = [name for name, kind in frame.schema.items() if kind.is_float()]
    finite = [pl.when(pl.col(name).is_finite()).then(pl.col(name)).alias(name) for name in floats]
    return frame.with_columns(finite).to_dicts()
