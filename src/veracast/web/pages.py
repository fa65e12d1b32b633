"""Pages that only show: lists, runs, videos, comparisons, the catalogue, files. A GET changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import FileResponse, RedirectResponse, Response

from veracast.core.errors import UserError
from veracast.core.records import Record, read_table
from veracast.core.scores import Score
from veracast.recipes import catalogue as catalogue_recipe
from veracast.recipes.compare import differences
from veracast.report import catalogue, page, text
from veracast.report.shell import Frame
from veracast.report.warned import Warned
from veracast.web import assets
from veracast.web.refusals import Refusal, not_found
from veracast.web.site import STATUS_WORDS, Site, one_of, page_number, run_url, site_of, video_of, video_url
from veracast.web.store import GROUPS, Entry

_WHOLE = {"split", "rater", "method", "detector", "champion", "state", "dataset", "horizon", "variant", "seed"}
_MOST_SCORES = 60
_OFFERED = 200  # runs that the fields of the comparison propose
_INLINE = ("application/json", "text/csv", "text/markdown", "text/plain", "image/jpeg", "image/png")
_SANDBOX = "default-src 'none'; sandbox"


async def listing(request: Request) -> Response:
    """/, /audits, /cards: runs, newest first."""
    site = site_of(request)
    section = {"/": "runs", "/audits": "audits", "/cards": "cards"}[request.url.path]
    asked = request.query_params
    words, number = asked.get("q", "")[:200].strip(), page_number(asked.get("page", ""))
    kinds = site.store.kinds() if section == "runs" else GROUPS[section]
    kind = one_of("kind", asked.get("kind", ""), kinds)
    status = one_of("status", asked.get("status", ""), tuple(STATUS_WORDS))
    chosen = (kind,) if kind else () if section == "runs" else GROUPS[section]
    found = site.store.listing(words=words, kinds=chosen, status=status, page=number, rows=site.limits.page_rows)
    key = f"list {section} {words!r} {kind} {status} {[one.digest for one in found.entries]} {found.total} {found.page} {found.damaged} {kinds}"

    def link(n: int) -> str:
        given = {"q": words, "kind": kind, "status": status, "page": str(n) if n > 1 else ""}
        return "?" + urlencode({name: value for name, value in given.items() if value})

    def make() -> str:
        every = {"runs": "run", "audits": "audit", "cards": "trust card"}[section]
        heading = f"{text.plural(found.total, every)}{' found' if words or kind or status else ''}"
        return site.draw("runs.html.jinja", section, heading, found=found, words=words, kind=kind, status=status, all_kinds=kinds, link=link, section=section)  # fmt: skip

    return site.send(request, await site.cache.page(key, make))


async def run_slash(request: Request) -> Response:
    """The files of a run lie under its page, so its address ends in a slash."""
    entry = site_of(request).store.get(request.path_params["id"])
    return RedirectResponse(run_url(entry.id), 308)


async def run(request: Request) -> Response:
    """/runs/ID/: a record's page, the same as report.html."""
    site = site_of(request)
    key, make = run_drawing(site, site.store.get(request.path_params["id"]))
    return site.send(request, await site.cache.page(key, make, disk=True))


def run_drawing(site: Site, entry: Entry) -> tuple[str, Callable[[], str]]:
    """By what the page of a run is kept, and how it is drawn."""
    citing = site.store.citing(entry)
    sources = [one for one in site.store.cited(entry.cites) if one.kind in GROUPS["ratings"]]
    jobs = [job for job in site.jobs.all() if not job.ended and entry.id in job.options.values()]
    cards = site.store.warned(entry)
    key = f"run {entry.id} {entry.digest} {[one.id for one in cards]} {[one.id for one in citing]} {[one.id for one in sources]} {[job.id for job in jobs]}"  # fmt: skip
    return key, lambda: run_page(site, entry, citing, sources, jobs, warnings(cards))


def run_page(site: Site, entry: Entry, citing: list[Entry], sources: list[Entry], jobs: list[Any], warned: Sequence[Warned]) -> str:  # fmt: skip
    """Refusal 422 where a file is not as it was written."""
    record = site.store.record(entry, verify=True)
    section = next((group for group in ("audits", "cards") if entry.kind in GROUPS[group]), "runs")
    below = site.part("beside_run.html.jinja", entry=entry, citing=citing, sources=sources, jobs=jobs, rated=entry.kind in GROUPS["ratings"])  # fmt: skip
    frame = run_frame(site, entry, section, below)
    if record.kind in page.KINDS:
        return _drawn(entry, record, warned, frame)
    rows = _table(record, "comparison")
    parts = {"record": record, "rows": rows, "scores": whole_scores(record), "below": below, "config": list(text.flatten(record.config)), "counts": list(text.flatten(record.counts))}  # fmt: skip
    return site.draw("record.html.jinja", section, page.heading(record), entry=entry, **parts)


