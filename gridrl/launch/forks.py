"""The launcher's side of the fork server: started once per grid, replaced if it dies, gone when the grid is done."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gridrl.launch.channel import receive, send
from gridrl.launch.lifeline import Lifeline
from gridrl.launch.local import Running, worker_environment
from gridrl.launch.order import PlannedRun
from gridrl.launch.payload import place_here
from gridrl.launch.preload import Preload, find_preload
from gridrl.launch.run_process import Reaped, RunProcess
from gridrl.stand_ins import StandIns
from gridrl.utils.console import say
from gridrl.utils.files import RunPaths
from gridrl.utils.subreaper import reap_group, subreaper

_ANSWER_S = 20.0  # what a fork may take on a machine that is busy; a server that takes longer is replaced
_RESTARTS = 3
_NVML = {"PYTORCH_NVML_BASED_CUDA_CHECK": "1"}
"""With it `torch.cuda.is_available()`, which many modules call when they are imported, leaves CUDA uninitialised."""


class ServerLost(Exception):
    """A fork server has died, or does not answer."""


class Server:
    """One fork server.

    Args:
        preload: what it imports.
        stand_ins: the copies of the user's sources that it imports from, if any.
    """

    def __init__(self, preload: Preload, stand_ins: StandIns | None = None) -> None:
        self._channel, theirs = socket.socketpair()
        self._lifeline = Lifeline()
        self._lock = threading.Lock()
        self._is_lost = False
        self._hello: Mapping[str, Any] | None = None
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "gridrl.launch.forkserver", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=worker_environment(1) | _NVML | self._lifeline.variables,
                pass_fds=(theirs.fileno(), *self._lifeline.inherited),
                start_new_session=True,
            )
        except BaseException:
            self._channel.close()
            self._lifeline.close()
            raise
        finally:
            theirs.close()
        self._lifeline.started()
        with contextlib.suppress(OSError):  # it has died already: the hello says so
            send(self._channel, {"place": place_here(stand_ins), "preload": preload.as_json()})

    @property
    def pid(self) -> int:
        """Its process, which is the group of those of its children that have not begun yet."""
        return self._process.pid

    def hello(self, *, wait: bool) -> Mapping[str, Any] | None:
        """What it says once it has imported everything; None where it is not as far.

        Raises:
            ServerLost: it has died.
        """
        with self._lock:
            if self._hello is None and (wait or select.select([self._channel], [], [], 0)[0]):
                self._channel.settimeout(None)
                self._hello = self._heard()
                self._channel.settimeout(_ANSWER_S)
            return self._hello

    def ask(self, request: Mapping[str, Any], descriptors: Sequence[int] = ()) -> Mapping[str, Any]:
        """The answer to a request.

        Raises:
            ServerLost: it has died, or does not answer; then it is ended.
        """
        with self._lock:
            try:
                send(self._channel, request, descriptors)
            except OSError as error:
                raise self._lose() from error
            return self._heard()

    def _heard(self) -> Mapping[str, Any]:
        try:
            return receive(self._channel)[0]
        except (EOFError, OSError, ValueError) as error:
            raise self._lose() from error

    def _lose(self) -> ServerLost:
        """From here on its children are this process's."""
        self._is_lost = True
        self._channel.close()
        self._process.kill()
        self._process.wait()
        return ServerLost("the fork server has died")

    def close(self) -> None:
        """Ends it; runs that it has forked go on."""
        with self._lock:
            if not self._is_lost:
                self._lose()
        self._lifeline.close()
        reap_group(self.pid)


class ForkedProcess(RunProcess):
    """A run in a process that a server has forked; it begins with this."""

    def __init__(self, paths: RunPaths, pid: int, lifeline: Lifeline, server: Server) -> None:
        super().__init__(paths, pid, lifeline)
        self._server = server
        self._ended = os.pidfd_open(pid)
        lifeline.go()

    def _await_end(self) -> None:
        waiting = select.poll()  # select knows no descriptor above 1023
        waiting.register(self._ended, select.POLLIN)
        waiting.poll()
        os.close(self._ended)

    def _reap(self) -> Reaped:
        try:
            answer = self._server.ask({"reap": self.pid})
        except ServerLost:
            return self._reap_orphan()
        if answer["code"] is None:
            return Reaped(None)
        return Reaped(answer["code"], answer["cpu_s"], answer["peak_kb"] / 2**10)

    def _reap_orphan(self) -> Reaped:
        """The server is dead: this process is its heir."""
        try:
            return Reaped.of(self.pid)
        except ChildProcessError:
            return Reaped(None)


