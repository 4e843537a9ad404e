"""The servers and the workers of a run: real Kafka and PostgreSQL, the provider, the proxy, and who restarts whom."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import IO, TypeVar

from tests.chaos.proxy import Proxy
from tests.servers import Kafka, Postgres, end_with_parent

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
RESTART_AFTER_S = 1.0
# workers that end so soon after their start, so many in a row: none will ever stay
SOON_S, IN_A_ROW = 6.0, 8


class Worker:
    """One worker process."""

    def __init__(self, number: int, command: list[str], env: dict[str, str], said: IO[bytes]) -> None:
        # its database sessions bear it as well
        self.name = f"worker-{number}"
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            command,
            env=env,
            cwd=ROOT,
            stdout=said,
            stderr=said,
            stdin=subprocess.DEVNULL,
            preexec_fn=end_with_parent,  # noqa: PLW1509 - one call to the kernel, which takes no lock
        )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    @property
    def frozen(self) -> bool:
        """Whether it stands still under SIGSTOP."""
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_text(encoding="latin-1")
        except OSError:
            return False
        return stat.rpartition(")")[2].split()[0] == "T"

    def signal(self, number: signal.Signals) -> None:
        if self.running:
            self.process.send_signal(number)


class Stage:
    """Everything that runs; `close` ends all of it."""

    def __init__(self, folder: Path, seed: int, sabotage: str) -> None:
        """`folder` is emptied; the servers' own data lies elsewhere, since PostgreSQL runs under another account."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.folder = folder
        self.points = folder / "points"
        self.points.mkdir()
        self.project = folder / "project"
        self._data = Path(tempfile.mkdtemp(prefix="chaos-"))
        self._data.chmod(0o755)
        self._said = (folder / "workers.log").open("ab")
        self.kafka = Kafka(self._data / "kafka", heap_mb=512, group_min_session_timeout_ms="1000")
        self.postgres = Postgres(self._data / "postgres", track_commit_timestamp="on")
        self._provider: subprocess.Popen[str] | None = None
        self.proxy: Proxy | None = None
        self._seed, self._sabotage = seed, sabotage
        self.lock = threading.RLock()
        self.wanted = 0
        self.workers: list[Worker] = []
        # every worker there ever was, by its process
        self.started: dict[int, Worker] = {}
        # exit code of each worker that ended by itself, and how often
        self.exits: dict[str, int] = {}
        # they end one after the other as soon as they start
        self.hopeless = False
        self._short_lives = 0
        self._numbers = 0
        self._closing = threading.Event()
        # a process ends with the thread that started it (PR_SET_PDEATHSIG), so these threads last as long as the stage
        self._for_servers = ThreadPoolExecutor(2, thread_name_prefix="servers")
        self._for_workers = ThreadPoolExecutor(1, thread_name_prefix="workers")

    def on_servers(self, work: Callable[[], T]) -> T:
        """Does something that starts a server, in the thread that it lasts as long as."""
        return self._for_servers.submit(work).result()

    def start(self) -> None:
        """Servers, database, proxy, provider; no worker yet."""
        starting = [self._for_servers.submit(server.start) for server in (self.kafka, self.postgres)]
        for started in starting:
            started.result()
        self.database = self.postgres.fresh_database()
        self.proxy = Proxy(self.postgres.port)
        self.proxied = self.database.replace(f":{self.postgres.port}/", f":{self.proxy.port}/")
        self._provider = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.provider", str(self.folder / "ledger.jsonl"), str(self._seed)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._provider.stdout is not None
        with self._provider.stdout as said:
            self.provider = f"http://127.0.0.1:{int(said.readline())}"

    def run_cli(self, *words: str) -> str:
        """What `orchestrator --project … words` printed; it reaches the database without the proxy."""
        env = os.environ | {"ORCHESTRATOR_STORE_URL": self.database}
        command = [sys.executable, "-m", "orchestrator.cli", "--project", str(self.project), *words]
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"orchestrator {' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    # --- workers

    def scale(self, wanted: int) -> None:
        """So many workers from now on: new ones are started, the oldest end in order (SIGTERM)."""
        with self.lock:
            self.wanted = wanted
            while len(self.workers) > wanted:
                leaving = self.workers.pop(0)
                leaving.signal(signal.SIGCONT)
                leaving.signal(signal.SIGTERM)
                threading.Thread(target=self._reap, args=(leaving,), daemon=True).start()
            while len(self.workers) < wanted:
                self._start_worker()

    def supervise(self) -> None:
        """Starts again whoever ended by itself, until `close`; run in a thread of its own."""
        while not self._closing.wait(0.2):
            with self.lock:
                dead = [worker for worker in self.workers if not worker.running]
            if not dead:
                continue
            time.sleep(RESTART_AFTER_S)
            with self.lock:
                for worker in dead:
                    if worker in self.workers:
                        soon = time.monotonic() - worker.started < SOON_S
                        self._short_lives = self._short_lives + 1 if soon else 0
                        self.hopeless = self.hopeless or self._short_lives >= IN_A_ROW
                        self._ended(worker)
                        self.workers.remove(worker)
                while len(self.workers) < self.wanted and not self._closing.is_set():
                    self._start_worker()

    def stop_workers(self, within_s: float = 40.0) -> list[int]:
        """Ends all workers in order; their exit codes."""
        with self.lock:
            leaving, self.workers, self.wanted = self.workers, [], 0
        for worker in leaving:
            worker.signal(signal.SIGCONT)
            worker.signal(signal.SIGTERM)
        codes = []
        for worker in leaving:
            try:
                codes.append(worker.process.wait(within_s))
            except subprocess.TimeoutExpired:
                worker.process.kill()
                codes.append(worker.process.wait())
        return codes

    def close(self) -> None:
        """Ends everything that was started here."""
        self._closing.set()
        with self.lock:
            for worker in self.workers:
                worker.process.kill()
                worker.process.wait()
            self.workers = []
        if self._provider is not None:
            self._provider.kill()
            self._provider.wait()
        for server in (self.kafka, self.postgres):
            if server.running:
                server.kill()
        if self.proxy is not None:
            self.proxy.close()
        for threads in (self._for_servers, self._for_workers):
            threads.shutdown()
        self._said.close()
        for name in ("kafka/broker.log", "postgres/server.log"):
            with suppress(OSError):
                shutil.copy(self._data / name, self.folder)
        shutil.rmtree(self._data, ignore_errors=True)

    def _start_worker(self) -> None:
        self._numbers += 1
        env = os.environ | {
            "ORCHESTRATOR_STORE_URL": f"{self.proxied}?application_name=worker-{self._numbers}",
            "ORCHESTRATOR_DEBUG": "1",
            "CHAOS_PROVIDER": self.provider,
            "CHAOS_POINTS": str(self.points),
            "SABOTAGE": self._sabotage,
            "PYTHONFAULTHANDLER": "1",
        }
        command = [sys.executable, "-m", "tests.chaos.worker", "--project", str(self.project), "worker"]
        worker = self._for_workers.submit(Worker, self._numbers, command, env, self._said).result()
        self.started[worker.pid] = worker
        self.workers.append(worker)

    def _ended(self, worker: Worker) -> None:
        code = str(worker.process.returncode)
        self.exits[code] = self.exits.get(code, 0) + 1

    def _reap(self, worker: Worker) -> None:
        try:
            worker.process.wait(40)
        except subprocess.TimeoutExpired:
            worker.process.kill()
            worker.process.wait()
        self._ended(worker)
