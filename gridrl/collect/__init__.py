"""Acting in worlds: what gathers the batches that a trainer learns from."""
