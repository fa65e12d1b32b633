"""Reading a script: lists, pipelines, compound commands, redirections and here-documents.

A parser of our own and not tree-sitter-bash: that one parses 999 of AgentBench's 1,000 scripts, but it leaves braces, backticks and escapes as
they stand, fails at two here-documents in one line, and mends what bash refuses, so that a syntax error cannot be told from a script.
Not modelled, flagged: `&`, select, coproc, extended globs in case.
"""

from __future__ import annotations

import re

from veracast.agents.shell.faults import SyntaxFault, Unsupported
from veracast.agents.shell.syntax import (
    AndOr,
    Assignment,
    Case,
    Command,
    Condition,
    CountedFor,
    For,
    Function,
    Group,
    If,
    Let,
    Part,
    Pipeline,
    Redirect,
    Script,
    Simple,
    Test,
    Text,
    While,
    Word,
)
from veracast.agents.shell.words import META, NAME, WordReader

_ENDS = frozenset("then do done fi else elif esac }".split())  # noqa: SIM905
_DECLARE = frozenset("declare typeset local export readonly".split())  # noqa: SIM905
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?:\[([^]\n]*)\])?(\+?)=")
_REDIRECT = re.compile(r"(\d*)(&>>|&>|>>|>\||>&|<<<|<<-|<<|<&|<>|>|<)")
_UNARY = frozenset("-a -b -c -d -e -f -g -h -k -p -r -s -t -u -w -x -L -N -O -G -S -z -n -v -o".split())  # noqa: SIM905
_BINARY = ("==", "=~", "!=", "=", "<", ">", "-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-nt", "-ot", "-ef")


def parse(script: str) -> Script:
    """SyntaxFault as bash would say, Unsupported for what is not modelled, LimitReached for what is nested too deep."""
    return Parser(script).whole()


