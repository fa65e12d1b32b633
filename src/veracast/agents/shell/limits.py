"""What a session may use up. Counts, not clocks, so that the same command ends at the same place on every machine."""

from __future__ import annotations

from dataclasses import dataclass

from veracast.agents.shell.faults import LimitReached, StepsUsed


@dataclass(frozen=True)
class Limits:
    """steps: simple commands, rounds of loops and lines of sed and awk in one run. pipe_bytes: what a command may write before it is read.
    file_bytes: content of one file that is not a run of zeros. words: fields that one word may expand to. depth: of nesting and calls."""

    steps: int = 50_000
    command_bytes: int = 200_000
    pipe_bytes: int = 1_000_000
    output_bytes: int = 1_000_000
    file_bytes: int = 8_000_000
    tree_bytes: int = 40_000_000
    nodes: int = 20_000
    words: int = 20_000
    word_bytes: int = 1_000_000
    depth: int = 40
    regex_s: float = 0.5


DEFAULT = Limits()


class Meter:
    """Steps and depth of one run."""

    def __init__(self, limits: Limits = DEFAULT) -> None:
        self.limits = limits
        self.steps = 0
        self.most = limits.steps
        self.depth = 0

    def step(self, count: int = 1) -> None:
        self.steps += count
        if self.steps > self.most:
            raise StepsUsed(f"more than {self.limits.steps} steps")

    def room(self, size: int) -> None:
        """LimitReached for text that is too long to go on with."""
        if size > self.limits.word_bytes:
            raise LimitReached(f"text of more than {self.limits.word_bytes} bytes")

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > self.limits.depth:
            raise LimitReached(f"nested more than {self.limits.depth} deep")

    def back(self) -> None:
        self.depth -= 1
