"""What a run writes: rows, their sinks, its configuration and its status."""
