"""The marking scheme of lab 1.5: what each task must do, and how we know.

Oracles: separate generators of the same seed for task 1, counting and sets for tasks 2
and 3, np.broadcast_shapes and plain loops for task 4, `@`, loops and SciPy for task 5,
np.cumsum and math.fsum for task 6, the drawn Axes and pixels for task 7. torch is
imported by the two tests that need it. matplotlib is imported here: its first import
makes folders, which a submission may not do.
"""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from contextlib import contextmanager
from inspect import unwrap

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import use as use_backend
from matplotlib.collections import PathCollection
from matplotlib.pyplot import close, figure
from scipy.special import softmax

from common.grading import check, task

# --- Task 1 ----------------------------------------------------------------------


@task(1)
def test_first_numbers_after_seed_0(lab):
    import torch

    rng = lab.seed_everything(0)
    check.close(random.random(), 0.844422, atol=1e-5, name="random.random()")
    check.close(np.random.rand(), 0.548814, atol=1e-5, name="np.random.rand()")
    check.close(torch.rand(1).item(), 0.496257, atol=1e-5, name="torch.rand(1)")
    check.close(rng.random(), 0.636962, atol=1e-5, name="the returned generator")


@task(1)
def test_same_seed_same_numbers(lab, rng):
    import torch

    seed = int(rng.integers(1, 2**31))
    returned = lab.seed_everything(seed)
    ours = {
        "random": [random.random() for _ in range(3)],
        "np.random": np.random.standard_normal(3).tolist(),
        "torch": torch.rand(3).tolist(),
        "returned": returned.random(3).tolist(),
    }
    alone = random.Random(seed)  # one generator of the same kind for each library
    on_its_own = torch.Generator().manual_seed(seed)
    expected = {
        "random": [alone.random() for _ in range(3)],
        "np.random": np.random.RandomState(seed).standard_normal(3).tolist(),
        "torch": torch.rand(3, generator=on_its_own).tolist(),
        "returned": np.random.default_rng(seed).random(3).tolist(),
    }
    check.equal(ours, expected, name="three numbers from each generator")


@task(1)
def test_seeds_that_do_not_exist(lab):
    for seed in (-1, 2**32):
        check.raises(
            ValueError, lambda seed=seed: lab.seed_everything(seed), match="seed"
        )
    last = lab.seed_everything(2**32 - 1)
    check.equal(last.random(), np.random.default_rng(2**32 - 1).random())


@task(1)
def test_first_numbers_of_three_workers(lab):
    got = [float(g.random()) for g in lab.spawn_generators(0, 3)]
    check.close(got, [0.942938, 0.677197, 0.838271], atol=1e-5)


@task(1)
def test_no_two_workers_share_a_stream(lab):
    runs = [lab.spawn_generators(seed, 8) for seed in range(10)]
    first = [float(g.random()) for run in runs for g in run]
    check.equal(len(set(first)), 80, name="different streams of 10 seeds, 8 workers")


@task(1)
def test_more_workers_change_nothing_for_the_first(lab, rng):
    seed = int(rng.integers(1, 2**31))
    few, many = lab.spawn_generators(seed, 2), lab.spawn_generators(seed, 7)
    ours = [g.integers(1000, size=4).tolist() for g in [*few, *many]]
    children = [np.random.SeedSequence(seed, spawn_key=(i,)) for i in range(7)]
    streams = [np.random.default_rng(c).integers(1000, size=4) for c in children]
    expected = [s.tolist() for s in [*streams[:2], *streams]]
    check.equal(ours, expected, name="4 numbers of each worker, n=2 and then n=7")


# --- Task 2 ----------------------------------------------------------------------


def split(lab, n, seed=0, **options):
    """train and val of a split, as sorted lists."""
    train, val = lab.train_val_split(n, rng=np.random.default_rng(seed), **options)
    return sorted(np.asarray(train).tolist()), sorted(np.asarray(val).tolist())


@task(2)
def test_two_arrays_of_row_numbers(lab, rng):
    parts = lab.train_val_split(9, val_fraction=0.4, rng=rng)
    kinds = [str(getattr(part, "dtype", type(part).__name__)) for part in parts]
    holds = all(kind.startswith(("int", "uint")) for kind in kinds)
    check.that(holds, "two integer arrays", kinds, name="dtypes of the parts")
    shapes = [part.shape for part in parts]
    check.equal(shapes, [(5,), (4,)], name="shapes of train and val")


