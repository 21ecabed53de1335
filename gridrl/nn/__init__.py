"""Networks: torch modules whose parameters numpy sees too, policies, and the optimiser over flat buffers."""
