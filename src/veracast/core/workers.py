"""Work that stands side by side in processes of its own: one thread each, and none outlives the one that waits for it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from multiprocessing import get_context
from typing import Any

LOOK_EVERY_S = 2.0


def side_by_side(work: Callable[..., None], tasks: Sequence[tuple[Any, ...]], *, workers: int, look: Callable[[], None]) -> None:  # fmt: skip
    """Call work(*task, stop) for every task, the first ones first; `look` is called every two seconds, and at the end.

    One worker, or one task, is this process: then `look` is called after each task.
    work leaves its results in files. stop: an Event that asks it to end soon, set once a task failed or this process is interrupted; its error
    is raised here. Processes are spawned, so work and tasks must be picklable.
    """
    if workers == 1 or len(tasks) < 2:
        for task in tasks:
            work(*task, threading.Event())
            look()
        return
    spawn = get_context("spawn")
    with (
        spawn.Manager() as manager,
        ProcessPoolExecutor(workers, mp_context=spawn, initializer=_begin, initargs=(os.getpid(),)) as pool,
    ):
        stop = manager.Event()
        waiting = {pool.submit(work, *task, stop) for task in tasks}
        try:
            while waiting:
                done, waiting = wait(waiting, timeout=LOOK_EVERY_S, return_when=FIRST_COMPLETED)
                look()
                for future in done:
                    future.result()
        finally:
            stop.set()  # whoever still runs ends after its unit


def _begin(parent: int) -> None:
    """Of a worker: one thread for its work, and an eye on the process that started it, without which nobody waits for it."""
    os.environ["OMP_NUM_THREADS"] = "1"
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_EVERY_S)
    os._exit(1)
