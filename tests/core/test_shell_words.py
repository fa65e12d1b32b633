"""The lexer by hand: words, assignments, redirections; what it cannot read is told."""

from __future__ import annotations

import pytest

from veracast.core.shell_words import MAX_DEPTH, UNKNOWN, ShellDoubt, Word, check_assigned, read_shell


def words(text: str) -> list[list[str]]:
    return [[word.text for word in one.words] for one in read_shell(text)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a b  c", [["a", "b", "c"]]),
        ("a 'b c'\"d e\"\\ f", [["a", "b cd e f"]]),
        ('a "$x"y', [["a", f"{UNKNOWN}y"]]),
        ("a ''", [["a", ""]]),
        ("a;b&&c||d|e&f\ng", [["a"], ["b"], ["c"], ["d"], ["e"], ["f"], ["g"]]),
        ("a $(b $(c))", [["c"], ["b", UNKNOWN], ["a", UNKNOWN]]),
        ("a `b \\`c\\``", [["c"], ["b", UNKNOWN], ["a", UNKNOWN]]),
        ("(a; b) | { c; }", [["a"], ["b"], ["c"]]),
        ("if a; then b; elif c; then d; else e; fi", [["a"], ["b"], ["c"], ["d"], ["e"]]),
        ("while a; do b; done | c", [["a"], ["b"], ["c"]]),
        ("for x in 1 $(a); do b; done", [["a"], ["b"]]),
        ("for ((i=0; i<$(a); i++)); do b; done", [["a"], ["b"]]),
        ("[[ $(a) == b && c ]] || d", [["a"], ["d"]]),
        ("a <<E; b\n$(c) \\$(d) \"\nE\ne", [["a"], ["b"], ["c"], ["e"]]),
        ("a <<'E'\n$(c)\nE", [["a"]]),
        ("a # b\nc", [["a"], ["c"]]),
        ("a#b", [["a#b"]]),
        ("a\\\nb c", [["ab", "c"]]),
        ("x=1 y+=2", [[]]),
        ("a x=1", [["a", "x=1"]]),
        ("a $'\\n\\''", [["a", "\n'"]]),
        ("echo if then", [["echo", "if", "then"]]),
        ("a ${x:-\"$(b)\"}", [["b"], ["a", UNKNOWN]]),
        ("a <(b) >(c)", [["b"], ["c"], ["a", UNKNOWN, UNKNOWN]]),
        ("a 'x\ny'", [["a", "x\ny"]]),
        ("a $ b$", [["a", "$", "b$"]]),
    ],
)  # fmt: skip
def test_commands_by_hand(text: str, found: list[list[str]]) -> None:
    assert words(text) == found


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a 'b", "quote that is never closed"),
        ("a $(b", "bracket that is never closed"),
        ("a )", "nothing opened"),
        ("f() { a; }", "a function, or a pattern"),
        ("case x in x) a;; esac", "`case`"),
        ("a \\", "backslash at the end"),
        ("a ${!x}", "another one's value"),
        ("a ${x@P}", "runs what a variable holds"),
        ("a <<E\nb", "here-doc that is never closed"),
        ("a <<E", "here-doc without its body"),
        ("a <<$x\nb", "here-doc whose end is not known"),
        ("a \x07", r"U\+0007"),
        ("a \u200b", r"U\+200B"),
        ("a \u202eb", r"U\+202E"),
        ("fi a", "only an operator"),
        ("a $'\\x41'", "coded characters"),
        ("$((a) )", "may be two brackets"),
        ("$(" * (MAX_DEPTH + 2), "deep"),
        ("a > ", "redirection to nothing"),
        ("a ;; b", "outside a case"),
        ("FOO=1 a", "a variable of their own: FOO"),
        ("PATH=x", "sets PATH"),
        ("for PATH in a; do b; done", "sets PATH"),
        ("a 'x[$(b)]'", "inside a subscript"),
        ('a "!b"', "history"),
    ],
)
def test_what_cannot_be_read_is_in_doubt(text: str, why: str) -> None:
    with pytest.raises(ShellDoubt, match=why):
        read_shell(text)


def test_words_say_what_the_shell_would_make_of_them() -> None:
    (one,) = read_shell("a *.txt $x \"$x\" {b,c} {} '*' [")
    assert one.words == (
        Word("a"),
        Word("*.txt", glob=True),
        Word(UNKNOWN, splits=True),
        Word(UNKNOWN, quoted=True),
        Word("{b,c}", glob=True),
        Word("{}"),
        Word("*", quoted=True),
        Word("["),
    )
    assert [word.known for word in one.words] == [True, False, False, False, False, True, True, True]


def test_redirections_and_assignments_by_hand() -> None:
    (one,) = read_shell("LC_ALL=C a <in >out 2>>err &>all <<<word 3<>x {fd}>y 2>&1")
    assert [(found.operator, found.target.text) for found in one.redirects] == [
        ("<", "in"), (">", "out"), (">>", "err"), ("&>", "all"), ("<<<", "word"), ("<>", "x"), (">", "y"), (">&", "1"),
    ]  # fmt: skip
    assert [word.text for word in one.assignments] == ["LC_ALL=C"]
    assert [word.text for word in one.words] == ["a"]


def test_variables_that_steer_programs_are_told_from_others() -> None:
    check_assigned("count", exported=False)
    check_assigned("LC_ALL", exported=True)
    for name in ("PATH", "LD_PRELOAD", "GIT_SSH", "PYTHONPATH", "PAGER", "LESSOPEN", "http_proxy"):
        with pytest.raises(ShellDoubt, match=name):
            check_assigned(name, exported=False)
    with pytest.raises(ShellDoubt, match="count"):
        check_assigned("count", exported=True)


def test_long_texts_take_linear_time() -> None:
    assert len(read_shell("a;" * 20_000)) == 20_000
    with pytest.raises(ShellDoubt):
        read_shell("(" * 100_000)
