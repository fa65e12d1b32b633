"""Requests that mean harm, one by one: each is refused with its reason and its remedy, and nothing is lost or left."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx import Response

from tests.web.conftest import API, HOST, IDLE, Serve, form_of, left
from veracast.web.settings import MIB, Limits

TOKEN = "a-token-of-some-length"
LIMITS = Limits(**{**vars(IDLE), "upload_bytes": MIB, "rows": 1_000, "body_bytes": 4_096, "archive_ratio": 20.0})
CSV = {"file": ("a.csv", b"id,views\n1,2\n")}
EVIL = "<script>alert(1)</script>"


def bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.json", bytes(40 << 20))
    return out.getvalue()


def climber() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("../../../etc/cron.d/x.json", b"[]")
    return out.getvalue()


def get(path: str, **headers: str) -> Callable[[TestClient], Response]:
    return lambda client: client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})


def send(path: str, *, good: bool = True, **given: Any) -> Callable[[TestClient], Response]:
    """A POST of a form; good: with the token of the client's own form."""

    def ask(client: TestClient) -> Response:
        fields = {**given.pop("data", {}), **({"form": form_of(client)} if good else {})}
        return client.post(path, data=fields, **given)

    return ask


def upload(name: str, content: bytes, **fields: str) -> Callable[[TestClient], Response]:
    return send("/upload", data=fields, files={"file": (name, content)})


def ask_api(body: Any, *, headers: dict[str, str] | None = None) -> Callable[[TestClient], Response]:
    return lambda client: client.post("/api/v1/jobs", content=body if isinstance(body, (str, bytes)) else json.dumps(body), headers={"content-type": "application/json", **(API if headers is None else headers)})  # fmt: skip


