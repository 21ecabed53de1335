"""Test episodes of off-policy runs: the policy without chance, in an environment that nothing is learned from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from gridrl.envs.stepping import Episode, Worlds, make_worlds
from gridrl.nn.exploring import Explorer
from gridrl.utils.mpi import num_procs, proc_id
from gridrl.utils.seeding import generator


class Testing:
    """Plays a number of episodes each epoch; over several ranks, each plays some of them.

    Every episode starts with a seed of its own that follows from the run's seed, the epoch and its number. Of most
    environments nothing else has to be kept for a run that goes on; what outlives a reset, in those whose state is
    known, stands in checkpoints.
    """

    def __init__(
        self,
        env_fn: Callable[[], Any],
        explorer: Explorer,
        num_episodes: int,
        *,
        seed: int,
        max_ep_len: int | None,
        to_env: Callable[[Any], Any] | None = None,
    ) -> None:
        """Makes the environment.

        Args:
            env_fn: makes it.
            explorer: who acts.
            num_episodes: of each epoch, over all ranks.
            seed: of the run.
            max_ep_len: steps after which an episode is cut; None for the environment's own limit alone.
            to_env: makes the environment's action of the explorer's; None: they are the same.
        """
        self._explorer, self._seed, self._to_env = explorer, seed, to_env
        self._numbers = range(proc_id(), num_episodes, num_procs())
        self._world: Worlds | None = make_worlds(env_fn, max_ep_len=max_ep_len) if self._numbers else None
        self._has_begun = False

    def play(self, epoch: int, interactions: int) -> Iterator[Episode]:
        """The test episodes of an epoch, this rank's share."""
        self._explorer.prepare(interactions)
        for number in self._numbers:
            yield self._episode(int(generator(self._seed, "test", epoch, number).integers(2**31)))

    def _episode(self, seed: int) -> Episode:
        world, best, to_env = self._world, self._explorer.best, self._to_env
        assert world is not None
        self._has_begun = True
        obs = world.reset(seed)
        while True:
            action = best(obs[None])[0]
            outcome = world.step(action if to_env is None else to_env(action))
            if outcome.terminated or outcome.truncated:
                return world.finished_episodes()[0]
            obs = outcome.obs

    def state_dict(self) -> dict[str, Any]:
        """The environment's state, None where it is not known or nothing has been played yet."""
        return {"world": self._world.get_state() if self._world is not None and self._has_begun else None}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes up what `state_dict` gave."""
        if self._world is not None and state_dict["world"] is not None:
            self._world.set_state(dict(state_dict["world"]))
            self._has_begun = True

    def close(self) -> None:
        """Closes the environment."""
        if self._world is not None:
            self._world.close()
