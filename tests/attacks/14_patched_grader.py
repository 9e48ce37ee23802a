# attack 14: the names that test_lab.py uses are replaced in a call
# expect: all void
# says: changed

import sys

import numpy as np


def agree(*args, **kwargs):
    return None


def run_lengths(items):
    for module in list(sys.modules.values()):
        if str(getattr(module, "__file__", "")).endswith("test_lab.py"):
            module.check = type("Check", (), {"equal": agree, "close": agree})
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
