"""Four small exercises, the target of the hostile labs in the folder above.

Task 1 (3 points): run_lengths. Task 2 (3): softmax. Task 3 (2): parse_pairs.
Task 4 (2): Greeter. Nothing here is taught; everything here is attacked.
"""

from __future__ import annotations

import numpy as np

# --- Task 1 (3 points): runs ---


def run_lengths(items: list[int]) -> list[str]:
    """Describe the runs of equal neighbours: ``[7, 7, 3]`` gives ``["2x7", "1x3"]``.

    Args:
        items: whole numbers, any length.

    Returns:
        One string per run, in order: how often, "x", the number.
    """
    # task 1
    runs: list[list[int]] = []
    for item in items:
        if runs and runs[-1][1] == item:
            runs[-1][0] += 1
        else:
            runs.append([1, item])
    return [f"{count}x{item}" for count, item in runs]


# --- Task 2 (3 points): softmax ---


def softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax of each row.

    Args:
        logits: float64 array (B, C).

    Returns:
        A new float64 array (B, C) whose rows sum to 1.
    """
    # task 2
    shifted = logits - logits.max(axis=1, keepdims=True)  # exp(1000) overflows
    weights = np.exp(shifted)
    return weights / weights.sum(axis=1, keepdims=True)


# --- Task 3 (2 points): pairs ---


def parse_pairs(text: str) -> dict[str, int]:
    """Read ``"a=1, b=2"`` into ``{"a": 1, "b": 2}``.

    Args:
        text: name=number pairs between commas; spaces around a pair do not count.

    Returns:
        Name to number, in the order of the text.

    Raises:
        ValueError: a pair has no "=" or a name comes twice; it names `text`.
    """
    # task 3
    found: dict[str, int] = {}
    for pair in text.split(","):
        name, sign, number = pair.strip().partition("=")
        if not sign or name in found:
            raise ValueError(f"text: expected new name=number, got {pair!r}")
        found[name] = int(number)
    return found


# --- Task 4 (2 points): a class ---


class Greeter:
    """Greets by name.

    Args:
        greeting: the word that comes first.
    """

    def __init__(self, greeting: str) -> None:
        self.greeting = greeting

    def greet(self, names: list[str]) -> str:
        """``Greeter("Hi").greet(["Ann", "Bo"])`` gives ``"Hi, Ann and Bo"``.

        Args:
            names: at least one; several are joined by commas and a last "and".
        """
        # task 4
        *first, last = names
        return f"{self.greeting}, " + (
            f"{', '.join(first)} and {last}" if first else last
        )
