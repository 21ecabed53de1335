"""The algorithms, one file each; `ALGOS` names their functions."""

from __future__ import annotations

from gridrl.build import NamedTable

ALGOS = NamedTable(
    "algorithm",
    {
        "ddpg": "gridrl.algos.ddpg:ddpg",
        "dqn": "gridrl.algos.dqn:dqn",
        "ppo": "gridrl.algos.ppo:ppo",
        "sac": "gridrl.algos.sac:sac",
        "td3": "gridrl.algos.td3:td3",
        "trpo": "gridrl.algos.trpo:trpo",
        "vpg": "gridrl.algos.vpg:vpg",
    },
    "gridrl.algos",
)