@task(2)
def test_sizes_of_the_parts(lab):
    got = {}
    for n, fraction in [(10, 0.25), (10, 0.2), (11, 0.25), (7, 0.9)]:
        train, val = split(lab, n, val_fraction=fraction)
        check.equal(sorted(train + val), list(range(n)), name="rows of both parts")
        got[n, fraction] = len(val)
    # 2.5 + 0.5 = 3.0, then 2.0 + 0.5, 2.75 + 0.5 and 6.3 + 0.5
    expected = {(10, 0.25): 3, (10, 0.2): 2, (11, 0.25): 3, (7, 0.9): 6}
    check.equal(got, expected, name="rows in val by (n, val_fraction)")
    check.equal(len(split(lab, 10, val_fraction=0.05)[1]), 1, name="0.5 + 0.5 rows")


@task(2)
def test_the_generator_decides(lab):
    got = [split(lab, 60, seed, val_fraction=0.2)[1] for seed in (1, 2, 1)]
    ends = list(range(12)), list(range(48, 60))
    check.equal(got[0] in ends, False, name="val is the first or the last rows")
    check.equal(got[0] == got[1], False, name="val the same for two generators")
    check.equal(got[0] == got[2], True, name="val the same for one seed twice")


@task(2)
def test_every_row_is_as_likely_in_val(lab):
    counts = Counter()
    for seed in range(300):
        counts.update(split(lab, 20, seed, val_fraction=0.25)[1])
    # 300 draws of probability 1/4: 75 expected, standard error sqrt(300 * 3/16) = 7.5
    got = odd_counts([counts[row] for row in range(20)], 30, 120)
    check.equal(got, {"far too rare": 0, "far too often": 0}, name="rows in val")


def odd_counts(counts, low, high):
    """How many counts are outside the range that chance allows."""
    rare, frequent = sum(c < low for c in counts), sum(c > high for c in counts)
    return {"far too rare": rare, "far too often": frequent}


@task(2)
def test_each_class_gives_its_share(lab, rng):
    sizes = {"a": 8, "b": 4, "c": 14}
    labels = rng.permutation([name for name in sizes for _ in range(sizes[name])])
    train, val = split(lab, 26, val_fraction=0.25, stratify=labels)
    check.equal(sorted(train + val), list(range(26)), name="rows of both parts")
    # 2.0, 1.0 and 3.5 rows
    got = Counter(labels[val].tolist())
    check.equal(dict(sorted(got.items())), {"a": 2, "b": 1, "c": 4}, name="val")
    other = split(lab, 26, 1, val_fraction=0.25, stratify=labels)[1]
    check.equal(val == other, False, name="val the same for two generators")


@task(2)
def test_splits_that_make_no_sense(lab):
    def attempt(n, fraction, **options):
        rng = np.random.default_rng(0)
        return lambda: lab.train_val_split(n, val_fraction=fraction, rng=rng, **options)

    for n, fraction in [(10, 0.0), (10, 1.0), (10, -0.5), (4, 0.1), (4, 0.9), (1, 0.5)]:
        check.raises(ValueError, attempt(n, fraction), match="val_fraction")
    check.raises(ValueError, attempt(5, 0.5, stratify=[0, 1]), match="stratify")
    check.equal(len(attempt(2, 0.5)()[1]), 1, name="rows in val of 2 at 0.5")


# --- Task 3 ----------------------------------------------------------------------


def numbered(n):
    """X (n, 2) and y (n,) in which every row carries its number."""
    return np.stack([np.arange(n), np.arange(n) + 0.5], axis=1), np.arange(n) * 10


