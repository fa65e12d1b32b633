"""What a shell text would run: the programs in command position, those that other programs start for it, what it writes and which hosts it names.

`core/shell_words.py` reads the text, `core/shell_programs.py` says what a program runs by itself. Here wrappers (sudo, env, xargs, timeout, find -exec)
are followed to the program that they start. A doubt belongs to one program, so that a rule can take it on (`unread`); a doubt about the text as a whole
cannot be taken on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from veracast.core.addresses import addresses_in
from veracast.core.shell_programs import CODE, acts_of, doubt_of
from veracast.core.shell_words import UNKNOWN, Redirect, ShellDoubt, Word, check_assigned, named, read_shell

SYSTEM_FOLDERS = ("/bin/", "/usr/bin/", "/sbin/", "/usr/sbin/", "/usr/local/bin/")
_HIDDEN = Word(UNKNOWN, splits=True)
# of wrappers: options alone, options with a value, words before the program
_WRAPPERS: Mapping[str, tuple[frozenset[str], frozenset[str], int]] = {
    name: (frozenset(flags.split()), frozenset(values.split()), words)
    for name, flags, values, words in (
        ("sudo", "-n -E -H -k -b -A -P -S --non-interactive --preserve-env --set-home", "-u -g -h -p -C -T -D --user --group", 0),
        ("env", "-i - -0 -v --ignore-environment --null", "-u --unset -C --chdir", 0),
        ("xargs", "-0 -r -t -x --null --no-run-if-empty --verbose --exit", "-I -n -L -P -d -s -E -a --max-args --max-lines --max-procs --delimiter --arg-file --replace", 0),
        ("nohup", "", "", 0), ("setsid", "-w -f -c --wait --fork", "", 0), ("command", "-p", "", 0), ("builtin", "", "", 0), ("exec", "-c -l", "-a", 0),
        ("time", "-p -v -q --verbose --portability --quiet", "-f --format", 0), ("timeout", "-v --foreground --preserve-status --verbose", "-k -s --kill-after --signal", 1),
        ("nice", "", "-n --adjustment", 0), ("ionice", "-t", "-c -n --class --classdata", 0), ("stdbuf", "", "-i -o -e --input --output --error", 0),
        ("busybox", "", "", 0), ("toybox", "", "", 0),
    )
}  # fmt: skip
# every operand is a host or URL, but for the values of options that are something else
_NETWORK = named(
    "curl wget wget2 nc ncat netcat ping ping6 dig nslookup host traceroute tracepath mtr scp rsync whois nmap http https httpie lynx w3m links aria2c axel finger"
)
_OTHER_VALUES = named(
    "-o --output -X --request -H --header -A --user-agent -m --max-time --connect-timeout -d --data --data-raw --data-binary --json -F --form "
    "-w --write-out --tries -P --directory-prefix -O --output-document --limit-rate"
)
_FIND_EXEC = ("-exec", "-execdir", "-ok", "-okdir")


@dataclass(frozen=True)
class Command:
    """A program that would be started. name: as a rule has to list it, such as `ls` or `find -delete`. doubt: why what it runs is not known."""

    name: str
    words: tuple[Word, ...] = ()
    doubt: str | None = None

    def listed(self, entries: frozenset[str]) -> bool:
        """Whether `entries` holds its name, or its first words (`git log`)."""
        if self.name in entries:
            return True
        words: list[str] = [self.name]
        for word in self.words[:3]:
            if not word.known:
                return False
            words.append(word.text)
            if " ".join(words) in entries:
                return True
        return False


class ShellText(NamedTuple):
    """commands in the order found. writes: targets of redirections that write. words: of all commands, for what they mention."""

    commands: tuple[Command, ...]
    writes: tuple[Word, ...]
    words: tuple[Word, ...]


def read_commands(text: str) -> ShellText:
    """All that a shell text would start and write. Raises ShellDoubt where it cannot be read with certainty."""
    commands, writes, words = list[Command](), list[Word](), list[Word]()
    for simple in read_shell(text):
        writes += [one.target for one in simple.redirects if _writes(one)]
        words += [*simple.words, *simple.assignments, *(one.target for one in simple.redirects)]
        if simple.words:
            commands += _started(simple.words)
    return ShellText(tuple(commands), tuple(writes), tuple(words))


def _writes(one: Redirect) -> bool:
    if one.operator in (">&", "<&") and one.target.known and re.fullmatch(r"\d*-?", one.target.text):
        return False
    return ">" in one.operator


def _started(words: Sequence[Word]) -> Iterator[Command]:
    """The program in command position, and those that it starts."""
    name, rest = _program(words[0]), tuple(words[1:])
    doubt = doubt_of(name, rest)
    runs_nothing = name == "command" and rest[:1] and rest[0].text in ("-v", "-V")
    modules = [word.text for word in rest[:2] if word.known]
    if CODE.fullmatch(name) and modules[:1] == ["-m"] and len(modules) == 2:
        yield Command(f"{name} -m {modules[1]}", rest[2:])
        return
    yield Command(name, rest, doubt)
    for act in acts_of(name, rest):
        yield Command(f"{name} {act}")
    if name in _WRAPPERS and not runs_nothing:
        inner = _wrapped(name, rest)
        if inner:
            yield from _started(inner)
    if name == "find":
        yield from _found_by_find(rest)


def _program(word: Word) -> str:
    if UNKNOWN in word.text or word.splits:
        raise ShellDoubt("a variable or substitution in command position")
    if word.glob or not word.text:
        raise ShellDoubt("a pattern or nothing in command position")
    folder, slash, name = word.text.rpartition("/")
    return name if slash and f"{folder}/" in SYSTEM_FOLDERS and name else word.text


def _wrapped(name: str, words: tuple[Word, ...]) -> tuple[Word, ...]:
    """The command line that a wrapper starts; () where it starts none."""
    flags, values, before = _WRAPPERS[name]
    at, placeholder = 0, None
    while at < len(words):
        text = words[at].text
        if not words[at].known:
            raise ShellDoubt(f"{name}: which word is the program is not known")
        if text == "--":
            at += 1
            break
        if name in ("env", "sudo") and re.match(r"[A-Za-z_]\w*=", text):
            check_assigned(text.partition("=")[0], exported=True)
            at += 1
            continue
        if not text.startswith("-"):
            break
        option, equals, value = text.partition("=")
        if text in flags or (re.fullmatch(r"-\d+", text) and name == "nice"):
            at += 1
        elif option in values or (text[:2] in values and not text.startswith("--")):
            apart = text in values
            value = (
                (words[at + 1].text if at + 1 < len(words) else "")
                if apart
                else (value if equals and text.startswith("--") else text[2:])
            )
            if apart and at + 1 < len(words) and not words[at + 1].known:
                raise ShellDoubt(f"{name}: a value that is not known")
            placeholder = value if option[:2] == "-I" or option == "--replace" else placeholder
            at += 2 if apart else 1
        elif not text.startswith("--") and all(f"-{letter}" in flags for letter in text[1:]):
            at += 1
        else:
            raise ShellDoubt(f"{name}: option {text} is not known, so neither is what it starts")
    while before and at < len(words):
        at, before = at + 1, before - 1
    inner = words[at:]
    if name == "env":  # assignments may follow its options
        while inner and re.match(r"[A-Za-z_]\w*=", inner[0].text):
            check_assigned(inner[0].text.partition("=")[0], exported=True)
            inner = inner[1:]
    if name == "xargs" and inner:
        inner = tuple(_HIDDEN if placeholder and placeholder in word.text else word for word in inner)
        return inner if placeholder else (*inner, _HIDDEN)
    return inner


def _found_by_find(words: tuple[Word, ...]) -> Iterator[Command]:
    at = 0
    while at < len(words):
        if words[at].text in _FIND_EXEC:
            end = next((i for i in range(at + 1, len(words)) if _ends_exec(words, i)), None)
            if end is None or end == at + 1:
                raise ShellDoubt("find: an -exec without its end")
            inner = [_HIDDEN if "{}" in word.text else word for word in words[at + 1 : end]]
            yield from _started(inner)
            at = end
        at += 1


def _ends_exec(words: tuple[Word, ...], i: int) -> bool:
    return words[i].text == ";" or (words[i].text == "+" and words[i - 1].text == "{}")


def hosts_named(read: ShellText, *, strict: bool) -> list[str]:
    """Hosts and URLs that a shell text names: all that reads like one, and of programs that go to the network every operand.

    Raises ShellDoubt under `strict` where such a program is given a word that only the shell will know.
    """
    found = [one for word in read.words for one in addresses_in(word.text)]
    for command in read.commands:
        if command.name in _NETWORK:
            found += _operands(command, strict=strict)
    return found


def _operands(command: Command, *, strict: bool) -> Iterator[str]:
    value_follows = False
    for word in command.words:
        text = word.text
        if UNKNOWN in text or (word.glob and not re.match(r"(?:https?://)?[\w.:-]+[/?]", text)):
            if strict:
                raise ShellDoubt(f"{command.name}: a host that is not known before the shell runs")
            continue
        if value_follows:
            value_follows = False
            continue
        option, equals, value = text.partition("=")
        if option in _OTHER_VALUES:
            # `-O` of curl has no value: the word after it is a host
            value_follows = not equals and (command.name, option) != ("curl", "-O")
            continue
        if option.startswith("--") and equals:
            text = value
        elif (
            text.startswith("-")
            and not re.search(r"[.:@/]", text)
            and not (command.name == "curl" and "x" in text[1:-1])
        ):
            continue
        local = text.startswith(("/", "./", "~/")) and not text.startswith("//")
        local = local or (command.name in ("scp", "rsync") and ":" not in text)
        if not local and not re.fullmatch(r"\d{1,5}|\+\w*", text):
            yield text
