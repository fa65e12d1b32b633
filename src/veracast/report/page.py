"""One self-contained HTML page of a finished run, drawn from record.json and the run's tables alone.

    report.html      readable offline; the numbers and still charts need no script
    ratings.csv      the rated videos for people with spreadsheets
    findings.sarif   what an audit found, for code scanning and CI

The page loads nothing: its content policy allows the two scripts it carries, by digest, and no network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

from veracast.core.errors import InputError
from veracast.core.records import Record, load_record
from veracast.report import (
    agent_model,
    agents,
    backtest,
    card_page,
    charts,
    explanation,
    overall,
    poison,
    probabilities,
    tables,
    text,
)
from veracast.report.charts import Chart
from veracast.report.network import neighbourhood, network
from veracast.report.sarif import write_sarif
from veracast.report.shell import Frame, Heading, environment, packaged, policy, replace
from veracast.report.warned import Warned, warned

RATINGS, AUDITS = ("run", "rate"), ("audit-images", "audit-agent-data", "audit-agent-model")
EXPLANATIONS = ("explain", "explain-overall")
KINDS = (*RATINGS, *AUDITS, *EXPLANATIONS, "card")
_STATUS = {
    "ok": "Finished",
    "findings": "Finished with findings",
    "not_measured": "Not measured: what could not be tested never reads as clean",
    "failed": "Failed",
}


def write_report(run_folder: Path) -> Path:
    """Write report.html, and ratings.csv or findings.sarif, into the folder of a finished run; returns the page's path.

    Raises InputError when the folder holds no finished run of a kind that has a page, StorageError when it cannot be written.
    """
    record = load_record(run_folder)
    if record.kind not in KINDS:
        remedy = f"pages exist for: {', '.join(KINDS)}"
        raise InputError(f"no page for a record of kind {record.kind!r}", file=str(run_folder), remedy=remedy)
    page = run_folder / "report.html"
    replace(page, render(record, warnings=warned(record)).encode("utf-8", errors="replace"))
    if record.kind in RATINGS:
        sheet = tables.spreadsheet(record).write_csv(include_bom=True, datetime_format="%Y-%m-%dT%H:%M:%SZ")
        replace(run_folder / "ratings.csv", sheet.encode("utf-8", errors="replace"))
    write_sarif(run_folder)
    return page


def render(record: Record, *, warnings: Sequence[Warned] = (), frame: Frame | None = None) -> str:
    """The whole page as text; the same record gives the same bytes. warnings: of the model behind it. frame: of the application that serves it; None = a file that carries all."""
    page = _page(record, framed=frame is not None)
    return _filled(page, record, warnings, frame)


def render_video(
    record: Record, video_id: str, *, warnings: Sequence[Warned] = (), frame: Frame | None = None
) -> str | None:
    """A page of one open video of a rating run; None where the run has none of that id. Reads the rows of that video alone."""
    page = _video_page(record, video_id)
    return None if page is None else _filled(page, record, warnings, frame)


def still(record: Record, chart_id: str, *, video_id: str | None = None) -> str | None:
    """A chart of the record's page, or of a video's, as a picture of its own: it carries the colours, light and dark. None where there is none."""
    page = _page(record, framed=True) if video_id is None else _video_page(record, video_id)
    shown = next((chart for chart in page.charts if chart.id == chart_id), None) if page else None
    return charts.picture(shown.svg, packaged("style.css")) if shown else None


class _Page(NamedTuple):
    """A template, the charts on it, and what else it is given."""

    template: str
    charts: Sequence[Chart]
    parts: Mapping[str, Any]


def _page(record: Record, *, framed: bool) -> _Page:
    if record.kind == "card":
        return _Page("card.html.jinja", (), {"card": card_page.page(record)})
    if record.kind == "explain-overall":
        return _Page("overall.html.jinja", (), {"page": overall.page(record)})
    if record.kind in EXPLANATIONS:
        found = explanation.page(record)
        return _Page("explanation.html.jinja", found.charts, {"page": found})
    return _audit_page(record) if record.kind in AUDITS else _rating_page(record, framed=framed)


def _audit_page(record: Record) -> _Page:
    if record.kind == "audit-agent-data":
        return _Page("agents.html.jinja", (), {"audit": agents.data_audit(record)})
    if record.kind == "audit-agent-model":
        return _Page("agent_model.html.jinja", (), {"audit": agent_model.model_audit(record)})
    found = poison.audit(record)
    return _Page("poison.html.jinja", found.charts, {"audit": found})


def _video_page(record: Record, video_id: str) -> _Page | None:
    found = tables.one(record, video_id) if record.kind in RATINGS else None
    if found is None:
        return None
    near = neighbourhood(record, video_id=video_id)
    shown = [chart for chart in (found.fan, found.similar_chart, near) if chart]
    checked = explanation.why(record, video_id)
    title = found.row.title.head if found.row.title else found.row.video_id
    parts = {
        "heading": Heading(title, f"{heading(record).line}.", "ok", ""),
        "names": tables.names_of(record),
        "e": found,
        "near": near,
        "checked": {found.id: checked} if checked else {},
    }
    return _Page("video.html.jinja", shown, parts)


def _rating_page(record: Record, *, framed: bool) -> _Page:
    folder = tables.portfolio(record)
    tasks = backtest.tasks(record)
    matrices = backtest.matrices(tasks)
    age_charts = [chart for i, task in enumerate(tasks) if (chart := backtest.age_chart(task, f"age-{i}"))]
    explained = (
        [] if framed else tables.explained(record, folder.rows, folder.names)
    )  # an application has a page for each
    reliability = probabilities.reliability_charts(record, tasks)
    learnt = network(record)
    shown: list[Chart] = [*age_charts, *reliability, *learnt.charts]
    shown += [chart for video in explained for chart in (video.fan, video.similar_chart) if chart]
    parts = dict(
        portfolio=folder,
        names=folder.names,
        explained=explained,
        why={video.row.rank: video.id for video in explained},
        checked={video.id: found for video in explained if (found := explanation.why(record, video.row.video_id))},
        tasks=tasks,
        margins=backtest.margins(tasks),
        matrices=[m for m in matrices if len(m.heads) > 1],
        task_tables=[backtest.task_table(task) for task in tasks],
        notes=list(dict.fromkeys(note for task in tasks for note in task.notes)),
        age_charts=age_charts,
        reliability=reliability,
        alerts=probabilities.alerts(record, tasks),
        parts=backtest.parts(tasks),
        network=learnt,
        leaks=tables.leaks(record),
        availability=tables.availability(record),
        unscored=backtest.unscored(tasks),
    )
    return _Page("page.html.jinja", shown, parts)


def _filled(page: _Page, record: Record, warnings: Sequence[Warned], frame: Frame | None) -> str:
    """A template of shell.html.jinja with what every page has."""
    drawn = bool(page.charts)
    given = {
        "record": record,
        "heading": heading(record),
        "warnings": warnings,
        "counts": list(text.flatten(record.counts)),
        "config": list(text.flatten(record.config)),
        **page.parts,
    }
    around = {"frame": frame, "drawn": drawn} if frame else {"style": Markup(packaged("style.css")), **_scripts(drawn=drawn)}  # fmt: skip
    return environment().get_template(page.template).render(given, **around)


def heading(record: Record) -> Heading:
    """Verdict and status of a record."""
    line, _, backing = text.clean(record.verdict).partition("; ")
    status = _STATUS.get(record.status, record.status)
    named = "." in backing.partition(" ")[0]  # begins with the name of a file, which stays as it is
    return Heading(
        line.removesuffix("."), (backing if named else text.sentence(backing)) or None, record.status, status
    )


def _scripts(*, drawn: bool) -> dict[str, Any]:
    """The page's scripts and the content policy that allows exactly these; Vega only where there is a chart."""
    own = packaged("page.js")
    vega = charts.vega_script() if drawn else None
    allowed = policy(*(script for script in (vega, own) if script))
    return {"policy": allowed, "vega": Markup(vega) if vega else None, "script": Markup(own)}