def rows(batches):
    """The row numbers of batches of (X, y), as X says and as y says."""
    from_X = [int(x) for X, _ in batches for x in X[:, 0]]
    from_y = [int(y) // 10 for _, ys in batches for y in ys]
    return from_X, from_y


@task(3)
def test_seven_rows_in_order(lab):
    X, y = numbered(7)
    got = list(lab.minibatches(X, y, batch_size=3))
    shown = [(batch[0][:, 0].tolist(), batch[1].tolist()) for batch in got]
    expected = [([0, 1, 2], [0, 10, 20]), ([3, 4, 5], [30, 40, 50]), ([6], [60])]
    check.equal(shown, [([float(v) for v in a], b) for a, b in expected])
    check.equal([type(batch) for batch in got] == [tuple] * 3, True, name="tuples")


@task(3)
def test_a_short_last_batch_can_be_dropped(lab):
    sizes = {}
    for n, size, drop in itertools.product((6, 7), (1, 3, 4, 9), (False, True)):
        X, y = numbered(n)
        got = list(lab.minibatches(X, y, batch_size=size, drop_last=drop))
        sizes[n, size, drop] = [len(batch[1]) for batch in got]
    expected = {}
    for n, size, drop in sizes:
        full, rest = divmod(n, size)
        expected[n, size, drop] = [size] * full + [rest] * (rest > 0 and not drop)
    check.equal(sizes, expected, name="batch lengths by (n, batch_size, drop_last)")


@task(3)
def test_an_epoch_visits_each_row_once(lab, rng):
    X, y = numbered(23)
    got = rows(list(lab.minibatches(X, y, batch_size=5, rng=rng)))
    for name, numbers in zip(("X", "y"), got, strict=True):
        counts = Counter(numbers)
        seen = {
            "number of rows": len(numbers),
            "some come twice": max(counts.values()) > 1,
            "some never come": len(counts) < 23,
        }
        expected = {
            "number of rows": 23,
            "some come twice": False,
            "some never come": False,
        }
        check.equal(seen, expected, name=f"rows of {name} in one epoch of 23")


@task(3)
def test_rows_stay_together_when_shuffled(lab, rng):
    X, y = numbered(23)
    from_X, from_y = rows(list(lab.minibatches(X, y, batch_size=4, rng=rng)))
    agree = sum(a == b for a, b in zip(from_X, from_y, strict=True))
    got = "all" if agree == 23 else "few" if agree < 12 else "most"
    check.equal(got, "all", name="how many rows of X still have their own y")


@task(3)
def test_shuffling_leaves_the_arrays_alone(lab, rng):
    X, y = numbered(12)
    list(lab.minibatches(X, y, batch_size=5, rng=rng))
    check.equal((X, y), numbered(12), name="X and y after an epoch")


@task(3)
def test_each_epoch_has_its_own_order(lab, rng):
    X, y = numbered(23)
    epochs = [rows(list(lab.minibatches(X, y, batch_size=6, rng=rng))) for _ in "12"]
    first, second = epochs[0][0], epochs[1][0]
    check.equal(first == list(range(23)), False, name="first epoch in file order")
    check.equal(first == second, False, name="second epoch in the order of the first")


@task(3)
def test_same_generator_same_batches(lab):
    X, y = numbered(17)
    both = []
    for _ in range(2):
        rng = np.random.default_rng(3)
        both.append(rows(list(lab.minibatches(X, y, batch_size=4, rng=rng))))
    check.equal(both[0] == both[1], True, name="same order for the same seed")


@task(3)
def test_every_order_is_as_likely(lab):
    rng, counts = np.random.default_rng(5), Counter()
    values = np.arange(3)
    for _ in range(600):
        batches = list(lab.minibatches(values, batch_size=2, rng=rng))
        counts[tuple(int(v) for (batch,) in batches for v in batch)] += 1
    # 600 draws of probability 1/6: 100 expected, standard error 9.1
    orders = itertools.permutations(range(3))
    got = odd_counts([counts[order] for order in orders], 50, 150)
    check.equal(got, {"far too rare": 0, "far too often": 0}, name="orders of 3 rows")


@task(3)
def test_one_array_or_three(lab):
    values = np.array([5, 3, 8])
    one = list(lab.minibatches(values, batch_size=2))
    check.equal([len(batch) for batch in one], [1, 1], name="arrays in a batch")
    images = np.arange(24).reshape(3, 2, 4)
    three = list(lab.minibatches(values, images, values, batch_size=2))
    check.equal(three[1], (values[2:], images[2:], values[2:]), name="last batch")


@task(3)
def test_batches_that_make_no_sense(lab):
    def attempt(*arrays, size=2):
        return lambda: list(lab.minibatches(*arrays, batch_size=size))

    X, y = np.zeros((5, 2)), np.zeros(7)
    check.raises(ValueError, attempt(X, y), match="arrays")
    check.raises(ValueError, attempt(X, y), match="7")
    check.raises(ValueError, attempt(), match="arrays")
    for size in (0, -2):
        check.raises(ValueError, attempt(y, size=size), match="batch_size")


# --- Task 4 ----------------------------------------------------------------------


@task(4)
def test_shapes_by_hand(lab):
    got = lab.broadcast_shapes((4, 1), (3,))
    check.equal(tuple(got), (4, 3))
    check.equal(tuple(lab.broadcast_shapes((2, 3), (5, 1, 3))), (5, 2, 3))
    check.equal(tuple(lab.broadcast_shapes((1, 3), (0, 1))), (0, 3))
    check.equal(tuple(lab.broadcast_shapes()), ())
    check.raises(ValueError, lambda: lab.broadcast_shapes((3,), (3, 2)), match="shapes")


@task(4)
@given(st.lists(st.lists(st.sampled_from([0, 1, 1, 2, 3]), max_size=4), max_size=3))
def test_shapes_as_numpy_has_them(lab, shapes):
    shapes = [tuple(shape) for shape in shapes]
    try:
        expected = np.broadcast_shapes(*shapes)
    except ValueError:
        check.raises(ValueError, lambda: lab.broadcast_shapes(*shapes), match="shapes")
    else:
        check.equal(tuple(lab.broadcast_shapes(*shapes)), expected)


@task(4)
def test_mse_of_a_column_and_a_row(lab):
    y_true, y_pred = np.array([[1.0], [2.0], [4.0]]), np.array([1.0, 2.0, 7.0])
    check.close(lab.fixed_mse(y_true, y_pred), 3.0)  # (0 + 0 + 9) / 3


@task(4)
def test_mse_of_any_shapes(lab, rng):
    a, b = rng.normal(0, 3, size=(2, 11))
    expected = sum((s - t) ** 2 for s, t in zip(a, b, strict=True)) / 11
    for s, t in itertools.product((a, a[:, None]), (b, b[:, None])):
        check.close(lab.fixed_mse(s, t), expected)
    check.raises(ValueError, lambda: lab.fixed_mse(a, b[:10]), match="y_true|y_pred")
    check.raises(
        ValueError, lambda: lab.fixed_mse(a[:1], b[:, None]), match="y_true|y_pred"
    )


@task(4)
def test_center_a_square(lab):
    got = lab.fixed_center(np.array([[1.0, 10.0], [3.0, 30.0]]))
    check.close(got, np.array([[-1.0, -10.0], [1.0, 10.0]]))


@task(4)
def test_center_any_matrix(lab, rng):
    X = rng.normal(5, 3, size=(7, 4))
    means = [math.fsum(X[:, d]) / 7 for d in range(4)]
    check.close(lab.fixed_center(X), np.array([row - means for row in X]))


@task(4)
def test_softmax_of_a_square(lab):
    logits = np.array([[1000.0, 1000.0], [math.log(3), 0.0]])
    check.close(lab.fixed_softmax(logits), np.array([[0.5, 0.5], [0.75, 0.25]]))


@task(4)
def test_softmax_of_rows_far_apart(lab, rng):
    logits = rng.normal(0, 2, size=(3, 5)) + np.array([[2000.0], [0.0], [-2000.0]])
    check.close(lab.fixed_softmax(logits), softmax(logits, axis=-1))
    check.close(lab.fixed_softmax(logits[0]), softmax(logits[0]))
    deep = rng.normal(0, 2, size=(2, 3, 4))
    check.close(lab.fixed_softmax(deep), softmax(deep, axis=-1))


@task(4)
def test_weights_without_padding(lab):
    scores = np.log([[[1.0, 3.0], [3.0, 2.0]], [[1.0, 1.0], [4.0, 1.0]]])  # (2, 2, 2)
    mask = np.array([[True, True], [False, True]])
    got = lab.fixed_attention_weights(scores, mask)
    expected = [[[0.25, 0.75], [0.6, 0.4]], [[0.0, 1.0], [0.0, 1.0]]]
    check.close(got, np.array(expected))


@task(4)
def test_weights_of_any_shape(lab, rng):
    scores = rng.normal(0, 3, size=(3, 4, 5))
    mask = np.arange(5) < np.array([[5], [2], [3]])  # the lengths of three sequences
    got = lab.fixed_attention_weights(scores, mask)
    expected = np.zeros((3, 4, 5))
    for b, t in itertools.product(range(3), range(4)):
        expected[b, t, mask[b]] = softmax(scores[b, t, mask[b]])
    check.close(got, expected)
    nothing = mask & np.array([[True], [False], [True]])
    check.raises(
        ValueError, lambda: lab.fixed_attention_weights(scores, nothing), match="mask"
    )


# --- Task 5 ----------------------------------------------------------------------


@contextmanager
def must_call_einsum(name, function):
    """Count calls of np.einsum in the block, under whatever name the lab has it."""
    calls, real = [], np.einsum

    def counted(*args, **kwargs):
        calls.append(args[0])
        return real(*args, **kwargs)

    space = unwrap(function).__globals__  # for: from numpy import einsum
    names = [key for key, value in space.items() if value is real]
    np.einsum = counted
    space.update(dict.fromkeys(names, counted))
    try:
        yield
    finally:
        np.einsum = real
        space.update(dict.fromkeys(names, real))
    count = len(calls)
    check.that(count > 0, "at least one", count, name=f"calls of np.einsum in {name}")


def loops(spec, *operands):
    """An einsum by one nest of loops; returns the result and the steps it took."""
    inputs, output = spec.split("->")
    inputs = inputs.split(",")
    sizes = {}
    for letters, operand in zip(inputs, operands, strict=True):
        sizes.update(zip(letters, operand.shape, strict=True))
    result, steps = np.zeros([sizes[c] for c in output]), 0
    for place in itertools.product(*map(range, sizes.values())):
        at = dict(zip(sizes, place, strict=True))
        term = 1.0
        for letters, operand in zip(inputs, operands, strict=True):
            term *= operand[tuple(at[c] for c in letters)]
        result[tuple(at[c] for c in output)] += term
        steps += 1
    return result, steps


@task(5)
def test_matrix_products(lab, rng):
    A, B = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 10.0], [100.0, 1000.0]])
    with must_call_einsum("matmul_einsum", lab.matmul_einsum):
        got = lab.matmul_einsum(A, B)
    check.close(got, np.array([[201.0, 2010.0], [403.0, 4030.0]]))
    A, B = rng.normal(0, 2, size=(3, 4)), rng.normal(0, 2, size=(4, 5))
    check.close(lab.matmul_einsum(A, B), A @ B)


