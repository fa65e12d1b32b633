"""Reading an awk program: POSIX awk without getline; what only gawk knows is flagged."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from veracast.agents.shell.faults import CommandFault, LimitReached, Unsupported

FUNCTIONS = frozenset("length substr index split sub gsub match sprintf tolower toupper int sqrt exp log sin cos atan2 system close fflush srand rand".split())  # fmt: skip  # noqa: SIM905
_GAWK = frozenset("gensub strftime systime mktime asort asorti patsplit strtonum and or xor lshift rshift compl nextfile BEGINFILE ENDFILE func switch case default".split())  # fmt: skip  # noqa: SIM905
_KEYWORDS = frozenset("BEGIN END function func if else while for do break continue next exit return delete in print printf getline".split())  # fmt: skip  # noqa: SIM905
_TOKEN = re.compile(
    r"(?P<space>[ \t\r]+|\\\r?\n|#[^\n]*)|(?P<newline>\n)|(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<string>\"(?:[^\"\\\n]|\\.)*\")"
    r"|(?P<call>[A-Za-z_]\w*(?=\())|(?P<name>[A-Za-z_]\w*)|(?P<op>\*\*=|\*\*|\+\+|--|\+=|-=|\*=|/=|%=|\^=|==|<=|>=|!=|&&|\|\||>>|[-+*/%^!<>|?:~$=(){}\[\],;&])",
    re.DOTALL,
)
_MAX_DEPTH = 40
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "\\": "\\", '"': '"', "/": "/"}


@dataclass(frozen=True, slots=True)
class Node:
    """kind: how it is evaluated or run; of its parts some are nodes, some texts."""

    kind: str
    parts: tuple[object, ...] = ()


@dataclass
class Function:
    parameters: list[str]
    body: Node
    arrays: set[str] = field(default_factory=set)


@dataclass
class Program:
    """rules: (pattern or None or a range, action or None)."""

    begin: list[Node] = field(default_factory=list)
    end: list[Node] = field(default_factory=list)
    rules: list[tuple[Node | None, Node | None]] = field(default_factory=list)
    functions: dict[str, Function] = field(default_factory=dict)


def unescaped(text: str) -> str:
    """The escapes of a string; an unknown one keeps its backslash."""

    def one(match: re.Match[str]) -> str:
        if match[1]:
            return chr(int(match[1], 8))
        return _ESCAPES.get(match[2], "\\" + match[2])

    return re.sub(r"\\(?:([0-7]{1,3})|(.))", one, text, flags=re.DOTALL)


class AwkParser:
    def __init__(self, source: str) -> None:
        self.kinds: list[str] = []
        self.texts: list[str] = []
        self._tokens(source)
        self.at, self.depth = 0, 0
        self.no_greater = self.no_in = False

    def _tokens(self, source: str) -> None:
        at = 0
        while at < len(source):
            if source[at] == "/" and self._regex_may_begin():
                match = re.compile(r"/((?:[^/\\\n\[]|\\.|\[\^?\]?(?:[^\]\n\\]|\\.|\[:\w+:\])*\])*)/").match(source, at)
                if not match:
                    raise CommandFault("syntax error: unterminated regular expression", status=2)
                self._put("regex", match[1])
                at = match.end()
                continue
            found = _TOKEN.match(source, at)
            if not found:
                raise CommandFault(f"syntax error at or near {source[at]}", status=2)
            kind = found.lastgroup or ""
            at = found.end()
            if kind != "space":
                self._put(kind, found[0])
        self._put("newline", "\n")
        self._put("end", "")

    def _put(self, kind: str, text: str) -> None:
        if kind in ("name", "call"):
            if text in _GAWK and (kind == "call" or text not in ("func", "default", "case", "and", "or")):
                raise Unsupported(f"awk {text}")
            if text in _KEYWORDS:
                kind = "keyword"
            elif text in FUNCTIONS:
                kind = "builtin"
        self.kinds.append(kind)
        self.texts.append(text)

    def _regex_may_begin(self) -> bool:
        if not self.kinds:
            return True
        kind, text = self.kinds[-1], self.texts[-1]
        if kind in ("number", "string", "name", "builtin", "regex"):
            return False
        return not (kind == "op" and text in (")", "]", "$", "++", "--"))

    # ---- tokens

    def peek(self) -> str:
        """The operator, keyword or newline that stands here; empty for anything else."""
        return self.texts[self.at] if self.kinds[self.at] in ("op", "keyword", "newline") else ""

    def kind(self) -> str:
        return self.kinds[self.at]

    def take(self, text: str) -> None:
        if self.peek() != text:
            raise self.fault()
        self.at += 1

    def took(self, *texts: str) -> str:
        found = self.peek()
        if found and found in texts:
            self.at += 1
            return found
        return ""

    def fault(self) -> CommandFault:
        found = self.texts[self.at].replace("\n", "newline") or "end of file"
        return CommandFault(f"syntax error at or near {found}", status=2)

    def newlines(self, also: str = "") -> None:
        while self.peek() == "\n" or (also and self.peek() == also):
            self.at += 1

    # ---- program

    def program(self) -> Program:
        found = Program()
        self.newlines(";")
        while self.kind() != "end":
            self.item(found)
            self.newlines(";")
        return found

    def item(self, found: Program) -> None:
        if self.took("function", "func"):
            self.function(found)
        elif self.took("BEGIN"):
            found.begin.append(self.block())
        elif self.took("END"):
            found.end.append(self.block())
        else:
            pattern = None if self.peek() == "{" else self.expression()
            if pattern is not None and self.took(","):
                self.newlines()
                pattern = Node("range", (pattern, self.expression(), len(found.rules)))
            action = self.block() if self.peek() == "{" else None
            found.rules.append((pattern, action))

    def function(self, found: Program) -> None:
        name = self.texts[self.at]
        self.at += 1
        self.take("(")
        parameters = []
        while not self.took(")"):
            if self.kind() != "name":
                raise self.fault()
            parameters.append(self.texts[self.at])
            self.at += 1
            self.took(",")
            self.newlines()
        self.newlines()
        begin = self.at
        body = self.block()
        arrays = {self.texts[k] for k in range(begin, self.at) if self.texts[k] in parameters and (self.texts[k + 1] == "[" or self.texts[k - 1] == "in" or (self.texts[k - 1] == "," and self.texts[k - 4 : k - 3] == ["split"]))}  # fmt: skip
        found.functions[name] = Function(parameters, body, arrays)

    def block(self) -> Node:
        self.take("{")
        statements = []
        self.newlines(";")
        while not self.took("}"):
            statements.append(self.statement())
            self.newlines(";")
        return Node("block", tuple(statements))

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise LimitReached("awk program is nested too deep")

    # ---- statements

    def statement(self) -> Node:
        self.deeper()
        found = self.compound()
        self.depth -= 1
        return found

    def compound(self) -> Node:
        word = self.peek()
        if word == "{":
            return self.block()
        if word == ";":
            self.at += 1
            return Node("block")
        if word in ("if", "while", "do", "for"):
            self.at += 1
            return {"if": self.if_, "while": self.while_, "do": self.do, "for": self.for_}[word]()
        found = self.simple()
        if self.peek() not in (";", "\n", "}"):
            raise self.fault()
        self.took(";", "\n")
        return found

    def condition(self) -> Node:
        self.take("(")
        found = self.expression()
        self.take(")")
        self.newlines()
        return found

    def if_(self) -> Node:
        condition = self.condition()
        first = self.statement()
        mark = self.at
        self.newlines(";")
        if self.took("else"):
            self.newlines()
            return Node("if", (condition, first, self.statement()))
        self.at = mark
        return Node("if", (condition, first, None))

    def while_(self) -> Node:
        condition = self.condition()
        return Node("while", (condition, self.statement()))

    def do(self) -> Node:
        self.newlines()
        body = self.statement()
        self.newlines(";")
        self.take("while")
        return Node("do", (body, self.condition()))

    def for_(self) -> Node:
        self.take("(")
        if self.kind() == "name" and self.texts[self.at + 1 : self.at + 2] == ["in"] and self.texts[self.at + 3 : self.at + 4] == [")"]:  # fmt: skip
            variable, array = self.texts[self.at], self.texts[self.at + 2]
            self.at += 4
            self.newlines()
            return Node("forin", (variable, array, self.statement()))
        start = None if self.peek() == ";" else self.simple()
        self.take(";")
        self.newlines()
        condition = None if self.peek() == ";" else self.expression()
        self.take(";")
        self.newlines()
        step = None if self.peek() == ")" else self.simple()
        self.take(")")
        self.newlines()
        return Node("for", (start, condition, step, self.statement()))

    def simple(self) -> Node:
        word = self.peek()
        if word in ("break", "continue", "next"):
            self.at += 1
            return Node(word)
        if word in ("exit", "return"):
            self.at += 1
            return Node(word, (None if self.peek() in (";", "\n", "}") else self.expression(),))
        if word == "delete":
            self.at += 1
            name = self.texts[self.at]
            self.at += 1
            return Node("delete", (name, self.subscript() if self.peek() == "[" else None))
        if word in ("print", "printf"):
            return self.printing()
        if word == "getline":
            raise Unsupported("awk getline")
        return Node("do_expression", (self.expression(),))

    def printing(self) -> Node:
        word = self.peek()
        self.at += 1
        before, self.no_greater = self.no_greater, True
        values: list[Node] = []
        if self.peek() not in (";", "\n", "}", ">", ">>", "|"):
            values = self.listed()
        self.no_greater = before
        op = self.took(">", ">>", "|")
        target = self.concatenation() if op else None
        return Node(word, (tuple(values), op, target))

    def listed(self) -> list[Node]:
        """Expressions between commas; also (a, b) as a whole."""
        if self.peek() == "(":
            mark = self.at
            self.at += 1
            before, self.no_greater = self.no_greater, False
            values = self.commas()
            self.no_greater = before
            self.take(")")
            if self.peek() in (";", "\n", "}", ">", ">>", "|"):
                return values
            self.at = mark
        return self.commas()

    def commas(self) -> list[Node]:
        values = [self.expression()]
        while self.took(","):
            self.newlines()
            values.append(self.expression())
        return values

    def subscript(self) -> Node:
        self.take("[")
        before, self.no_in = self.no_in, False
        values = self.commas()
        self.no_in = before
        self.take("]")
        return Node("subscript", tuple(values)) if len(values) > 1 else values[0]

    # ---- expressions, loosest first

    def expression(self) -> Node:
        self.deeper()
        found = self.ternary()
        if found.kind in ("variable", "element", "field") and (
            op := self.took("=", "+=", "-=", "*=", "/=", "%=", "^=", "**=")
        ):
            self.newlines()
            found = Node("assign", (found, op.replace("**", "^")[:-1], self.expression()))
        self.depth -= 1
        return found

    def ternary(self) -> Node:
        found = self.either()
        if self.took("?"):
            self.newlines()
            first = self.expression()
            self.newlines()
            self.take(":")
            self.newlines()
            return Node("ternary", (found, first, self.expression()))
        return found

    def either(self) -> Node:
        found = self.both()
        while self.took("||"):
            self.newlines()
            found = Node("or", (found, self.both()))
        return found

    def both(self) -> Node:
        found = self.member()
        while self.took("&&"):
            self.newlines()
            found = Node("and", (found, self.member()))
        return found

    def member(self) -> Node:
        found = self.matching()
        while not self.no_in and self.took("in"):
            found = Node("in", (found, self.texts[self.at]))
            self.at += 1
        return found

    def matching(self) -> Node:
        found = self.comparison()
        while True:
            if self.took("~"):
                found = Node("match", (found, self.comparison(), True))
            elif self.peek() == "!" and self.texts[self.at + 1] == "~":
                self.at += 2
                found = Node("match", (found, self.comparison(), False))
            else:
                return found

    def comparison(self) -> Node:
        found = self.concatenation()
        ops = ["<", "<=", "==", "!=", ">="] + ([] if self.no_greater else [">"])
        if op := self.took(*ops):
            return Node("compare", (op, found, self.concatenation()))
        if self.peek() == "|" and self.texts[self.at + 1] == "getline":
            raise Unsupported("awk getline")
        return found

    def concatenation(self) -> Node:
        found = self.additive()
        while self.kind() in ("number", "string", "name", "call", "builtin", "regex") or self.peek() in ("$", "(", "!", "++", "--"):  # fmt: skip
            if self.peek() == "!" and self.texts[self.at + 1] in ("~", "="):
                break
            found = Node("concat", (found, self.additive()))
        return found

    def additive(self) -> Node:
        found = self.product()
        while op := self.took("+", "-"):
            found = Node("math", (op, found, self.product()))
        return found

    def product(self) -> Node:
        found = self.unary()
        while op := self.took("*", "/", "%"):
            found = Node("math", (op, found, self.unary()))
        return found

    def unary(self) -> Node:
        op = self.took("!", "-", "+")
        if not op:
            return self.power()
        self.deeper()
        found = Node("unary", (op, self.unary()))
        self.depth -= 1
        return found

    def power(self) -> Node:
        found = self.postfix()
        if self.took("^", "**"):
            return Node("math", ("^", found, self.unary_power()))
        return found

    def unary_power(self) -> Node:
        op = self.took("-", "+", "!")
        return Node("unary", (op, self.unary_power())) if op else self.power()

    def postfix(self) -> Node:
        if op := self.took("++", "--"):
            return Node("step", (self.primary(), op, True))
        found = self.primary()
        if found.kind in ("variable", "element", "field") and (op := self.took("++", "--")):
            return Node("step", (found, op, False))
        return found

    def primary(self) -> Node:
        kind, text = self.kind(), self.texts[self.at]
        self.at += 1
        if kind == "number":
            return Node("number", (float(text),))
        if kind == "string":
            return Node("string", (unescaped(text[1:-1]),))
        if kind == "regex":
            return Node("regex", (text.replace("\\/", "/"),))
        if kind == "builtin":
            return self.builtin(text)
        if kind == "call":
            self.at += 1
            return Node("call", (text, tuple(self.arguments())))
        if kind == "name":
            return Node("element", (text, self.subscript())) if self.peek() == "[" else Node("variable", (text,))
        return self.marked(text)

    def marked(self, text: str) -> Node:
        if text == "$":
            if op := self.took("++", "--"):
                return Node("field", (Node("step", (self.primary(), op, True)),))
            if op := self.took("-"):
                return Node("field", (Node("unary", (op, self.primary())),))
            return Node("field", (self.primary(),))
        if text == "(":
            before = (self.no_greater, self.no_in)
            self.no_greater = self.no_in = False
            values = self.commas()
            self.no_greater, self.no_in = before
            self.take(")")
            if len(values) == 1:
                return Node("group", (values[0],))
            self.take("in")
            self.at += 1
            return Node("in", (Node("subscript", tuple(values)), self.texts[self.at - 1]))
        if text == "-" or text == "+":
            return Node("unary", (text, self.primary()))
        if text == "getline":
            raise Unsupported("awk getline")
        self.at -= 1
        raise self.fault()

    def arguments(self) -> list[Node]:
        self.newlines()
        if self.took(")"):
            return []
        before = (self.no_greater, self.no_in)
        self.no_greater = self.no_in = False
        values = self.commas()
        self.no_greater, self.no_in = before
        self.newlines()
        self.take(")")
        return values

    def builtin(self, name: str) -> Node:
        if name in ("srand", "rand"):
            raise Unsupported(f"awk {name}")
        if self.peek() != "(":
            if name != "length":
                raise self.fault()
            return Node("builtin", ("length", ()))
        self.at += 1
        return Node("builtin", (name, tuple(self.arguments())))
