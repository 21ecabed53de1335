"""Videos as GIFs, which TensorBoard and W&B show."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt


def as_gif(frames: Any, per_second: float) -> bytes:
    """Frames as an animated GIF that begins again at its end.

    Args:
        frames: [frames, channels, height, width] with 1 or 3 channels, of 0-255 (whole numbers) or 0-1; several such
            videos [N, frames, ...] are shown side by side.
        per_second: frames that are shown in a second; GIFs know hundredths of a second.
    """
    from PIL import Image

    images = [Image.fromarray(image) for image in as_images(frames)]
    buffer = io.BytesIO()
    duration_ms = max(1000.0 / per_second, 10.0)
    images[0].save(buffer, "GIF", save_all=True, append_images=images[1:], duration=duration_ms, loop=0)
    return buffer.getvalue()


def as_images(frames: Any) -> npt.NDArray[np.uint8]:
    """Frames as images, uint8 [frames, height, width, 3]; see `as_gif`."""
    array = np.asarray(frames)
    if array.ndim == 5:
        array = np.concatenate(list(array), axis=-1)
    if array.dtype.kind == "f":
        array = (array.clip(0.0, 1.0) * 255.0).round()
    images = array.astype(np.uint8).transpose(0, 2, 3, 1)
    return np.repeat(images, 3, axis=-1) if images.shape[-1] == 1 else np.ascontiguousarray(images)
