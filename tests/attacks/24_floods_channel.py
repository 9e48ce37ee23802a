# attack 24: 100 MB without an end of line are written to every pipe
# expect: all void
# says: wrote into the grader's records

import contextlib
import os
import stat

import numpy as np


def run_lengths(items):
    for file in range(3, 64):
        with contextlib.suppress(OSError):
            if stat.S_ISFIFO(os.fstat(file).st_mode):
                for _ in range(1600):
                    os.write(file, b"x" * 65536)
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
