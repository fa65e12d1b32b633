"""Work spread over the workers of a Ray cluster: one task a piece, one processor a task, a task whose worker died done again.

Ray ships functions and values between its own processes by pickle: connect to clusters that you trust, as whoever controls one runs code in the other.
The cluster's machines need this version of veracast with the extras that the work needs, and see input files under the same paths.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from veracast.core.errors import ConfigError, VeracastError
from veracast.core.files import code_digest

Found = TypeVar("Found")
LOCAL = "local"
_WAITING = 2  # pieces a worker that are handed out before they can be begun
_CONNECT_S = 5.0
_RETRIES = 3  # of a piece whose worker died


class OnRay:
    """A connection; `on_ray` opens and closes it."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        self._tasks: dict[Callable[..., Any], Any] = {}

    @property
    def workers(self) -> int:
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def share(self, value: Found) -> Found:
        shared: Found = self._ray.put(value)  # a reference, which Ray resolves among the arguments of a task
        return shared

    def map(self, work: Callable[..., Found], pieces: Iterable[tuple[Any, ...]]) -> Iterator[Found]:
        task = self._tasks.setdefault(work, self._ray.remote(max_retries=_RETRIES)(work))
        most, waiting = self.workers * _WAITING, deque[Any]()
        try:
            for piece in pieces:
                if len(waiting) >= most:
                    yield self._got(waiting.popleft())
                waiting.append(task.remote(*piece))
            while waiting:
                yield self._got(waiting.popleft())
        finally:
            for left in waiting:
                self._ray.cancel(left, force=False)

    def _got(self, result: Any) -> Any:
        try:
            return self._ray.get(result)
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, VeracastError):
                raise error.cause from None  # what the piece says, as it would say it here
            raise
        except (self._ray.exceptions.WorkerCrashedError, self._ray.exceptions.OutOfMemoryError, self._ray.exceptions.NodeDiedError) as error:  # fmt: skip
            raise VeracastError(f"a worker of the cluster died {_RETRIES + 1} times over one piece ({type(error).__name__}) -> give its machines more memory, or work here without --ray") from error  # fmt: skip


@contextlib.contextmanager
def on_ray(address: str) -> Iterator[OnRay]:
    """address: `local` starts workers on this machine, one a processor (`local:N` N of them); `auto`, HOST:PORT or ray://HOST:PORT name a cluster
    that runs.

    A cluster may ask for its token: RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH, or ~/.ray/auth_token. ConfigError where Ray is not installed, no cluster answers, or its machines hold another version of this code.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody is told
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if not address.startswith(LOCAL):
        _show_token()  # before Ray is imported, which looks then
    try:
        import ray
    except ImportError as error:
        raise ConfigError(["--ray: Ray is not installed -> pip install 'veracast[ray]'"]) from error
    kind, _, count = address.partition(":")
    own = kind == LOCAL
    if own and count and not (count.isdecimal() and int(count) > 0):
        raise ConfigError([f"--ray {address}: expected local, or local:N with N workers"])
    started = {"address": LOCAL, "num_cpus": int(count) if count else os.cpu_count(), "include_dashboard": False} if own else {"address": address}  # fmt: skip
    if ":" in address and not own:
        _reach(address)
    try:
        ray.init(
            **started,
            log_to_driver=False,
            logging_level=logging.ERROR,
            configure_logging=False,
            ignore_reinit_error=False,
        )
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise _unanswered(address, first) from error
    try:
        spread = OnRay(ray)
        theirs = next(spread.map(code_digest, [("",)]))
        if theirs != code_digest(""):
            raise ConfigError([f"--ray {address}: its machines hold another version of veracast -> install this one on all of them"])  # fmt: skip
        yield spread
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    """ConfigError where nobody listens: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_S).close()
    except (OSError, ValueError, OverflowError) as error:
        raise _unanswered(address, str(error)) from error


def _show_token() -> None:
    """Ray shows its token to clusters that it started itself; to a named one where it is told to. One that asks for none takes no notice."""
    there = "RAY_AUTH_TOKEN" in os.environ or "RAY_AUTH_TOKEN_PATH" in os.environ or (Path.home() / ".ray" / "auth_token").is_file()  # fmt: skip
    if there:
        os.environ.setdefault("RAY_AUTH_MODE", "token")


def _unanswered(address: str, why: str) -> ConfigError:
    return ConfigError([f"--ray {address}: no cluster answers ({why}) -> ray start --head on one machine, or --ray local"])  # fmt: skip
