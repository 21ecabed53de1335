"""Colours that everybody can tell apart, and letters that fit."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from gridrl.results.looks import PALETTE, axis_words, font_size, look, plain, style

# G. M. Machado, M. M. Oliveira, L. A. F. Fernandes, IEEE Trans. Visualization and Computer Graphics 15(6), 2009:
# what remains of linear RGB where one kind of cone is missing.
BLINDNESS = {
    "none": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TO_XYZ = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
WHITE = [0.95047, 1, 1.08883]


def linear(color: str) -> np.ndarray:
    parts = np.array([int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)])
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b*, in which a distance of about 2 can just be seen."""
    xyz = np.array(TO_XYZ) @ np.clip(rgb, 0, 1) / WHITE
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("kind", BLINDNESS)
def test_two_colours_never_look_alike(kind: str) -> None:
    seen = [lab(np.array(BLINDNESS[kind]) @ linear(color)) for color in PALETTE]
    nearest = min(float(np.linalg.norm(a - b)) for a, b in itertools.combinations(seen, 2))
    assert nearest > 15


def test_the_measure_finds_colours_that_look_alike() -> None:
    red, green = (lab(np.array(BLINDNESS["deutan"]) @ linear(color)) for color in ("#B07030", "#809030"))
    assert np.linalg.norm(red - green) < 15 < np.linalg.norm(lab(linear("#B07030")) - lab(linear("#809030")))


@pytest.mark.parametrize("color", PALETTE)
def test_a_line_can_be_seen_on_white(color: str) -> None:
    luminance = float(linear(color) @ [0.2126, 0.7152, 0.0722])
    assert 1.05 / (luminance + 0.05) > 2.2


def test_thirty_two_variants_differ() -> None:
    looks = [look(rank) for rank in range(32)]
    assert len({(one.color, str(one.dash), one.marker) for one in looks}) == 32
    assert [one.dash for one in looks[:8]] == ["-"] * 8
    assert [one.marker for one in looks[:8]] == [""] * 8
    assert all(one.marker for one in looks[8:])


def test_the_first_variant_lies_on_top() -> None:
    assert look(0).line["zorder"] > look(1).line["zorder"] > look(30).line["zorder"] > 3


def test_letters_grow_with_the_figure() -> None:
    assert [font_size(width) for width in (0.5, 3.2, 7.2, 20)] == [7, pytest.approx(8), 11, 11]
    assert style(8.0)["font.size"] == 8
    assert style(8.0)["lines.linewidth"] < style(11.0)["lines.linewidth"]


def test_words_are_no_mathematics() -> None:
    assert axis_words("TotalEnvInteracts") == "environment steps"
    assert axis_words("Cost$") == r"Cost\$"
    assert plain("a$b$") == r"a\$b\$"
