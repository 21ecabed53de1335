"""FlatAdam takes the steps of torch's Adam, by the fused kernel and by numpy."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gridrl.errors import CheckpointError
from gridrl.nn import optimizers
from gridrl.nn.flat import FlatParameters
from gridrl.nn.optimizers import FlatAdam, fused_adam_works


def pair() -> tuple[nn.Linear, FlatParameters, nn.Linear]:
    torch.manual_seed(0)
    ours, theirs = nn.Linear(5, 3), nn.Linear(5, 3)
    theirs.load_state_dict(ours.state_dict())
    return ours, FlatParameters([ours]), theirs


def backward(net: nn.Linear, step: int) -> None:
    net(torch.full((2, 5), 0.3 * step)).pow(2).sum().backward()


@pytest.mark.parametrize("fused", [True, False])
def test_ten_steps_are_those_of_torch(fused: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimizers, "fused_adam_works", lambda device: fused)
    ours, flat, theirs = pair()
    adam = FlatAdam(flat.segments[0], lr=0.01, betas=(0.8, 0.95), eps=1e-6)
    reference = torch.optim.Adam(theirs.parameters(), lr=0.01, betas=(0.8, 0.95), eps=1e-6)
    for step in range(1, 11):
        if step == 5:  # a schedule changes the step size in between
            adam.param_groups[0]["lr"] = reference.param_groups[0]["lr"] = 0.003
        for net, optimizer in ((ours, adam), (theirs, reference)):
            optimizer.zero_grad()
            backward(net, step)
            optimizer.step()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_this_torch_has_the_fused_kernel() -> None:
    assert fused_adam_works("cpu")


def test_a_kernel_that_takes_other_arguments_or_gives_other_numbers_is_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def raises(*args: object, **kwargs: object) -> None:
        raise TypeError("other arguments")

    for wrong in (raises, lambda *args, **kwargs: None):
        fused_adam_works.cache_clear()
        monkeypatch.setattr(torch, "_fused_adam_", wrong)
        assert not fused_adam_works("cpu")
    fused_adam_works.cache_clear()


def test_a_restored_optimiser_goes_on_as_if_it_had_not_stopped() -> None:
    ours, flat, _ = pair()
    adam = FlatAdam(flat.segments[0], lr=0.01)
    weights = []
    for step in range(1, 7):
        adam.zero_grad()
        backward(ours, step)
        adam.step()
        if step == 3:
            saved, parameters = adam.state_dict(), flat.param.clone()
        weights.append(flat.param.clone())
    other, other_flat, _ = pair()
    other_flat.param.copy_(parameters)
    again = FlatAdam(other_flat.segments[0], lr=0.5)
    again.load_state_dict(saved)
    for step in range(4, 7):
        again.zero_grad()
        backward(other, step)
        again.step()
    assert torch.equal(other_flat.param, weights[-1])


def test_a_state_of_another_network_is_refused() -> None:
    one = FlatAdam(FlatParameters([nn.Linear(2, 2)]).segments[0])
    other = FlatAdam(FlatParameters([nn.Linear(3, 2)]).segments[0])
    with pytest.raises(CheckpointError, match="state is of 6 parameters, the network has 8"):
        other.load_state_dict(one.state_dict())
