"""Videos become GIFs that move at their speed."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from gridrl.log.video import as_gif, as_images


def test_frames_become_a_gif_that_runs_at_its_speed() -> None:
    moving = np.zeros((3, 1, 4, 4))
    moving[1] = 1.0
    gif = Image.open(io.BytesIO(as_gif(moving, per_second=5)))
    assert gif.n_frames == 3  # type: ignore[attr-defined]
    assert gif.info["duration"] == 200
    gif.seek(1)
    assert np.asarray(gif.convert("RGB")).min() == 255
    assert as_images(np.stack([moving, moving])).shape == (3, 4, 8, 3), "several videos stand side by side"
