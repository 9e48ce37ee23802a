# attack 35: the library function that the task asks to write: earned, not defended
# expect: all earned

from itertools import groupby

from scipy import special


def run_lengths(items):
    return [f"{len(list(run))}x{item}" for item, run in groupby(items)]


def softmax(logits):
    return special.softmax(logits, axis=1)


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
