# attack 15: pytest runs no test any more
# expect: all void
# says: changed _pytest.python.Function.runtest


import numpy as np
from _pytest.python import Function

Function.runtest = lambda self: None


def run_lengths(items):
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
