"""One self-contained HTML page of a finished run, drawn from record.json and the run's tables alone.

    report.html      readable offline; the numbers and still charts need no script
    ratings.csv      the rated videos for people with spreadsheets
    findings.sarif   what an audit found, for code scanning and CI

The page loads nothing: its content policy allows the two scripts it carries, by digest, and no network.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
from veracast.report.network import network
from veracast.report.sarif import write_sarif
from veracast.report.shell import Heading, environment, packaged, policy, replace

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
    replace(page, render(record).encode("utf-8", errors="replace"))
    if record.kind in RATINGS:
        sheet = tables.spreadsheet(record).write_csv(include_bom=True, datetime_format="%Y-%m-%dT%H:%M:%SZ")
        replace(run_folder / "ratings.csv", sheet.encode("utf-8", errors="replace"))
    write_sarif(run_folder)
    return page


def render(record: Record) -> str:
    """The whole page as text; the same record gives the same bytes."""
    if record.kind == "card":
        return _filled("card.html.jinja", record, (), card=card_page.page(record))
    if record.kind == "explain-overall":
        return _filled("overall.html.jinja", record, (), page=overall.page(record))
    if record.kind in EXPLANATIONS:
        found = explanation.page(record)
        return _filled("explanation.html.jinja", record, found.charts, page=found)
    return _audit_page(record) if record.kind in AUDITS else _rating_page(record)


def _audit_page(record: Record) -> str:
    if record.kind == "audit-agent-data":
        return _filled("agents.html.jinja", record, (), audit=agents.data_audit(record))
    if record.kind == "audit-agent-model":
        return _filled("agent_model.html.jinja", record, (), audit=agent_model.model_audit(record))
    found = poison.audit(record)
    return _filled("poison.html.jinja", record, found.charts, audit=found)


def _rating_page(record: Record) -> str:
    folder = tables.portfolio(record)
    tasks = backtest.tasks(record)
    matrices = backtest.matrices(tasks)
    age_charts = [chart for i, task in enumerate(tasks) if (chart := backtest.age_chart(task, f"age-{i}"))]
    explained = tables.explained(record, folder.rows, folder.names)
    reliability = probabilities.reliability_charts(record, tasks)
    learnt = network(record)
    shown: list[Chart] = [*age_charts, *reliability, *learnt.charts]
    shown += [chart for video in explained for chart in (video.fan, video.similar_chart) if chart]
    return _filled(
        "page.html.jinja",
        record,
        shown,
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


def _filled(template: str, record: Record, shown: Sequence[Chart], **parts: Any) -> str:
    """A template of shell.html.jinja with what every page has; `shown`: the charts on it."""
    return (
        environment()
        .get_template(template)
        .render(
            record=record,
            heading=heading(record),
            counts=list(text.flatten(record.counts)),
            config=list(text.flatten(record.config)),
            style=Markup(packaged("style.css")),
            **_scripts(drawn=bool(shown)),
            **parts,
        )
    )


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
