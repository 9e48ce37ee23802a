"""Fetch data sets by name: ``python -m common.datasets tinyshakespeare wikitext-2``.

Without a name it lists all of them and says which are on this machine.
"""

from __future__ import annotations

import sys

from common import datasets


def main(names: list[str]) -> None:
    """Download what is missing of `names`; list every set where there are none."""
    for name in names:
        print(f"{name}: {datasets.path(name)}")
    for name in [] if names else datasets.names():
        state = "here" if datasets.available(name) else "not here"
        print(f"{name:<18} {state:<9} {datasets.DATASETS[name].about}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (datasets.UnknownDataset, datasets.DatasetMissing) as problem:
        print(problem, file=sys.stderr)
        sys.exit(2)
