"""Rules: read from a file, with all their faults at once and the lines on which they stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from veracast.core.errors import ConfigError
from veracast.core.guard_rules import Limits, lines_of, load_rules, parse_rules, plain

EXAMPLE = r"""
version = 1
default = "deny"
[[tool]]
name = "bash"
[tool.arguments.command]
required = true
max_chars = 2000
deny = ['\brm\s+-rf\s+/']
commands = ["ls", "git  log"]
unread = ["python3"]
writes = ["/tmp/", "."]
hosts = ["Example.org", "*.example.org", "box.net:8080"]
[[tool]]
name = "pay"
[tool.arguments]
amount = { type = "number", min = 0, max = 10.5 }
to = { one_of = ["a", "b"], from = ["user"] }
[[tool]]
name = "shutdown"
deny = true
[limits]
calls_per_episode = 50
"""


def test_a_file_by_hand(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(EXAMPLE)
    rules = load_rules(file)
    command = rules.tools["bash"].arguments["command"]
    assert (command.required, command.max_chars, command.commands, command.unread) == (True, 2000, {"ls", "git log"}, {"python3"})  # fmt: skip
    assert (command.writes, command.hosts) == (("/tmp", "."), ("example.org", "*.example.org", "box.net:8080"))
    pay = rules.tools["pay"].arguments
    assert (pay["amount"].type, pay["amount"].min, pay["amount"].max) == ("number", 0, 10.5)
    assert (pay["to"].one_of, pay["to"].roles) == (("a", "b"), ("user",))
    assert rules.tools["shutdown"].deny
    assert not rules.default_allow
    assert rules.limits == Limits(50, None, 100_000)


def test_all_faults_are_told_with_their_lines() -> None:
    text = """version = 2
defalt = "deny"
default = "perhaps"
[[tool]]
name = "a"
[tool.arguments.url]
host = ["a.org"]
hosts = ["https://a.org/b", "*.com", "a b"]
from = ["usr"]
deny = ["(", "[a"]
type = "strin"
max_chars = -1
writes = ["/tmp"]
[[tool]]
name = "a"
[[tool]]
name = "b\u200b"
arguments = 3
[limits]
calls_per_episode = 0
call_repeated = 2
"""
    with pytest.raises(ConfigError) as caught:
        parse_rules(text, file="r.toml")
    faults = caught.value.faults
    expected = [
        ("line 2", "defalt, did you mean default?"), ("line 1", "expected version = 1, got 2"), ("line 3", "'perhaps'"), ("line 7", "host, did you mean hosts?"),
        ("line 8", "'https://a.org/b' is more than a host"), ("line 9", "'usr' is none of"), ("line 10", "'(' is no regular expression"), ("line 11", "nearest: string"), ("line 12", "got -1"),
        ("line 13", "only beside commands"), ("line 15", "a second rule for 'a'"), ("line 17", "exact name"), ("line 18", "got 3"), ("line 20", "got 0"), ("line 21", "did you mean same_call_repeated?"),
    ]  # fmt: skip
    assert len(faults) == len(expected)
    for line, message in expected:
        assert any(fault.startswith(f"r.toml, {line}: ") and message in fault for fault in faults), (line, faults)
    assert any("'*.com' is every host" in fault and "'a b' is no host" in fault for fault in faults)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("version = 1\ntool = 3", r"expected \[\[tool\]\] tables"),
        ("version = true", "expected version = 1"),
        ("", "expected version = 1"),
        ("version = 1\nx = ", "Invalid value"),
        ("version = 1\n[[tool]]", "exact name"),
        ('version = 1\n[[tool]]\nname = "x"\ndeny = true\narguments = {a = {}}', "has no arguments to rule"),
        ('version = 1\n[[tool]]\nname = "x"\narguments = {a = {paths = ["../x"]}}', "no plain path"),
        ('version = 1\n[[tool]]\nname = "x"\narguments = {a = {paths = ["/x"], hosts = []}}', "a path, or it is"),
        ('version = 1\n[[tool]]\nname = "x"\narguments = {a = {min = "1"}}', "expected a number"),
        ('version = 1\n[[tool]]\nname = "x"\narguments = {a = {one_of = []}}', "expected a list"),
        ('version = 1\n[[tool]]\nname = "x"\narguments = {a = {from = []}}', "one role or more"),
    ],
)
def test_one_fault(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_rules(text)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_rules(tmp_path / "none.toml")
    (tmp_path / "x.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_rules(tmp_path / "x.toml")


def test_lines_pass_over_texts_of_several_lines() -> None:
    text = 'version = 1\n[[tool]]\nname = """\nversion = 3\n"""\n[tool.arguments."a b"]\nmin = 1\n[[tool]]\nname = 1\n'
    assert lines_of(text) == {
        ("version",): 1, ("tool", 0): 2, ("tool", 0, "name"): 3, ("tool", 0, "arguments", "a b"): 6, ("tool", 0, "arguments", "a b", "min"): 7,
        ("tool", 1): 8, ("tool", 1, "name"): 9,
    }  # fmt: skip


def test_the_plain_form_has_nothing_that_cannot_be_seen() -> None:
    assert plain("r\u200bm \uff52\uff4d\u202e\ufe0f x\u00ad") == "rm rm x"
    assert plain("é 你好\n") == "é 你好\n"


def test_the_example_of_the_docstring_is_read() -> None:
    import textwrap

    from veracast.core import guard_rules

    body = (guard_rules.__doc__ or "").partition("\n\n")[2].partition("\n\nRules of one")[0]
    rules = parse_rules(textwrap.dedent(body))
    assert set(rules.tools) == {"bash", "fetch", "write_file"}
