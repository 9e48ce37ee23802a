# attack 14: a check is replaced until it is used once
# expect: all void
# says: changed common.grading.check.values


import numpy as np

from common.grading import check, values


class Once:
    """Says that all agrees, and puts the real module back on the way."""

    def __getattr__(self, name):
        return getattr(values, name)

    def difference(self, got, expected, tol=None):
        check.values = values
        return None


def run_lengths(items):
    check.values = Once()
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
