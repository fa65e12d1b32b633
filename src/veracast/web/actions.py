"""Pages that do something, and what they do: upload, jobs, login. Every POST carries the token of its form."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from urllib.parse import parse_qs

from anyio import to_thread
from fastapi import Request
from fastapi.responses import RedirectResponse, Response, StreamingResponse

from veracast.report import text
from veracast.report.tables import read
from veracast.web import archives
from veracast.web.commands import Kind, checked, kind_of
from veracast.web.gate import cookie_header
from veracast.web.job_files import Job, steps, tail
from veracast.web.refusals import Refusal, not_found
from veracast.web.sessions import COOKIE
from veracast.web.site import Site, job_url, page_number, run_url, site_of, video_of
from veracast.web.store import GROUPS
from veracast.web.uploads import Receiver, check_disk, job_kind, receive

FORM = "form"
_EVENT_S = 0.5
_BEAT_S = 15.0
_LOG_SHOWN = 6_000


async def upload_form(request: Request) -> Response:
    """GET /upload."""
    site = site_of(request)
    return site.send(request, site.draw("upload.html.jinja", "upload", "Upload an export", limits=site.limits))


async def upload(request: Request) -> Response:
    """POST /upload: streamed to disk, checked, queued."""
    site = site_of(request)

    def allowed(fields: Mapping[str, str]) -> None:
        site.sessions.check_form(request.state.session, fields.get(FORM, ""))

    job = await take_upload(site, request, allowed=allowed)
    return RedirectResponse(job_url(job.id), 303)


async def take_upload(site: Site, request: Request, *, allowed: object = None) -> Job:
    """The job of the files that a request sends; nothing of them is left where one is refused. allowed: called with the fields before a file is kept."""
    if site.uploads >= site.limits.uploads_at_once:
        raise Refusal(503, "uploads-busy", f"{site.uploads} uploads are under way, as many as may.", "wait until one has ended", retry_s=30)  # fmt: skip
    site.jobs.check_room()
    said = int(request.headers.get("content-length", "0"))
    check_disk(site.jobs.folder, said, site.limits)
    options: dict[str, str] = {}

    def begin(fields: Mapping[str, str]) -> Kind:
        if callable(allowed):
            allowed(fields)
        kind = job_kind(fields)
        options.update(checked(kind, {name: value for name, value in fields.items() if name not in (FORM, "kind")}))
        return kind

    site.uploads += 1
    try:
        with site.jobs.prepared() as (id, folder):
            receiver = Receiver(request.headers.get("content-type", ""), folder, site.limits, begin=begin)
            found = await receive(request.stream(), receiver)
            for name in found.names:
                await to_thread.run_sync(functools.partial(archives.check, folder / "sources" / name, name, site.limits))  # fmt: skip
            title = found.names[0] if len(found.names) == 1 else f"{found.names[0]} and {len(found.names) - 1} more"
            queue = functools.partial(site.jobs.queue, receiver.kind, title, options, id=id, files=folder, mapping=found.mapping)  # fmt: skip
            return await to_thread.run_sync(queue)
    finally:
        site.uploads -= 1


async def ask(request: Request) -> Response:
    """POST /runs/ID/jobs and /compare: a job about runs that are there."""
    site = site_of(request)
    fields = await form_fields(site, request)
    if "id" in request.path_params:
        fields = {**fields, "run": request.path_params["id"]}
    job = await to_thread.run_sync(functools.partial(take_question, site, fields))
    return RedirectResponse(job_url(job.id), 303)


def take_question(site: Site, given: Mapping[str, str]) -> Job:
    """The job of a question about runs; ids are looked up. Refusal 404 for an id that is none, 422 for a run that cannot be asked so."""
    kind = kind_of(given.get("kind", ""))
    if kind.suffixes:
        raise Refusal(
            422, "unknown-job", f"“{kind.name}” takes files.", "send them to /upload, or POST /api/v1/uploads"
        )
    unknown = sorted(set(given) - {*kind.options, "kind"})
    missing = [name for name in kind.options if not given.get(name)]
    if missing or unknown:
        raise Refusal(422, "options", f"“{kind.name}” was given {', '.join(sorted(given))[:200]}.", f"give {', '.join(kind.options)} and kind")  # fmt: skip
    options = {name: given[name] for name in kind.options}
    entries = [site.store.get(options[name]) for name in ("run", "a", "b") if name in options]
    for entry in entries:
        if entry.kind not in GROUPS["ratings"] and not (entry.kind == "train" and kind.name == "compare"):
            raise Refusal(422, "not-rated", f"{entry.id} is a record of kind {entry.kind}, which rates no videos.", "choose a run of kind run or rate")  # fmt: skip
    if kind.name == "explain":
        _check_open(site, entries[0].id, options["video"])
    names = [entry.id for entry in entries]
    about = {"explain": f"{options.get('video', '')[:80]} in {names[0]}", "compare": " and ".join(names)}.get(kind.name, names[0])  # fmt: skip
    return site.jobs.queue(kind, about, options)


def _check_open(site: Site, id: str, video: str) -> None:
    """Refusal 404 for a video that the run does not rate."""
    record = site.store.record(site.store.get(id))
    if read(record, "ratings", video_id=video_of(video)).is_empty():
        raise not_found("video", video, "the videos of a run stand in its table")


async def form_fields(site: Site, request: Request) -> dict[str, str]:
    """Of a form that is no upload, once its token was checked."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Refusal(415, "not-a-form", f"The body is “{kind[:60] or 'of no type'}”.", "send application/x-www-form-urlencoded, as the form does")  # fmt: skip
    try:
        found = parse_qs((await request.body()).decode("utf-8"), max_num_fields=40, keep_blank_values=True)
    except (UnicodeDecodeError, ValueError):
        raise Refusal(400, "broken-form", "The form cannot be read.", "send it from the page") from None
    fields = {name: values[0] for name, values in found.items()}
    site.sessions.check_form(request.state.session, fields.pop(FORM, ""))
    return fields


