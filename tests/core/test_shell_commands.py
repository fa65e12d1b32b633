"""What a shell text would start: evasions that must be stopped, ordinary commands that must pass, wrappers and hosts by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veracast.core.shell_commands import hosts_named, read_commands
from veracast.core.shell_words import ShellDoubt

LISTED = frozenset(
    [
        "ls",
        "find",
        "grep",
        "cat",
        "wc",
        "head",
        "tail",
        "sort",
        "uniq",
        "echo",
        "xargs",
        "cd",
        "pwd",
        "cut",
        "tr",
        "awk",
        "sed",
        "read",
        "printf",
        "test",
        "[",
        "true",
        "du",
        "df",
        "stat",
        "file",
        "tee",
        "mkdir",
        "touch",
        "cp",
        "mv",
        "date",
        "env",
        "sudo",
        "timeout",
        "nice",
        "time",
        "git",
        "curl",
        "python3",
        "tar",
        "diff",
        "basename",
        "dirname",
        "seq",
        "sleep",
        "export",
        "ps",
        "id",
        "which",
        "command",
        "chmod",
        "nohup",
        "exec",
        "ping",
    ]
)
EVASIONS = [
    # pipes, lists, groups
    "ls; rm -rf /", "ls && rm x", "ls || rm x", "ls | rm", "ls & rm x", "ls |& rm", "ls\nrm x", "(rm x)", "{ rm x; }", "ls;rm x", "ls;\trm x", "! rm x",
    "if rm x; then ls; fi", "while rm x; do ls; done", "for i in 1; do rm x; done", "until rm x; do :; done", "ls \\\n; rm x",
    # substitutions
    "ls $(rm x)", "ls `rm x`", 'ls "$(rm x)"', 'ls "`rm x`"', "ls <(rm x)", "cat > >(rm x)", "echo ${x:-$(rm x)}", 'echo "${x:-`rm x`}"', "echo $((1+$(rm x)))",
    "x=$(rm x)", "x=(a $(rm x))", "cat <<E\n$(rm x)\nE", "cat <<E\n`rm x`\nE", "cat <<< $(rm x)", "ls `echo \\`rm x\\``", "[[ -f <(rm x) ]]", "[[ a == $(rm x) ]]",
    "echo ${x:-<(rm x)}", "for i in $(rm x); do ls; done", "echo $(( $(rm x) ))", "ls > $(rm x)",
    # names written otherwise
    "r''m x", 'r""m x', "\\rm x", "'rm' x", "r\\m x", "$'rm' x", "$'\\x72m' x", "/bin/rm x", "./ls", "/tmp/ls", "~/ls", "l*", "/bin/r?", "{rm,-rf,/}", "$x", "${x} y",
    'x=rm; $x y', "r$@m x", "RM x", "ls\u200b", "\u0261rep x", "ls\u00a0; rm x", "rm$IFS-rf$IFS/", "@ls", "$(echo rm) x", "`echo rm` x", "$0 x",
    # programs that start others
    "xargs rm", "echo x | xargs rm", "xargs -n 1 rm", "xargs -I{} rm {}", "xargs -I{} {}", "xargs sh -c ls", "find . -exec rm {} ;", "find . -exec rm {} \\;", "find . -execdir rm {} +",
    "find . -ok rm {} \\;", "find . -delete", "find . -fprint /x", "env rm x", "env -i rm x", "env X=1 rm x", "env -S 'rm x'", "sudo rm x", "sudo -u root rm x", "sudo -s",
    "sudo -i rm", "timeout 5 rm x", "timeout -k 1 5 rm x", "nice -n 5 rm x", "nohup rm x", "time rm x", "time -p rm x", "exec rm x", "exec -a ls rm x", "command rm x", "builtin eval x",
    "busybox rm x", "sudo env timeout 5 xargs rm", "git -c core.pager=rm log", "git grep -O x", "git clone ext::x y", "git --exec-path=/x log", "git rebase x", "git push", "git log --outp=x",
    "tar cf x --to-command=rm y", "tar --checkpoint-action=exec=rm x", "tar --to-com=rm x", "tar cIf rm x y", "tar xf *", "curl -K x", "curl -o x https://e.org", "curl -so x https://e.org",
    "awk 'BEGIN{system(\"rm x\")}'", "awk '{print | \"rm\"}' f", "awk 'BEGIN{\"rm\" | getline}'", "awk '{print > \"f\"}' g", "awk '/\"/{print \"x\" | \"sh\"}/\"/' f", "awk -f x f",
    'awk "{$x}" f', "awk 'BEGIN{f=\"system\"; @f(\"rm\")}'", "sed 's/a/b/e' f", "sed '1e rm' f", "sed 'w x' f", "sed -i s/a/b/ f", "sed -n 's/a/b/w x' f", "sed -f x f", "sed \"s/a/$x/\" f",
    "sort -o x f", "sort --compress-program=rm f", "sort --out=x f", "sort -uo x f",
    # code and shells
    "bash -c ls", "sh -c 'ls'", "echo ls | sh", "echo cm0= | base64 -d | bash", "bash < f", "bash x.sh", "python3 -c 'x'", "python3", "echo x | python3 -", "python3 -m http.server",
    "python3 $x", "python3 /dev/stdin", "python3 -ic x", "eval ls", "eval \"$x\"", ". x", "source x", "alias ls=rm", "trap 'rm x' EXIT", "ls() { rm x; }; ls", "function ls { rm x; }",
    "coproc rm x", "case x in x) rm x;; esac", "select x in a; do rm x; done", "watch rm x", "ssh h rm x", "su -c rm", "vim -c ':!rm'", "python3 <<E\nx\nE", "printf -v PATH x",
    # the shell's state
    "PATH=/tmp ls", "PATH=/tmp; ls", "export PATH=/tmp", "LD_PRELOAD=/x ls", "export LD_PRELOAD=x", "GIT_PAGER=rm git log", "env LD_PRELOAD=x ls", "FOO=x ls", "read PATH", "set -o history",
    "for PATH in /tmp; do ls; done", "echo ${PATH:=/tmp}", "(( PATH=1 ))", "shopt -s expand_aliases", "hash -p /x ls", "declare -n r=PATH", "BASH_ENV=x ls",
    # found by a second look
    "find . -exec sudo -u + rm {} \\;", "f='-e1e rm'; sed p $f", "f='-e1e rm'; sed p \"$f\"", "echo x | xargs sed p", "x=PATH=/tmp; export \"$x\"", "\"a=b\"/../bin/rm x", "a\\=b/rm x", "python3 -W ignore -c x",
    "cat <<E\nx\\\nE\ncat <<'X'\nE\nrm x\nX", "ls $(ls # )\nrm x)", "python3 -X dev -c x", "python3 -Im x", "python3 <(echo x)", "split \"$f\"", "ls \"!1\"", "=ls", "repeat 3 ls", "noglob ls", "ls *(e:'rm':)", "echo ${(e)x}",
    "for x do rm; done", "a=1 rm x", "LC_ALL=C rm x", "LC_ALL=C eval x", "exec >(rm x)", "ls | tee >(sh)", "find . -exec env X=1 ls {} +", "time -o f ls", "git --git-dir=/x log", "git -C $x log", "ls &&rm x", "ls;(rm x)", "(ls)rm x",
    # what cannot be read
    "ls '", 'ls "', "ls `", "ls $(", "ls ${x", "ls )", "ls \\", "ls ${!x}", "ls ${x@P}", "ls ${a[0]@P}", "cat <<E\nls", "((x", "[[ x", "x='a[$(rm x)]'; echo $((x))", "ls !!", "ls !rm",
    "ls # ; rm x", "exec 3<>/dev/tcp/h/80", "cat < /dev/tcp/h/80", "cat </dev/${x}/h/80", "ls\r\nrm", "ls\x00", "ls\x1b[A", "echo $[1]", 'echo $"x"', "$((ls) ; rm)", "ls @(a|b)",
]  # fmt: skip
ORDINARY = [
    "ls", "ls -la /tmp", "pwd", "cd /srv && ls", "ls | wc -l", "ls -l | grep txt | sort | uniq -c", "find . -name '*.txt'", "find /srv -type f -name \"*.log\" | wc -l", "cat f | head -n 5",
    "grep -rn 'a|b' src", "grep -c \"foo bar\" f", "echo \"it's\"", "echo 'a; rm x'", 'echo "a && rm x"', "echo a\\;b", "echo $HOME", 'echo "$x"', "echo ${x:-none}", "echo ${#x}",
    "x=5; echo $((x + 1))", "for i in 1 2 3; do echo $i; done", "for f in *.txt; do wc -l \"$f\"; done", "for ((i=0; i<3; i++)); do echo $i; done", "if [ -f x ]; then echo yes; else echo no; fi",
    "while read -r line; do echo \"$line\"; done < f", "while IFS= read -r l; do echo $l; done", "[[ -f x && $y == a* ]] && echo yes", "[[ $x =~ ^(a|b)+$ ]] || echo no", "(( 1 < 2 )) && echo yes",
    "awk '{print $1}' f", "awk -F: '$3 > 100 {print $1}' /etc/passwd", "awk '{s += $1} END {print s / NR}' f", "awk '/a|b/ || $2 == \"x|y\" {n++} END {print n}' f", "awk -v n=3 'NR == n' f",
    "sed -n '1,5p' f", "sed 's/a/b/g' f", "sed -e 's|/a|/b|' -e '/^$/d' f", "sed '$!N;s/\\n/ /' f", "sort -k2 -n f", "sort -t: -k3 f | tail -1", "cut -d, -f1 f", "tr a-z A-Z < f", "head -1 f 2>/dev/null",
    "ls > /dev/null 2>&1", "ls &> /dev/null", "cat <<EOF\nplain $x text\nEOF", "cat <<'EOF' | wc -l\n$(not run) `nor this`\nEOF", "cat <<-E\n\tx\n\tE", "cat <<< word", "echo $(date +%s)", "echo `date`",
    'echo "today: $(date)"', "diff <(sort a) <(sort b)", "find . -type f -exec grep -l x {} +", "find . -name '*.c' -exec wc -l {} \\;", "find . -print0 | xargs -0 wc -l", "xargs -n 1 echo < f",
    "xargs -I{} cp {} /tmp", "timeout 5 ls", "time ls", "nice -n 10 ls", "sudo ls", "sudo -u bob cat f", "env", "env LC_ALL=C sort f", "LC_ALL=C sort f", "TZ=UTC date", "command -v python3", "python3 x.py --flag",
    "python3 --version", "git status", "git log --oneline -5", "git switch -c x", "git commit -m 'it is done'", "tar -czf a.tgz dir", "tar xf a.tar -C /tmp", "mkdir -p a/{b,c}", "touch a b", "cp a b && mv b c",
    "curl -s https://example.org/x", "ls # a list", "# only said\nls", "ls \\\n  -l", "arr=(a b); echo \"${arr[@]}\"", "echo {} ; ls", "test -d x || mkdir x", "! test -f x", "{ ls; pwd; }", "(cd x && ls)",
    "echo 'hello!'", "echo \"hi!\"", "ls [!a]*", "du -sh * | sort -h | tail", "stat -c '%s' f", "date -Iseconds", "seq 1 10 | tail -3", "set -euo pipefail; ls" , "/bin/ls", "/usr/bin/env", "echo café 你好",
    "read -p 'name: ' x", "export LANG=C", "x=a; x+=b", "id -u; which ls", "chmod 644 f", "ps aux | grep -v grep", "nohup sleep 5 &", "basename \"$(pwd)\"", "printf '%s\\n' a b", "ls;", "true && { echo a; }",
]  # fmt: skip


def stopped(text: str, listed: frozenset[str] = LISTED | {"set"}) -> str | None:
    """Why a text is stopped; None where it passes."""
    try:
        found = read_commands(text)
    except ShellDoubt as why:
        return str(why)
    for one in found.commands:
        if not one.listed(listed):
            return f"not listed: {one.name}"
        if one.doubt:
            return one.doubt
    unsafe = [word.text for word in found.writes if word.text != "/dev/null"]
    return f"writes to {unsafe}" if unsafe else None


@pytest.mark.parametrize("text", EVASIONS)
def test_an_evasion_is_stopped(text: str) -> None:
    assert stopped(text) is not None


@pytest.mark.parametrize("text", ORDINARY)
def test_an_ordinary_command_passes(text: str) -> None:
    assert stopped(text) is None


def test_there_are_enough_of_both() -> None:
    assert len(set(EVASIONS)) > 200
    assert len(set(ORDINARY)) > 110


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("ls | wc -l; echo $(date)", ["ls", "wc", "date", "echo"]),
        ("sudo -u bob timeout 5 xargs -0 rm", ["sudo", "timeout", "xargs", "rm"]),
        ("find . -exec grep x {} \\; -delete", ["find", "find -delete", "grep"]),
        ("python3 -m pytest -q", ["python3 -m pytest"]),
        ("/usr/bin/ls /opt/ls", ["ls"]),
        ("/opt/ls", ["/opt/ls"]),
        ("x=1", []),
        ("sed -i.bak s/a/b/ f", ["sed", "sed -i"]),
    ],
)
def test_the_programs_by_hand(text: str, names: list[str]) -> None:
    assert [one.name for one in read_commands(text).commands] == names


def test_an_entry_of_several_words_allows_just_that() -> None:
    listed = frozenset(["git log", "python3 -m pytest"])
    assert stopped("git log -3", listed) is None
    assert stopped("python3 -m pytest -q", listed) is None
    assert stopped("git push", listed) == "not listed: git"
    assert stopped("git $x", listed) == "not listed: git"
    assert stopped("python3 x.py", listed) == "not listed: python3"


def test_what_it_writes_is_listed() -> None:
    read = read_commands("ls > a; cat f >> 'b c' 2> /dev/null; echo <> d; ls 2>&1 >&- > $x")
    assert [word.text for word in read.writes] == ["a", "b c", "/dev/null", "d", "\x00"]


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("curl -s https://example.org/x -o out.json", ["https://example.org/x", "https://example.org/x"]),
        ("curl canary.invalid", ["canary.invalid", "canary.invalid"]),
        ("ping -c 3 backup", ["backup"]),
        ('curl "can""ary.invalid"', ["canary.invalid", "canary.invalid"]),
        ("curl -x evil.net:80 example.org", ["evil.net:80", "example.org", "evil.net:80", "example.org"]),
        ("curl --proxy=evil https://example.org", ["https://example.org", "evil", "https://example.org"]),
        ("curl -sxevil https://example.org", ["https://example.org", "-sxevil", "https://example.org"]),
        ("wget -P dir https://example.org", ["https://example.org", "https://example.org"]),
        ("scp notes.txt bob@example.org:/tmp", ["bob@example.org:/tmp", "bob@example.org:/tmp"]),
        ("echo x > canary.invalid", ["canary.invalid"]),
        ("cat notes.txt report.py", []),
    ],
)
def test_the_hosts_by_hand(text: str, hosts: list[str]) -> None:
    assert hosts_named(read_commands(text), strict=True) == hosts


@pytest.mark.parametrize(
    "text", ["curl $x", 'curl "https://$h/"', "curl ex*", "curl {a,b}.org", "xargs curl", "ping `cat f`"]
)
def test_a_host_that_only_the_shell_knows_is_in_doubt(text: str) -> None:
    with pytest.raises(ShellDoubt, match="a host that is not known"):
        hosts_named(read_commands(text), strict=True)


@given(st.sampled_from(EVASIONS), st.text(" \t", max_size=3), st.text(" \t\n", max_size=3))
def test_white_space_around_a_stopped_text_helps_nothing(text: str, before: str, after: str) -> None:
    after = "" if text.endswith("\\") else after  # behind a backslash a blank is a word
    assert stopped(f"{before}{text}{after}") is not None


@given(st.text(st.sampled_from(" \t\n;&|<>(){}[]$`'\"\\#!*?=~ab01-:@"), max_size=40))
def test_any_text_is_read_or_in_doubt(text: str) -> None:
    stopped(text)


@given(st.sampled_from(ORDINARY), st.sampled_from([";", "&&", "||", "|", "\n", "&"]))
def test_what_follows_an_ordinary_command_is_read(text: str, operator: str) -> None:
    assert stopped(f"{text}\n:{operator}canary_x") is not None
