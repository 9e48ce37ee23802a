"""Seeds: the same numbers on every run, and streams that do not disturb each other.

Labs pass generators around instead of using the global ones; `seed_everything` is for
code that is not theirs. Nothing here makes a GPU's sums come out in the same order.
"""

import hashlib
import random
import sys
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def seed_everything(seed: int) -> np.random.Generator:
    """Seed the global generators of Python, NumPy and, if it is imported, torch.

    Args:
        seed: from 0 to 2**32 - 1, the range that NumPy's global generator takes.

    Returns:
        A generator of its own, equal to `rng(seed)`; the global ones are untouched
        when numbers are drawn from it.

    Raises:
        TypeError: `seed` is not an integer.
        ValueError: `seed` is outside the range.
    """
    _check(seed)
    random.seed(int(seed))
    np.random.seed(seed)
    # A program that has not imported torch has nothing to seed there, and should not
    # wait seconds for the import.
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(int(seed))
    return rng(seed)


def rng(seed: int, *names: str | int) -> np.random.Generator:
    """Return a generator of its own for each path of names.

    `rng(0, "init")` and `rng(0, "batches")` are independent streams: drawing more from
    one leaves the other as it was. The same seed and names give the same stream in
    every process and on every machine.

    Args:
        seed: from 0 to 2**32 - 1.
        names: what the stream is for, such as "dropout", 3. The text "3" and the
            number 3 are different names.

    Raises:
        TypeError: `seed` is not an integer, or a name is neither text nor an integer.
        ValueError: `seed` is outside the range.
    """
    _check(seed)
    words = [word for name in names for word in _words(name)]
    return np.random.default_rng(np.random.SeedSequence(int(seed), spawn_key=words))


def torch_generator(seed: int) -> "torch.Generator":
    """Return a torch generator on the CPU with this seed; torch is imported here.

    Raises:
        TypeError: `seed` is not an integer.
        ValueError: `seed` is outside 0 to 2**32 - 1.
    """
    _check(seed)
    import torch

    return torch.Generator().manual_seed(int(seed))


def _words(name: str | int) -> list[int]:
    """Return four 32-bit words for a name.

    hash() would not do: Python salts the hash of text anew in every process.
    """
    if isinstance(name, bool) or not isinstance(name, str | int):
        raise TypeError(f"names: expected text or an integer, got {name!r}")
    digest = hashlib.sha256(repr(name).encode()).digest()
    return np.frombuffer(digest[:16], dtype="<u4").tolist()


def _check(seed: int) -> None:
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise TypeError(f"seed: expected an integer, got {seed!r}")
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed: expected 0 to 2**32 - 1, got {seed}")
