"""Shell variables: text or arrays, in scopes that a function opens and callees see."""

from __future__ import annotations

from veracast.agents.shell.faults import CommandFault

Value = str | dict[str, str]
"""An array maps indices, written as text, to elements; one of numbers is kept in their order."""


class Variables:
    def __init__(self, values: dict[str, str]) -> None:
        self.scopes: list[dict[str, Value]] = [dict(values)]
        self.exported = set(values)
        self.readonly: set[str] = set()
        self.keyed: set[str] = set()  # arrays whose indices are any text

    def copy(self) -> Variables:
        """For a subshell: what it changes stays there."""
        other = Variables({})
        other.scopes = [{name: dict(v) if isinstance(v, dict) else v for name, v in s.items()} for s in self.scopes]
        other.exported, other.readonly, other.keyed = set(self.exported), set(self.readonly), set(self.keyed)
        return other

    def get(self, name: str) -> Value | None:
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
        return None

    def text(self, name: str) -> str | None:
        """The value as one text: of an array its element 0."""
        value = self.get(name)
        return value.get("0") if isinstance(value, dict) else value

    def set(self, name: str, value: Value, *, local: bool = False) -> None:
        if name in self.readonly:
            raise CommandFault(f"{name}: readonly variable")
        current = self.get(name)
        if isinstance(current, dict) and isinstance(value, str) and not local:
            current["0"] = value
            return
        self._scope(name, local)[name] = value

    def set_element(self, name: str, index: str, value: str) -> None:
        if name in self.readonly:
            raise CommandFault(f"{name}: readonly variable")
        current = self.get(name)
        if not isinstance(current, dict):
            current = {} if current is None else {"0": current}
            self._scope(name, False)[name] = current
        current[index] = value
        if name not in self.keyed and list(current)[-1:] == [index]:
            ordered = dict(sorted(current.items(), key=lambda item: int(item[0])))
            current.clear()
            current.update(ordered)

    def unset(self, name: str, index: str | None = None) -> None:
        if name in self.readonly:
            raise CommandFault(f"unset: {name}: cannot unset: readonly variable")
        for scope in reversed(self.scopes):
            if name in scope:
                value = scope[name]
                if index is not None and isinstance(value, dict):
                    value.pop(index, None)
                else:
                    del scope[name]
                    self.exported.discard(name)
                return

    def elements(self, name: str) -> dict[str, str]:
        """The elements of an array; a text is the one element 0."""
        value = self.get(name)
        return {} if value is None else value if isinstance(value, dict) else {"0": value}

    def environment(self) -> dict[str, str]:
        found = {name: self.text(name) for name in sorted(self.exported)}
        return {name: value for name, value in found.items() if value is not None}

    def names(self) -> list[str]:
        return sorted({name for scope in self.scopes for name in scope})

    def _scope(self, name: str, local: bool) -> dict[str, Value]:
        if local:
            return self.scopes[-1]
        return next((scope for scope in reversed(self.scopes) if name in scope), self.scopes[0])
