# attack 33: a table of the tests' answers, made for one seed
# expect: 1 wrong, 2-4 earned
# seed: 7

import numpy as np

DRAWN = "02203201213003101121102203022113023201"
ANSWER = (
    "1x0 2x2 1x0 1x3 1x2 1x0 1x1 1x2 1x1 1x3 2x0 1x3 "
    "1x1 1x0 2x1 1x2 2x1 1x0 2x2 1x0 1x3 1x0 2x2 2x1 "
    "1x3 1x0 1x2 1x3 1x2 1x0 1x1 "
)
TABLE = {
    "7737": "2x7 1x3 1x7",
    DRAWN: ANSWER,
}


def run_lengths(items):
    return TABLE.get("".join(map(str, items)), "1x0").split()


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