@task(5)
def test_batched_matrix_products(lab, rng):
    A, B = rng.normal(0, 2, size=(3, 4, 5)), rng.normal(0, 2, size=(3, 5, 2))
    with must_call_einsum("batched_matmul_einsum", lab.batched_matmul_einsum):
        got = lab.batched_matmul_einsum(A, B)
    check.close(got, A @ B)


@task(5)
def test_scores_of_two_queries_and_two_keys(lab):
    Q = np.array([[1.0, 0.0], [0.0, 2.0]]).reshape(1, 1, 2, 2)
    K = np.array([[3.0, 5.0], [7.0, 11.0]]).reshape(1, 1, 2, 2)
    with must_call_einsum("attention_scores", lab.attention_scores):
        got = lab.attention_scores(Q, K)
    check.close(got[0, 0], np.array([[3.0, 7.0], [10.0, 22.0]]))


@task(5)
def test_scores_of_any_shape(lab, rng):
    Q, K = rng.normal(0, 2, size=(2, 3, 4, 6)), rng.normal(0, 2, size=(2, 3, 5, 6))
    check.close(lab.attention_scores(Q, K), Q @ K.transpose(0, 1, 3, 2))


@task(5)
def test_output_of_the_weights(lab, rng):
    A, V = rng.normal(0, 2, size=(2, 3, 4, 4)), rng.normal(0, 2, size=(2, 3, 4, 6))
    with must_call_einsum("attention_output", lab.attention_output):
        got = lab.attention_output(A, V)
    check.close(got, A @ V)
    A = rng.normal(0, 2, size=(2, 3, 5, 4))
    check.close(lab.attention_output(A, V), A @ V)


