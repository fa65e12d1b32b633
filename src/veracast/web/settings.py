"""What the application serves, to whom, and every limit that it keeps: one frozen config."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

from veracast.core.errors import ConfigError

MIB = 1 << 20
LEAST_TOKEN = 16


@dataclass(frozen=True)
class Limits:
    """Sizes in bytes, times in seconds. Each is told by the page that refuses what is beyond it."""

    # requests
    header_bytes: int = 16 << 10
    query_chars: int = 2_000
    body_bytes: int = 64 << 10  # of a form or of JSON
    header_s: float = 10.0  # from the first byte of a connection to the end of its headers
    body_s: float = 20.0  # of silence while a body is sent
    send_s: float = 30.0  # a client that does not read is left after so long
    connections: int = 500
    streams: int = 40  # pages that watch a job at once; one beyond is told to refresh
    login_tries: int = 10  # wrong tokens a minute, from all clients together
    # uploads
    upload_bytes: int = 2_048 * MIB
    upload_files: int = 20  # in one upload
    upload_s: float = 3_600.0
    uploads_at_once: int = 3
    rows: int = 20_000_000  # lines of a text file, rows of a Parquet file
    archive_files: int = 200_000
    archive_bytes: int = 8_192 * MIB  # unpacked
    archive_ratio: float = 200.0  # unpacked to packed, of one member that unpacks to more than a MiB
    image_px: int = 40_000_000  # of one picture in an archive
    free_bytes: int = 512 * MIB  # that must stay free on the disk
    # jobs
    queue: int = 20
    jobs_at_once: int = 1
    job_s: float = 4 * 3_600.0
    attempts: int = 3  # of a job whose worker vanished
    kept_jobs: int = 500
    # pages
    page_rows: int = 50
    record_bytes: int = 64 * MIB
    cache_bytes: int = 64 * MIB  # of drawn pages in memory
    disk_cache_bytes: int = 512 * MIB  # of drawn pages on disk


@dataclass(frozen=True)
class Settings:
    """runs: the folder that is shown; state: of jobs, uploads and drawn pages, None = .web in it. token: what a client must know, None = nothing,
    on this machine alone. names: host names beside the address under which the application is reached.

    ConfigError for an address beyond this machine without a token, and for a token that is short.
    """

    runs: Path = Path("runs")
    state: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = None
    names: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        faults = []
        if not self.token and not self.local:
            faults.append(f"host is {self.host}, which others can reach, and there is no token -> give --token, VERACAST_TOKEN or --token-file, or leave --host out")  # fmt: skip
        if self.token is not None and (len(self.token) < LEAST_TOKEN or not self.token.isascii() or any(c.isspace() for c in self.token)):  # fmt: skip
            faults.append(f"the token has {len(self.token)} characters, expected {LEAST_TOKEN} or more of ASCII without spaces -> for example: python -c 'import secrets; print(secrets.token_urlsafe(24))'")  # fmt: skip
        if not 0 <= self.port < 65_536:
            faults.append(f"port is {self.port}, expected 0 to 65535")
        if faults:
            raise ConfigError(faults)

    @property
    def local(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def home(self) -> Path:
        """Folder of jobs, uploads and drawn pages."""
        return self.state if self.state is not None else self.runs / ".web"
