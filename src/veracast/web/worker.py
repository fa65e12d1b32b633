"""One job, in a process of its own that outlives the server: `python -m veracast.web.worker FOLDER`.

    spec.json (argv, limit_s) -> the command in its own process group -> stdout, log, progress.jsonl -> outcome.json (written last)

A lock on FOLDER/lock, inherited by the command, is held as long as either lives: whoever can take it knows that nothing runs, whatever became of the
server or of process numbers. A file `cancel` ends the job, a file `stop` ends the work and leaves the job to be begun again.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import IO

from veracast.core.files import write_json

BUSY = 75  # exit code where another process has the job
GRACE_S = 5.0
_LOOK_S = 0.1
_LOG_BYTES = 64 << 20
PROGRESS = "VERACAST_PROGRESS"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[IO[bytes] | None]:
    """Holds the job's lock, or gives None where a worker or its command has it."""
    with (folder / "lock").open("ab") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        yield handle


def main(folder: Path) -> int:
    """Do the job, unless it is being done or was done; 0, or BUSY."""
    with locked(folder) as lock:
        if lock is None:
            return BUSY
        if (folder / "outcome.json").is_file():
            return 0
        outcome = _work(folder, lock)
        if outcome is not None:
            write_json(folder / "outcome.json", outcome)
    return 0


def _work(folder: Path, lock: IO[bytes]) -> dict[str, object] | None:
    """How it ended; None where it was stopped and will be begun again."""
    spec = json.loads((folder / "spec.json").read_text(encoding="utf-8"))
    stopped = False

    def stop(signum: int, frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True

    signal.signal(signal.SIGTERM, stop)
    os.nice(5)  # pages are answered first
    (folder / "progress.jsonl").unlink(missing_ok=True)
    servers = {
        "VERACAST_TOKEN",
        *(("VERACAST_SERVES", "POLARS_MAX_THREADS") if "VERACAST_SERVES" in os.environ else ()),
    }
    environment = {key: value for key, value in os.environ.items() if key not in servers}
    environment[PROGRESS] = str(folder / "progress.jsonl")
    with (folder / "stdout").open("wb") as out, (folder / "log").open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "veracast", *spec["argv"]], stdin=subprocess.DEVNULL, stdout=out, stderr=log, cwd=folder,
            env=environment, start_new_session=True, pass_fds=(lock.fileno(),),
        )  # fmt: skip
        write_json(folder / "worker.json", {"pid": os.getpid(), "group": child.pid})
        ends, why = time.monotonic() + float(spec["limit_s"]), ""
        while child.poll() is None:
            if (folder / "cancel").exists():
                why = "cancelled"
            elif time.monotonic() > ends:
                why = "time"
            elif os.fstat(log.fileno()).st_size + os.fstat(out.fileno()).st_size > _LOG_BYTES:
                why = "log"
            if why or stopped or (folder / "stop").exists():
                end_group(child.pid, child)
                break
            time.sleep(_LOOK_S)
    if not why and (stopped or (folder / "stop").exists()):
        return None
    return {"exit_code": child.returncode, "why": why, "ended_at": dt.datetime.now(dt.UTC).isoformat()}


def end_group(group: int, child: subprocess.Popen[bytes] | None = None) -> None:
    """End a process group: asked first, killed after GRACE_S. child: its leader, where it is ours to reap."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGTERM)
    ends = time.monotonic() + GRACE_S
    while time.monotonic() < ends and (child.poll() is None if child else _alive(group)):
        time.sleep(0.05)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)  # and whatever of the group its leader left behind
    if child:
        child.wait()


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
