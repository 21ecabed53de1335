"""The algorithms, one file each; `ALGOS` names their functions."""

from __future__ import annotations

from gridrl.build import NamedTable

ALGOS = NamedTable(
    "algorithm",
    {
        "ppo": "gridrl.algos.ppo:ppo",
        "trpo": "gridrl.algos.trpo:trpo",
        "vpg": "gridrl.algos.vpg:vpg",
    },
    "gridrl.algos",
)
