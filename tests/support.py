"""What several test files share; nothing here is a test."""

import os
from typing import NoReturn

import pytest

from common import datasets


def requires(*names: str) -> None:
    """Skip the calling test where one of these datasets is absent; in CI, fail it.

    CI has every dataset, so an absent one there is a broken set-up: a skip would let
    the suite pass without having looked.
    """
    absent = [name for name in names if not datasets.available(name)]
    if not absent:
        return
    without_data(f"dataset not on this machine: {', '.join(absent)}; set LABS_DATA")


def without_data(reason: str) -> NoReturn:
    """Skip the calling test, which lacks its data; in CI, fail it."""
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(reason)
    pytest.skip(reason)
