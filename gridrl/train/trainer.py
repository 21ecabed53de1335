"""`Trainer`: the only training loop. Sources differ, callbacks differ, the loop does not."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from gridrl.errors import BindingError, TrainingShutdownException, did_you_mean
from gridrl.train.binding import Call, Names, bind, is_overridden
from gridrl.train.callback import Callback
from gridrl.train.waiting import wait_until_ready
from gridrl.utils.threading import WeakReference

log = logging.getLogger(__name__)

_UPDATE = ("begin_cycle", "begin_batch", "backward", "end_batch", "end_cycle")


class StateDict(dict[str, Any]):
    """What the callbacks of one trainer share, by name."""

    def get_handle(self) -> WeakReference[StateDict]:
        """A handle that gives this dict when it is called, None once nobody else holds it."""
        return WeakReference(self)


class Trainer:
    """Takes batches from a source and calls the hooks of its callbacks for each: one batch, one update.

    Hooks run in this order, each over all callbacks before the next one starts: once `restore_state` and
    `begin_training`; for every batch `begin_cycle` (where a cycle begins), `begin_batch`, `backward`, `end_batch`,
    `end_cycle` (where one ends); at last, whatever happened, `end_training`.

    The state holds the batch's entries, what callbacks provided, `bp_step` (the number of the update, the first is 1)
    and `bp_samples` (how many samples were learned from). A `restore_state` hook that returns a saved `bp_step` makes
    the next update the one after it.

    Attributes:
        callbacks: in the order in which they run.
        dataloader: the source. One with a method `is_ready`, such as a memory's loader, is waited for before the first
            batch. If it has an attribute `data_groups` (group -> names of its tensors), a batch need not
            hold all of them: hooks of a group that it lacks are passed over.
        state: see above.

    >>> class Count(Callback):
    ...     def end_batch(self, obs, bp_step):
    ...         print(bp_step, obs)
    >>> Trainer([Count()], [{"obs": "first", "batch_size": 1}, {"obs": "second", "batch_size": 1}]).train()
    1 first
    2 second
    """

    def __init__(
        self,
        callbacks: Iterable[Callback],
        dataloader: Iterable[Mapping[str, Any]] = (),
        batch_size_key: str = "batch_size",
    ) -> None:
        """Puts a training program together; nothing is called yet.

        Args:
            callbacks: sorted by their `priority`, otherwise kept in this order.
            dataloader: gives dicts: tensors or named groups of tensors, and the number of samples. Nothing, where
                somebody else calls `step`.
            batch_size_key: where a batch holds that number.

        Raises:
            BindingError: if one of the callbacks is none.
        """
        given = list(callbacks)
        for callback in given:
            if not isinstance(callback, Callback):
                raise BindingError(f"a Trainer takes Callback objects, not {callback!r} ({type(callback).__name__}).")
        self.callbacks = sorted(given, key=lambda callback: callback.priority)
        self.dataloader = dataloader
        self.state = StateDict(bp_step=0, bp_samples=0)
        self._batch_size_key = batch_size_key
        self._bound: dict[tuple[str, int], Call] | None = None
        self._groups: tuple[str, ...] = ()
        self._declared: set[str] = set()
        self._made: dict[str, set[str]] = {}
        self._plans: dict[tuple[bool, ...], tuple[set[str], list[tuple[Callback, Call]]]] = {}
        self._cyclic = [
            (place, callback, callback.cycle)
            for place, callback in enumerate(self.callbacks)
            if callback.cycle is not None and callback.cycle > 0
        ]

    @property
    def cycle_length(self) -> int:
        """After how many updates all cycles end together: the least common multiple of the callbacks', 1 of none."""
        return math.lcm(*(cycle for _, _, cycle in self._cyclic))

    def train(self, shutdown_signal: Callable[[], bool] | None = None) -> None:
        """Runs until the source has no more batches, a callback raises `TrainingShutdownException`, or an error comes.

        Args:
            shutdown_signal: asked before each update and while waiting for data; True ends the training in order.

        Raises:
            BindingError: if a hook asks for what no batch and no earlier callback provides; before the first update.
            NotEnoughData: if the source is not ready and nobody is there who could fill it.
            BaseException: what a hook or the source raised, after every `end_training` has run;
                `TrainingShutdownException` is not raised again.
        """
        ended_by: BaseException | None = None
        try:
            self._run_outside_update("restore_state")
            self._run_outside_update("begin_training")
            wait_until_ready(self.dataloader, shutdown_signal, collect=self.state.get("while_waiting"))
            for batch in self.dataloader:
                if shutdown_signal is not None and shutdown_signal():
                    raise TrainingShutdownException("the shutdown signal was given")
                self.step(batch)
        except TrainingShutdownException as shutdown:
            ended_by = shutdown
            log.info("Training was shut down: %s", shutdown)
        except BaseException as error:
            ended_by = error
            raise
        finally:
            self._end_training(ended_by)

    def step(self, batch: Mapping[str, Any]) -> None:
        """Does one update with a batch.

        Raises:
            BindingError: see `train`.
        """
        state = self.state
        for group in self._made:
            state.pop(group, None)  # that of the batch before
        try:
            state.update(batch)
        except (TypeError, ValueError):
            raise BindingError(
                f"a batch is a dict of names, such as {{'default': {{'obs': ...}}, 'batch_size': 32}}, not "
                f"{type(batch).__name__}: let the source name what it gives."
            ) from None
        if self._bound is None:
            self._bind(batch)
        state["bp_step"] += 1
        state["bp_samples"] += state[self._batch_size_key]
        present = tuple([group in batch for group in self._groups])
        plan = self._plans.get(present)
        if plan is None:
            plan = self._plans[present] = self._plan(present)
        missing, calls = plan
        if self._cyclic:
            self._run_cycle("begin_cycle", state["bp_step"] - 1, missing)
        for callback, call in calls:
            provided = call(state)
            if provided is not None:
                self._merge(callback, provided)
        if self._cyclic:
            self._run_cycle("end_cycle", state["bp_step"], missing)

    def _bind(self, batch: Mapping[str, Any]) -> None:
        """Binds every hook of the update; `batch` is the first one."""
        self._check_batch_size(batch)
        groups = _names_in_groups(self.dataloader, batch)
        self._groups = tuple(groups)
        self._made = {
            name: set(inside) for callback in self.callbacks for name, inside in callback.provides_groups.items()
        }
        names = Names(set(self.state), {**groups, **self._made}, self._providers())
        self._declared = set(getattr(self.dataloader, "data_groups", ()))
        for callback in self.callbacks:
            self._check_group(callback, names)
        bound, provided = {}, set()
        for hook in _UPDATE:
            for place, callback in enumerate(self.callbacks):
                if not is_overridden(callback, hook):
                    continue
                bound[hook, place] = bind(callback, hook, names)
                if place not in provided:
                    provided.add(place)
                    names.add_provided(callback)
        self._bound = bound

    def _check_batch_size(self, batch: Mapping[str, Any]) -> None:
        key = self._batch_size_key
        if key not in self.state:
            raise BindingError(
                f"a batch says under {key!r} how many samples it has; this one has: {', '.join(map(str, batch))}."
                f"{did_you_mean(key, map(str, batch))} Add it in the source, or name another key by batch_size_key."
            )

    def _check_group(self, callback: Callback, names: Names) -> None:
        group = callback.data_group
        if group is None or group in names.groups or not any(is_overridden(callback, hook) for hook in _UPDATE):
            return
        raise BindingError(
            f"{callback.name} reads the data group {group!r}; the batch has: {', '.join(names.groups) or 'no group'}."
            f"{did_you_mean(group, names.groups)}"
        )

    def _providers(self) -> dict[str, Callback]:
        return {name: callback for callback in reversed(self.callbacks) for name in callback.provides}

    def _plan(self, present: tuple[bool, ...]) -> tuple[set[str], list[tuple[Callback, Call]]]:
        """For batches that hold the groups marked in `present`: those that are missing, and the calls of one update."""
        missing = {group for group, is_there in zip(self._groups, present, strict=True) if not is_there}
        for callback in self.callbacks:
            if callback.data_group in missing - self._declared:
                raise BindingError(
                    f"{callback.name} reads the data group {callback.data_group!r}, which earlier batches had and this "
                    "one lacks. A source whose batches hold different groups declares them in `data_groups`."
                )
        missing |= self._made.keys() - set(self._groups) - self._made_without(missing)
        bound = self._bound or {}
        return missing, [
            (callback, bound[hook, place])
            for hook in ("begin_batch", "backward", "end_batch")
            for place, callback in enumerate(self.callbacks)
            if (hook, place) in bound and callback.data_group not in missing
        ]

    def _made_without(self, missing: set[str]) -> set[str]:
        """The groups that are made though others are missing: who is passed over makes none."""
        made: set[str] = set()
        for callback in self.callbacks:
            group = callback.data_group
            if group not in missing and (group not in self._made or group in made):
                made |= callback.provides_groups.keys()
        return made

    def _run_cycle(self, hook: str, steps: int, missing: set[str]) -> None:
        bound = self._bound or {}
        for place, callback, cycle in self._cyclic:
            call = bound.get((hook, place))
            if call is not None and steps % cycle == 0 and callback.data_group not in missing:
                self._merge(callback, call(self.state))

    def _run_outside_update(self, hook: str) -> None:
        names = Names(set(self.state), {})
        for callback in self.callbacks:
            if is_overridden(callback, hook):
                self._merge(callback, bind(callback, hook, names)(self.state))
                names.state |= self.state.keys()

    def _merge(self, callback: Callback, provided: Mapping[str, Any] | None) -> None:
        if provided is None:
            return
        if not isinstance(provided, Mapping):
            raise BindingError(
                f"a hook of {callback.name} returned {type(provided).__name__}; it returns a dict of names, or nothing."
            )
        own = self.state.get(callback.data_group) if callback.data_group is not None else None
        for key, value in provided.items():
            joins = key in self._groups or (key in self._made and key not in callback.provides_groups)
            group = self.state.get(key) if joins else None
            if group is not None and isinstance(value, Mapping):
                group.update(value)
            elif own is not None and key in callback.provides:
                own[key] = value
            else:
                self.state[key] = value

    def _end_training(self, ended_by: BaseException | None) -> None:
        """Runs every `end_training`, also after one of them failed; what failed is raised in the end."""
        failures = []
        groups = {group: set(self.state[group]) for group in (*self._groups, *self._made) if group in self.state}
        names = Names({*self.state, "exception"}, groups)
        for callback in self.callbacks:
            if not is_overridden(callback, "end_training"):
                continue
            try:
                bind(callback, "end_training", names)(StateDict(self.state, exception=ended_by))
            except (Exception, SystemExit) as error:  # a thread that was asked to end tells it so
                error.add_note(f"in {callback.name}.end_training")
                failures.append(error)
        if not failures:
            return
        told: BaseException
        told = failures.pop(0) if ended_by is None or isinstance(ended_by, TrainingShutdownException) else ended_by
        for failure in failures:
            told.add_note(f"afterwards, in end_training: {type(failure).__name__}: {failure}")
        if told is not ended_by:
            raise told


def _names_in_groups(dataloader: object, batch: Mapping[str, Any]) -> dict[str, set[str]]:
    """The names in each data group: of the first batch, and as the source declares them."""
    groups = {key: set(value) for key, value in batch.items() if isinstance(value, Mapping)}
    declared: Mapping[str, Iterable[str]] = getattr(dataloader, "data_groups", {})
    return {**{group: set(names) for group, names in declared.items()}, **groups}