@task(5)
def test_bilinear_form_of_each_row(lab, rng):
    x, W, y = (rng.normal(0, 2, size=shape) for shape in [(5, 3), (3, 4), (5, 4)])
    with must_call_einsum("bilinear", lab.bilinear):
        got = lab.bilinear(x, W, y)
    check.close(got, loops("nd,de,ne->n", x, W, y)[0])


@task(5)
def test_trace_of_each_matrix(lab, rng):
    M = rng.normal(0, 2, size=(3, 4, 4))
    with must_call_einsum("batch_trace", lab.batch_trace):
        got = lab.batch_trace(M)
    check.close(got, loops("bii->b", M)[0])


@task(5)
def test_masked_softmax_of_two_rows(lab):
    x = np.log([[1.0, 3.0, 6.0], [5.0, 2.0, 3.0]])
    x[0, 2] = 1000.0  # masked, so it does not count
    mask = np.array([[True, True, False], [False, True, True]])
    with must_call_einsum("masked_row_softmax", lab.masked_row_softmax):
        got = lab.masked_row_softmax(x, mask)
    check.close(got, np.array([[0.25, 0.75, 0.0], [0.0, 0.4, 0.6]]))


@task(5)
def test_masked_softmax_of_any_rows(lab, rng):
    x = rng.normal(0, 3, size=(6, 5)) + rng.choice([-2000.0, 0.0, 2000.0], size=(6, 1))
    mask = rng.random((6, 5)) < 0.5
    mask[np.arange(6), rng.integers(5, size=6)] = True
    x[~mask] += 3000.0  # what is masked has no influence, however large
    got = lab.masked_row_softmax(x, mask)
    check.close(got, softmax(np.where(mask, x, -np.inf), axis=1))


