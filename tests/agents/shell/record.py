"""Writes into recorded.json what a real GNU bash answers to the scripts in it. Run by hand, once, where bash, coreutils, findutils, grep, sed and
mawk are installed:  python tests/agents/shell/record.py

It runs the scripts of recorded.json and nothing else, each in a new temporary directory, with no variables of the caller. They were written for
this test; no text of a data set or of a model is among them.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

RECORDED = Path(__file__).with_name("recorded.json")
TIMEOUT_S = 10


def answered(script: str) -> dict[str, object]:
    """Standard output and status of one script."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {"PATH": "/usr/bin:/bin", "HOME": folder, "LC_ALL": "C.UTF-8", "TZ": "UTC"}
        ended = subprocess.run(["bash", "-c", script], cwd=folder, env=environment, capture_output=True, timeout=TIMEOUT_S, stdin=subprocess.DEVNULL, check=False)  # fmt: skip
    return {"stdout": ended.stdout.decode("utf-8", "surrogateescape"), "status": ended.returncode}


def main() -> None:
    families = json.loads(RECORDED.read_text(encoding="utf-8"))
    for family in families.values():
        for one in family["scripts"]:
            one |= answered(family["setup"] + one["script"])
    RECORDED.write_text(json.dumps(families, indent=1, ensure_ascii=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
