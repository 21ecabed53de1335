"""Gradients and parameters over two real ranks; expected values by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from gridrl.utils.torch_mpi import average_flat, mpi_avg_grads, setup_pytorch_for_mpi, sync_params, to_numpy

Answers = Callable[[str, int], list[Any]]


def test_one_rank_keeps_its_gradients_parameters_and_threads() -> None:
    module = torch.nn.Linear(2, 1)
    module.weight.grad = torch.tensor([[1.0, 2.0]])
    before, threads = [parameter.clone() for parameter in module.parameters()], torch.get_num_threads()
    setup_pytorch_for_mpi()
    mpi_avg_grads(module)
    sync_params(module)
    assert module.weight.grad.tolist() == [[1.0, 2.0]]
    assert module.bias.grad is None
    assert all(torch.equal(old, new) for old, new in zip(before, module.parameters(), strict=True))
    assert torch.get_num_threads() == threads
    array = np.ones(3, np.float32)
    assert average_flat(array) is array


GRADIENTS = """
import os
import numpy as np, torch
from gridrl.utils.mpi import proc_id
from gridrl.utils.torch_mpi import average_flat, mpi_avg_grads, setup_pytorch_for_mpi, sync_params, to_numpy

calls = []

def counted(name):
    from mpi4py import MPI
    original = getattr(MPI.Intracomm, name)
    class Counting(MPI.Intracomm):
        pass
    def method(self, *args, **kwargs):
        calls.append(name)
        return original(self, *args, **kwargs)
    setattr(Counting, name, method)
    return Counting

def work():
    from mpi4py import MPI
    rank = proc_id()
    MPI.COMM_WORLD = counted("Allreduce")(MPI.COMM_WORLD)
    net = torch.nn.ParameterDict(dict(
        both=torch.nn.Parameter(torch.zeros(2)), one=torch.nn.Parameter(torch.zeros(1, 2)),
        none=torch.nn.Parameter(torch.zeros(2)), frozen=torch.nn.Parameter(torch.zeros(1), requires_grad=False),
        brief=torch.nn.Parameter(torch.zeros(1, dtype=torch.bfloat16)), scalar=torch.nn.Parameter(torch.zeros(()))))
    net["both"].grad = torch.tensor([1.0, 2.0]) * (rank + 1)
    kept = net["both"].grad
    if rank == 1:
        net["one"].grad = torch.tensor([[4.0, 6.0]])
    net["brief"].grad = torch.full((1,), 1.0 + rank, dtype=torch.bfloat16)
    net["scalar"].grad = torch.tensor(float(rank))
    mpi_avg_grads(net)
    grads = {name: None if p.grad is None else p.grad.tolist() for name, p in net.items()}
    exchanges = list(calls)

    flat = np.array([rank, 3.0], np.float32)
    strided = torch.zeros(4)
    strided[::2] = rank
    average_flat(flat), average_flat(strided[::2])
    half = average_flat(np.full(1, rank, np.float16))
    parameter = torch.nn.Parameter(torch.full((2,), float(rank)))
    average_flat(parameter)

    torch.manual_seed(rank)
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    module.register_buffer("flags", torch.tensor([bool(rank), False]), persistent=False)
    module.double()[0].bias.data = torch.full((2,), 0.1, dtype=torch.float32) + rank
    module[1].num_batches_tracked += 7 * rank
    pointer = module[0].weight.data_ptr()
    sync_params(module)
    torch.set_num_threads(4)
    setup_pytorch_for_mpi()
    as_told = torch.get_num_threads()
    os.environ.pop("OMP_NUM_THREADS")
    setup_pytorch_for_mpi()
    return dict(
        grads=grads, in_place=net["both"].grad is kept, dtype=str(net["brief"].grad.dtype), exchanges=exchanges,
        flat=flat.tolist(), strided=strided.tolist(), half=half.tolist(), parameter=parameter.tolist(),
        weight=module[0].weight.tolist(), bias=module[0].bias.tolist(), batches=int(module[1].num_batches_tracked),
        flags=module.flags.tolist(), same_memory=module[0].weight.data_ptr() == pointer,
        threads=[as_told, torch.get_num_threads()],
    )
"""


def test_two_ranks_share_gradients_and_parameters(answers_of_ranks: Answers) -> None:
    first, second = answers_of_ranks(GRADIENTS, 2)
    assert first == second
    torch.manual_seed(0)
    weight = torch.nn.Linear(3, 2).weight.double()
    assert first == {
        # a rank without a gradient counts as zeros; where no rank has one, none is made up
        "grads": {
            "both": [1.5, 3.0],
            "one": [[2.0, 3.0]],
            "none": None,
            "frozen": None,
            "brief": [1.5],
            "scalar": 0.5,
        },
        "in_place": True,
        "dtype": "torch.bfloat16",
        "exchanges": ["Allreduce"],
        "flat": [0.5, 3.0],
        "strided": [0.5, 0.0, 0.5, 0.0],
        "half": [0.5],
        "parameter": [0.5, 0.5],
        "weight": weight.tolist(),
        "bias": torch.full((2,), 0.1).tolist(),
        "batches": 0,
        "flags": [False, False],
        "same_memory": True,
        "threads": [4, 2],  # as OMP_NUM_THREADS says; without it, half of them each
    }


STEP = """
import torch
from gridrl.utils.mpi import proc_id
from gridrl.utils.torch_mpi import mpi_avg_grads, sync_params

def work():
    torch.manual_seed(proc_id())
    net = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    sync_params(net)
    generator = torch.Generator().manual_seed(5)
    x, y = torch.randn(64, 3, generator=generator), torch.randn(64, 1, generator=generator)
    mine = slice(32 * proc_id(), 32 * proc_id() + 32)
    for _ in range(10):
        net.zero_grad()
        torch.mean((net(x[mine]) - y[mine]) ** 2).backward()
        mpi_avg_grads(net)
        with torch.no_grad():
            for parameter in net.parameters():
                parameter -= 0.1 * parameter.grad
    return [parameter.tolist() for parameter in net.parameters()]
"""


def test_two_ranks_with_half_the_batch_step_like_one_with_all_of_it(answers_of_ranks: Answers) -> None:
    first, second = answers_of_ranks(STEP, 2)
    assert first == second
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    generator = torch.Generator().manual_seed(5)
    x, y = torch.randn(64, 3, generator=generator), torch.randn(64, 1, generator=generator)
    for _ in range(10):
        net.zero_grad()
        torch.mean((net(x) - y) ** 2).backward()
        with torch.no_grad():
            for parameter in net.parameters():
                parameter -= 0.1 * parameter.grad
    for found, expected in zip(first, net.parameters(), strict=True):
        np.testing.assert_allclose(found, expected.detach().numpy(), atol=1e-6)


def test_a_tensor_as_an_array() -> None:
    leaf = torch.tensor([1.0, 2.0], requires_grad=True)
    array = to_numpy(leaf * 2)
    assert array.tolist() == [2.0, 4.0]
    assert array.dtype == np.float32
    shared = torch.zeros(2)
    to_numpy(shared)[0] = 5.0
    assert shared.tolist() == [5.0, 0.0], "on the CPU it is the tensor's own memory"
    assert to_numpy(torch.tensor([1.5], dtype=torch.bfloat16)).tolist() == [1.5]
    assert to_numpy(torch.tensor([1 + 2j]).conj()).tolist() == [1 - 2j]