class Forks:
    """Starts runs by forking, as long as that works.

    Args:
        preload: what the runs import.
        stand_ins: the copies of the user's sources that they import from, if any.
    """

    def __init__(self, preload: Preload, stand_ins: StandIns | None = None) -> None:
        self._preload = preload
        self._stand_ins = stand_ins
        self._lock = threading.Lock()
        self._servers = [Server(preload, stand_ins)]
        self._gives_up = False

    def prepare(self) -> str | None:
        """Waits until the server has imported everything; gives why it cannot fork, None where it can."""
        try:
            hello = self._servers[-1].hello(wait=True)
        except ServerLost:
            return "the fork server has died while it imported what they need"
        return None if hello is None else hello["fault"]

    def start(self, paths: RunPaths, environ: Mapping[str, str]) -> Running | None:
        """Starts a run, see `gridrl.launch.local.start`; None where it needs an interpreter of its own.

        Args:
            paths: the run's files.
            environ: its environment.
        """
        with self._lock:
            try:
                return self._forked(paths, environ)
            except ServerLost:
                self._replace()
                return None

    def _forked(self, paths: RunPaths, environ: Mapping[str, str]) -> Running | None:
        server = self._servers[-1]
        if self._gives_up or (hello := server.hello(wait=False)) is None or hello["fault"] is not None:
            return None
        lifeline = Lifeline()
        request = {"environ": dict(environ), "payload": str(paths.payload.absolute())}
        try:
            with open(paths.stdout, "ab", buffering=0) as log:
                answer = server.ask(request, (*lifeline.inherited, log.fileno()))
            lifeline.started()
            if answer.get("pid") is not None:
                return ForkedProcess(paths, answer["pid"], lifeline, server)
        except BaseException:
            lifeline.close()
            raise
        lifeline.close()
        return None

    def _replace(self) -> None:
        """A new server in the place of one that has died; until it is ready, runs get interpreters of their own."""
        self._gives_up = len(self._servers) > _RESTARTS
        if not self._gives_up:
            try:
                self._servers.append(Server(self._preload, self._stand_ins))
            except OSError:
                self._gives_up = True

    def close(self) -> None:
        """Ends the servers."""
        with self._lock:
            for server in self._servers:
                server.close()


@contextlib.contextmanager
def forks_for(isolation: str, num_cpu: int, threads: int, pending: Sequence[PlannedRun]) -> Iterator[Forks | None]:
    """A fork server for the runs of a plan, while the block runs; None where each gets an interpreter of its own.

    Args:
        isolation: "auto": fork where that is safe and saves time; "fresh": never.
        num_cpu: MPI ranks of each run.
        threads: of each rank.
        pending: the runs that are to be carried out.
    """
    alone = num_cpu == 1 and threads == 1
    if isolation != "auto" or not alone or len(pending) < 2 or not can_fork():
        yield None
        return
    snapshots = {run.snapshot for run in pending}
    if len(snapshots) > 1:  # one server imports one version of a module
        yield None
        return
    with subreaper() as able, contextlib.ExitStack() as stack:
        forks = None
        if able:
            (snapshot,) = snapshots
            forks = Forks(
                find_preload(run.payload() for run in pending), None if snapshot is None else snapshot.stand_ins
            )
            stack.callback(forks.close)
            fault = forks.prepare()
            if fault is not None:
                say(f"Each run gets a fresh interpreter: {fault}.")
                forks.close()
                forks = None
        yield forks


def can_fork() -> bool:
    """Whether this system has what a fork server needs."""
    if sys.platform != "linux" or not hasattr(os, "pidfd_open"):
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        return False
    return True
