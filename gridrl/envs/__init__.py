"""Worlds: making them by name, flattening their spaces, stepping one or many alike, keeping their state."""
