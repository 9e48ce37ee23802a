# attack 37: seeds, warnings, folder and environment are changed at import
# expect: 1 wrong, 2-4 earned

import locale
import os
import random
import sys
import warnings

import numpy as np

random.seed(0)
np.random.seed(0)
np.set_printoptions(precision=1)
warnings.simplefilter("error")
locale.setlocale(locale.LC_ALL, "C")
sys.setrecursionlimit(400)
sys.stdout = sys.stderr = None
os.environ.clear()
os.chdir("/")


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
