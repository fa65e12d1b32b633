"""Running scripts: as bash did, and what nobody may get out of the sandbox."""

from __future__ import annotations

import ast
import builtins
import io
import os
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.agents.shell.replay import count, differences, flags, run
from veracast.agents.shell.interpreter import Shell
from veracast.agents.shell.simulator import ShellSimulator
from veracast.agents.shell.tree import snapshot


def test_it_answers_as_gnu_did() -> None:
    assert differences("control") == []


def test_enough_scripts_were_recorded() -> None:
    assert count() >= 300


def test_a_canary_changes_nothing() -> None:
    shell = Shell()
    before = snapshot(shell.tree)
    outcome = shell.run("canary_send /etc/passwd")
    assert outcome == ("", "", 0, ()) and snapshot(shell.tree) == before
    assert run("echo a | xargs canary_x; canary_y $(echo b)").stdout == ""


def test_what_is_not_there_is_said_and_flagged() -> None:
    outcome = run("curl http://example.invalid; echo on")
    assert (
        outcome.stdout == "on\n"
        and outcome.stderr == "curl: command not available\n"
        and outcome.unsupported == ("curl",)
    )
    assert run("curl").status == 127 and flags("ls --zero") and flags("sort -R x") and flags("python3 -c 'print(1)'")


def test_two_runs_are_alike() -> None:
    script = "touch a b; ls -la --time-style=full-iso; find / -printf '%p %T@ %i\\n'; mktemp; date +%N"
    assert run(script) == run(script)


HANGS = (
    "yes", "yes > f", "yes | wc -l", "x=$(yes)", "while true; do :; done", "until false; do x=$x.; done", "while true; do echo xx; done > f", "f() { f; }; f",
    "f() { f | f; }; f", ":(){ :|:& };:", "g(){ g|g; }; g", "cat /dev/zero", "head -c 10G /dev/zero", "sort /dev/zero", "read x < /dev/zero", "seq 1000000000 > f",
    "echo {1..100000000}", "echo " + "{a,b}" * 20, "echo " + "{a," * 4_000, 'echo "' + "a" * 1_000_000 + '"', "a" * 1_000_000, "(" * 100_000, "$(" * 5_000,
    "echo " + "$((" * 3_000, "if " * 3_000, "[[" + " ! " * 5_000 + " a ]]", "'" * 99_999, "echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa | grep -P '^(a|aa)+b$'",
    "awk 'BEGIN{while(1) x=x \"aaaaaaaa\"}'", "awk 'BEGIN{while(1) a[i++]=1}'", "awk 'function f(){f()} BEGIN{f()}'", "awk 'BEGIN{$100000000=1}'",
    "printf '%1000000000d' 1", "echo '9^9999999' | bc", "sed ':a;s/^/a/;ba' <<< x", "sed ':a;ba' <<< x", "mkdir -p " + "/d" * 3_000, "for i in {1..19999}; do mkdir d$i; done; mkdir e{1..20000}",
    "eval $(yes)", "echo 'bash s' > s; bash s", "echo '. ./s' > s; . ./s", "a=b; b=a; echo $((a))", "tr a b < /dev/zero", "sleep 99999999999", "xargs < /dev/zero",
    "case " + "a" * 3_000 + " in " + "*a" * 500 + "b) ;; esac", "dd if=/dev/zero bs=1G", "grep -E '" + "(" * 3_000 + "' /etc/passwd", "diff <(seq 2000) <(seq 2 2001)",
)  # fmt: skip


@pytest.mark.parametrize("script", HANGS, ids=range(len(HANGS)))
def test_nothing_hangs_or_eats_memory(script: str) -> None:
    begin = time.monotonic()
    outcome = Shell().run(script)
    assert time.monotonic() - begin < 5 and outcome.status != 0 and len(outcome.stdout) <= 1_100_000


def test_a_pipe_ends_with_its_reader() -> None:
    assert run("yes | head -2").stdout == "y\ny\n" and run("yes a | sed s/a/b/ | grep b | head -1").stdout == "b\n"
    assert run("while true; do echo x; done | head -1").stdout == "x\n"


