from __future__ import annotations

import copy
import pickle

import pytest

from gridrl.utils.attribute_dict import AttributeDict


def test_keys_are_attributes_at_every_depth() -> None:
    config = AttributeDict({"a": 1, "b": {"c": {"d": 2}}}, e=3)
    config.b.c.d = 5
    config["f"] = {"g": 7}
    assert (config.a, config.b.c.d, config["b"]["c"]["d"], config.e, config.f.g) == (1, 5, 5, 3, 7)
    assert ("a" in config, config.get("z", 0)) == (True, 0)
    with pytest.raises(AttributeError, match="There is no 'z', only 'a', 'b', 'e', 'f'"):
        _ = config.z


def test_copies_and_pickles_are_of_the_same_kind() -> None:
    config = AttributeDict({"b": {"c": 2}})
    for again in (copy.deepcopy(config), pickle.loads(pickle.dumps(config))):
        again.b.c = 3
        assert (type(again), type(again.b), again.b.c, config.b.c) == (AttributeDict, AttributeDict, 3, 2)
