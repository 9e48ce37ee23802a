"""`make bench`: every module here that has rows(), in one table.

python -m tests.benchmarks            everything
python -m tests.benchmarks harness    one module
"""

from __future__ import annotations

import importlib
import pkgutil
import sys

import tests.benchmarks
from common.datasets import DatasetMissing
from tests.benchmarks.table import show


def main(wanted: list[str]) -> None:
    """Measure and print; what cannot be measured here is said, not dropped."""
    rows = []
    for module in pkgutil.iter_modules(tests.benchmarks.__path__):
        if module.name in ("__main__", "table") or (
            wanted and module.name not in wanted
        ):
            continue
        print(f"measuring {module.name} ...", file=sys.stderr)
        try:
            measured = importlib.import_module(f"tests.benchmarks.{module.name}")
            rows += list(measured.rows())
        except (ImportError, DatasetMissing) as missing:
            print(f"left out {module.name}: {missing}", file=sys.stderr)
    show(rows)


if __name__ == "__main__":
    main(sys.argv[1:])
