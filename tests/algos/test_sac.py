"""The losses of SAC against numbers worked by hand and a slow, obvious form; the documented classes on their own."""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gridrl.algos.sac import AlphaLoss, PolicyLoss, QLoss, QTarget, soft_update_from_to
from gridrl.envs.spaces import BoxSpace, DictSpace, MDPSpace
from gridrl.memory.builders import DictObsNStepMemoryTable
from gridrl.memory.loader import MemoryLoader
from gridrl.nn.continuous import Critics, SquashedActorCritic
from gridrl.schedules import LinearSchedule
from gridrl.train.callback import Callback
from gridrl.train.trainer import Trainer


class Fixed(nn.Module):
    """A policy that always answers the same, with one log-probability; it has a parameter to learn."""

    def __init__(self, action: float, logp: float, form: tuple[int, ...]) -> None:
        super().__init__()
        self.action = nn.Parameter(torch.tensor(action))
        self.logp, self.form = logp, form

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        rows = len(features)
        return self.action.expand(rows, 1), torch.full((rows, *self.form), self.logp)


class Linear(nn.Module):
    """`Q(s, a) = slope a + offset + s`, as [B, 1], the way Emote's critics answer."""

    def __init__(self, slope: float, offset: float) -> None:
        super().__init__()
        self.slope, self.offset = nn.Parameter(torch.tensor(slope)), nn.Parameter(torch.tensor(offset))

    def forward(self, action: Tensor, features: Tensor) -> Tensor:
        return self.slope * action + self.offset + features


LN_ALPHA = torch.tensor(math.log(0.5))


def target(**given: Any) -> QTarget:
    """Targets by min(2 a + 1, a + 4) + s at a = 2, so min(5, 6) = 5, plus s; with alpha log pi = 0.5 * -2."""
    q1, q2 = Linear(2.0, 1.0), Linear(1.0, 4.0)
    return QTarget(pi=Fixed(2.0, -2.0, (1,)), ln_alpha=LN_ALPHA, q1=q1, q2=q2, gamma=0.5, **given)


FEATURES = {"features": torch.tensor([[0.0], [10.0]])}


def test_the_target_worked_by_hand() -> None:
    # soft values: 5 + 0 + 1 = 6 and 5 + 10 + 1 = 16; the second is never reached
    rewards, masks = torch.tensor([[1.0], [3.0]]), torch.tensor([[1.0], [0.0]])
    found = target().begin_batch(FEATURES, rewards, masks)["q_target"]
    assert found.tolist() == [[1.0 + 0.5 * 6.0], [3.0]]
    assert target(reward_scale=2.0).begin_batch(FEATURES, rewards, masks)["q_target"].tolist() == [[5.0], [6.0]]


def test_without_masking_a_death_is_bootstrapped_through_as_in_emote() -> None:
    found = target(use_terminal_masking=False).begin_batch(FEATURES, torch.ones(2, 1), torch.zeros(2, 1))
    assert found["q_target"].tolist() == [[1.0 + 3.0], [1.0 + 8.0]]


def test_a_rollout_s_steps_look_to_its_end() -> None:
    # two rollouts of two steps; values 6 and 16 follow, the second rollout ended with a death
    rewards, masks = torch.tensor([[1.0], [2.0], [4.0], [8.0]]), torch.tensor([[1.0], [1.0], [1.0], [0.0]])
    found = target(roll_length=2).begin_batch(FEATURES, rewards, masks)["q_target"]
    assert found.tolist() == [[1 + 0.5 * 2 + 0.25 * 6], [2 + 0.5 * 6], [4 + 0.5 * 8], [8.0]]


def test_targets_follow_and_their_means_are_logged_for_who_asks() -> None:
    callback = target(target_q_tau=0.25)
    assert callback.scalar_logs == {}
    callback.begin_batch(FEATURES, torch.ones(2, 1), torch.ones(2, 1))
    logs = {name: pytest.approx(value) for name, value in callback.scalar_logs.items()}
    assert logs == {
        "training/next_logp_pi": -2.0,
        "training/min_next_q_target": 10.0,
        "training/scaled_reward": 1.0,
        "training/q_target": 6.5,
    }


def test_soft_updates_worked_by_hand() -> None:
    source, goal = Linear(4.0, 8.0), Linear(0.0, 0.0)
    soft_update_from_to(source, goal, 0.25)
    assert (goal.slope.item(), goal.offset.item()) == (1.0, 2.0)
    assert (source.slope.item(), source.offset.item()) == (4.0, 8.0)