async def job_list(request: Request) -> Response:
    """/jobs."""
    site = site_of(request)
    jobs = site.jobs.all()
    number, rows = page_number(request.query_params.get("page", "")), site.limits.page_rows
    pages = max(1, -(-len(jobs) // rows))
    number = min(number, pages)
    shown = jobs[(number - 1) * rows : number * rows]
    live = sum(not job.ended for job in jobs)
    heading = f"{text.plural(live, 'job')} in hand" if live else "No job in hand"
    return site.send(request, site.draw("jobs.html.jinja", "jobs", heading, jobs=shown, total=len(jobs), number=number, pages=pages, live=live))  # fmt: skip


async def job_page(request: Request) -> Response:
    """/jobs/ID."""
    site = site_of(request)
    job = site.jobs.get(request.path_params["id"])
    page = site.draw("job.html.jinja", "jobs", _heading(job), job=job, progress=progress(site, job), log=_log(site, job))  # fmt: skip
    return site.send(request, page)


async def events(request: Request) -> Response:
    """/jobs/ID/events: server-sent events, one for every change, the last when the job has ended."""
    site = site_of(request)
    id = site.jobs.get(request.path_params["id"]).id
    if site.streams >= site.limits.streams:
        raise Refusal(503, "streams", f"{site.streams} pages watch jobs, as many as may.", "load the page again for news", retry_s=10)  # fmt: skip

    async def stream() -> AsyncIterator[str]:
        site.streams += 1
        try:
            told, quiet = "", 0.0
            while not await request.is_disconnected():
                job = site.jobs.get(id)
                news = json.dumps({"state": job.state, "html": progress(site, job)})
                if news != told:
                    told, quiet = news, 0.0
                    yield f"data: {news}\n\n"
                if job.ended:
                    return
                await asyncio.sleep(_EVENT_S)
                quiet += _EVENT_S
                if quiet >= _BEAT_S:
                    quiet = 0.0
                    yield ": still at it\n\n"
        finally:
            site.streams -= 1

    return StreamingResponse(stream(), media_type="text/event-stream", headers={"cache-control": "no-store"})


async def cancel(request: Request) -> Response:
    """POST /jobs/ID/cancel."""
    site = site_of(request)
    await form_fields(site, request)
    job = await to_thread.run_sync(site.jobs.cancel, request.path_params["id"])
    return RedirectResponse(job_url(job.id), 303)


def progress(site: Site, job: Job) -> str:
    """Markup of how a job stands."""
    place = site.jobs.place(job)
    ahead = sum(1 for one in site.jobs.all() if not one.ended and one.id < job.id) if job.state == "waiting" else 0
    return site.part("progress.html.jinja", job=job, steps=steps(place), ahead=ahead, run=run_url(job.out))


def _log(site: Site, job: Job) -> str:
    """The end of what a failed job printed, without the folders of this machine."""
    if job.state != "failed":
        return ""
    place = site.jobs.place(job)
    said = tail(place / "log")[-_LOG_SHOWN:]
    for folder in (str(place / "sources"), str(place), str(site.settings.runs.absolute()), str(Path.home())):
        said = said.replace(f"{folder}/", "")
    return said


def _heading(job: Job) -> str:
    words = {"waiting": "is waiting", "running": "is under way", "done": "is done", "failed": "failed", "cancelled": "was cancelled"}  # fmt: skip
    return f"{kind_of(job.kind).title}: {job.title} {words[job.state]}"


async def login_form(request: Request) -> Response:
    """GET /login."""
    site = site_of(request)
    target = own_path(request.query_params.get("next", ""))
    if not site.sessions.guarded:
        return RedirectResponse(target, 303)
    return site.send(request, site.draw("login.html.jinja", "", "Log in", target=target, wrong=False))


async def login(request: Request) -> Response:
    """POST /login: a session of a new name, for whoever knows the token."""
    site = site_of(request)
    fields = await form_fields(site, request)
    target = own_path(fields.get("next", ""))
    if site.sessions.guarded and not site.sessions.knows(fields.get("token", "")):
        return site.send(request, site.draw("login.html.jinja", "", "Log in", target=target, wrong=True), status=401)
    answer = RedirectResponse(target, 303)
    answer.headers["set-cookie"] = cookie_header(site.sessions, site.sessions.new(trusted=True))
    return answer


async def logout(request: Request) -> Response:
    """POST /logout."""
    site = site_of(request)
    await form_fields(site, request)
    answer = RedirectResponse("/login" if site.sessions.guarded else "/", 303)
    answer.headers["set-cookie"] = f"{COOKIE}=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0"
    return answer


def own_path(target: str) -> str:
    """An address of this server, or its first page for anything else."""
    plain = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable() and "\\" not in target  # fmt: skip
    return target if plain and len(target) < 1_000 else "/"
