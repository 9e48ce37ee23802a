"""The marking scheme of lab LAB_ID. Oracles: Counter.most_common and plain loops."""

from __future__ import annotations

from collections import Counter

from common.grading import check, task


def words(rng, n):
    """`n` drawn words of one letter, in no order."""
    return [str(w) for w in rng.choice(list("abcdefgh"), size=n)]


@task(1)
def test_counts_of_a_short_text(lab):
    check.equal(lab.count_words("a B b  c\nB"), {"a": 1, "b": 3, "c": 1})


@task(1)
def test_counts_equal_a_loop(lab, rng):
    drawn = words(rng, 37)
    got = lab.count_words(" ".join(drawn))
    expected = {}
    for word in drawn:
        expected[word] = expected.get(word, 0) + 1
    check.equal(got, expected)


@task(2)
def test_three_of_four_words(lab):
    counts = {"d": 2, "a": 1, "c": 5, "b": 2}
    check.equal(lab.most_common(counts, 3), ["c", "b", "d"])


@task(2)
def test_order_equals_a_stable_sort(lab, rng):
    counts = dict(Counter(words(rng, 41)))
    got = lab.most_common(counts, 5)
    by_name = Counter({word: counts[word] for word in sorted(counts)})
    check.equal(got, [word for word, _ in by_name.most_common(5)])


@task(2)
def test_k_below_one(lab):
    check.raises(ValueError, lambda: lab.most_common({"a": 1}, 0), match="k")
    check.equal(lab.most_common({"a": 1}, 9), ["a"])


@task(3)
def test_ratio_of_four_words(lab):
    check.close(lab.type_token_ratio({"a": 3, "b": 1}), 0.5)
    check.close(lab.type_token_ratio({}), 0.0)


@task(3)
def test_ratio_of_drawn_words(lab, rng):
    drawn = words(rng, 53)
    got = lab.type_token_ratio(dict(Counter(drawn)))
    check.close(got, len(set(drawn)) / len(drawn))
