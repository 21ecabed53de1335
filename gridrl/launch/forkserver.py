"""The process that imports what a grid's runs need, once, and forks a fresh child for each of them (Linux).

`python -m gridrl.launch.forkserver DESCRIPTOR`, started by `gridrl.launch.forks`. It has one thread, no CUDA context
and no MPI: a child of anything else could hang. It carries out no run itself, so that every child starts alike.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import gc
import os
import select
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Mapping
from typing import Any

from gridrl.launch import worker
from gridrl.launch.channel import receive, send
from gridrl.launch.lifeline import VARIABLE
from gridrl.launch.payload import enter_place
from gridrl.launch.preload import Preload
from gridrl.launch.warming import has_drawn, spare_teardown, warm_up, watch_generators

_F_SETSIG = 10  # of fcntl(2): which signal says that something has happened to a descriptor
_MOST_PRINTED = 65536  # bytes of what imports print that are put into the log of each run


def cannot_fork() -> str | None:
    """Why a child of this process could come to harm, None where nothing speaks against a fork."""
    if "mpi4py.MPI" in sys.modules:
        return "importing what they need starts MPI"
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    if (cuda is not None and cuda.is_initialized()) or _uses_cuda():
        return "importing what they need initialises CUDA"
    threads = len(os.listdir("/proc/self/task"))
    return None if threads == 1 else f"importing what they need leaves {threads} threads running"


def _uses_cuda() -> bool:
    """Whether this process has a CUDA context, made by whatever library."""
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/self/fd/{name}").startswith("/dev/nvidia-uvm"):
                return True
    return False


class ForkServer:
    """Answers the requests of one launcher until that closes the channel.

    Args:
        channel: the connection to the launcher.
        lifeline: the descriptor that ends this process when the launcher dies; no run must keep it.
    """

    def __init__(self, channel: socket.socket, lifeline: int) -> None:
        self._channel = channel
        self._lifeline = lifeline
        self._printed = b""
        self._changes: dict[str, str | None] = {}

    def serve(self) -> None:
        """Imports, says that it is ready, or why not, and forks."""
        try:
            question, _ = receive(self._channel)
            send(self._channel, {"fault": self._prepare(question)})
            while True:
                request, descriptors = receive(self._channel, 2)
                reaped = request.get("reap")
                send(self._channel, self._fork(request, descriptors) if reaped is None else _reap(reaped))
        except (EOFError, OSError):
            return  # the launcher is done

    def _prepare(self, question: Mapping[str, Any]) -> str | None:
        """Goes where the launcher stands and imports; gives why runs cannot be forked, None where they can."""
        environ = dict(os.environ)
        enter_place(question["place"])
        cwd = os.getcwd()
        output = os.memfd_create("printed by imports")
        for standard in (1, 2):
            os.dup2(output, standard)
        watch_generators()
        thresholds = gc.get_threshold()
        gc.set_threshold(0, *thresholds[1:])  # to look for garbage among what is imported, again and again, takes long
        try:
            warm_up(Preload.from_json(question["preload"]))
        except BaseException as error:
            return f"an import that they need failed in advance ({type(error).__name__}: {error})"
        self._printed = os.pread(output, _MOST_PRINTED, 0)
        os.close(output)
        now = dict(os.environ)
        changed = {name for name in environ.keys() | now.keys() if environ.get(name) != now.get(name)}
        self._changes = {name: now.get(name) for name in changed}
        spare_teardown()
        if gc.get_threshold()[0] == 0:  # else an import has set it, as it would in a fresh process
            gc.set_threshold(*thresholds)
        gc.freeze()  # else the first collection of each child would touch, and so copy, every page
        if os.getcwd() != cwd:
            return "importing what they need changes the working directory"
        if has_drawn():
            return "importing what they need draws random numbers"
        return cannot_fork()

    def _fork(self, request: Mapping[str, Any], descriptors: list[int]) -> dict[str, Any]:
        """Forks a run that waits for the launcher's word; gives its pid, or why there is none."""
        try:
            fault = cannot_fork()
            pid = 0 if fault is not None else os.fork()
            if fault is None and pid == 0:
                self._become_run(request, *descriptors)
        except OSError as error:  # too many processes, or no memory
            return {"fault": f"fork: {error.strerror}"}
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return {"fault": fault} if fault is not None else {"pid": pid}

    def _become_run(self, request: Mapping[str, Any], lifeline: int, log: int) -> None:
        """The life of a run in the forked process; never returns."""
        code = 1
        try:
            self._channel.close()
            os.close(self._lifeline)
            if not os.read(lifeline, 1):
                os._exit(1)  # the launcher has not heard of this process: it must not begin
            os.setsid()
            for standard in (1, 2):
                os.dup2(log, standard)
            os.close(log)
            os.write(1, self._printed)
            self._take_environment({**request["environ"], VARIABLE: str(lifeline)})
            code = worker.main([request["payload"]])
        except BaseException:
            traceback.print_exc()
        finally:
            _leave(code)

    def _take_environment(self, environ: Mapping[str, str]) -> None:
        """The launcher's variables as of now, with what the imported modules have changed."""
        changed = {**environ, **self._changes}
        os.environ.clear()
        os.environ.update({name: value for name, value in changed.items() if value is not None})
        numpy = sys.modules.get("numpy")
        if numpy is not None and "numpy.random" in sys.modules:
            numpy.random.seed()  # a payload without a seed: no two siblings draw the same


def _reap(pid: int) -> dict[str, Any]:
    """How a child that has ended did so: exit code, CPU seconds, peak of resident memory in KiB."""
    try:
        _, status, usage = os.wait4(pid, 0)
    except ChildProcessError:
        return {"code": None}
    code = os.waitstatus_to_exitcode(status)
    return {"code": code, "cpu_s": usage.ru_utime + usage.ru_stime, "peak_kb": usage.ru_maxrss}


def _leave(code: int) -> None:
    """Ends this process as an interpreter ends: its threads, its exit functions, its buffers."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _end_with_launcher(lifeline: int) -> None:
    """From here on this process gets a SIGTERM when the launcher dies, in the middle of an import too.

    A thread that waits for that, as runs have one, would forbid every fork.
    """
    fcntl.fcntl(lifeline, _F_SETSIG, signal.SIGTERM)
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([lifeline], [], [], 0)[0]:  # the launcher never writes there: it is gone already
        os._exit(1)


def main() -> None:
    """Serves the launcher at the other end of the descriptor that the command line names."""
    lifeline = int(os.environ.pop(VARIABLE))
    os.set_inheritable(lifeline, False)
    _end_with_launcher(lifeline)
    with socket.socket(fileno=int(sys.argv[1])) as channel:
        channel.set_inheritable(False)
        ForkServer(channel, lifeline).serve()
    os._exit(0)  # nothing of what the imported modules do at an exit: that belongs to the runs


if __name__ == "__main__":
    main()