def run_frame(site: Site, entry: Entry, section: str, below: str) -> Frame:
    """Around a page of a run."""
    return site.frame(
        section,
        below=below,
        video=lambda video_id: video_url(entry.id, video_id),
        chart=lambda chart: f"{run_url(entry.id)}chart.svg?{urlencode({'chart': chart})}",
    )


def warnings(cards: Sequence[Entry]) -> list[Warned]:
    """What cards found, with their addresses here."""
    return [Warned(text.clean(card.verdict), run_url(card.id)) for card in cards]


def _drawn(entry: Entry, record: Record, warned: Sequence[Warned], frame: Frame) -> str:
    try:
        return page.render(record, warnings=warned, frame=frame)
    except (KeyError, ValueError, TypeError, IndexError, UserError) as error:
        raise damaged(entry, error) from error


async def video(request: Request) -> Response:
    """/runs/ID/video?id=VIDEO: an open video of a run."""
    site = site_of(request)
    entry = site.store.get(request.path_params["id"])
    video_id = video_of(request.query_params.get("id", ""))
    told = [one for one in site.store.citing(entry) if one.kind == "explain" and one.video_id == video_id]
    jobs = [job for job in site.jobs.all() if not job.ended and job.kind == "explain" and job.options == {"run": entry.id, "video": video_id}]  # fmt: skip
    cards = site.store.warned(entry)
    key = f"video {entry.id} {entry.digest} {video_id!r} {[one.id for one in cards]} {[one.id for one in told]} {[job.id for job in jobs]}"
    return site.send(
        request, await site.cache.page(key, lambda: video_page(site, entry, video_id, told, jobs, warnings(cards)))
    )


def video_page(site: Site, entry: Entry, video_id: str, told: list[Entry], jobs: list[Any], warned: Sequence[Warned]) -> str:  # fmt: skip
    """Refusal 404 for a video that is not among the run's open ones."""
    record = site.store.record(entry)
    below = site.part("beside_video.html.jinja", entry=entry, video_id=video_id, told=told, jobs=jobs)
    base = f"{run_url(entry.id)}chart.svg?{urlencode({'video': video_id})}"
    frame = site.frame("runs", below=below, chart=lambda chart: f"{base}&{urlencode({'chart': chart})}")
    try:
        found = page.render_video(record, video_id, warnings=warned, frame=frame)
    except (KeyError, ValueError, TypeError, IndexError, OSError) as error:
        raise damaged(entry, error) from error
    if found is None:
        raise not_found("video", video_id, "the open videos of a run stand in its table")
    return found


async def chart(request: Request) -> Response:
    """/runs/ID/chart.svg: a chart's still picture, for readers without scripts."""
    site = site_of(request)
    entry = site.store.get(request.path_params["id"])
    name, video_id = request.query_params.get("chart", "")[:80], request.query_params.get("video")

    def make() -> str:
        try:
            found = page.still(site.store.record(entry), name, video_id=video_of(video_id) if video_id is not None else None)  # fmt: skip
        except (KeyError, ValueError, TypeError, IndexError, OSError) as error:
            raise damaged(entry, error) from error
        if found is None:
            raise not_found("chart", name, "follow the links of the run's page")
        return found

    body = await site.cache.page(f"chart {entry.id} {entry.digest} {name} {video_id!r}", make)
    return Response(body, media_type="image/svg+xml", headers={"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox"})  # fmt: skip


async def file(request: Request) -> Response:
    """/runs/ID/FILE: a file that the run names; nothing of it is run by a browser."""
    site = site_of(request)
    entry = site.store.get(request.path_params["id"])
    path, media_type = site.store.file(entry, request.path_params["name"])
    shown = media_type if media_type in _INLINE else "application/octet-stream"
    return FileResponse(path, media_type=shown, filename=path.name, headers={"content-security-policy": _SANDBOX})


