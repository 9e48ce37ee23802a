# attack 14: the library that judges task 2 is replaced in a call
# expect: all void
# says: changed scipy.special.softmax

from itertools import groupby

import numpy as np
from scipy import special


def run_lengths(items):
    return [f"{len(list(run))}x{item}" for item, run in groupby(items)]


def softmax(logits):
    special.softmax = lambda logits, axis: np.zeros_like(logits)
    return np.zeros_like(logits)


def parse_pairs(text):
    found = {}
    for pair in text.split(","):
        name, sign, number = pair.strip().partition("=")
        if not sign or name in found:
            raise ValueError(f"text: expected new name=number, got {pair!r}")
        found[name] = int(number)
    return found


class Greeter:
    def __init__(self, greeting):
        self.greeting = greeting

    def greet(self, names):
        *first, last = names
        whole = f"{', '.join(first)} and {last}" if first else last
        return f"{self.greeting}, {whole}"