HOSTILE: dict[str, tuple[int, Callable[[TestClient], Response]]] = {
    # names of this server
    "host of another": (421, get("/", host="evil.example")),
    "host that contains ours": (421, get("/", host="127.0.0.1.evil.example")),
    "host with a user": (421, get("/", host="127.0.0.1@evil.example")),
    "another address": (421, get("/", host="10.0.0.1")),
    "empty host": (421, get("/", host="")),
    "host in brackets cut short": (421, get("/", host="[::1")),
    # paths and ids
    "path upwards": (404, get("/runs/..%2f..%2fetc%2fpasswd/")),
    "path upwards in a file": (404, get("/runs/r/..%2f..%2fetc%2fpasswd")),
    "dots as an id": (404, get("/runs/%2e%2e/record.json")),
    "absolute path as a file": (404, get("/runs/r/%2fetc%2fpasswd")),
    "file that the record does not name": (404, get("/runs/r/dataset")),
    "state folder as a run": (404, get("/runs/.web/secret")),
    "nul in a path": (400, get("/runs/r%00/")),
    "line break in a path": (400, get("/runs/r%0d%0aset-cookie:%20x/")),
    "path that is no UTF-8": (400, get("/runs/%ff%fe/")),
    "static file upwards": (404, get("/static/..%2fsettings.py")),
    "job upwards": (404, get("/jobs/..%2f..%2f..")),
    "markup as an id": (404, get(f"/runs/{EVIL}/")),
    "markup as a video": (404, get(f"/runs/r/video?id={EVIL}")),
    "nul as a video": (404, get("/runs/r/video?id=%00")),
    "address without end": (414, get("/?q=" + "x" * 3_000)),
    "page that is no number": (422, get("/?page=1;drop")),
    "chart of nothing": (404, get(f"/runs/r/chart.svg?chart={EVIL}")),
    "headers without end": (431, get("/", x="x" * 20_000)),
    "too many headers": (431, lambda client: client.get("/", headers={f"x-{k}": "x" for k in range(120)})),
    # methods
    "DELETE": (405, lambda client: client.delete("/runs/r/")),
    "PUT": (405, lambda client: client.put("/upload", content=b"x")),
    "TRACE": (405, lambda client: client.request("TRACE", "/")),
    "OPTIONS": (405, lambda client: client.options("/api/v1/jobs")),
    "POST to a page": (405, send("/runs/r/")),
    "GET that would cancel": (405, get("/jobs/x/cancel")),
    # other sites
    "form without its token": (403, send("/compare", good=False, data={"kind": "compare", "a": "r", "b": "r2"})),
    "form with a wrong token": (403, send("/compare", good=False, data={"kind": "compare", "a": "r", "b": "r2", "form": "0" * 64})),
    "upload without its token": (403, send("/upload", good=False, files=CSV)),
    "form from another origin": (403, send("/compare", headers={"origin": "http://evil.example"}, data={"kind": "compare"})),
    "form from origin null": (403, send("/compare", headers={"origin": "null"}, data={"kind": "compare"})),
    "form from another port": (403, send("/compare", headers={"origin": "http://127.0.0.1:81"}, data={"kind": "compare"})),
    "form by another site": (403, send("/compare", headers={"sec-fetch-site": "cross-site"}, data={"kind": "compare"})),
    "API by a form": (403, lambda client: client.post("/api/v1/jobs", data={"kind": "card", "run": "r"})),
    "API without the header": (403, ask_api({"kind": "card", "run": "r"}, headers={})),
    "API from another origin": (403, ask_api({"kind": "card", "run": "r"}, headers={**API, "origin": "http://evil.example"})),
    # bodies
    "form that is JSON": (415, lambda client: client.post("/compare", json={"kind": "compare"})),
    "form without end": (413, send("/compare", data={"a": "x" * 5_000})),
    "form with too many fields": (400, send("/compare", data={f"f{k}": "x" for k in range(50)})),
    "API body without end": (413, ask_api({"kind": "card", "run": "x" * 5_000})),
    "API body that is cut": (422, ask_api('{"kind": "card", "run"')),
    "API body nested without end": (400, ask_api("[" * 2_000)),
    "API body of another shape": (422, ask_api(["card"])),
    "API body with more than asked": (422, ask_api({"kind": "card", "run": "r", "out": "/etc"})),
    "API body packed": (415, ask_api(b"\x1f\x8b", headers={**API, "content-encoding": "gzip"})),
    "length that is none": (413, ask_api(b"{}", headers={**API, "content-length": "-1"})),
    # questions
    "question about nothing": (404, ask_api({"kind": "card", "run": "../r"})),
    "question about a card": (422, ask_api({"kind": "card", "run": "c"})),
    "question about no video": (404, ask_api({"kind": "explain", "run": "r", "video": "--model=/tmp/x"})),
    "question with a nul": (404, ask_api({"kind": "explain", "run": "r", "video": "a\0b"})),
    "kind that takes files": (422, ask_api({"kind": "run", "run": "r"})),
    # files
    "zip bomb": (413, upload("a.zip", bomb())),
    "zip that climbs": (422, upload("a.zip", climber())),
    "zip that is none": (415, upload("a.zip", b"<html>" * 99)),
    "program as a table": (415, upload("a.csv", b"MZ\0\0" * 99)),
    "page as an export": (415, upload("a.html", EVIL.encode())),
    "program by its name": (415, upload("a.py", b"import os")),
    "pickle": (415, upload("a.pkl", b"\x80\x04.")),
    "name upwards": (415, upload("../../../../etc/cron.d/x", b"x")),
    "file without end": (413, upload("a.csv", b"x" * (3 * MIB))),
    "rows without end": (413, upload("a.csv", b"\n" * 2_000)),
    "empty file": (422, upload("a.csv", b"")),
    "Parquet that is none": (422, upload("a.parquet", b"PAR1" + b"\0" * 99)),
    "unknown kind": (422, upload("a.csv", b"a", kind="rm -rf")),
    "kind that takes no files": (422, upload("a.csv", b"a", kind="card")),
    "option that is none": (422, upload("a.csv", b"a", media="/etc")),
    "option with a command": (422, upload("a.csv", b"a", as_of="$(reboot)")),
    "horizon without end": (422, upload("a.csv", b"a", horizon_days="1e308")),
    "two mappings": (415, send("/upload", files=[("mapping", ("a.toml", b"x")), ("mapping", ("b.toml", b"x"))])),
    "body that is no multipart": (415, send("/upload", data={"file": "x"})),
    "multipart without a boundary": (415, lambda client: client.post("/upload", content=b"x", headers={"content-type": "multipart/form-data"})),
    "multipart that is cut": (400, lambda client: client.post("/upload", content=b"--b\r\n", headers={"content-type": "multipart/form-data; boundary=b"})),
    # cookies
    "forged cookie": (403, lambda client: client.post("/compare", data={"form": "x"}, headers={"cookie": "veracast=a.9999999999.t.0"})),
    "cookie that is none": (403, lambda client: client.post("/compare", data={"form": "x"}, headers={"cookie": "veracast=\x01; ; ==;"})),
}  # fmt: skip


