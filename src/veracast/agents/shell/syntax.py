"""The syntax tree of the subset: what a script says, before anything is expanded or run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Text:
    """Characters as they stand. quoted: no splitting, no globbing, no braces."""

    text: str
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Param:
    """${name op word}. op: '' for the value, '#len' for its length, '!' for the name it holds, '!keys', else as bash writes it.
    index: of an array element; '@' and '*' for all."""

    name: str
    op: str = ""
    word: Word | None = None
    other: Word | None = None
    index: Word | None = None
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Substitution:
    """$(script)."""

    script: Script
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """$((expression))."""

    expression: Word
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class ProcessFile:
    """<(script)."""

    script: Script


Part = Text | Param | Substitution | Arithmetic | ProcessFile


@dataclass(frozen=True, slots=True)
class Word:
    parts: tuple[Part, ...] = ()

    @property
    def bare(self) -> str | None:
        """The text of a word without quotes and expansions, None for any other."""
        if all(isinstance(part, Text) and not part.quoted for part in self.parts):
            return "".join(part.text for part in self.parts if isinstance(part, Text))
        return None


@dataclass(frozen=True, slots=True)
class Assignment:
    """value: a word, or the words of an array."""

    name: str
    value: Word | tuple[Word, ...]
    index: Word | None = None
    append: bool = False


@dataclass(frozen=True, slots=True)
class Redirect:
    """op: > >> < <<< << >& <& &> &>>. descriptor: None = the usual one of the operator. For << the target is the document."""

    op: str
    target: Word
    descriptor: int | None = None


@dataclass(frozen=True, slots=True)
class Simple:
    assignments: tuple[Assignment, ...]
    words: tuple[Word | Assignment, ...]
    redirects: tuple[Redirect, ...] = ()


@dataclass(frozen=True, slots=True)
class Pipeline:
    commands: tuple[Command, ...]
    negated: bool = False
    both: tuple[bool, ...] = ()  # |& behind the n-th one


@dataclass(frozen=True, slots=True)
class AndOr:
    """Pipelines with && or || before each but the first."""

    first: Pipeline
    rest: tuple[tuple[str, Pipeline], ...] = ()


@dataclass(frozen=True, slots=True)
class Script:
    items: tuple[AndOr, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """{ body; } or, in a shell of its own, ( body )."""

    body: Script
    own: bool = False
    redirects: tuple[Redirect, ...] = ()


@dataclass(frozen=True, slots=True)
class If:
    branches: tuple[tuple[Script, Script], ...]
    otherwise: Script | None = None
    redirects: tuple[Redirect, ...] = ()


@dataclass(frozen=True, slots=True)
class For:
    """words: None = the positional parameters."""

    name: str
    words: tuple[Word, ...] | None
    body: Script
    redirects: tuple[Redirect, ...] = ()


@dataclass(frozen=True, slots=True)
class CountedFor:
    start: Word
    condition: Word
    step: Word
    body: Script
    redirects: tuple[Redirect, ...] = ()


@dataclass(frozen=True, slots=True)
class While:
    condition: Script
    body: Script
    until: bool = False
    redirects: tuple[Redirect, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """branches: patterns, body, and what ended it: ;; or ;&."""

    subject: Word
    branches: tuple[tuple[tuple[Word, ...], Script, str], ...]
    redirects: tuple[Redirect, ...] = ()


@dataclass(frozen=True, slots=True)
class Let:
    """((expression))."""

    expression: Word
    redirects: tuple[Redirect, ...] = ()


@dataclass(frozen=True, slots=True)
class Condition:
    """[[ ... ]]: op is a test (`-f`, `==`, `=~` ...), `!`, `&&`, `||`, or '' for a word that is not empty."""

    op: str
    words: tuple[Word, ...] = ()
    inner: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Test:
    condition: Condition
    redirects: tuple[Redirect, ...] = ()


@dataclass(frozen=True, slots=True)
class Function:
    name: str
    body: Command
    redirects: tuple[Redirect, ...] = ()


Command = Simple | Group | If | For | CountedFor | While | Case | Let | Test | Function