@task(5)
def test_cost_of_a_matrix_product(lab):
    got = lab.einsum_flops("ij,jk->ik", (2, 3), (3, 4))
    check.equal(got, 24)  # 8 results, 3 multiply-adds each


@task(5)
def test_cost_is_the_number_of_steps(lab, rng):
    specs = {
        "bik,bkj->bij": [(2, 3, 4), (2, 4, 5)],
        "nd,de,ne->n": [(4, 2), (2, 3), (4, 3)],
        "bii->b": [(3, 4, 4)],
        "i,j->ij": [(3,), (5,)],
        "ij->": [(4, 3)],
    }
    for spec, shapes in specs.items():
        operands = [rng.normal(size=shape) for shape in shapes]
        check.equal(lab.einsum_flops(spec, *shapes), loops(spec, *operands)[1])


@task(5)
def test_cost_of_attention_grows_with_the_square_of_its_length(lab):
    spec, costs = "bhid, bhjd -> bhij", []
    for T in (5, 10):
        costs.append(lab.einsum_flops(spec, (2, 3, T, 7), (2, 3, T, 7)))
    check.equal(costs, [1050, 4200])  # 2 * 3 * 5 * 5 * 7, and four times that


@task(5)
def test_shapes_that_do_not_fit_the_spec(lab):
    for spec, *shapes in [
        ("ij,jk->ik", (2, 3), (4, 5)),
        ("ij,jk->ik", (2, 3)),
        ("ij->i", (2, 3, 4)),
        ("ii->", (2, 3)),
    ]:
        check.raises(
            ValueError,
            lambda spec=spec, shapes=shapes: lab.einsum_flops(spec, *shapes),
            match="shapes",
        )
    check.equal(lab.einsum_flops("ii->", (3, 3)), 3)


# --- Task 6 ----------------------------------------------------------------------

TENTHS = np.full(20_000, 0.1, dtype=np.float32)


def float32(got):
    """The value of a sum, after a look at its type."""
    kind = str(getattr(got, "dtype", type(got).__name__))
    check.equal(kind, "float32", name="dtype of the sum")
    return float(got)


@task(6)
def test_twenty_thousand_tenths_from_left_to_right(lab):
    # near 2000 neighbouring float32 numbers are 1.2e-4 apart
    check.close(float32(lab.naive_sum(TENTHS)), 1999.6588, rtol=0, atol=1e-4)


@task(6)
def test_twenty_thousand_tenths_with_compensation(lab):
    check.close(float32(lab.kahan_sum(TENTHS)), 2000.0, rtol=0, atol=2.5e-4)


@task(6)
def test_order_matters_to_the_naive_sum_only(lab):
    x = np.array([2.0**24, 1.0, 1.0, 1.0], dtype=np.float32)
    check.equal(float32(lab.naive_sum(x)), 2.0**24)  # 2**24 + 1 rounds to 2**24
    check.equal(float32(lab.naive_sum(x[::-1])), 2.0**24 + 4)  # 3 is added, rounded up
    for order in (x, x[::-1]):
        got = float32(lab.kahan_sum(order))
        check.close(got, 2.0**24 + 3, rtol=0, atol=4.0, name="within two units")


