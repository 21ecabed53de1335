"""Weight decay by kind of parameter: every parameter in one group, in one order, with torch's own steps."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from gridrl.errors import BadValue
from gridrl.nn.ensemble import EnsembleLinearLayer
from gridrl.nn.optimizers import ModifiedAdamW, separate_modules_for_weight_decay


class Everything(nn.Module):
    """A network with parameters of all kinds, some of which the lists do not name."""

    def __init__(self) -> None:
        super().__init__()
        self.log_std = nn.Parameter(torch.zeros(2))
        self.conv = nn.Conv1d(1, 2, 1)
        self.body = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3), nn.Linear(3, 3, bias=False))
        self.body_double = nn.Linear(3, 3)
        self.twins = EnsembleLinearLayer(2, 3, 1, rng=0)
        self.rnn = nn.GRU(2, 2)


KINDS = ((nn.Linear, EnsembleLinearLayer), (nn.LayerNorm,))


def test_weights_of_linear_layers_decay_and_all_else_does_not() -> None:
    decay, no_decay = separate_modules_for_weight_decay(Everything(), *KINDS)
    assert decay == {"body.0.weight", "body.2.weight", "body_double.weight", "twins.weight"}
    assert decay | no_decay == {name for name, _ in Everything().named_parameters()}
    assert not decay & no_decay
    assert {"log_std", "conv.weight", "rnn.weight_ih_l0"} <= no_decay


@pytest.mark.parametrize(
    ("excluded", "expected"),
    [
        ({"body.0"}, {"body.2.weight", "body_double.weight", "twins.weight"}),
        ({"body"}, {"body_double.weight", "twins.weight"}),  # with all in it; body_double is another layer
        (["twins", "body_double"], {"body.0.weight", "body.2.weight"}),
        ({""}, set()),  # the network itself
        (None, {"body.0.weight", "body.2.weight", "body_double.weight", "twins.weight"}),
    ],
)
def test_excluded_layers_do_not_decay(excluded: set[str] | None, expected: set[str]) -> None:
    assert separate_modules_for_weight_decay(Everything(), *KINDS, excluded)[0] == expected


def test_a_whitelist_names_other_kinds_too_and_the_blacklist_goes_first() -> None:
    assert "conv.weight" in separate_modules_for_weight_decay(Everything(), (nn.Conv1d,), ())[0]
    assert separate_modules_for_weight_decay(Everything(), (nn.Module,), (nn.Linear,))[0] == {
        "body.1.weight", "conv.weight", "twins.weight"
    }  # fmt: skip


def test_what_contradicts_itself_or_is_not_there_is_told() -> None:
    with pytest.raises(BadValue, match="Linear: with decay and without"):
        separate_modules_for_weight_decay(Everything(), (nn.Linear,), (nn.Linear, nn.LayerNorm))
    with pytest.raises(BadValue, match=r"no layer 'body\.3' to exclude\. Did you mean 'body\.2'"):
        ModifiedAdamW(Everything(), 1e-3, 0.1, layers_to_exclude={"body.3"})


def test_groups_hold_every_parameter_once_in_the_networks_order() -> None:
    net = Everything()
    groups = ModifiedAdamW(net, lr=1e-3, weight_decay=0.1).param_groups
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0]
    place = {id(parameter): number for number, parameter in enumerate(net.parameters())}
    order = [[place[id(parameter)] for parameter in group["params"]] for group in groups]
    assert sorted(order[0] + order[1]) == list(range(len(place)))
    assert [sorted(numbers) for numbers in order] == order


def test_a_tied_weight_is_in_one_group() -> None:
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    net[1].weight = net[0].weight
    groups = ModifiedAdamW(net, 1e-3, 0.1).param_groups
    assert [len(group["params"]) for group in groups] == [1, 2]


def test_only_what_decays_is_moved_without_a_gradient() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2))
    before: list[Tensor] = [parameter.detach().clone() for parameter in net.parameters()]
    optimizer = ModifiedAdamW(net, lr=0.5, weight_decay=0.1)
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    weight, *others = net.parameters()
    torch.testing.assert_close(weight.detach(), before[0] * (1 - 0.5 * 0.1))
    assert all(torch.equal(new, old) for new, old in zip(others, before[1:], strict=True))


def test_its_state_fits_the_same_network_made_again() -> None:
    first, again = Everything(), Everything()
    again.load_state_dict(first.state_dict())
    one, other = ModifiedAdamW(first, 1e-2, 0.1), ModifiedAdamW(again, 1e-2, 0.1)
    for step in range(3):
        if step == 2:
            other.load_state_dict(copy.deepcopy(one.state_dict()))
            again.load_state_dict(first.state_dict())
        for net, optimizer in ((first, one), (again, other)):
            for number, parameter in enumerate(net.parameters()):
                parameter.grad = torch.full_like(parameter, 0.1 * (number - 4) * (1 + step))
            optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
