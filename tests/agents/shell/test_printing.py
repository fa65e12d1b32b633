"""echo and printf beyond the recorded scripts."""

from __future__ import annotations

from tests.agents.shell.replay import flags, out, run


def test_echo() -> None:
    assert out("echo -n; echo -e 'a\\x62\\0143'; echo -E '\\n'; echo -nE x; echo") == "abc\n\\n\nx\n".replace(
        "\n\nx", "\nx"
    )


def test_printf_uses_its_format_again() -> None:
    assert (
        out("printf '%s=%d;' a 1 b 2; printf '\\n'; printf '%5s|' é; printf '%b\\n' 'x\\ty'") == "a=1;b=2;\n   é|x\ty\n"
    )
    assert (
        run("printf '%d' x").status == 1
        and run("printf").status == 2
        and run("printf '%z'").status == 1
        and flags("printf %q a")
    )
