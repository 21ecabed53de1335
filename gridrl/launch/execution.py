"""The whole of a launch: plan, announce, carry out, sum up."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from gridrl.errors import RunDirectoryInUse
from gridrl.launch.backend import Ending
from gridrl.launch.claiming import Claims, claiming
from gridrl.launch.configuration import accept_code, command_of
from gridrl.launch.events import EventLog, Recorded, named
from gridrl.launch.forks import forks_for
from gridrl.launch.gridfile import note_grid
from gridrl.launch.live import LiveProgress, attended
from gridrl.launch.local import LocalBackend
from gridrl.launch.order import Order, Plan, PlannedRun
from gridrl.launch.plan import make_plan
from gridrl.launch.provision import provide
from gridrl.launch.report import announce, announce_code, announce_moved, summarise
from gridrl.launch.result import GridResult, RunResult
from gridrl.launch.resuming import move_away
from gridrl.launch.scheduler import Scheduler
from gridrl.launch.turns import seeds_slowest
from gridrl.log.record import read_status
from gridrl.utils.console import say
from gridrl.utils.files import GridPaths
from gridrl.utils.settings import settings

_PLANS = 10
"""As many plans at most are made, where runs change between plan and claim."""


def execute(order: Order, introduce: Callable[[], None]) -> GridResult:
    """Carries an order out and says on the way what happens.

    Args:
        order: what is asked for.
        introduce: prints it, once it has been found to make sense.

    Returns:
        A record of each run; of a dry run, as things stand.

    Raises:
        GridRLError: something is wrong with the order; nothing has been started.
        KeyboardInterrupt: Ctrl-C; what was running has been ended, and the table printed.
    """
    plan = make_plan(order)
    if order.dry_run:
        introduce()
        announce(plan, order.data_dir)
        announce_code(plan, is_dry=True)
        announce_moved(plan.moved)
        result = GridResult([_unstarted(run) for run in plan.runs])
        summarise(result, order.data_dir)
        return result
    with _claimed(order, plan) as (plan, claims):
        introduce()
        announce(plan, order.data_dir)
        announce_code(plan)
        for run in plan.runs:
            if run.is_accepted and run.is_done:
                accept_code(run.paths, run.spec.code.hash)
        return _carry_out(order, plan, claims)


@contextlib.contextmanager
def _claimed(order: Order, plan: Plan) -> Iterator[tuple[Plan, Claims | None]]:
    """The plan, made anew if the runs have changed since, with the claims of all that it is to start."""
    if not any(run.is_due or run.is_accepted for run in plan.runs):  # nothing is written then
        yield plan, None
        return
    with claiming(order.data_dir, order.grid) as claims:
        for _ in range(_PLANS):
            wanted = [run for run in plan.runs if run.is_due or run.is_accepted]
            num_started = sum(run.is_due for run in wanted)
            claims.take([*(run.place.run_dir for run in wanted), *plan.moved], num_started)
            if not any(run.has_changed for run in wanted if run.place.run_dir not in plan.moved):
                break
            claims.release()
            plan = make_plan(order)
        else:
            raise RunDirectoryInUse(
                f"{order.data_dir}: other launchers change the runs of {order.grid!r} all the time."
            )
        yield plan, claims


def _carry_out(order: Order, plan: Plan, claims: Claims | None) -> GridResult:
    if claims is not None:
        plan = provide(order, plan)
    pending = [run for run in seeds_slowest(plan.runs) if run.is_due]
    progress = LiveProgress(pending, plan.jobs)
    progress.result = lambda: _result(plan, pending, progress)
    stopped_because = None
    if claims is not None and pending:
        _wait_before_launch()
        announce_moved(plan.moved, move_away(plan.moved, order.data_dir))
        claims.renew(run.place.run_dir for run in pending)
        note_grid(order, plan)
        events = _begin_events(order, plan)
        recorded = Recorded(events, pending, order.data_dir, progress)
        try:
            with forks_for(order.isolation, plan.num_cpu, order.limits.threads, pending) as forks:
                backend = LocalBackend(forks)
                scheduler = Scheduler(pending, plan.jobs, recorded, order.limits, plan.slots, backend)
                with attended(scheduler, progress, claims.door):
                    scheduler.carry_out()
        except (KeyboardInterrupt, SystemExit):
            events.write({"event": "interrupted"})
            summarise(_result(plan, pending, progress), order.data_dir)
            raise
        stopped_because = scheduler.stopped_because
        _end_events(events, _result(plan, pending, progress), stopped_because)
    else:
        note_grid(order, plan)
    result = replace(_result(plan, pending, progress), stopped_because=stopped_because)
    if len(plan.runs) > 1 or not result.ok or not pending:
        summarise(result, order.data_dir)
    return result


def _begin_events(order: Order, plan: Plan) -> EventLog:
    """The event log of this launch, with what is known at its beginning."""
    events = EventLog(GridPaths.of_grid(order.data_dir, order.grid).events(socket.gethostname(), os.getpid()))
    counts = {"runs": len(plan.runs), "due": sum(run.is_due for run in plan.runs)}
    launched = {"event": "launched", "command": command_of(order), **counts, "jobs": plan.jobs, "num_cpu": plan.num_cpu}
    skipped = ({"event": "skipped", **named(run, order.data_dir)} for run in plan.runs if not run.is_due)
    events.write(launched, *skipped)
    return events


def _end_events(events: EventLog, result: GridResult, stopped_because: str | None) -> None:
    if stopped_because:
        events.write({"event": "stopped", "message": stopped_because})
    events.write({"event": "finished", "counts": result.counts()})


def _wait_before_launch() -> None:
    wait_s = settings().WAIT_BEFORE_LAUNCH
    if wait_s > 0:
        say(f"Starting in {wait_s:g} s (WAIT_BEFORE_LAUNCH); Ctrl-C stops it.")
        time.sleep(wait_s)


def _result(plan: Plan, pending: list[PlannedRun], progress: LiveProgress) -> GridResult:
    endings = {id(run): progress.endings[index] for index, run in enumerate(pending) if index in progress.endings}
    return GridResult(
        [_ended(run, *endings[id(run)]) if id(run) in endings else _unstarted(run, pending) for run in plan.runs]
    )


def _ended(run: PlannedRun, ending: Ending, elapsed_s: float) -> RunResult:
    return RunResult(
        variant=run.spec.variant,
        name=run.place.name,
        seed=run.spec.seed,
        run_dir=run.place.run_dir,
        state=ending.state,
        error=ending.error,
        rank=ending.rank,
        exit_code=ending.exit_code,
        run_id=run.spec.run_id,
        elapsed_s=elapsed_s,
    )


def _unstarted(run: PlannedRun, pending: list[PlannedRun] | None = None) -> RunResult:
    """A run that was not started now: done before, still waiting, or looked at in a dry run."""
    is_queued = pending is not None and run.is_due
    status = None if run.is_done or is_queued else read_status(run.place.run_dir)
    return RunResult(
        variant=run.spec.variant,
        name=run.place.name,
        seed=run.spec.seed,
        run_dir=run.place.run_dir,
        state="queued" if is_queued else run.place.state,
        error=status.error if status is not None else None,
        skipped=run.is_done,
        stale=run.is_done and run.is_stale and not run.is_accepted,
        run_id=run.spec.run_id,
        prospect="again" if run.is_repeated else "goes on" if run.has_grown else "",
    )
