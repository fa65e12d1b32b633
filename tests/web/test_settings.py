"""Who may be let in without a token: this machine alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from veracast.core.config import load_config
from veracast.core.errors import ConfigError
from veracast.web.settings import Settings

TOKEN = "0123456789abcdef"


@pytest.mark.parametrize(("host", "local"), [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False), ("10.0.0.7", False), ("box.example", False)])  # noqa: S104 # fmt: skip
def test_an_address_that_others_reach_needs_a_token(host: str, local: bool) -> None:
    assert Settings(host=host, token=TOKEN).local is local
    if local:
        assert Settings(host=host).token is None
    else:
        with pytest.raises(ConfigError, match=r"there is no token -> give --token, VERACAST_TOKEN or --token-file"):
            Settings(host=host)


@pytest.mark.parametrize("token", ["", "short", "with a space in the middle", "ünïcödé-ünïcödé-ü"])
def test_a_token_that_can_be_guessed_or_sent_badly_is_refused(token: str) -> None:
    with pytest.raises(ConfigError, match="token"):
        Settings(host="0.0.0.0", token=token)  # noqa: S104


def test_all_faults_are_told_at_once_and_the_message_never_holds_the_token() -> None:
    with pytest.raises(ConfigError) as caught:
        Settings(token="short-secret", port=70_000)
    assert len(caught.value.faults) == 2 and "short-secret" not in str(caught.value)


def test_limits_are_set_like_those_of_a_recipe_and_state_lies_in_the_runs() -> None:
    found = load_config(Settings, overrides=["limits.queue=3", "runs=there"])
    assert found.limits.queue == 3 and found.limits.jobs_at_once == 1 and found.home == Path("there/.web")
    assert Settings(state=Path("elsewhere")).home == Path("elsewhere")
    with pytest.raises(ConfigError, match=r"limits\.queu"):
        load_config(Settings, overrides=["limits.queu=3"])
