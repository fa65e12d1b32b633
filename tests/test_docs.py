"""The documentation keeps its word: its blocks run, its reference pages are what the code says, the site builds and its links lead somewhere.

Blocks of a page run in its own order in one folder:

    ```bash                      must end with 0, or with N under title="ends with N"
    ```console                   after each `$ ` the output that is expected; `...` stands for anything
    ```python                    a ```text block below it is what it prints, with `...` likewise
    ```csv title="NAME"          (json, jsonl, toml) the file that the reader is to write
    ```yaml                      recipes of guides/ci-gate.md, which test_ci_gate.py runs
    title="not run in the tests: WHY"    is counted, and runs nowhere
"""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import pytest
import typer

from veracast.cli.main import app

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
QUICK = ("index.md", "comparison.md", "gallery.md", "guides/audit-agent.md", "guides/ci-gate.md", "guides/your-own-tools.md", "methods/rating.md", "methods/poison.md", "methods/agents.md", "methods/explain.md")  # fmt: skip
SLOW = ("quickstart.md", "guides/rate-your-export.md", "guides/read-an-explanation.md", "guides/audit-images.md", "guides/trust-card.md")  # fmt: skip
"""Pages that train raters or encoders: one to eight minutes each."""
NOT_RUN = {
    "quickstart.md": 4,
    "guides/audit-images.md": 1,
    "guides/audit-agent.md": 2,
    "guides/your-own-tools.md": 2,
}
"""How many blocks of a page run nowhere; a block more must be counted here."""
FENCE = re.compile(r"^```(\w+)(?: title=\"([^\"]*)\")?\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)
SKIPPED = "not run in the tests"
ANYTHING = "..."


class Block(NamedTuple):
    """A fenced block: its language, its title ("" without one), its text, and the `text` block right below it, if there is one."""

    language: str
    title: str
    body: str
    printed: str | None = None


def blocks(page: str) -> list[Block]:
    """Of a page's text."""
    found = list(FENCE.finditer(page))
    made = []
    for number, one in enumerate(found):
        after = found[number + 1] if number + 1 < len(found) else None
        below = after is not None and after[1] == "text" and not page[one.end() : after.start()].strip()
        made.append(Block(one[1], one[2] or "", one[3], after[3] if below and after is not None else None))
    return made


def same(expected: str, found: str) -> bool:
    """Whether a text is as expected, where `...` stands for anything."""
    parts = [re.escape(part) for part in expected.strip().split(ANYTHING)]
    return re.fullmatch(".*".join(parts), found.strip(), flags=re.DOTALL) is not None


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, `veracast` and `python` on the path, a cache of its own."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, arguments in (("veracast", "-m veracast"), ("python", "")):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("VERACAST_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("VERACAST_DATA", raising=False)
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def execute(block: Block, folder: Path) -> None:
    """Run a block; AssertionError that shows it where it does otherwise than its page says."""
    if block.title.startswith(SKIPPED):
        return
    if block.language == "bash":
        expected = int(block.title.removeprefix("ends with ")) if block.title else 0
        done = _bash(f"set -eo pipefail\n{block.body}", folder)
        assert done.returncode == expected, f"{block.body}\n{done.stdout}\n{done.stderr}"
    elif block.language == "python":
        done = subprocess.run([sys.executable, "-W", "error", "-c", block.body], cwd=folder, capture_output=True, text=True, check=False)  # fmt: skip
        assert done.returncode == 0, f"{block.body}\n{done.stderr}"
        assert block.printed is None or same(block.printed, done.stdout), f"{block.printed}\n---\n{done.stdout}"
    elif block.language == "console":
        _converse(block.body, folder)
    elif block.title and block.language in ("csv", "json", "jsonl", "toml"):
        (folder / block.title).write_text(block.body, encoding="utf-8")


def _converse(body: str, folder: Path) -> None:
    """Commands after `$ `, one after the other; `echo $?` is the exit code of the one before."""
    code = 0
    for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        done = _bash(f"(exit {code})\n{command}", folder)
        code = done.returncode
        assert same(expected, done.stdout), f"$ {command}\n{expected}\n--- found\n{done.stdout}"


def _bash(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """One stream, as on a screen."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("needs bash")
    return subprocess.run([bash, "-c", script], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)  # fmt: skip


@pytest.mark.parametrize("page", QUICK)
def test_the_blocks_of_a_page_run(page: str, shell: Path) -> None:
    for block in blocks((DOCS / page).read_text(encoding="utf-8")):
        execute(block, shell)


@pytest.mark.slow
@pytest.mark.parametrize("page", SLOW)
def test_the_blocks_of_a_long_page_run(page: str, shell: Path) -> None:
    if page == "guides/audit-images.md":
        pytest.importorskip("torch")
    for block in blocks((DOCS / page).read_text(encoding="utf-8")):
        execute(block, shell)


def test_blocks_that_run_nowhere_are_counted_and_say_why() -> None:
    found = {}
    for page in (*QUICK, *SLOW):
        titles = [one.title for one in blocks((DOCS / page).read_text(encoding="utf-8")) if one.title.startswith(SKIPPED)]  # fmt: skip
        assert all(title.startswith(f"{SKIPPED}: ") for title in titles), page
        if titles:
            found[page] = len(titles)
    assert found == NOT_RUN


def test_every_new_page_is_run_and_every_block_has_a_language_that_is_known() -> None:
    written = {str(path.relative_to(DOCS)) for folder in ("guides", "methods") for path in (DOCS / folder).glob("*.md")}
    assert written <= {*QUICK, *SLOW}
    for page in (*QUICK, *SLOW):
        text = (DOCS / page).read_text(encoding="utf-8")
        assert len(re.findall(r"^```\w+", text, flags=re.MULTILINE)) * 2 == len(re.findall(r"^```", text, flags=re.MULTILINE)), page  # fmt: skip
        known = {"bash", "python", "console", "text", "csv", "json", "toml", *(["yaml"] if page == "guides/ci-gate.md" else [])}  # fmt: skip
        assert {one.language for one in blocks(text)} <= known, page


def test_a_block_that_does_otherwise_than_it_says_is_noticed(shell: Path) -> None:
    execute(Block("bash", "ends with 3", "exit 3\n"), shell)
    execute(Block("console", "", "$ false\n$ echo $?\n1\n$ echo one two\none ...\n"), shell)
    execute(Block("python", "", "print(1 + 1)\n", "2\n"), shell)
    for wrong in (
        Block("bash", "", "exit 3\n"),
        Block("bash", "", "false\ntrue\n"),
        Block("console", "", "$ echo one\ntwo\n"),
        Block("console", "", "$ true\n$ echo $?\n1\n"),
        Block("python", "", "print(1 + 1)\n", "3\n"),
        Block("python", "", "import nothing_of_this_name\n"),
    ):
        with pytest.raises(AssertionError):
            execute(wrong, shell)


def load(path: Path) -> ModuleType:
    """A script of docs/ as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_pages_are_what_the_generator_writes() -> None:
    pytest.importorskip("torch")
    written = load(DOCS / "reference" / "generate.py").pages()
    assert set(written) == {path.name for path in (DOCS / "reference").glob("*.md")}
    stale = [name for name, body in written.items() if (DOCS / "reference" / name).read_text(encoding="utf-8") != body]
    assert stale == [], "run: python docs/reference/generate.py"


def test_the_reference_says_what_stands_beside_keys_and_columns() -> None:
    pages = {path.name: path.read_text(encoding="utf-8") for path in (DOCS / "reference").glob("*.md")}
    for name, line in (
        ("cli.md", "| `--as-of` | text | what counts as now, such as 2025-01-10; default: the last snapshot |"),
        ("config.md", "| `explained` | whole number | `40` | open videos with a fan chart, contributions and similar videos |"),
        ("config.md", "| `train.method` | `byol`, `moco-v2`, `simclr`, `simsiam` | `byol` |"),
        ("tables.md", "| `level_floor` | Int8 | level already reached at rated\\_at; null when no rule or no counters |"),
        ("tables.md", "| `success_triggered` | Float64 | of the items with the trigger, those that are done wholly |"),
        ("tables.md", "| `success_triggered_low` | Float64 | lower end of the interval of success\\_triggered |"),
        ("tables.md", "| `control_linear_base` | Float64 | of an encoder trained on the same pictures without the patch: as base, by a linear probe |"),
        ("errors.md", "| `NotMeasuredError` | 4 | What was asked for could not be measured on this input. |"),
    ):  # fmt: skip
        assert line in pages[name]


def test_every_key_and_column_says_what_it_means() -> None:
    silent = [
        f"{path.name}: {line}"
        for path in (DOCS / "reference").glob("*.md")
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"\| *\|$", line)
    ]
    assert silent == [], "put a comment beside the field or column"


def commands(text: str) -> list[str]:
    """Whole command lines of a page, in blocks and between backticks; without comments and redirections.

    Options of the program itself (`veracast --install-completion`) are left out: they act while they are parsed.
    """
    fenced = re.findall(r"^```[^\n]*\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    inline = re.findall(r"`(veracast [^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))
    lines = [part for block in fenced for line in block.splitlines() for part in re.split(r"\s#|·", line)]
    typed = [line.strip().removeprefix("$ ").split(" | ")[0].removesuffix("|| code=$?").strip() for line in (*lines, *inline)]  # fmt: skip
    whole = [re.split(r"\s\d?[<>]", line)[0] for line in typed if re.match(r"veracast [a-z]", line)]
    return [line for line in whole if not re.search(r"\.\.\.|<|aud$", line)]


PAGES = [ROOT / "README.md", *(path for path in sorted(DOCS.rglob("*.md")) if path.name != "log.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_command_of_a_page_is_one_that_the_program_takes(page: Path) -> None:
    for line in commands(page.read_text(encoding="utf-8")):
        words, command = shlex.split(line)[1:], typer.main.get_command(app)
        path = ["veracast"]
        while words and hasattr(command, "commands") and not words[0].startswith("-"):
            assert words[0] in command.commands, line
            path.append(words[0])
            command = command.commands[words.pop(0)]
        if words:
            command.make_context(" ".join(path), words)  # parses as the program would, runs nothing


def test_a_command_that_does_not_exist_is_noticed() -> None:
    assert commands("`veracast run a.csv` · x\n```bash\nveracast rate b > c  # why\n$ veracast doctor\n```\n`veracast`") == ["veracast rate b", "veracast doctor", "veracast run a.csv"]  # fmt: skip
    run = typer.main.get_command(app).commands["run"]  # type: ignore[attr-defined]
    for wrong in (["--horizon", "3"], ["a.csv", "--horizon-days", "soon"], []):
        with pytest.raises(Exception, match=r"No such option|valid (float|number)|Missing (argument|parameter)"):
            run.make_context("veracast run", wrong)


class Links(HTMLParser):
    """Addresses and ids of a page, and whatever a browser would load by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.diagrams = 0
        self.targets: list[str] = []
        self.ids: set[str] = set()
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        self.diagrams += "mermaid" in known.get("class", "").split()
        self.ids |= {known[name] for name in ("id", "name") if name in known}
        if tag == "a" and "href" in known:
            self.targets.append(known["href"])
        if tag in ("img", "script", "iframe", "source") and "src" in known:
            self.loaded.append(known["src"])
        if tag == "link" and known.get("rel", "") not in ("canonical", "next", "prev"):
            self.loaded.append(known.get("href", ""))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Links]:
    """The site as it is built, by page."""
    pytest.importorskip("material")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)], cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = {}
    for path in folder.rglob("*.html"):
        found[path] = Links()
        found[path].feed(path.read_text(encoding="utf-8"))
    return found


def test_the_site_builds_and_its_links_lead_somewhere(site: dict[Path, Links]) -> None:
    assert len(site) > 40
    broken = []
    for page, links in site.items():
        if page.name == "404.html":
            continue
        for target in links.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            place = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            place = place / "index.html" if place.is_dir() else place
            if not place.is_file() or (parts.fragment and place in site and unquote(parts.fragment) not in site[place].ids):  # fmt: skip
                broken.append(f"{page.name}: {target}")
    assert broken == []


def test_the_site_loads_nothing_from_other_hosts(site: dict[Path, Links]) -> None:
    outside = {address for links in site.values() for address in links.loaded if urlsplit(address).netloc}
    assert outside == set()
    assert sum(links.diagrams for links in site.values()) == 0  # the theme would fetch a program that draws them


def test_the_site_holds_no_source_and_no_records(site: dict[Path, Links]) -> None:
    folder = next(path for path in site if path.name == "404.html").parent
    assert [path for path in folder.rglob("*") if path.suffix in (".py", ".pyc")] == []
    assert not (folder / "results").exists()


def test_links_out_of_the_docs_become_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hooks = load(DOCS / "site_hooks.py")
    monkeypatch.setattr(hooks, "HERE", tmp_path / "docs")
    (tmp_path / "docs" / "deep").mkdir(parents=True)
    (tmp_path / "code.py").touch()
    (tmp_path / "docs" / "page.md").write_text("# A page\n")
    text = "[`code.py`](../../code.py) [page](../page.md) [gone](../../gone.py) ![picture](../../code.py)"
    assert hooks.without_outer_links(text, tmp_path / "docs" / "deep") == text.replace("[`code.py`](../../code.py)", "`code.py`")  # fmt: skip
    (tmp_path / "docs" / "deep" / "0001-a.md").write_text("# 0001 First\ntext")
    assert hooks.expanded([{"All": [{"Deep": "deep/"}]}]) == [{"All": [{"Deep": [{"0001 First": "deep/0001-a.md"}]}]}]


def test_pictures_of_the_gallery_are_small_and_shown() -> None:
    pictures = sorted((DOCS / "gallery").glob("*.png"))
    assert len(pictures) >= 5
    assert [path.name for path in [*pictures, DOCS / "report.png"] if path.stat().st_size > 250_000] == []
    shown = (DOCS / "gallery.md").read_text(encoding="utf-8")
    assert [path.name for path in pictures if f"gallery/{path.name}" not in shown] == []


def test_tests_that_the_methods_name_exist() -> None:
    for page in (DOCS / "methods").glob("*.md"):
        named = re.findall(r"`((?:tests|src|benchmarks)/[\w/]+\.py)`", page.read_text(encoding="utf-8"))
        assert len(named) > 5, page
        assert [name for name in named if not (ROOT / name).is_file()] == []
