# attack 4: 3 GB of memory, in steps of 64 MB
# expect: 1 broken, 2-4 earned
# says: needed more than 1 GiB of memory


import numpy as np


def run_lengths(items):
    blocks = [np.empty(64 << 20, np.uint8) for _ in range(48)]
    return [f"{len(blocks)}x{item}" for item in items]


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
