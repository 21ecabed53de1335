"""The state of a MuJoCo simulation, complete enough that it goes on to the last digit."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Arrays: TypeAlias = dict[str, npt.NDArray[Any]]

# Computed by a step from the state before its last substep, and read by some environments at the start of the next
# step (Ant, Humanoid: where was I?): recomputing them from the state kept would give slightly other numbers.
_LAGGING = ("xpos", "xipos")


def get_physics(env: Any) -> Arrays:
    """What the next steps of a gymnasium MuJoCo environment depend on, its own attributes and generator aside."""
    import mujoco

    kind = mujoco.mjtState.mjSTATE_INTEGRATION
    state = np.empty(mujoco.mj_stateSize(env.model, kind))
    mujoco.mj_getState(env.model, env.data, state, kind)
    return {"state": state, **{name: np.array(getattr(env.data, name)) for name in _LAGGING}}


def set_physics(env: Any, physics: Arrays) -> None:
    """Puts back what `get_physics` took, into an environment with the same model."""
    import mujoco

    mujoco.mj_setState(env.model, env.data, physics["state"], mujoco.mjtState.mjSTATE_INTEGRATION)
    for name in _LAGGING:
        getattr(env.data, name)[...] = physics[name]
