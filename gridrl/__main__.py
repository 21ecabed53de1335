"""`python -m gridrl` is `python -m gridrl.run`."""

from __future__ import annotations

from gridrl.run import entry

if __name__ == "__main__":
    entry()
