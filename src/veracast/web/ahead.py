"""Pages of runs that are drawn before anybody asks: newest first, while nobody asks for a page and no job is being done.

A page is drawn once and kept on disk (cache.py). Half of the room there is left to pages that people ask for.
"""

from __future__ import annotations

import logging
import threading

from veracast.core.errors import VeracastError
from veracast.web.pages import run_drawing
from veracast.web.site import Site

IDLE_S = 2.0
_LOOK_EVERY = 32  # pages, between two looks at the room on disk
log = logging.getLogger("veracast.web")


class Ahead:
    """A thread of the application; idle_s: quiet that it waits for, and between two looks at the store."""

    def __init__(self, site: Site, *, idle_s: float = IDLE_S) -> None:
        self._site, self._idle_s = site, idle_s
        self._done = -1  # version of the store of which all pages were drawn
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="pages ahead", daemon=True)

    def open(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End, after the page that is being drawn."""
        self._stop.set()
        self._thread.join()

    def draw(self) -> bool:
        """Draw what is missing; False where it gave way before all was there."""
        version = self._site.store.version
        if version == self._done:
            return True
        for number, entry in enumerate(self._site.store.entries()):
            if self._stop.is_set() or not self._is_quiet():
                return False
            if number % _LOOK_EVERY == 0 and not self._site.cache.has_room:
                break
            try:
                self._site.cache.ahead(*run_drawing(self._site, entry))
            except VeracastError:
                continue  # a damaged run: told to who asks for it
        self._done = version
        return True

    def _is_quiet(self) -> bool:
        return self._site.cache.quiet_s >= self._idle_s and all(job.ended for job in self._site.jobs.all())

    def _work(self) -> None:
        while not self._stop.wait(self._idle_s):
            try:
                self.draw()
            except Exception:  # without it pages are drawn when they are asked for
                log.exception("pages ahead of time")
                return