def test_the_policy_s_loss_and_gradient_worked_by_hand() -> None:
    q1, q2 = Linear(2.0, 1.0), Linear(1.0, 4.0)
    pi = Fixed(2.0, -2.0, ())
    loss = PolicyLoss(pi=pi, ln_alpha=LN_ALPHA, q=q1, q2=q2, opt=torch.optim.SGD(pi.parameters(), 0.1))
    loss.backward(FEATURES)
    assert loss.loss_value is not None
    assert loss.loss_value.item() == pytest.approx(0.5 * -2.0 - 10.0)
    assert pi.action.item() == pytest.approx(2.0 + 0.1 * 2.0), "the smaller critic's slope"
    assert all(p.grad is None and p.requires_grad for q in (q1, q2) for p in q.parameters())


def test_the_critic_s_loss_and_gradient_worked_by_hand() -> None:
    q = Linear(2.0, 1.0)
    loss = QLoss(name="q1", q=q, opt=torch.optim.SGD(q.parameters(), 0.25), max_grad_norm=1e9)
    # values 2 a + 1 + s = 3 and 15; errors 2 and -1
    loss.backward(FEATURES, torch.tensor([[1.0], [2.0]]), torch.tensor([[1.0], [16.0]]))
    assert loss.loss_value is not None
    assert loss.loss_value.item() == pytest.approx((4.0 + 1.0) / 2)
    # d/dslope = mean(2 error a) = (4 - 4) / 2, d/doffset = mean(2 error) = 1
    assert (q.slope.item(), q.offset.item()) == pytest.approx((2.0, 0.75))


@pytest.mark.parametrize(("t_entropy", "step"), [(None, -2.0 + 3.0), (-1.0, -2.0 + 1.0), (1, -2.0 - 1.0)])
def test_the_temperature_s_loss_and_gradient_worked_by_hand(t_entropy: float | None, step: float) -> None:
    ln_alpha = torch.tensor(-3.0, requires_grad=True)
    loss = AlphaLoss(
        pi=Fixed(0.0, 2.0, (1,)),
        ln_alpha=ln_alpha,
        opt=torch.optim.SGD([ln_alpha], 0.5),
        n_actions=3,
        t_entropy=t_entropy,
    )
    loss.backward(FEATURES)
    assert ln_alpha.item() == pytest.approx(-3.0 - 0.5 * step), "its gradient is -(log pi + target)"


def test_the_temperature_is_cut_off_and_its_target_follows_a_schedule() -> None:
    ln_alpha = torch.tensor(1.0, requires_grad=True)

    def make(tensor: Tensor) -> AlphaLoss:
        optimizer = torch.optim.SGD([tensor], 0.0)
        schedule = LinearSchedule(0.0, 4.0, 4)
        return AlphaLoss(pi=Fixed(0.0, 2.0, (1,)), ln_alpha=tensor, opt=optimizer, n_actions=1, t_entropy=schedule)

    loss = make(ln_alpha)
    values = []
    for _ in range(3):
        loss.backward(FEATURES)
        assert loss.loss_value is not None
        values.append(loss.loss_value.item() / -ln_alpha.item())
        loss.end_batch()
    assert values == pytest.approx([2.0, 3.0, 4.0])
    assert ln_alpha.item() == pytest.approx(math.log(0.2))
    other = torch.tensor(0.0, requires_grad=True)
    copy = make(other)
    copy.load_state_dict(loss.state_dict())
    assert copy.ln_alpha is other
    assert other.item() == ln_alpha.item()
    assert copy.t_entropy.value == 3.0


@pytest.mark.parametrize("t_entropy", ["high", True, [1.0]])
def test_a_target_entropy_of_another_kind_is_refused(t_entropy: Any) -> None:
    ln_alpha = torch.zeros((), requires_grad=True)
    with pytest.raises(TypeError, match=r"^t_entropy must be a number or an instance of Schedule$"):
        AlphaLoss(
            pi=Fixed(0.0, 0.0, ()),
            ln_alpha=ln_alpha,
            opt=torch.optim.SGD([ln_alpha], 0.1),
            n_actions=1,
            t_entropy=t_entropy,
        )


