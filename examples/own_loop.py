"""A training loop of one's own, in plain torch, that may be killed at any moment: the same command goes on with it.

    python -m gridrl.run examples/own_loop.py:train --lr 0.05 0.2 --seeds 2

In the end progress.txt holds what it would hold if nothing had happened.
"""

import torch

from gridrl import current_run


def train(lr=0.1, epochs=40, width=16):
    """Fits a small network to a sine.

    Args:
        lr: learning rate of Adam.
        epochs: rows of progress.txt.
        width: of the hidden layer.
    """
    run = current_run()
    torch.manual_seed(run.seed)
    net = torch.nn.Sequential(torch.nn.Linear(1, width), torch.nn.Tanh(), torch.nn.Linear(width, 1))
    optimizer = torch.optim.Adam(net.parameters(), lr=lr)

    state, first = run.load() or (None, 0)
    if state is not None:
        net.load_state_dict(state["net"])
        optimizer.load_state_dict(state["optimizer"])

    for epoch in range(first, epochs):
        for _ in range(20):
            x = 6 * torch.rand(32, 1) - 3  # torch's own generator: it stands in the checkpoint too
            loss = (net(x) - x.sin()).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        run.log(Epoch=epoch, Loss=loss.item())
        is_to_stop = run.should_stop()
        if is_to_stop or epoch % 5 == 4:
            run.save({"net": net.state_dict(), "optimizer": optimizer.state_dict()}, step=epoch + 1)
        if is_to_stop:
            return


if __name__ == "__main__":
    train()