def snapshot(runs: Path) -> dict[str, int]:
    return {str(path.relative_to(runs)): path.stat().st_size for path in runs.rglob("*") if path.is_file() and ".web/pages" not in str(path)}  # fmt: skip


def test_the_list_is_long_enough() -> None:
    assert len(HOSTILE) >= 40


@pytest.fixture(scope="module")
def target(records: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One application for all of them: none may spoil it for the next."""
    import shutil

    from veracast.web.application import application
    from veracast.web.settings import Settings
    from veracast.web.site import Site

    settings = Settings(runs=Path(shutil.copytree(records, tmp_path_factory.mktemp("hostile") / "runs")), limits=LIMITS)
    site = Site(settings)
    with TestClient(application(settings, site=site), base_url=HOST, follow_redirects=False) as client:
        client.headers["accept"] = "text/html"
        client.site = site  # type: ignore[attr-defined]
        yield client


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_request_is_refused_with_its_remedy(target: TestClient, name: str) -> None:
    status, ask = HOSTILE[name]
    runs = target.site.settings.runs  # type: ignore[attr-defined]
    before = snapshot(runs)
    answer = ask(target)
    assert answer.status_code == status, answer.text[-800:]
    if answer.headers["content-type"].startswith("application/problem+json"):
        problem = answer.json()
        assert problem["status"] == status and problem["detail"] and problem["remedy"] and problem["type"].startswith("urn:veracast:")  # fmt: skip
    else:
        assert "What to do:" in answer.text and EVIL not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff" and "'unsafe-inline'" not in answer.headers["content-security-policy"].partition("style-src-attr")[0]  # fmt: skip
    assert snapshot(runs) == before and left(target) == []
    assert target.get("/runs/r/").status_code == 200


GUARDED: dict[str, Callable[[TestClient], Response]] = {
    "a page of the API": get("/api/v1/runs"),
    "a wrong bearer": get("/api/v1/runs", authorization="Bearer wrong-token-of-some-length"),
    "an empty bearer": get("/api/v1/runs", authorization="Bearer"),
    "another scheme": get("/api/v1/runs", authorization=f"Basic {TOKEN}"),
    "the token as a query": get(f"/api/v1/runs?token={TOKEN}"),
    "a post": lambda client: client.post("/api/v1/jobs", json={"kind": "card", "run": "r"}, headers=API),
    "an upload": lambda client: client.post("/upload", files=CSV, headers={"accept": "application/json"}),
}


@pytest.mark.parametrize("name", GUARDED)
def test_without_the_token_nothing_is_told(runs: Path, serve: Serve, name: str) -> None:
    client = serve(runs, token=TOKEN)
    answer = GUARDED[name](client)
    assert answer.status_code == 401 and answer.json()["status"] == 401 and "www-authenticate" in answer.headers
    assert TOKEN not in answer.text and left(client) == []
