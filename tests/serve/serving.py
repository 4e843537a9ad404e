"""`orchestrator serve` as a program of its own, started for a test and ended by its id."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from orchestrator.serve.keys import new_key
from orchestrator.settings import FILE
from orchestrator.starter import create as new_project
from tests.servers import end_with_parent

STARTS_WITHIN_S = 60
PARTITIONS = 4


class Serving:
    """A running server, and a client that holds its key."""

    def __init__(self, process: subprocess.Popen[bytes], words: Path, address: str, key: str) -> None:
        self.process, self.words, self.address, self.key = process, words, address, key
        self.http = httpx.Client(base_url=address, timeout=30, headers={"Authorization": f"Bearer {key}"})

    def said(self) -> str:
        return self.words.read_text(encoding="utf-8", errors="replace")

    def end(self) -> int:
        """Asks it to end; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(45)


def project(folder: Path, lines: Mapping[str, str] | None = None, **replaced: str) -> tuple[Path, str]:
    """A starter project with few partitions and one API key; `replaced` settings by their name at the line's start."""
    made = new_project(folder).project
    key = new_key("tests", ["events", "links", "status"])
    settings = {
        "partitions": str(PARTITIONS),
        "api_keys": json.dumps([key.line]),
        "port": "0",
        **replaced,
    }
    file = made / FILE
    text = file.read_text(encoding="utf-8")
    head, _, rest = text.partition("[serve]")
    for name, value in settings.items():
        where = rest if name in {"api_keys", "port"} or name.startswith("serve_") else head
        written, n = re.subn(
            rf"(?m)^{name.removeprefix('serve_')} = .*$", f"{name.removeprefix('serve_')} = {value}", where, count=1
        )
        assert n == 1, name
        head, rest = (head, written) if where is rest else (written, rest)
    file.write_text(f"{head}[serve]{rest}" + "".join(f"\n{line}" for line in (lines or {}).values()), encoding="utf-8")
    return made, key.key


@contextmanager
def serving(folder: Path, key: str, **environment: str) -> Iterator[Serving]:
    """The server of a project, ready to answer."""
    words = folder / "serve.log"
    with words.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestrator.cli", "--project", str(folder), "serve"],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            preexec_fn=end_with_parent,  # noqa: PLW1509 - one call to the kernel, which takes no lock
        )
    try:
        deadline = time.monotonic() + STARTS_WITHIN_S
        while not (found := re.search(r'"address": "([^"]+)"', words.read_text(encoding="utf-8"))):
            assert process.poll() is None, words.read_text(encoding="utf-8")[-3000:]
            assert time.monotonic() < deadline, words.read_text(encoding="utf-8")[-3000:]
            time.sleep(0.05)
        running = Serving(process, words, found[1], key)
        with running.http:
            yield running
    finally:
        process.kill()
        process.wait()
