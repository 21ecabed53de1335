"""Values as text: for people and JSON files, for the ids of runs; and what keeps one from being pickled."""

from __future__ import annotations

from gridrl.utils.canonical import canonical
from gridrl.utils.jsonable import convert_json
from gridrl.utils.pickling import find_unpicklable

__all__ = ["canonical", "convert_json", "find_unpicklable"]