@task(6)
def test_naive_is_sequential(lab, rng):
    x = rng.lognormal(0, 3, size=3000).astype(np.float32)
    got = float32(lab.naive_sum(x))
    check.equal(got, float(np.cumsum(x)[-1]))  # cumsum has to add in order
    check.equal(float32(lab.naive_sum([1, 2.5, 4])), 7.5)
    check.equal(float32(lab.naive_sum([])), 0.0)


@task(6)
def test_kahan_is_within_two_units(lab, rng):
    for scale in (0.5, 2.0, 4.0):
        x = rng.lognormal(0, scale, size=4000).astype(np.float32)
        exact = math.fsum(x.tolist())
        got, unit = float32(lab.kahan_sum(x)), float(np.spacing(np.float32(exact)))
        check.close(got, exact, rtol=0, atol=2 * unit)
    check.equal(float32(lab.kahan_sum([1, 2.5, 4])), 7.5)
    check.equal(float32(lab.kahan_sum([])), 0.0)


# --- Task 7 ----------------------------------------------------------------------


def blank():
    """An empty Axes without a window."""
    use_backend("Agg")
    close("all")
    return figure(figsize=(4, 4)).add_subplot()


def same_axes(got, ax):
    """The plot returned the Axes it was given, and labelled both of its axes."""
    check.equal(got is ax, True, name="returns the ax it was given")
    words = [bool(ax.get_xlabel().strip()), bool(ax.get_ylabel().strip())]
    check.equal(words, [True, True], name="x axis and y axis have a label")


@task(7)
def test_one_line_per_history(lab, rng):
    histories = {"first": [4.0, 2.0, 1.0], "second": rng.random(5).tolist()}
    ax = blank()
    got = lab.plot_loss_curves(histories, ax=ax)
    lines = {
        str(line.get_label()): [[float(v) for v in p] for p in line.get_xydata()]
        for line in ax.lines
    }
    expected = {
        name: [[float(step), loss] for step, loss in enumerate(losses)]
        for name, losses in histories.items()
    }
    check.close(lines, expected, name="(step, loss) of each line by its label")
    legend = ax.get_legend()
    names = [text.get_text() for text in legend.get_texts()] if legend else []
    check.equal(names, ["first", "second"], name="names in the legend")
    check.equal(ax.get_yscale(), "linear", name="scale of y")
    same_axes(got, ax)


@task(7)
def test_a_log_axis_keeps_the_data(lab):
    ax = blank()
    lab.plot_loss_curves({"run": [100.0, 10.0, 0.5]}, ax=ax, logy=True)
    check.equal(ax.get_yscale(), "log", name="scale of y")
    data = [float(v) for line in ax.lines[:1] for v in line.get_ydata()]
    check.close(data, [100.0, 10.0, 0.5], name="losses in the line")
    check.raises(ValueError, lambda: lab.plot_loss_curves({}), match="histories")


class Corner:
    """Class 1 where x > 3 and y < 20, else 0; keeps the points it was asked about."""

    def __init__(self):
        self.asked = []

    def __call__(self, points):
        self.asked.append(np.array(points))
        return ((points[:, 0] > 3) & (points[:, 1] < 20)).astype(int)


def corner_points(rng):
    X = rng.uniform([1.0, 10.0], [5.0, 50.0], size=(9, 2))
    X[0], X[1] = (1.0, 10.0), (5.0, 50.0)  # ranges of 4 and 40
    return X, ((X[:, 0] > 3) & (X[:, 1] < 20)).astype(int)


@task(7)
def test_the_grid_reaches_past_the_points(lab, rng):
    X, y = corner_points(rng)
    predict, ax = Corner(), blank()
    got = lab.plot_decision_boundary(predict, X, y, resolution=30, ax=ax)
    check.equal({p.shape[1:] for p in predict.asked}, {(2,)}, name="predict gets (M,")
    asked = np.concatenate(predict.asked)
    check.equal(len(asked), 900, name="points that predict was asked about")
    outside = np.concatenate([X.min(0) - asked.min(0), asked.max(0) - X.max(0)])
    check.close(outside / [4, 40, 4, 40], np.full(4, 0.1), name="margin over range")
    same_axes(got, ax)


