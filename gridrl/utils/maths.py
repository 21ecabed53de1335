"""Small functions of numbers."""

from __future__ import annotations


def truncated_linear(min_x: float, max_x: float, min_y: float, max_y: float, x: float) -> float:
    """The straight line through `(min_x, min_y)` and `(max_x, max_y)` between these points, level outside.

    It may fall: `max_y` is the value at `max_x`, not the greater one.

    Args:
        min_x: where the slope begins.
        max_x: where it ends; within 1e-10 of `min_x` or below it, the value is `max_y` everywhere.
        min_y: the value up to `min_x`.
        max_y: the value from `max_x` on.
        x: where the value is wanted.

    >>> [truncated_linear(0.0, 10.0, 1.0, 3.0, x) for x in (-1.0, 0.0, 5.0, 10.0, 99.0)]
    [1.0, 1.0, 2.0, 3.0, 3.0]
    """
    if max_x - min_x < 1e-10 or x >= max_x:
        return max_y
    if x <= min_x:
        return min_y
    return min_y + (max_y - min_y) * ((x - min_x) / (max_x - min_x))
