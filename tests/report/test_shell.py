"""What every page has: escaping, the policy's digests by hand, files whole or not at all."""

from __future__ import annotations

from pathlib import Path

import jinja2
import pytest

from veracast.core.errors import StorageError
from veracast.report.shell import environment, packaged, policy, replace


def test_templates_escape_and_miss_nothing() -> None:
    assert environment().from_string("{{ x }}").render(x="<b>&") == "&lt;b&gt;&amp;"
    with pytest.raises(jinja2.UndefinedError):
        environment().from_string("{{ y }}").render(x=1)


def test_json_in_a_script_tag_cannot_end_it() -> None:
    found = environment().from_string("{{ x|json_tag }}").render(x={"a": "</script>"})
    assert "</script>" not in found
    assert "script" in found


def test_policy_allows_scripts_by_digest_and_no_network() -> None:
    # printf '' | openssl dgst -sha256 -binary | base64
    empty = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    assert policy("").startswith(f"default-src 'none'; script-src 'sha256-{empty}'; ")
    assert policy("", "x").count("'sha256-") == 2
    assert not {"http:", "https:", "*", "'unsafe-eval'"} & set(policy("x").replace(";", " ").split())


def test_style_and_scripts_are_packaged() -> None:
    assert packaged("style.css").startswith(":root {")
    assert "use strict" in packaged("page.js")


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("old")
    replace(page, b"new")
    assert page.read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_a_full_disk_is_a_storage_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, body: bytes) -> int:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StorageError, match=r"page\.html: no space left"):
        replace(tmp_path / "page.html", b"new")