@task(7)
def test_the_points_are_drawn(lab, rng):
    X, y = corner_points(rng)
    ax = blank()
    lab.plot_decision_boundary(Corner(), X, y, resolution=20, ax=ax)
    drawn = [line.get_xydata() for line in ax.lines]
    drawn += [np.asarray(c.get_offsets()) for c in ax.collections]
    there = {(round(float(a), 9), round(float(b), 9)) for d in drawn for a, b in d}
    missing = [p for p in X.round(9).tolist() if tuple(p) not in there]
    check.equal(missing, [], name="points of X that are not in the plot")


@task(7)
def test_each_class_is_coloured_where_it_is(lab, rng):
    X, y = corner_points(rng)
    ax = blank()
    lab.plot_decision_boundary(Corner(), X, y, resolution=40, ax=ax)
    xs, ys = np.meshgrid(np.linspace(1, 5, 25), np.linspace(10, 50, 25))
    places = np.stack([xs.ravel(), ys.ravel()], axis=1)
    clear = (np.abs(places[:, 0] - 3) > 0.3) & (np.abs(places[:, 1] - 20) > 3)
    places = places[clear]
    colours = plane(ax, places)
    inside = (places[:, 0] > 3) & (places[:, 1] < 20)
    (one, share_one), (zero, share_zero) = (
        Counter(
            c for c, i in zip(colours, inside, strict=True) if i == side
        ).most_common(1)[0]
        for side in (True, False)
    )
    check.equal(one == zero, False, name="both classes in one colour")
    shares = [share_one / int(inside.sum()), share_zero / int((~inside).sum())]
    holds = min(shares) > 0.9
    check.that(holds, "1 for both classes", shares, name="share in its own colour")


def plane(ax, places):
    """Colours of the plane at places in data coordinates, without what covers it."""
    ax.grid(False)
    points = [c for c in ax.collections if isinstance(c, PathCollection)]
    for artist in [*ax.lines, *points, ax.get_legend()]:
        if artist is not None:
            artist.set_visible(False)
    ax.figure.canvas.draw()
    picture = np.asarray(ax.figure.canvas.buffer_rgba())
    at = np.round(ax.transData.transform(places)).astype(int)
    height, width = picture.shape[:2]
    columns, lines = at[:, 0].clip(0, width - 1), at[:, 1].clip(0, height - 1)
    return [tuple(map(int, c)) for c in picture[height - 1 - lines, columns]]


def bar_heights(ax):
    """How high the bars of a plot are; other shapes are not bars."""
    from matplotlib.patches import Rectangle

    bars = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    check.that(
        bool(bars), "bars in the plot (rectangles)", len(ax.patches), name="bars"
    )
    return [float(bar.get_height()) for bar in bars]


@task(7)
def test_bars_count_every_value(lab, rng):
    values = np.array([0.0, 1.0, 1.5, 2.0, 2.0, 4.0])
    ax = blank()
    got = lab.plot_histogram(values, bins=4, ax=ax)
    heights = bar_heights(ax)
    check.close(heights, [1.0, 2.0, 2.0, 1.0], name="heights of the bars")
    same_axes(got, ax)
    values, ax = rng.normal(50, 9, size=(7, 30)), blank()
    lab.plot_histogram(values, ax=ax)
    heights = bar_heights(ax)
    expected = np.histogram(values.ravel(), bins=50)[0]
    check.close(heights, [float(count) for count in expected], name="50 bars")


@task(7)
def test_a_histogram_hides_nothing(lab):
    blank()
    for values in ([1.0, float("nan"), 2.0], [1.0, float("inf")], []):
        check.raises(ValueError, lambda v=values: lab.plot_histogram(v), match="values")


@task(7)
def test_without_ax_there_is_a_new_one(lab):
    first = blank()
    X, y = np.array([[0.0, 1.0], [2.0, 5.0], [1.0, 2.0]]), np.array([0, 1, 1])
    for draw in (
        lambda: lab.plot_loss_curves({"run": [2.0, 1.0]}),
        lambda: lab.plot_histogram([1.0, 2.0, 4.0]),
        lambda: lab.plot_decision_boundary(Corner(), X, y, resolution=5),
    ):
        got = draw()
        drawn = len(got.lines) + len(got.patches) + len(got.collections)
        check.that(drawn > 0, "something drawn", drawn, name="artists in a new Axes")
        check.equal(got is first, False, name="draws into the old Axes")
