"""uvicorn around the application: one process, one address, bounded headers, bounded waiting."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Callable

import uvicorn

from veracast.core.errors import StorageError
from veracast.web.application import application
from veracast.web.protocol import protocol
from veracast.web.settings import Settings

KEEP_ALIVE_S = 15
SHUTDOWN_S = 10


def serve(settings: Settings, *, ready: Callable[[str], None]) -> None:
    """Serve until interrupted. ready: called with the address once it listens. StorageError where the address is taken."""
    logging.getLogger("veracast.web").setLevel(logging.INFO)
    limits = settings.limits
    config = uvicorn.Config(
        application(settings),
        http=protocol(limits.header_s),
        ws="none",
        loop="auto",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # whoever asks could write them
        h11_max_incomplete_event_size=limits.header_bytes,
        limit_concurrency=limits.connections,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=SHUTDOWN_S,
    )
    with listening(settings) as bound:
        host, port = bound.getsockname()[:2]
        ready(f"http://{f'[{host}]' if ':' in host else host}:{port}/")
        with contextlib.suppress(KeyboardInterrupt):  # how one ends a server is no fault
            uvicorn.Server(config).run(sockets=[bound])


def listening(settings: Settings) -> socket.socket:
    """A socket that listens; port 0 is any that is free."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((settings.host, settings.port))
        bound.listen(512)
    except OSError as error:
        bound.close()
        raise StorageError(f"{settings.host}:{settings.port}: cannot be listened on ({error.strerror or error}) -> choose another --port") from error  # fmt: skip
    return bound
