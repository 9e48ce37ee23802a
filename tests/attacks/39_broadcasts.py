# attack 39: the right first row, in a shape that broadcasts
# expect: 1 earned, 2 wrong, 3-4 earned

from itertools import groupby

import numpy as np


def run_lengths(items):
    return [f"{len(list(run))}x{item}" for item, run in groupby(items)]


def softmax(logits):
    weights = np.exp(logits[:1] - logits[:1].max())
    return weights / weights.sum()


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