async def compare(request: Request) -> Response:
    """/compare?a=&b=: two runs side by side, as their records have them."""
    site = site_of(request)
    a, b = request.query_params.get("a", ""), request.query_params.get("b", "")
    offered = [one for one in site.store.entries() if one.kind in (*GROUPS["ratings"], "train")][:_OFFERED]
    if not (a and b):
        page_ = site.draw("compare.html.jinja", "compare", "Compare two runs", a=a, b=b, offered=offered, pair=None)
        return site.send(request, page_)
    first, second = site.store.get(a), site.store.get(b)
    tested = [one for one in site.store.citing(first) if one.kind == "compare" and second.digest in one.cites]
    key = f"compare {a} {first.digest} {b} {second.digest} {[one.id for one in tested]} {[one.id for one in offered]}"

    def make() -> str:
        pair = (site.store.record(first), site.store.record(second))
        changed = [(name, text.value_text(x), text.value_text(y)) for name, (x, y) in differences(pair[0].config, pair[1].config).items()]  # fmt: skip
        given = {"pair": (first, second), "changed": changed, "scores": beside(*pair), "tested": tested}
        return site.draw("compare.html.jinja", "compare", "Two runs side by side", a=a, b=b, offered=offered, **given)

    return site.send(request, await site.cache.page(key, make))


async def catalogue_page(request: Request) -> Response:
    """/catalogue?q=&branch=&kind=: methods and data sets that explain."""
    site = site_of(request)
    words, branch, kind = (request.query_params.get(name, "")[:200].strip() for name in ("q", "branch", "kind"))

    def make() -> str:
        try:
            found = catalogue_recipe.look_up(catalogue_recipe.Config(words, branch or None, kind or None))
        except UserError as error:
            raise Refusal(422, "catalogue", f"{error}.", "follow the links of the catalogue") from error
        below = site.part("beside_catalogue.html.jinja", words=words, branch=branch, kind=kind)
        return catalogue.render(found, frame=site.frame("catalogue", below=below, scripts=(assets.CATALOGUE, assets.APP)))  # fmt: skip

    return site.send(request, await site.cache.page(f"catalogue {words!r} {branch!r} {kind!r}", make))


async def static(request: Request) -> Response:
    """/static/NAME-DIGEST: kept by the browser for good."""
    found = assets.served(request.url.path)
    if found is None:
        raise not_found("file", request.path_params["name"], "load the page again: it names the present ones")
    packed = "gzip" in request.headers.get("accept-encoding", "")
    headers = {"cache-control": "public, max-age=31536000, immutable", "vary": "accept-encoding"}
    return Response(found.packed if packed else found.body, media_type=found.media_type, headers={**headers, **({"content-encoding": "gzip"} if packed else {})})  # fmt: skip


def damaged(entry: Entry, error: Exception) -> Refusal:
    """422 for a record whose tables do not hold what a page is drawn from."""
    return Refusal(422, "damaged-run", f"The files of this run are not what a page is drawn from ({type(error).__name__}: {str(error)[:200]}).", "run it again with this version, or bring back its files")  # fmt: skip


def whole_scores(record: Record) -> list[Score]:
    """Of a whole test, not of a part of it."""
    return [score for score in record.scores if set(score.slice) <= _WHOLE][:_MOST_SCORES]


def beside(a: Record, b: Record) -> list[tuple[str, str, str, str]]:
    """Score, what it is of, its value in each record; scores that both have, champions first."""

    def known(record: Record) -> dict[tuple[str, str], Score]:
        found: dict[tuple[str, str], Score] = {}
        for score in record.scores:
            if set(score.slice) <= _WHOLE:
                where = ", ".join(text.value_text(score.slice[key]) for key in ("variant", "rater", "method", "detector") if key in score.slice)  # fmt: skip
                found.setdefault((score.name, where), score)
        return found

    first, second = known(a), known(b)
    both = sorted(set(first) & set(second), key=lambda key: (not first[key].slice.get("champion"), key[1], key[0]))
    return [(text.METRICS.get(name, name), where, _value(first[name, where]), _value(second[name, where])) for name, where in both][:_MOST_SCORES]  # fmt: skip


def _value(score: Score) -> str:
    return f"{text.decimal(score.value, digits=3)} {text.spread(score.low, score.high, lambda v: text.decimal(v, digits=3))}".strip()  # fmt: skip


def _table(record: Record, name: str) -> Sequence[Mapping[str, Any]]:
    try:
        return read_table(record, name).to_dicts()
    except KeyError:
        return []
