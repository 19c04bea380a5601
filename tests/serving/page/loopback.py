"""An application that listens on this machine alone, and what is asked of its page."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import uvicorn
from fastapi import FastAPI

from tests.serving import browser

IN_A_BROWSER = [
    pytest.mark.slow,
    pytest.mark.skipif(browser.PROGRAM is None, reason="there is no Chromium"),
]
"""Marks of a test that opens the page."""
SHOWN = "document.querySelectorAll('#made img').length"
STATUS = "document.getElementById('status').textContent"
FOCUSED = "document.activeElement.id || document.activeElement.name || document.activeElement.tagName"
READY = "['person', 'garment'].every((name) => document.getElementById(`chosen-${name}`)?.naturalWidth > 0)"


@contextmanager
def on_loopback(app: FastAPI) -> Iterator[str]:
    """The address of an application that listens."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join(20)
