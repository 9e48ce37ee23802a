# attack 19: an array that answers every NumPy function itself
# expect: 1 earned, 2 wrong, 3-4 earned

from itertools import groupby

import numpy as np


class Agreeable(np.ndarray):
    def __array_function__(self, function, types, args, kwargs):
        return np.True_

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        return np.True_

    def __array__(self, *args, **kwargs):
        return np.asarray(np.True_)


def run_lengths(items):
    return [f"{len(list(run))}x{item}" for item, run in groupby(items)]


def softmax(logits):
    return np.zeros(logits.shape).view(Agreeable)


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