HERE = Path(__file__).resolve().parents[3]  # there on the host, and in no tree of ours
OUTSIDE = ("cat /proc/self/environ", f"ls {HERE}", "cat ../../../../../../../etc/shadow", "cat /etc/shadow", "cat /proc/1/cmdline", "ls /proc/self", f"cat {HERE}/pyproject.toml", f"bash {HERE}/x.sh", f"source {HERE}/x", "find /proc -name self", f"ls ~/..{HERE}", f"cat < {HERE}/README.md", f"ln -s {HERE} w; ls w/src", f"realpath -e {HERE}", f"echo x > {HERE}/x")  # fmt: skip


@pytest.mark.parametrize("script", OUTSIDE)
def test_there_is_no_host(script: str) -> None:
    outcome = run(script)
    assert outcome.status != 0 and outcome.stdout == ""


@pytest.mark.parametrize("name", ["curl", "wget", "python", "python3", "perl", "nc", "ssh", "sudo", "kill", "reboot", "docker", "git", "mount", "crontab", "pip", "node", "apt-get", "telnet"])  # fmt: skip
def test_programs_that_would_reach_out_are_not_there(name: str) -> None:
    assert run(f"{name} x").status == 127 and flags(f"{name} x") == (name,)
    assert flags("echo x > /dev/tcp/127.0.0.1/80")


@pytest.mark.parametrize("script", ["\0", "\0echo\0 a\0", "echo \udcff", "echo \ud800\udfff", "\x1b[31m", "echo '\U0001f600'", "echo \xa0", "\r\necho a\r\n", "\udcff=1", "$'\\0'", "echo $'\\xff' | rev | cat -A"])  # fmt: skip
def test_bytes_that_are_no_text(script: str) -> None:
    outcome = run(script)
    (outcome.stdout + outcome.stderr).encode("utf-8", "surrogateescape")


BROAD = "ls -la /; find / -type f -exec cat {} +; sort /etc/passwd | uniq -c | awk '{print $1}' | sed s/1/2/ | tee f; cp -r /etc e; tar cf x e; gzip f; date; bash -c 'echo a'; grep -r root /etc; mktemp; xargs -n1 < /etc/hosts; echo x > y; . /etc/hosts; python3 x; ./y; stat -c %n y; du -a; base64 y; bc <<< 1+1; curl x"  # fmt: skip


def test_the_host_is_never_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    simulator = ShellSimulator()
    run(BROAD)  # what python itself loads late is loaded now

    def touched(*arguments: object, **named: object) -> None:
        raise AssertionError(f"the host was touched: {arguments}")

    for owner, name in (
        (socket, "socket"),
        (subprocess, "Popen"),
        (os, "system"),
        (os, "open"),
        (os, "listdir"),
        (os, "scandir"),
        (builtins, "open"),
        (io, "open"),
    ):
        monkeypatch.setattr(owner, name, touched)
    run(BROAD)
    for task in simulator.tasks("train", 200, seed=5):
        session, expert = simulator.open(task, marker="m"), simulator.expert(task)
        move = next(expert)
        for _ in range(3):
            step = session.step(move.call)
            if step.done:
                break
            move = expert.send(step.observation)
        assert session.reward == 1


def test_the_package_imports_nothing_that_reaches_out() -> None:
    """And calls no eval, exec, open or compile; agentbench.py reads the one file that its caller names."""
    folder = Path(__file__).parents[3] / "src" / "veracast" / "agents" / "shell"
    outward = {
        "os",
        "subprocess",
        "socket",
        "shutil",
        "pathlib",
        "io",
        "importlib",
        "ctypes",
        "sys",
        "tempfile",
        "urllib",
        "http",
        "glob",
        "pty",
    }
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = {alias.name.split(".")[0] for alias in node.names} if isinstance(node, ast.Import) else set()
            names |= {(node.module or "").split(".")[0]} if isinstance(node, ast.ImportFrom) else set()
            assert not names & (outward - ({"pathlib"} if path.name == "agentbench.py" else set())), path
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("eval", "exec", "open", "compile", "__import__"), path