def test_stacked_critics_and_one_pass_equal_a_plain_program() -> None:
    """One update of our networks, against torch's own layers and distributions, one operation after the other."""
    from gymnasium import spaces

    net = SquashedActorCritic(spaces.Box(-1.0, 1.0, (3,)), spaces.Box(-1.0, 1.0, (2,)), hidden_sizes=(5, 4))
    rng = np.random.default_rng(0)
    obs, action = (torch.from_numpy(rng.normal(size=(6, n)).astype(np.float32)) for n in (3, 2))
    assert isinstance(net.q, Critics)
    plain = []
    for member in range(2):
        layers = [module for module in net.q.net if hasattr(module, "weight")]
        x = torch.cat([obs, action], 1)
        for layer in layers:
            x = x @ layer.weight[member] + layer.bias[member]
            x = torch.relu(x) if layer is not layers[-1] else x
        plain.append(x[:, 0])
    assert torch.allclose(net.q(action, obs), torch.stack(plain), atol=1e-6)
    assert torch.allclose(net.q.net(torch.cat([obs, action], 1))[..., 0], torch.stack(plain), atol=1e-6)
    assert torch.allclose(net.q.first(action, obs), plain[0], atol=1e-6)
    torch.manual_seed(0)
    drawn, logp = net.pi(obs)
    torch.manual_seed(0)
    mean, log_std = net.pi.net(obs).chunk(2, 1)
    distribution = torch.distributions.TransformedDistribution(
        torch.distributions.Normal(mean, log_std.clamp(-20, 2).exp()),
        torch.distributions.TanhTransform(cache_size=1),
    )
    assert torch.allclose(drawn, torch.tanh(mean + log_std.exp() * torch.randn(6, 2)), atol=1e-6)
    assert torch.allclose(logp, distribution.log_prob(drawn).sum(1), atol=1e-4)


class Recorder(Callback):
    """Counts updates."""

    count = 0

    def end_batch(self) -> None:
        self.count += 1


def test_the_documented_parts_train_from_a_table_with_dict_observations() -> None:
    spaces = MDPSpace(None, BoxSpace(np.float32, (1,)), DictSpace({"features": BoxSpace(np.float32, (1,))}))
    table = DictObsNStepMemoryTable(spaces=spaces, maxlen=100, use_terminal_column=True)
    rng = np.random.default_rng(0)
    for identity in range(5):
        rows = {"features": rng.normal(size=(9, 1)), "actions": rng.normal(size=(8, 1)), "rewards": np.ones(8)}
        table.add_sequence(identity, {**rows, "terminal": 0.0})
    pi, q1, q2 = Fixed(0.5, -1.0, (1,)), Linear(0.1, 0.0), Linear(0.2, 0.0)
    ln_alpha = torch.tensor(1.0, requires_grad=True)
    sgd = [torch.optim.SGD(module.parameters(), 0.01) for module in (q1, q2, pi)]
    recorder = Recorder()
    callbacks = [
        QLoss(name="q1", q=q1, opt=sgd[0]),
        QLoss(name="q2", q=q2, opt=sgd[1]),
        PolicyLoss(pi=pi, ln_alpha=ln_alpha, q=q1, opt=sgd[2]),
        AlphaLoss(pi=pi, ln_alpha=ln_alpha, opt=torch.optim.SGD([ln_alpha], 0.1), n_actions=1),
        QTarget(pi=pi, ln_alpha=ln_alpha, q1=q1, q2=q2, roll_length=4),
        recorder,
    ]
    loader = MemoryLoader(table, rollout_count=6, rollout_length=4, size_key="batch_size")
    batches = iter(loader)
    before = [parameter.item() for module in (q1, q2, pi) for parameter in module.parameters()]
    Trainer(callbacks, (next(batches) for _ in range(3))).train()
    after = [parameter.item() for module in (q1, q2, pi) for parameter in module.parameters()]
    assert recorder.count == 3
    assert all(a != b for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize(
    ("part", "names"),
    [
        (QLoss, "name q opt lr_schedule max_grad_norm data_group log_per_param_weights log_per_param_grads"),
        (
            QTarget,
            "pi ln_alpha q1 q2 q1t q2t gamma reward_scale target_q_tau data_group roll_length use_terminal_masking",
        ),
        (
            PolicyLoss,
            "pi ln_alpha q opt lr_schedule q2 max_grad_norm name data_group log_per_param_weights log_per_param_grads",
        ),
        (AlphaLoss, "pi ln_alpha opt lr_schedule n_actions max_grad_norm max_alpha name data_group t_entropy"),
    ],
)
def test_they_take_the_documented_arguments_by_name(part: type, names: str) -> None:
    parameters = inspect.signature(part).parameters
    assert list(parameters) == names.split()
    assert all(one.kind is one.KEYWORD_ONLY for one in parameters.values())
