"""What a program runs or does by itself, told from its words: shells, inline code, editors, options that name a program.

A doubt says why it is not known what runs; an act is something beyond the program's trade that a rule has to name. Sources: the manuals of the programs
(GNU, git, curl, rsync); that ordinary programs start others is the idea of gtfobins.github.io, of which nothing is copied.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from veracast.core.shell_scripts import awk_doubt, sed_doubt
from veracast.core.shell_words import UNKNOWN, ShellDoubt, Word, check_assigned, named

_SHELLS = named("sh bash dash zsh ksh mksh ash fish csh tcsh rbash pwsh powershell cmd")
CODE = re.compile(
    r"(?:python|pypy|perl|ruby|node|nodejs|deno|bun|php|lua|luajit|tclsh|wish|Rscript|R|julia|guile|ghci|irb|osascript|jshell)[\d.]*"
)
_BEFORE_SCRIPT = named("-u -B -O -OO -q -w")
"""Options of interpreters that change nothing about what is run."""
_HARMLESS = frozenset(("--version", "-V", "-v", "--help", "-h"))
_NEVER = {
    "eval": "runs text as a command", "source": "runs a file", ".": "runs a file", "alias": "gives commands other names", "trap": "runs text later",
    "enable": "changes what builtins are", "hash": "changes where programs are found", "bind": "runs text on a key", "complete": "runs text on a tab",
    "compgen": "runs text", "shopt": "changes how text is read", "set": "changes how text is read", "fc": "runs lines of the history",
    "history": "runs or rewrites the history", "unalias": "changes what commands are", "mapfile": "may run text", "readarray": "may run text",
    "getopts": "sets variables by name", "let": "sets variables", "jobs": "may run its arguments",
}  # fmt: skip
_RUNNERS = named(
    "su repeat noglob nocorrect runuser pkexec script parallel watch entr at batch crontab chroot unshare nsenter setpriv strace ltrace gdb lldb expect screen tmux "
    "systemd-run start-stop-daemon flock runcon sg newgrp npx uvx pipx vi vim nvim view vimdiff rvim ex ed red emacs nano pico joe less-key "
    "sqlite3 psql mysql mariadb mongo mongosh redis-cli ftp lftp sftp telnet cscope m4 dc gnuplot gawk-inplace busctl dbus-send docker podman "
    "nerdctl kubectl ansible ansible-playbook salt run-parts run-mailcap ld.so logsave setarch linux32 linux64 choom coresched faketime fakeroot "
    "proot firejail bwrap rlwrap dpkg-reconfigure whiptail xterm ssh mosh xdotool xdg-open byobu ionice-exec chrt taskset numactl torify torsocks "
    "proxychains cpulimit unbuffer caffeinate doas pexec rush pssh pdsh capsh socat valgrind "
)
# options and words by which a program starts another one, or reads commands from elsewhere
_STARTS: Mapping[str, tuple[str, ...]] = {
    "tar": ("--to-command", "--checkpoint-action", "-I", "--use-compress-program", "--rsh-command", "--rmt-command", "-F", "--info-script", "--new-volume-script"),
    "rsync": ("-e", "--rsh", "--rsync-path", "--daemon", "-M"), "scp": ("-S", "-o", "-F", "-D"), "nc": ("-e", "-c", "--exec", "--sh-exec", "--lua-exec"),
    "ncat": ("-e", "-c", "--exec", "--sh-exec", "--lua-exec"), "netcat": ("-e", "-c"), "zip": ("-T", "-TT", "--test", "--unzip-command"),
    "sort": ("--compress-program",), "split": ("--filter",), "man": ("-P", "--pager", "-H", "--html"), "less": ("+", "-k", "-o", "-O"), "more": ("+",), "tcpdump": ("-z",),
    "ip": ("netns", "vrf", "-b", "-batch"), "make": ("--eval", "-f", "--file", "--makefile", "SHELL", "-I"), "curl": ("-K", "--config"), "wget": ("-e", "--execute", "--use-askpass", "--config"),
    "wget2": ("-e", "--execute", "--config"), "nmap": ("--script", "--interactive", "--datadir"), "openssl": ("engine", "-engine"), "gcc": ("-wrapper", "-B", "-fplugin"), "cc": ("-wrapper", "-B"),
    "cpio": ("--rsh-command",), "dpkg": ("-i", "--pre-invoke", "--install"), "apt-get": ("-o", "-c"), "apt": ("-o", "-c"), "cargo": ("run", "--config"),
    "go": ("run", "generate", "-exec", "-toolexec", "tool"), "npm": ("exec", "x", "config"), "rpm": ("--eval", "-E", "-i", "-U"),
}  # fmt: skip
_CLUSTERED = named("tar rsync nc ncat netcat zip less man make scp tcpdump rpm dpkg")
_ANY_OPERAND = named("sort go npm cargo openssl")
"""Programs of _STARTS where a word that is not known is taken for an operand: one word alone starts nothing."""
_GIT_STARTS = named(
    "difftool mergetool config submodule filter-branch bisect rebase daemon shell instaweb send-email hook web--browse gui citool"
)
_GIT_OPTIONS = (
    "--upload-pack",
    "--receive-pack",
    "--exec",
    "--open-files-in-pager",
    "--extcmd",
    "--config",
    "--ext-diff",
    "--textconv",
    "--template",
)
# what a program may do beyond its trade: a rule has to name it
_ACTS: Mapping[str, tuple[str, ...]] = {
    "find": ("-delete", "-fprint", "-fprint0", "-fprintf", "-fls"), "sed": ("-i", "--in-place"), "sort": ("-o", "--output"),
    "git": ("push", "--output", "clean", "reset"), "curl": ("-o", "-O", "--output", "--remote-name", "--remote-name-all", "-T", "--upload-file"), "wget": ("-O", "--output-document", "-P", "--post-file", "--body-file"),
}  # fmt: skip
_ACT_NAMES = {
    "--in-place": "-i",
    "--output": "-o",
    "--remote-name": "-O",
    "--upload-file": "-T",
    "--output-document": "-O",
}


def doubt_of(name: str, words: tuple[Word, ...]) -> str | None:
    """Why it is not known what a program runs; None where it is."""
    texts = [word.text for word in words]
    if name in _NEVER:
        harmless = (
            name == "set"
            and texts
            and all(re.fullmatch(r"[-+][euxo]+|pipefail|errexit|nounset", text) for text in texts)
        )
        return None if harmless else f"{name} {_NEVER[name]}"
    if name in _RUNNERS:
        return f"{name} runs what the guard does not read"
    if name in _SHELLS or CODE.fullmatch(name):
        return _interpreter(name, words)
    if name in ("awk", "gawk", "mawk", "nawk", "sed", "gsed"):
        return awk_doubt(words) if "awk" in name else sed_doubt(words)
    if name in ("export", "declare", "typeset", "local", "readonly", "read", "printf", "unset", "test", "["):
        return _sets(name, words)
    if name in _STARTS or name in ("find", "git"):
        if name not in _ANY_OPERAND and any(_may_be_an_option(word) for word in words):
            return f"{name}: a word that is not known may be an option that starts a program"
        return _git(texts) if name == "git" else _option_that_starts(name, texts)
    return None


def _may_be_an_option(word: Word) -> bool:
    return word.text.startswith(UNKNOWN) or (word.glob and word.text[0] in "*?[{")


def _is_option(text: str, option: str) -> bool:
    """The option itself, with a value behind =, or shortened as getopt_long allows."""
    name = text.partition("=")[0]
    return name == option or (name.startswith("--") and len(name) > 3 and option.startswith(name))


def _option_that_starts(name: str, texts: Sequence[str]) -> str | None:
    if name == "tar" and texts and not texts[0].startswith("-"):
        texts = [f"-{texts[0]}", *texts[1:]]
    for text in texts:
        for option in _STARTS.get(name, ()):
            letter = option[1] if re.fullmatch(r"-[A-Za-z]", option) and name in _CLUSTERED else ""
            clustered = bool(letter) and re.match(rf"-[A-Za-z0-9]*{letter}", text)
            if _is_option(text, option) or clustered or (option == "+" and text.startswith("+")):
                return f"{name} {option} may start another program"
    return None


def _git(texts: Sequence[str]) -> str | None:
    at = 0
    while at < len(texts) and texts[at].startswith("-"):
        if texts[at] not in ("-C", "--no-pager", "-P", "--version", "--help"):
            return f"git {texts[at]} may start another program"
        at += 2 if texts[at] == "-C" else 1
    command, rest = texts[at : at + 1], texts[at + 1 :]
    if command and (command[0] in _GIT_STARTS or UNKNOWN in command[0]):
        return f"git {command[0]} may start another program"
    short = {"clone": ("-c", "-u"), "init": ("-c",), "grep": ("-O",)}.get(command[0] if command else "", ())
    for text in rest:
        if text.startswith(("ext::", *short)) or any(_is_option(text, option) for option in _GIT_OPTIONS):
            return f"git {text} may start another program"
    return None


def _interpreter(name: str, words: tuple[Word, ...]) -> str | None:
    texts = [word.text for word in words]
    if (
        texts
        and all(text in _HARMLESS for text in texts)
        and len(texts) == 1
        and (texts[0] != "-v" or name not in _SHELLS)
    ):
        return None
    if name in _SHELLS:
        return f"{name} runs text that the guard does not read"
    at = next((i for i, word in enumerate(words) if not word.text.startswith("-") or word.text == "-"), None)
    before = texts if at is None else texts[:at]
    if any(text not in _BEFORE_SCRIPT for text in before):
        return f"{name} with options that may hold code"
    if (
        at is None
        or texts[at] == "-"
        or not words[at].known
        or texts[at].startswith("/dev/")
        or texts[at].startswith("/proc/")
    ):
        return f"{name} runs text that the guard does not read"
    return None


def _sets(name: str, words: tuple[Word, ...]) -> str | None:
    """Builtins that set variables by name."""
    options = "".join(word.text[1:] for word in words if word.text.startswith("-") and not word.text.startswith("--"))
    if name in ("test", "["):
        return f"{name} -v, which evaluates a name" if any(word.text in ("-v", "-R") for word in words) else None
    if name == "printf":
        return "printf -v sets a variable" if words and (words[0].text.startswith("-v") or words[0].splits) else None
    if name in ("declare", "typeset", "local") and set(options) & set("nixfF"):
        return f"{name} -{options}"
    for word in words:
        if word.text.startswith("-"):
            continue
        target = re.match(r"[A-Za-z_]\w*", word.text)
        if UNKNOWN in word.text.partition("=")[0]:
            return f"{name}: a name that is not known"
        if target is None:
            continue
        try:
            check_assigned(target[0], exported=name == "export" and "=" in word.text)
        except ShellDoubt as why:
            return str(why)
    return None


def acts_of(name: str, words: tuple[Word, ...]) -> list[str]:
    """What else a rule has to name, such as `-delete` of find."""
    found = []
    for word in words:
        for act in _ACTS.get(name, ()):
            short = len(act) == 2 and act[0] == "-" and not word.text.startswith("--")
            clustered = (
                short and name in ("sed", "curl", "wget", "sort") and re.match(rf"-[a-zA-Z#]*{act[1]}", word.text)
            )
            if _is_option(word.text, act) or clustered or (short and word.text.startswith(act)):
                shorter = _ACT_NAMES.get(act, act)
                found.append(shorter if shorter in _ACTS[name] else act)
    return sorted(set(found))
