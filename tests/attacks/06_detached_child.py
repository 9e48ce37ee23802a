# attack 6: a process in a session of its own, started past the audit hook
# expect: 1 wrong, 2-4 earned

from multiprocessing.util import spawnv_passfds

import numpy as np


def detach():
    """fork_exec raises no audit event, so only the clean-up afterwards helps."""
    line = b"setsid sleep 5 & setsid sh -c 'sleep 5 & sleep 5' & exec sleep 5"
    return spawnv_passfds(b"/bin/sh", [b"sh", b"-c", line], [])


def run_lengths(items):
    return [f"{detach()}x0"]


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
