"""Programs of awk and sed, as far as it takes to say that they neither start others nor write files; what is not read is in doubt."""

from __future__ import annotations

import re
from collections.abc import Sequence

from veracast.core.shell_words import UNKNOWN, Word

_SED_ADDRESS = r"(?:\d+(?:~\d+)?|\$|/(?:\\.|[^/\\\n])*/I?)"
_SED_STEP = re.compile(
    rf"\s*(?:{_SED_ADDRESS}(?:\s*,\s*(?:[+~]?\d+|{_SED_ADDRESS}))?)?\s*!?\s*(?:\{{|\}}|[pdqQ=nNgGhHxDPlzF]|"
    r"([sy])([/|#,:@_%~^!+])(?:\\.|(?!\2)[^\\\n])*\2(?:\\.|(?!\2)[^\\\n])*\2[gpIiMm0-9]*|b|t)?\s*(?:[;\n]|(?<=[{;])|(?=\})|\Z)"
)
_AWK_STRING = re.compile(r'"(?:\\.|[^"\\\n])*"')
_AWK_REGEX = re.compile(r"/(?:\\[^\n]|\[[^\]\"\n/]*\]|[^/\\\"\n\[])+/")
_AWK_WORD = re.compile(r"(?:^|\W)(?:print|printf|return|in|case|exit)$")
_AWK_RUNS = re.compile(r"system|getline|@|\bprintf?\b[^;}\n]*(?:\|(?!\|)|>)|\"\s*\|(?!\|)")


def awk_doubt(words: Sequence[Word]) -> str | None:
    at = 0
    while at < len(words) and words[at].text.startswith("-"):
        text = words[at].text
        if text == "--":
            at += 1
            break
        if text in ("-F", "-v"):
            at += 2
        elif text.startswith(("-F", "-v")):
            at += 1
        else:
            return f"awk: option {text} is not read"
    if at >= len(words):
        return None
    program = words[at].text
    if UNKNOWN in program or words[at].glob:
        return "awk: a program that is not known"
    if any(word.splits for word in words[:at]):
        return "awk: a word that is not known may be its program"
    bare = _without_literals(program)
    if bare is None or _AWK_RUNS.search(bare):
        return "awk: a program that runs others or writes files"
    return None


def _without_literals(program: str) -> str | None:
    """An awk program with its strings and regular expressions emptied; None where one holds a quote or is never closed."""
    parts, at = list[str](), 0
    while at < len(program):
        c, before = program[at], "".join(parts[-12:]).rstrip()
        if c == '"' and (found := _AWK_STRING.match(program, at)):
            parts.append('""')
        elif c == "/" and (
            not before or (before[-1] not in '_)]$"' and not before[-1].isalnum()) or _AWK_WORD.search(before)
        ):
            found = _AWK_REGEX.match(program, at)
            if found is None:
                return None
            parts.append("~")
        elif c in '"#\\':
            return None
        else:
            parts.append(c)
            at += 1
            continue
        at = found.end()
    return "".join(parts)


def sed_doubt(words: Sequence[Word]) -> str | None:
    scripts, at, given = list[Word](), 0, False
    rest = list[Word]()
    while at < len(words):
        text = words[at].text
        if text == "--expression" or re.fullmatch(r"-[nEruzs]*e", text):
            given = True
            scripts += words[at + 1 : at + 2]
            at += 1
        elif text.startswith("--expression=") or re.match(r"-[nEruzs]*e.", text):
            return "sed: a script that is not read"
        elif re.fullmatch(
            r"-[nEruzs]+|-[nEruzs]*i[.\w~]*|--(?:quiet|silent|regexp-extended|null-data|separate|posix|debug|in-place(?:=.*)?)",
            text,
        ):
            pass
        elif text.startswith("-") and text != "-":
            return f"sed: option {text} is not read"
        elif text.startswith(UNKNOWN):
            return "sed: a word that is not known may be an option"
        else:
            rest.append(words[at])
        at += 1
    if not given:
        scripts += rest[:1]
    for script in scripts:
        if (not script.known and not (script.glob and UNKNOWN not in script.text)) or not _plain_sed(script.text):
            return "sed: a script that may run others or write files"
    return None


def _plain_sed(script: str) -> bool:
    at = 0
    while at < len(script):
        step = _SED_STEP.match(script, at)
        if step is None or step.end() == at:
            return False
        at = step.end()
    return True
