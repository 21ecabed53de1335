"""The training loop and what hangs on it: callbacks bound to tensors by name, losses, checkpoints."""
