"""How the share of new words falls as a text grows; a second."""

from __future__ import annotations

from pathlib import Path

from common import datasets, plotting
from common.results import Results


def main(lab, out: Path, quick: bool = False, full: bool = False) -> None:
    """Count the words of the Python documentation, piece by piece.

    Args:
        lab: the solution or the learner's module.
        out: where the results go.
        quick: a tenth of the text.
        full: the same as the default; this experiment has no larger size.
    """
    results = Results(out, "LAB_TITLE", seed=0, quick=quick, steps=1)
    results.step("type-token ratio of the Python documentation")
    words = datasets.python_docs().split()
    words = words[: len(words) // 10] if quick else words
    sizes = [len(words) * i // 20 for i in range(1, 21)]
    ratios = [lab.type_token_ratio(lab.count_words(" ".join(words[:n]))) for n in sizes]
    fig, ax = plotting.figure()
    ax.plot(sizes, ratios, marker="o")
    ax.set(xlabel="words read", ylabel="different words / all words")
    results.figure(fig, "ratio.png", "The ratio falls while the text grows")
    results.metric("ratio_of_all", ratios[-1], "types per token")
    results.text("The longer the text, the fewer of its words are new.")
    results.save()
