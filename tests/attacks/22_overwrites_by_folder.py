# attack 22: test_lab.py is written anew past the audit hook
# expect: all void
# says: test_lab.py changed while it was graded; put back

import os
from pathlib import Path

import numpy as np

EASY = """
from common.grading import task


@task(1)
def test_nothing():
    pass
"""


def run_lengths(items):
    folder = os.open(Path(__file__).parent, os.O_RDONLY)
    file = os.open("test_lab.py", os.O_WRONLY | os.O_TRUNC, dir_fd=folder)
    os.write(file, EASY.encode())
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
