"""Styles and scripts: their address says their content, they need no inline code, nothing else is served."""

from __future__ import annotations

import gzip
import hashlib

from veracast.web import assets

NAMES = (assets.STYLE, assets.PAGE, assets.CATALOGUE, assets.APP, assets.VEGA)


def test_an_address_holds_the_digest_of_what_it_serves() -> None:
    for name in NAMES:
        found = assets.asset(name)
        assert found.address == f"/static/{name.partition('.')[0]}-{hashlib.sha256(found.body).hexdigest()[:16]}.{name.partition('.')[2]}"  # fmt: skip
        assert gzip.decompress(found.packed) == found.body and assets.served(found.address) == found
    assert assets.served("/static/style.css") is None and assets.served("/static/../secret") is None


def test_the_style_is_the_reports_with_ours_after_it() -> None:
    style = assets.asset(assets.STYLE).body.decode()
    assert style.index(":root") < style.index(".portfolio") < style.index("/* The application around the pages. */")
    assert "@import" not in style and "url(" not in style


def test_our_scripts_make_no_code_from_text() -> None:
    for name in (assets.PAGE, assets.CATALOGUE, assets.APP):
        body = assets.asset(name).body.decode()
        assert not any(word in body for word in ("eval(", "new Function", "document.write", "http://", "https://"))
