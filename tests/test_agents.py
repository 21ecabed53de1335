"""Agents: who acts is asked once for all who go on, by the documented arguments, and nothing is built for gradients."""

from __future__ import annotations

import doctest
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import gridrl.agents
from gridrl.agents import (
    AgentProxy,
    AgentProxyWrapper,
    BatchAgent,
    FeatureAgentProxy,
    GenericAgentProxy,
    MultiKeyAgentProxy,
    VisionAgentProxy,
)
from gridrl.envs.spaces import BoxSpace, DictSpace, MDPSpace
from gridrl.errors import BadValue, ShapeError
from gridrl.typing import DictObservation, EpisodeState


class Sum(nn.Module):
    """Gives the sum over all inputs' features, log-probabilities, and the number of calls."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.seen: list[tuple[Tensor, ...]] = []

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        self.seen.append(inputs)
        total = torch.stack([x.float().flatten(1).sum(1) for x in inputs]).sum(0)
        return total[:, None] * self.scale, torch.full((len(total), 1), -7.0), total + 100.0


def at(state: EpisodeState = EpisodeState.RUNNING, **parts: Any) -> DictObservation:
    return DictObservation({"reward": 0.0}, state, parts)


def actions(found: Mapping[int, Any]) -> dict[int, list[float]]:
    return {agent: list(response.list_data["actions"]) for agent, response in found.items()}


def test_agents_that_go_on_are_asked_in_one_call() -> None:
    policy = Sum()
    agent = GenericAgentProxy(policy, torch.device("cpu"), ("obs",), ("actions",))
    seen = {
        4: at(EpisodeState.INITIAL, obs=[1.0, 2.0]),
        9: at(EpisodeState.TERMINAL, obs=[5.0, 5.0]),
        2: at(obs=np.array([3.0, 4.0])),
        7: at(EpisodeState.INTERRUPTED, obs=[6.0, 6.0]),
    }
    assert actions(agent(seen)) == {4: [3.0], 2: [7.0]}
    assert len(policy.seen) == 1
    assert policy.seen[0][0].dtype == torch.float32
    assert agent.policy is policy
    assert (agent.input_names, agent.output_names) == (("obs",), ("actions",))
    assert isinstance(agent, AgentProxy)


def test_nothing_is_called_when_every_agent_has_ended() -> None:
    policy = Sum()
    agent = FeatureAgentProxy(policy, "cpu")
    assert agent({1: at(EpisodeState.TERMINAL, obs=[1.0])}) == {}
    assert agent({}) == {}
    assert policy.seen == []


def test_no_graph_is_built() -> None:
    grads = []

    class Watched(Sum):
        def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            grads.append(torch.is_grad_enabled())
            return super().forward(*inputs)

    FeatureAgentProxy(Watched(), "cpu")({1: at(obs=[1.0])})
    assert grads == [False]
    assert torch.is_grad_enabled()


def test_the_second_output_is_left_out_where_it_is_log_probabilities() -> None:
    for uses_logprobs, second in ((True, 103.0), (False, -7.0)):
        agent = GenericAgentProxy(Sum(), "cpu", ("obs",), ("actions", "second"), uses_logprobs)
        assert agent({1: at(obs=[1.0, 2.0])})[1].list_data["second"] == [second]


def test_parts_go_in_by_their_keys_in_the_shapes_of_their_spaces() -> None:
    spaces = MDPSpace(
        None,
        BoxSpace(np.float32, (1, 1)),
        DictSpace({"image": BoxSpace(np.uint8, (2, 2)), "goal": BoxSpace(np.float32, (1,))}),
    )
    policy = Sum()
    agent = MultiKeyAgentProxy(policy, "cpu", ("goal", "image"), spaces)
    found = agent({3: at(image=np.arange(4, dtype=np.uint8), goal=1)})
    goal, image = policy.seen[0]
    assert (goal.shape, goal.dtype, image.shape, image.dtype) == ((1, 1), torch.float32, (1, 2, 2), torch.uint8)
    assert np.shape(found[3].list_data["actions"]) == (1, 1)
    with pytest.raises(ShapeError, match=r"image: \[1, 3\] was given, \[1, 2, 2\] is the shape of its space"):
        agent({3: at(image=np.zeros(3), goal=1)})


def test_the_documented_kinds_look_at_what_they_are_documented_to() -> None:
    assert VisionAgentProxy(Sum(), "cpu").input_names == ("obs",)
    assert FeatureAgentProxy(Sum(), "cpu", input_key="features").input_names == ("features",)
    assert MultiKeyAgentProxy(Sum(), "cpu", ["features", "images"]).input_names == ("features", "images")


def test_a_wrapper_gives_what_stands_inside_it() -> None:
    inner = FeatureAgentProxy(Sum(), "cpu")
    wrapped = AgentProxyWrapper(inner=AgentProxyWrapper(inner=inner))
    assert actions(wrapped({1: at(obs=[1.0, 2.0])})) == {1: [3.0]}
    assert wrapped.policy is inner.policy
    assert (wrapped.input_names, wrapped.output_names) == (inner.input_names, inner.output_names)
    assert isinstance(wrapped, AgentProxy)


def test_an_agent_without_a_network_is_an_agent() -> None:
    class Still(BatchAgent):
        def act(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
            return {"actions": np.zeros(len(inputs["obs"]))}

    still = Still(("obs",), ("actions",))
    assert isinstance(still, AgentProxy)
    assert isinstance(AgentProxyWrapper(inner=still), AgentProxy)
    assert not isinstance(Sum(), AgentProxy)


def test_what_is_wrong_is_told() -> None:
    spaces = MDPSpace(None, BoxSpace(np.float32, (1,)), DictSpace({"obs": BoxSpace(np.float32, (2,))}))
    with pytest.raises(BadValue, match=r"input_keys: 'obss' is none of obs. Did you mean 'obs'\?"):
        GenericAgentProxy(Sum(), "cpu", ("obss",), ("actions",), spaces=spaces)
    with pytest.raises(BadValue, match=r"not one text: \('obs',\) was meant"):
        GenericAgentProxy(Sum(), "cpu", "obs", ("actions",))
    agent = FeatureAgentProxy(Sum(), "cpu")
    with pytest.raises(BadValue, match="the observation of agent 5 has no 'obs', only features"):
        agent({5: at(features=[1.0])})
    agent = GenericAgentProxy(Sum(), "cpu", ("obs",), ("a", "b", "c"))
    with pytest.raises(BadValue, match="gave 2 outputs beside log-probabilities; output_keys names 3: a, b, c"):
        agent({5: at(obs=[1.0])})
    agent = GenericAgentProxy(nn.Flatten(0), "cpu", ("obs",), ("actions",), uses_logprobs=False)
    with pytest.raises(BadValue, match=r"gave \[2\] for 'actions': a tensor \[1, ...\] is needed"):
        agent({5: at(obs=[1.0, 2.0])})

    class Short(BatchAgent):
        def act(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
            return {"actions": np.zeros(1)}

    with pytest.raises(ShapeError, match=r"actions: \[1\] came back for 2 agents"):
        Short(("obs",), ("actions",))({1: at(obs=[0.0]), 2: at(obs=[0.0])})
    with pytest.raises(ShapeError, match=r"obs: agents observe \[1\] and \[2\]; .* arrays of one shape"):
        Short(("obs",), ("actions",))({1: at(obs=[0.0, 1.0]), 2: at(obs=[0.0])})
    with pytest.raises(BadValue, match="Short acts without a network"):
        _ = Short(("obs",), ("actions",)).policy


def test_examples_run() -> None:
    assert doctest.testmod(gridrl.agents).failed == 0
