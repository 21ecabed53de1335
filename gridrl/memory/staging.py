"""The way from environments that step side by side into a table: kept as it comes, stored a block at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

from gridrl.errors import BadValue, CheckpointError, ColumnError, Problems, ShapeError
from gridrl.memory.columns import TagColumn, VirtualColumn
from gridrl.memory.rows import Array
from gridrl.memory.storage import NextElementMapper
from gridrl.memory.table import ArrayMemoryTable

Rows: TypeAlias = Mapping[str, Array]
"""By column, one row for each environment: [N, *shape]."""


class Staging:
    """Takes a step of N environments at a time, and adds what they did to a table, a block of steps at once.

    A row at a time is slow to store; here a step is only kept until its block is full (or `flush` is called), and then
    stored column by column. An episode that goes on beyond its block is stored in pieces, each an episode of the table:
    the tag says of all but a piece that ends with a death that it was cut off, so that masks allow bootstrapping there
    (see `TerminalAdaptor`). Sequences do not cross from one piece into the next.

    Attributes:
        table: where the steps go.
        num_envs: N.
        steps: of a block.
        staged: steps that wait.

    >>> from gridrl.envs.spaces import BoxSpace, DictSpace, MDPSpace
    >>> from gridrl.memory.builders import DictObsMemoryTable
    >>> spaces = MDPSpace(None, BoxSpace(np.float32, (1,)), DictSpace({"obs": BoxSpace(np.float32, (3,))}))
    >>> table = DictObsMemoryTable(spaces=spaces, use_terminal_column=True, maxlen=1000)
    >>> staging = Staging(table, num_envs=2, steps=64)
    >>> step = {"obs": np.zeros((2, 3)), "actions": np.zeros((2, 1)), "rewards": np.ones(2)}
    >>> staging.put(step, terminated=np.array([True, False]), truncated=np.zeros(2, bool), following=step)
    >>> staging.flush()
    >>> table.size()
    2
    """

    def __init__(
        self,
        table: ArrayMemoryTable,
        num_envs: int,
        *,
        steps: int = 1024,
        tag: str = "terminal",
        first_identity: int = 0,
    ) -> None:
        """Holds nothing.

        Args:
            table: has a tag column `tag`.
            num_envs: N.
            steps: of a block, at most what the table holds.
            tag: 1 for what was cut off, 0 for what ended with a death.
            first_identity: of the first episode; the following ones count up, past those that are taken.

        Raises:
            ColumnError: the table has no such tag.
            BadValue: a block of no step, or of more than the table holds.
        """
        if not isinstance(table.columns.get(tag), TagColumn):
            raise ColumnError(f"tag: the table has no tag column {tag!r} that could say which episodes were cut off.")
        if not 1 <= steps <= table.maxlen:
            raise BadValue(f"steps: 1 to {table.maxlen} (what the table holds) are possible, not {steps}.")
        self.table, self.num_envs, self.steps = table, num_envs, steps
        self._tag, self._next_identity = tag, first_identity
        kinds = (TagColumn, VirtualColumn)
        self._names = [name for name, column in table.columns.items() if not isinstance(column, kinds)]
        self._followed = _targets_of_next(table)
        self._rows: list[Rows] = []
        self._terminated: list[Array] = []
        self._truncated: list[Array] = []
        self._valid: dict[int, Array] = {}  # of the steps that have resets among them
        self._following: dict[int, Rows] = {}
        self._spaces: dict[str, Array] = {}  # used again for each block: the table copies what it gets

    @property
    def staged(self) -> int:
        """Steps of each environment that wait."""
        return len(self._rows)

    def put(
        self,
        rows: Rows,
        terminated: Array,
        truncated: Array,
        following: Rows | None = None,
        valid: Array | None = None,
    ) -> None:
        """Takes a step of all environments.

        All arrays are kept as they are until the block is stored: hand over what nobody writes into any more.

        Args:
            rows: by column [N, *shape]; what was acted upon, and what came of it.
            terminated: bool [N], where a death ended the episode.
            truncated: bool [N], where it was cut off.
            following: what followed the step [N, *shape], of the columns that need it (observations), and before
                anything is reset. Needed in a step in which an episode ends, and in the last one before `flush`;
                elsewhere the next step's rows tell.
            valid: bool [N], False where the step was the reset before an episode's first one (gymnasium's next-step
                autoreset): such rows are left out. None: all are steps.
        """
        if len(self._rows) == self.steps:
            if not (np.any(self._terminated[-1]) or np.any(self._truncated[-1])):
                self._following.setdefault(self.steps - 1, rows)
            self.flush()
        if following is not None:
            self._following[len(self._rows)] = following
        if valid is not None:
            self._valid[len(self._rows)] = valid
        self._rows.append(rows)
        self._terminated.append(terminated)
        self._truncated.append(truncated)

    def flush(self) -> None:
        """Stores the steps that wait; episodes that go on are cut into pieces here.

        Where anything is wrong, none of them is stored, and all wait on.

        Raises:
            ColumnError: columns are missing or do not fit the table's, or what followed the end of an episode or the
                last step was not given.
            ShapeError: rows of other than N environments, or more steps than the table holds.
            BadValue: a row that is no step stands in the middle of an episode.
        """
        if not self._rows:
            return
        flags, columns = self._checked()
        sequences: dict[int, dict[str, Any]] = {}
        identity = self._next_identity
        with self.table.lock:  # another thread's staging may be looking for identities too
            for sequence in self._pieces(flags, columns):
                while identity in self.table.episodes:  # from an archive, or of another staging
                    identity += 1
                sequences[identity] = sequence
                identity += 1
            self.table.add_sequences(sequences)
        self._next_identity = identity
        self._rows, self._terminated, self._truncated, self._valid, self._following = [], [], [], {}, {}

    def state_dict(self) -> dict[str, Any]:
        """The steps that wait, for a checkpoint: arrays and plain values; those in the table are not in it.

        Raises:
            ColumnError, ShapeError: what `flush` would raise of the steps that wait, but for what followed the last.
        """
        problems = Problems()
        taken = {name: self._taken(name, problems) for name in self._names}
        problems.raise_if_any(ColumnError)
        following = {
            name: {step: np.array(rows[name]) for step, rows in self._following.items() if name in rows}
            for name in self._followed
        }
        return {
            "num_envs": self.num_envs,
            "next_identity": self._next_identity,
            "staged": self.staged,
            "flags": np.stack(self._flags()),
            "rows": {name: self._joined(name, steps) for name, steps in taken.items() if steps},
            "told": list(self._following),
            "following": following,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes up what `state_dict` gave, in place of the steps that wait.

        Raises:
            CheckpointError: it is of other columns, other environments, or of longer blocks; then nothing has changed.
        """
        self.check_state(state_dict)
        steps = int(state_dict["staged"])
        columns = {name: np.asarray(rows) for name, rows in state_dict["rows"].items()}
        self._rows = [{name: rows[step] for name, rows in columns.items()} for step in range(steps)]
        self._terminated, self._truncated, valid = (list(flag) for flag in np.asarray(state_dict["flags"]))
        self._valid = dict(enumerate(valid))
        followed = state_dict["following"].items()
        self._following = {
            step: {name: np.asarray(rows[step]) for name, rows in followed if step in rows}
            for step in state_dict["told"]
        }
        self._next_identity = int(state_dict["next_identity"])

    def check_state(self, state_dict: Mapping[str, Any]) -> None:
        """Raises what `load_state_dict` would, and changes nothing."""
        problems = Problems()
        if state_dict["num_envs"] != self.num_envs:
            problems.add(f"The checkpoint is of {state_dict['num_envs']} environments, here are {self.num_envs}.")
        if state_dict["staged"] > self.steps:
            problems.add(f"The checkpoint holds a block of {state_dict['staged']} steps, here it has {self.steps}.")
        if state_dict["staged"] and state_dict["rows"].keys() != set(self._names):
            problems.add(f"The checkpoint is of the columns {sorted(state_dict['rows'])}, here are {self._names}.")
        problems.raise_if_any(CheckpointError)

    def _checked(self) -> tuple[tuple[Array, Array, Array], dict[str, Array]]:
        """Where episodes were terminated and truncated, and what is a step, [steps, N]; all columns, see `_block`."""
        terminated, truncated, valid = self._flags()
        if (~valid[1:] & ~(terminated | truncated)[:-1]).any():
            raise BadValue("valid: only the first row after an episode's end can be a reset, and no step.")
        problems = Problems()
        taken = {name: self._taken(name, problems) for name in self._names}
        last = len(self._rows) - 1
        ended = {*(np.flatnonzero(terminated | truncated) // self.num_envs).tolist(), last}
        for name in self._followed:
            if not all(name in self._following.get(step, ()) for step in ended):
                problems.add(f"Column {name!r}: what followed the end of an episode, or the last step, was not given.")
        problems.raise_if_any(ColumnError)
        return (terminated, truncated, valid), {name: self._block(name, steps) for name, steps in taken.items()}

    def _flags(self) -> tuple[Array, Array, Array]:
        """Where episodes were terminated and truncated, and what is a step, bool [steps, N]."""
        shape = (len(self._rows), self.num_envs)
        kinds = (self._terminated, self._truncated)
        flags = [np.concatenate(flag) if flag else np.zeros(0, np.bool_) for flag in kinds]
        valid = np.ones(shape, np.bool_)
        sizes = {*(flag.size for flag in flags), *(np.size(flag) * shape[0] for flag in self._valid.values())}
        if sizes != {valid.size}:
            raise ShapeError(f"terminated, truncated, valid: [{self.num_envs}] is needed in each step.")
        for step, flag in self._valid.items():
            valid[step] = np.reshape(flag, self.num_envs) != 0
        return flags[0].reshape(shape) != 0, flags[1].reshape(shape) != 0, valid

    def _taken(self, name: str, problems: Problems) -> list[Array]:
        try:
            return [rows[name] for rows in self._rows]
        except KeyError:
            problems.add(f"Column {name!r} is missing in a step.")
            return []

    def _block(self, name: str, steps: list[Array]) -> Array:
        """A column [N, steps + 1, *shape]; where nothing is known of what followed the last step, its row is empty."""
        joined = self._joined(name, steps)
        block = self._spaces.get(name)
        shape = (self.num_envs, len(steps) + 1, *joined.shape[2:])
        if block is None or (block.shape, block.dtype) != (shape, joined.dtype):
            block = self._spaces[name] = np.empty(shape, joined.dtype)
        block[:, :-1] = joined.swapaxes(0, 1)
        if name in self._followed:
            block[:, -1] = self._following[len(steps) - 1][name]
        return block

    def _joined(self, name: str, steps: list[Array]) -> Array:
        """A column [steps, N, *shape]."""
        try:
            joined = np.concatenate(steps)
        except ValueError:
            raise ColumnError(f"Column {name!r}: its rows differ in shape from one step to the next.") from None
        if len(joined) != len(steps) * self.num_envs or len(steps[0]) != self.num_envs:
            raise ShapeError(f"{name}: rows of {self.num_envs} environments are needed, not {np.shape(steps[0])}.")
        return joined.reshape(len(steps), self.num_envs, *joined.shape[1:])

    def _pieces(self, flags: tuple[Array, Array, Array], columns: Mapping[str, Array]) -> Iterator[dict[str, Any]]:
        """What each environment did, cut where an episode ended."""
        terminated, truncated, valid = flags
        ended = terminated | truncated
        ended[-1] = True
        for env in range(self.num_envs):
            for begin, end in pairwise([0, *(np.flatnonzero(ended[:, env]) + 1).tolist()]):
                begin += int(not valid[begin, env])
                if begin == end:
                    continue
                piece: dict[str, Any] = {name: block[env, begin:end] for name, block in columns.items()}
                for name in self._followed:
                    if end == len(ended):
                        piece[name] = columns[name][env, begin:]
                    else:
                        last = np.asarray(self._following[end - 1][name])[env]
                        piece[name] = np.concatenate([piece[name], last[None]])
                yield {**piece, self._tag: float(not terminated[end - 1, env])}


def _targets_of_next(table: ArrayMemoryTable) -> Iterable[str]:
    """The columns of which what follows a step is asked for: they have a row after the last step."""
    virtual = [column for column in table.columns.values() if isinstance(column, VirtualColumn)]
    return sorted({c.target_name for c in virtual if isinstance(table.storages[c.name], NextElementMapper)})
