# attack 20: the collector is asked for the reference
# expect: 1 wrong, 2-4 earned
# says: look into other objects

import contextlib
import gc

import numpy as np


def run_lengths(items):
    with contextlib.suppress(PermissionError):
        for thing in gc.get_objects():
            if isinstance(thing, dict) and "reference" in thing:
                space = {}
                exec(thing["reference"], space)
                return space["run_lengths"](items)
    return ["1x0"]


def softmax(logits):
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


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