class Parser(WordReader):
    def __init__(self, script: str, *, depth: int = 0) -> None:
        super().__init__(script, depth=depth)
        self.documents: list[tuple[list[Redirect], int, str, bool, bool]] = []

    def whole(self) -> Script:
        found = self.script_until("")
        if self.at < len(self.text):
            raise SyntaxFault(f"syntax error near unexpected token `{self.peek()}'")
        return found

    def nested(self, script: str) -> Script:
        return Parser(script, depth=self.depth + 1).whole()

    def script_until(self, end: str) -> Script:
        """Commands up to `)`, the end of the text, or a reserved word that ends a list."""
        self.depth += 1
        Parser("", depth=self.depth)
        items = []
        self._newlines()
        while self.at < len(self.text) and self.peek() != ")" and self._reserved() not in _ENDS and self.peek(2) not in (";;", ";&"):  # fmt: skip
            items.append(self._and_or())
            self._blank()
            if self.peek() == "&" and self.peek(2) != "&&":
                raise Unsupported("syntax &")
            if self.peek() == ";" and self.peek(2) not in (";;", ";&"):
                self.at += 1
            elif self.peek() != "\n":
                break
            self._newlines()
        self.depth -= 1
        return Script(tuple(items))

    # ---- blanks

    def _blank(self) -> None:
        """Over blanks, continued lines and comments."""
        while self.at < len(self.text):
            c = self.text[self.at]
            if c in " \t":
                self.at += 1
            elif c == "\\" and self.peek(2) == "\\\n":
                self.at += 2
            elif c == "#" and (self.at == 0 or self.text[self.at - 1] in META):
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            else:
                return

    def _newlines(self) -> None:
        while True:
            self._blank()
            if self.peek() != "\n":
                return
            self.at += 1
            if self.documents:
                self._read_documents()

    def _reserved(self) -> str:
        """The plain word that begins here, if it is one of those that a command may begin or end with."""
        match = re.compile(r"[a-z!{}]+(?=[\s;|&()<>]|$)").match(self.text, self.at)
        if match:
            return match[0]
        return ""

    def _keyword(self, word: str) -> None:
        self._newlines()
        if self._reserved() != word:
            found = self.peek().replace("\n", "newline") or "end of file"
            raise SyntaxFault(f"syntax error near unexpected token `{found}'")
        self.at += len(word)

    # ---- lists

    def _and_or(self) -> AndOr:
        first = self._pipeline()
        rest: list[tuple[str, Pipeline]] = []
        while True:
            self._blank()
            op = self.peek(2)
            if op not in ("&&", "||"):
                return AndOr(first, tuple(rest))
            self.at += 2
            self._newlines()
            rest.append((op, self._pipeline()))

    def _pipeline(self) -> Pipeline:
        negated = False
        self._blank()
        while self._reserved() in ("!", "time"):
            negated ^= self._reserved() == "!"
            self.at += len(self._reserved())
            self._blank()
        commands = [self._command()]
        both: list[bool] = []
        while True:
            self._blank()
            if self.peek() != "|" or self.peek(2) == "||":
                return Pipeline(tuple(commands), negated, tuple(both))
            both.append(self.peek(2) == "|&")
            self.at += 2 if both[-1] else 1
            self._newlines()
            commands.append(self._command())

    def _command(self) -> Command:
        word = self._reserved()
        reader = {"if": self._if, "for": self._for, "while": self._while, "until": self._while, "case": self._case, "{": self._group, "function": self._function}.get(word)  # fmt: skip
        if word in ("select", "coproc"):
            raise Unsupported(f"syntax {word}")
        if reader is None and self.peek(2) == "[[" and self.peek(3)[2:] in (" ", "\t", "\n"):
            reader = self._test
        if reader is None and self.peek(2) == "((":
            reader = self._let
        if reader is None and self.peek() == "(":
            reader = self._own
        if reader is not None:
            return reader()
        head = re.compile(r"([^\s|&;()<>$`'\"\\=]+)[ \t]*\([ \t]*\)").match(self.text, self.at)
        if head:
            self.at = head.end()
            return self._function_body(head[1])
        return self._simple()

    # ---- simple commands

    def _simple(self) -> Simple:
        assignments: list[Assignment] = []
        words: list[Word | Assignment] = []
        redirects: list[Redirect] = []
        while True:
            self._blank()
            if self._redirect(redirects):
                continue
            declares = bool(words) and isinstance(words[0], Word) and words[0].bare in _DECLARE
            assignment = self._assignment() if not words or declares else None
            if assignment is not None:
                (words if words else assignments).append(assignment)
                continue
            word = self.word()
            if word is None:
                break
            words.append(word)
        if self.peek() == "(":
            if self.text[self.at - 1] in "?*+@!":
                raise Unsupported("syntax ?(...) of extended globs")
            raise SyntaxFault("syntax error near unexpected token `('")
        if not (assignments or words or redirects):
            found = self.peek().replace("\n", "newline") or "end of file"
            raise SyntaxFault(f"syntax error near unexpected token `{found}'")
        return Simple(tuple(assignments), tuple(words), tuple(redirects))

    def _assignment(self) -> Assignment | None:
        match = _ASSIGNMENT.match(self.text, self.at)
        if not match:
            return None
        self.at = match.end()
        index = None if match[2] is None else Word(Parser(match[2], depth=self.depth + 1).parts(lambda c: False))
        append = bool(match[3])
        if self.peek() != "(":
            return Assignment(match[1], self.word() or Word(), index, append)
        self.at += 1
        words = []
        while True:
            self._newlines()
            word = self.word()
            if word is None:
                break
            words.append(word)
        self.expect(")")
        return Assignment(match[1], tuple(words), index, append)

    def _redirect(self, found: list[Redirect]) -> bool:
        match = _REDIRECT.match(self.text, self.at)
        if not match or (self.text.startswith("(", match.end()) and match[2] in "<>"):
            return False
        number, op = match[1], match[2]
        if op == "<>" or len(number) > 1:
            raise Unsupported(f"syntax {match[0]}")
        self.at = match.end()
        self._blank()
        descriptor = int(number) if number else None
        if op in ("<<", "<<-"):
            begin = self.at
            word = self.word()
            if word is None:
                raise SyntaxFault("syntax error near unexpected token `newline'")
            end = "".join(part.text for part in word.parts if isinstance(part, Text))
            if len(end) == 0 and self.at == begin:
                raise SyntaxFault("syntax error near unexpected token `newline'")
            quoted = any(isinstance(part, Text) and part.quoted for part in word.parts)
            found.append(Redirect("<<", Word(), descriptor))
            self.documents.append((found, len(found) - 1, end, quoted, op == "<<-"))
            self._look_ahead()
            return True
        word = self.word()
        if word is None:
            raise SyntaxFault(
                f"syntax error near unexpected token `{self.peek() or 'newline'}'".replace("\n", "newline")
            )
        found.append(Redirect(">" if op == ">|" else op, word, descriptor))
        return True

    def _look_ahead(self) -> None:
        """Takes the document out of the text at once, so that the command that asked for it can be closed before its line ends."""
        end = self._end_of_line()
        keep, self.at = self.at, min(len(self.text), end + 1)
        begin = self.at
        self._read_documents()
        self.text = self.text[:begin] + self.text[self.at :]
        self.at = keep

    def _end_of_line(self) -> int:
        """Where the line ends, newlines inside quotes not counted."""
        at, quote = self.at, ""
        while at < len(self.text):
            c = self.text[at]
            if c == "\\" and quote != "'":
                at += 1
            elif quote:
                quote = "" if c == quote else quote
            elif c in "'\"":
                quote = c
            elif c == "\n":
                return at
            at += 1
        return len(self.text)

    def _read_documents(self) -> None:
        for redirects, place, end, quoted, tabs in self.documents:
            body = []
            while self.at < len(self.text):
                stop = self.text.find("\n", self.at)
                line = self.text[self.at :] if stop < 0 else self.text[self.at : stop]
                self.at = len(self.text) if stop < 0 else stop + 1
                line = line.lstrip("\t") if tabs else line
                if line == end:
                    break
                body.append(line + "\n")
            whole = "".join(body)
            parts = (Text(whole, True),) if quoted else tuple(Parser(whole, depth=self.depth + 1).double_quoted(None))
            redirects[place] = Redirect("<<", Word(parts), redirects[place].descriptor)
        self.documents = []

    def _redirects(self) -> tuple[Redirect, ...]:
        found: list[Redirect] = []
        self._blank()
        while self._redirect(found):
            self._blank()
        return tuple(found)

    # ---- compound commands

    def _body(self, begin: str, end: str) -> Script:
        self._keyword(begin)
        body = self._filled()
        self._keyword(end)
        return body

    def _filled(self) -> Script:
        """A list that may not be empty."""
        body = self.script_until("")
        if not body.items:
            found = self._reserved() or self.peek() or "end of file"
            raise SyntaxFault(f"syntax error near unexpected token `{found}'")
        return body

    def _group(self) -> Command:
        body = self._body("{", "}")
        return Group(body, redirects=self._redirects())

    def _own(self) -> Command:
        self.expect("(")
        body = self._filled()
        self._blank()
        self.expect(")")
        return Group(body, own=True, redirects=self._redirects())

    def _if(self) -> Command:
        branches, otherwise, word = [], None, "if"
        while word in ("if", "elif"):
            self._keyword(word)
            condition = self._filled()
            self._keyword("then")
            branches.append((condition, self._filled()))
            self._newlines()
            word = self._reserved()
        if word == "else":
            self._keyword("else")
            otherwise = self._filled()
        self._keyword("fi")
        return If(tuple(branches), otherwise, self._redirects())

    def _while(self) -> Command:
        until = self._reserved() == "until"
        self._keyword("until" if until else "while")
        condition = self._filled()
        return While(condition, self._body("do", "done"), until, self._redirects())

    def _for(self) -> Command:
        self._keyword("for")
        self._blank()
        if self.peek(2) == "((":
            return self._counted()
        match = NAME.match(self.text, self.at)
        if not match:
            raise SyntaxFault("syntax error: bad for loop variable")
        self.at = match.end()
        self._newlines()
        words: list[Word] | None = None
        if self._reserved() == "in":
            self.at += 2
            words = []
            self._blank()
            while (word := self.word()) is not None:
                words.append(word)
                self._blank()
        self._blank()
        if self.peek() == ";":
            self.at += 1
        self._newlines()
        body = self._body("{", "}") if self._reserved() == "{" else self._body("do", "done")
        return For(match[0], None if words is None else tuple(words), body, self._redirects())

    def _counted(self) -> Command:
        begin = self.at
        inside = self.arithmetic()
        if inside is None:
            raise SyntaxFault("syntax error: arithmetic expression required")
        pieces = self.text[begin + 2 : self.at - 2].split(";")
        if len(pieces) != 3:
            raise SyntaxFault("syntax error: arithmetic expression required")
        words = [Word(tuple(Parser(piece, depth=self.depth + 1).double_quoted(None))) for piece in pieces]
        self._blank()
        if self.peek() == ";":
            self.at += 1
        self._newlines()
        body = self._body("{", "}") if self._reserved() == "{" else self._body("do", "done")
        return CountedFor(words[0], words[1], words[2], body, self._redirects())

    def _case(self) -> Command:
        self._keyword("case")
        self._blank()
        subject = self.word()
        if subject is None:
            raise SyntaxFault("syntax error near unexpected token `newline'")
        self._keyword("in")
        branches = []
        self._newlines()
        while self._reserved() != "esac":
            if self.peek() == "(":
                self.at += 1
            patterns = self._patterns()
            body = self.script_until("")
            self._newlines()
            end = next((op for op in (";;&", ";;", ";&") if self.text.startswith(op, self.at)), "")
            if end == ";;&":
                raise Unsupported("syntax ;;&")
            self.at += len(end)
            branches.append((patterns, body, end))
            self._newlines()
            if not end:
                break
        self._keyword("esac")
        return Case(subject, tuple(branches), self._redirects())

    def _patterns(self) -> tuple[Word, ...]:
        found = []
        while True:
            self._blank()
            word = self.word()
            if word is None:
                raise SyntaxFault(f"syntax error near unexpected token `{self.peek() or 'end of file'}'")
            found.append(word)
            self._blank()
            if self.peek() != "|":
                break
            self.at += 1
        self.expect(")")
        return tuple(found)

    def _let(self) -> Command:
        inside = self.arithmetic()
        return self._own() if inside is None else Let(inside, self._redirects())

    def _function(self) -> Command:
        self._keyword("function")
        self._blank()
        name = self.word()
        if name is None or not name.bare:
            raise SyntaxFault("syntax error near unexpected token `newline'")
        self._blank()
        if self.peek() == "(":
            self.at += 1
            self._blank()
            self.expect(")")
        return self._function_body(name.bare)

    def _function_body(self, name: str) -> Command:
        self._newlines()
        if self._reserved() not in ("{", "if", "for", "while", "until", "case") and self.peek() != "(":
            raise SyntaxFault(f"syntax error near unexpected token `{self.peek() or 'end of file'}'")
        return Function(name, self._command())

    # ---- [[ ... ]]

    def _test(self) -> Command:
        self.at += 2
        condition = self._either()
        self._newlines()
        self.expect("]]")
        return Test(condition, self._redirects())

    def _either(self) -> Condition:
        found = self._both()
        self._newlines()
        while self.peek(2) == "||":
            self.at += 2
            found = Condition("||", inner=(found, self._both()))
            self._newlines()
        return found

    def _both(self) -> Condition:
        found = self._single()
        self._newlines()
        while self.peek(2) == "&&":
            self.at += 2
            found = Condition("&&", inner=(found, self._single()))
            self._newlines()
        return found

    def _single(self) -> Condition:
        self._newlines()
        if self.peek() == "(":
            self.at += 1
            self.depth += 1
            Parser("", depth=self.depth)
            found = self._either()
            self.depth -= 1
            self.expect(")")
            return found
        if self._reserved() == "!":
            self.at += 1
            return Condition("!", inner=(self._single(),))
        word = self.word()
        if word is None or word.bare == "]]":
            raise SyntaxFault("syntax error in conditional expression")
        if word.bare in _UNARY and word.bare is not None:
            begin = self.at
            self._blank()
            operand = self.word()
            if operand is not None and operand.bare != "]]":
                return Condition(word.bare, (operand,))
            self.at = begin
        return self._comparison(word)

    def _comparison(self, left: Word) -> Condition:
        self._blank()
        op = next((op for op in _BINARY if self.text.startswith(op, self.at)), "")
        if not op or (op[0] == "-" and self.text[self.at + 3 : self.at + 4] not in (" ", "\t")):
            return Condition("", (left,))
        self.at += len(op)
        self._blank()
        right = Word(self._pattern_parts()) if op == "=~" else self.word()
        if right is None:
            raise SyntaxFault("syntax error in conditional expression")
        return Condition(op, (left, right))

    def _pattern_parts(self) -> tuple[Part, ...]:
        """The right side of =~, where parentheses and bars are the pattern's own."""
        level = 0

        def ends(c: str) -> bool:
            nonlocal level
            level += {"(": 1, ")": -1}.get(c, 0)
            return c in " \t\n" and level <= 0

        return self.parts(ends)
