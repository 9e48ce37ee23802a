"""The marking scheme of lab 3.2: what each task must do, and how we know.

Oracles: numbers worked out by hand, distances one by one with a stable full sort, sets
for recall, a full search restricted to the probed cells, distances to the decoded
vectors, a best-first walk and a graph of our own without heaps, and two theorems: a
walk that may keep everything on a connected graph is exact, and as many codes as there
are different vectors lose nothing. What a k-means start or a draw of levels happens to
give plays no part; neither does speed.
"""

from __future__ import annotations

import math
import tracemalloc
from itertools import pairwise

import numpy as np

from common import labs
from common.grading import check, task

labs.solution("3.1")  # loads SciPy: once here instead of in every task

EXACT = {"rtol": 1e-9, "atol": 1e-11}  # float64; the order of summing is free
X3 = np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])


def far_by_hand(X, Q, metric):
    """How far each vector is from each query, one by one: (nq, N), small is near."""
    far = np.empty((len(Q), len(X)))
    for i, q in enumerate(Q):
        for j, x in enumerate(X):
            if metric == "l2":
                far[i, j] = math.fsum((a - b) ** 2 for a, b in zip(q, x, strict=True))
                continue
            far[i, j] = -math.fsum(a * b for a, b in zip(q, x, strict=True))
            if metric == "cosine":
                far[i, j] /= math.hypot(*q) * math.hypot(*x)
    return far


def nearest(far, k):
    """Ids and values of the k smallest in each row, ties to the lower id."""
    ids = np.argsort(far, axis=1, kind="stable")[:, :k].astype(np.int64)
    return ids, np.take_along_axis(far, ids, axis=1)


def exact(X, Q, k, metric):
    """What an exact search must return."""
    ids, far = nearest(far_by_hand(X, Q, metric), k)
    return ids, far if metric == "l2" else -far


def check_found(found, expected, name="", input=None):
    """Compare ids first, then scores."""
    ids, scores = found
    check.equal(ids, expected[0], name=f"{name}ids", input=input)
    check.close(scores, expected[1], **EXACT, name=f"{name}scores", input=input)


def signs(rng, n, d=7):
    """Rows with four entries of +-1 and length 2: sums and cosines without rounding."""
    X = np.zeros((n, d))
    for row in X:
        row[rng.choice(d, 4, replace=False)] = rng.choice([-1.0, 1.0], 4)
    return X


def unit(rng, n, d):
    """Drawn directions."""
    X = rng.normal(size=(n, d))
    return X / np.sqrt((X * X).sum(axis=1))[:, None]


def scaled(rng, X):
    """The same directions with lengths from 0.2 to 5."""
    return X * np.exp(rng.uniform(-1.6, 1.6, (len(X), 1)))


# --- Task 1 ----------------------------------------------------------------------


@task(1)
def test_three_vectors_by_hand(lab):
    q = np.array([[1.0, 1.0]])
    wanted = {
        "ip": ([[1, 2]], [[2.0, 2.0]]),
        "cosine": ([[2, 0]], [[1.0, math.sqrt(0.5)]]),
        "l2": ([[2, 0]], [[0.0, 1.0]]),
    }
    for metric, (ids, scores) in wanted.items():
        called = f"X = (1, 0), (0, 2), (1, 1); q = (1, 1), k=2, {metric!r}"
        expected = np.array(ids), np.array(scores)
        got = lab.exact_search(X3, q, 2, metric)
        check_found(got, expected, f"{metric}: ", called)


@task(1)
def test_rows_of_length_one(lab, rng):
    X = np.array([[3.0, 4.0], [0.0, 0.0], [0.0, -0.5]])
    got = lab.normalize_rows(X, eps=1e-12)
    check.close(got, np.array([[0.6, 0.8], [0.0, 0.0], [0.0, -1.0]]), **EXACT)
    got = lab.normalize_rows(X, eps=2.0)
    by_hand = np.array([[0.6, 0.8], [0.0, 0.0], [0.0, -0.25]])
    check.close(got, by_hand, **EXACT, name="a row shorter than eps")
    X = scaled(rng, rng.normal(size=(9, 5)))
    expected = np.array([row / math.hypot(*row) for row in X])
    check.close(lab.normalize_rows(X), expected, **EXACT, name="drawn rows")
    X[4] = X[7] = 0.0
    check.raises(ValueError, lambda: lab.normalize_rows(X), match="4", name="zero row")


@task(1)
def test_smallest_of_a_row(lab, rng):
    row = np.array([[3.0, 1.0, 2.0, 1.0, 0.0, 1.0]])
    for k, cols in [(1, [4]), (3, [4, 1, 3]), (6, [4, 1, 3, 5, 2, 0])]:
        got = lab.smallest_k(row, k)
        check.equal(got, np.array([cols]), name=f"3 1 2 1 0 1, k={k}")
    for n, w in [(5, 40), (3, 17), (70, 6)]:
        far = rng.integers(-4, 5, (n, w)).astype(float)
        for k in (1, w // 3, w - 1, w):
            got = lab.smallest_k(far, k)
            check.equal(got, nearest(far, k)[0], name=f"{n} x {w} with ties, k={k}")
    far = rng.normal(size=(4, 300))
    check.equal(lab.smallest_k(far, 11), nearest(far, 11)[0], name="drawn, k=11")
    for k in (0, 301):
        check.raises(ValueError, lambda k=k: lab.smallest_k(far, k), match="k")


@task(1)
def test_drawn_vectors_against_one_by_one(lab, rng):
    X, Q = scaled(rng, rng.normal(size=(83, 5))), rng.normal(size=(11, 5))
    for metric in ("ip", "cosine", "l2"):
        for k, block in [(7, 4096), (83, 30)]:
            got = lab.exact_search(X, Q, k, metric, block)
            name = f"{metric}, k={k}, block={block}: "
            check_found(got, exact(X, Q, k, metric), name)


@task(1)
def test_block_plays_no_part_and_ties_go_to_the_lower_id(lab, rng):
    X = signs(rng, 60) * 2.0 ** rng.integers(-1, 2, (60, 1))
    X[rng.integers(0, 60, 25)] = X[rng.integers(0, 60, 25)]  # some twice or more
    Q = signs(rng, 5)
    for metric in ("ip", "cosine", "l2"):
        expected = exact(X, Q, 9, metric)
        for block in (1, 7, 9, 25, 60, 1000):
            got = lab.exact_search(X, Q, 9, metric, block)
            check_found(got, expected, f"{metric}, block={block}: ")


@task(1)
def test_many_queries(lab, rng):
    X, Q = rng.normal(size=(13, 3)), rng.normal(size=(600, 3))
    far = np.square(Q[:, None] - X).sum(axis=2)
    check_found(lab.exact_search(X, Q, 2, "l2", 5), nearest(far, 2), "600 queries: ")


def check_memory(lab, X, Q, *how, said):
    """A search whose blocks need a few hundred kB takes less than 2 MB."""
    lab.exact_search(X[:50], Q[:9], 1, "ip", 40)  # what is loaded once does not count
    tracemalloc.start()
    lab.exact_search(X, Q, *how)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    held = "less" if peak < 2e6 else "more"
    rest = ", ".join(map(repr, how))
    called = f"exact_search({len(X):,} vectors, {len(Q):,} queries, {rest})"
    check.that(held == "less", said, held, name="memory", input=called)


@task(1)
def test_scores_are_held_block_by_block(lab, rng):
    X, Q = rng.normal(size=(1500, 2)), rng.normal(size=(270, 2))
    # all scores take 3.2 MB, those of 256 queries with all vectors 3.1 MB
    said = "at most 2 MB, as 256 x 100 scores take 0.2 MB (and all of them 3.2 MB)"
    check_memory(lab, X, Q, 3, "ip", 100, said=said)


@task(1)
def test_queries_are_answered_block_by_block(lab, rng):
    X, Q = rng.normal(size=(60, 2)), rng.normal(size=(5000, 2))
    said = "at most 2 MB, as 256 x 60 scores take 0.1 MB (and all of them 2.4 MB)"
    check_memory(lab, X, Q, 1, said=said)


@task(1)
def test_no_squared_distance_is_negative(lab, rng):
    X = 1000 + rng.normal(size=(40, 6))
    _, far = lab.exact_search(X, X, 3, "l2")
    check.that(bool((far >= 0).all()), "no number below 0", name="squared distances")


@task(1)
def test_arguments_of_exact_search(lab):
    q, zero = np.array([[1.0, 1.0]]), np.zeros((1, 2))
    lab.exact_search(X3, q, 3, block=1)
    lab.exact_search(np.vstack([X3, zero]), zero, 4, "l2")
    wrong = [
        (lambda: lab.exact_search(X3, q, 0), "k"),
        (lambda: lab.exact_search(X3, q, 4), "k"),
        (lambda: lab.exact_search(X3, q, 2, "dot"), "metric"),
        (lambda: lab.exact_search(X3, q, 2, "ip", 0), "block"),
        (lambda: lab.exact_search(X3, np.ones((1, 3)), 2), "Q"),
        (lambda: lab.exact_search(np.vstack([X3, zero]), q, 2, "cosine"), "X"),
        (lambda: lab.exact_search(X3, zero, 2, "cosine"), "Q"),
    ]
    for call, name in wrong:
        check.raises(ValueError, call, match=name)


# --- Task 2 ----------------------------------------------------------------------


@task(2)
def test_recall_by_hand(lab):
    truth = np.array([[4, 7, 2], [1, 0, 9]])
    for found, share in [
        ([[4, 7, 2], [1, 0, 9]], 1.0),
        ([[2, 4, 7], [9, 1, 0]], 1.0),
        ([[7, 3, 5], [8, 8, 8]], 1 / 6),
        ([[7, -1, -1], [-1, -1, -1]], 1 / 6),
        ([[7, 2], [0, 3]], 3 / 6),
        ([[3, 5, 6, 2, 4], [2, 3, 4, 5, 6]], 2 / 6),
    ]:
        called = f"found {found}, truth [[4, 7, 2], [1, 0, 9]]"
        check.close(lab.recall_at_k(np.array(found), truth), share, input=called)
    one = np.array([[4, 7, 2]])
    check.raises(ValueError, lambda: lab.recall_at_k(one, truth), match="found")


@task(2)
def test_recall_against_sets(lab, rng):
    for nq, width, k in [(5, 4, 7), (13, 9, 3), (2, 6, 6)]:
        truth = np.array([rng.permutation(12)[:k] for _ in range(nq)])
        found = np.array([rng.permutation(12)[:width] for _ in range(nq)])
        found[rng.random(found.shape) < 0.2] = -1
        pairs = zip(found.tolist(), truth.tolist(), strict=True)
        hits = sum(len(set(f) & set(t)) for f, t in pairs)
        check.close(lab.recall_at_k(found, truth), hits / (nq * k), **EXACT)


def ranks(X, Q):
    """All ids by inner product, largest first."""
    return np.argsort(-(np.asarray(Q) @ np.asarray(X).T), axis=1, kind="stable")


@task(2)
def test_a_long_vector_and_a_short_one(lab):
    X, q = np.array([[1.0, 0.0], [6.0, 8.0]]), np.array([[2.0, 0.0]])
    # inner products 2 and 12, cosines 1 and 0.6, squared distances 1 and 80
    for metric, order in [("ip", [[1, 0]]), ("cosine", [[0, 1]]), ("l2", [[0, 1]])]:
        got = ranks(*lab.as_inner_product(X, q, metric))
        called = f"X = (1, 0), (6, 8); q = (2, 0), {metric!r}"
        check.equal(got, np.array(order), name="order of X'", input=called)


@task(2)
def test_inner_product_ranks_as_each_metric(lab, rng):
    X = scaled(rng, rng.normal(size=(31, 4)))
    Q = scaled(rng, rng.normal(size=(12, 4)))
    for metric in ("ip", "cosine", "l2"):
        got = ranks(*lab.as_inner_product(X, Q, metric))
        expected = nearest(far_by_hand(X, Q, metric), 31)[0]
        check.equal(got, expected, name=f"order of 31 vectors, {metric}")


@task(2)
def test_arguments_of_as_inner_product(lab):
    q, zero = np.array([[1.0, 1.0]]), np.zeros((1, 2))
    lab.as_inner_product(np.vstack([X3, zero]), q, "l2")
    wrong = [
        (lambda: lab.as_inner_product(X3, q, "l1"), "metric"),
        (lambda: lab.as_inner_product(np.vstack([X3, zero]), q, "cosine"), "X"),
        (lambda: lab.as_inner_product(X3, np.ones((1, 3)), "ip"), "Q"),
    ]
    for call, name in wrong:
        check.raises(ValueError, call, match=name)


# --- Task 3 ----------------------------------------------------------------------


def at(*degrees):
    """Points on the unit circle."""
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def cells_of(X, centroids, n):
    """The n cells with the highest cosine, best first, ties to the lower one."""
    return nearest(far_by_hand(centroids, X, "cosine"), n)[0]


def probed(X, Q, k, cells, probes):
    """A full search that sees only the vectors of the probed cells, and how many."""
    far, scanned = far_by_hand(X, Q, "ip"), 0
    for row, mine in zip(far, probes, strict=True):
        inside = np.isin(cells, mine)
        scanned += int(inside.sum())
        row[~inside] = np.inf
    ids, far = nearest(far, k)
    ids[np.isinf(far)] = -1
    return (ids, -far), scanned


def check_probes(lab_index, X, Q, centroids, k, n_probe):
    """Ids, scores and the count of one setting against the restricted search."""
    got = lab_index.search(Q, k, n_probe)
    cells = cells_of(X, centroids, 1)[:, 0]
    expected, scanned = probed(X, Q, k, cells, cells_of(Q, centroids, n_probe))
    check_found(got, expected, f"n_probe={n_probe}, k={k}: ")
    check.equal(lab_index.scanned, scanned, name=f"scanned, n_probe={n_probe}")


@task(3)
def test_a_neighbour_beyond_the_border_of_a_cell(lab):
    index = lab.IVFIndex(2, centroids=np.array([[1.0, 0.0], [0.0, 7.0]]))
    index.add(at(10, 80, 30, 60))  # 10 and 30 degrees lie in cell 0
    called = "centroids (1, 0), (0, 7); vectors at 10, 80, 30, 60, query at 40 degrees"
    check.equal(index.lists[0], np.array([0, 2]), name="lists[0]", input=called)
    check.equal(index.lists[1], np.array([1, 3]), name="lists[1]", input=called)
    cos = [math.cos(math.radians(a)) for a in (10, 20, 30)]
    one = np.array([[2, 0, -1]]), np.array([[cos[0], cos[2], -math.inf]])
    check_found(index.search(at(40), 3, 1), one, "n_probe=1: ", called)
    check.equal(index.scanned, 2, name="scanned", input=called)
    both = np.array([[2, 3, 0]]), np.array([cos])
    check_found(index.search(at(40), 3, 2), both, "n_probe=2: ", called)
    check.equal(index.scanned, 4, name="scanned", input=called)


@task(3)
def test_more_wanted_than_there_are(lab):
    index = lab.IVFIndex(2, centroids=np.eye(2))
    index.add(np.eye(2))
    expected = np.array([[1, 0, -1]]), np.array([[1.0, 0.0, -math.inf]])
    check_found(index.search(np.eye(2)[1:], 3, 2), expected, "2 vectors, k=3: ")


@task(3)
def test_nearest_lists_are_those_of_the_highest_cosine(lab, rng):
    centroids, Q = scaled(rng, rng.normal(size=(7, 5))), unit(rng, 12, 5)
    index = lab.IVFIndex(7, centroids=centroids)
    for n in (1, 3, 7):
        expected = cells_of(Q, centroids, n)
        check.equal(index.nearest_lists(Q, n), expected, name=f"n={n}")


@task(3)
def test_search_is_exact_within_the_probed_cells(lab, rng):
    X, Q = unit(rng, 120, 6), unit(rng, 9, 6)
    centroids = scaled(rng, rng.normal(size=(8, 6)))
    index = lab.IVFIndex(8, centroids=centroids)
    index.train(X)  # there are centroids: nothing to do
    index.add(X[:70])
    index.add(X[70:])
    cells = cells_of(X, centroids, 1)[:, 0]
    for c in range(8):
        mine = np.flatnonzero(cells == c)
        check.equal(index.lists[c], mine, name=f"lists[{c}] after two calls of add")
    for n_probe, k in [(1, 25), (2, 5), (5, 11), (8, 120)]:
        check_probes(index, X, Q, centroids, k, n_probe)


@task(3)
def test_equal_scores_and_empty_cells(lab, rng):
    X, Q = signs(rng, 80, 5) / 2, signs(rng, 6, 5) / 2
    centroids = np.vstack([signs(rng, 3, 5), -10 * np.ones((1, 5)), 3 * np.eye(5)[:2]])
    near = np.vstack([np.eye(5), Q])  # the axes, for cells that may hold nothing
    index = lab.IVFIndex(6, centroids=centroids)
    index.add(X)
    for n_probe in (1, 3, 6):
        check_probes(index, X, near, centroids, 12, n_probe)


@task(3)
def test_training_uses_the_clusters_of_lab_3_1(lab, rng):
    five = signs(rng, 40, 9)
    five = np.unique(five, axis=0)[:5] / 2
    X = five[rng.permutation(np.repeat(np.arange(5), 4))]
    index = lab.IVFIndex(5, np.random.default_rng(3))
    index.train(X)
    index.add(X)
    # as many cells as directions: each gets one, from any start
    got = sorted(tuple(np.asarray(ids).tolist()) for ids in index.lists)
    copies = [np.flatnonzero((direction == X).all(axis=1)) for direction in five]
    expected = sorted(tuple(ids.tolist()) for ids in copies)
    check.equal(got, expected, name="cells of 5 directions, 4 copies of each")
    X = unit(rng, 60, 4)
    index = lab.IVFIndex(7, np.random.default_rng(4))
    index.train(X)
    _, expected = labs.solution("3.1").cluster(X, 7, np.random.default_rng(4))
    check.close(index.centroids, expected, **EXACT, name="centroids")


@task(3)
def test_arguments_of_the_index(lab, rng):
    X = unit(rng, 20, 4)
    index = lab.IVFIndex(3, centroids=X[:3])
    index.add(X)
    index.search(X[:2], 1, 3)
    untrained = lab.IVFIndex(21, rng)
    wrong = [
        (lambda: untrained.train(X), "n_lists"),
        (lambda: untrained.add(X), "centroids"),
        (lambda: index.add(2 * X), "X"),
        (lambda: index.search(2 * X, 1, 1), "Q"),
        (lambda: index.search(X, 0, 1), "k"),
        (lambda: index.search(X, 1, 0), "n_probe"),
        (lambda: index.search(X, 1, 4), "n_probe"),
    ]
    for call, name in wrong:
        check.raises(ValueError, call, match=name)


# --- Task 4 ----------------------------------------------------------------------


def quantizer(lab, codebooks):
    """The lab's quantizer with given codebooks."""
    pq = lab.ProductQuantizer(len(codebooks), codebooks.shape[1])
    pq.codebooks = codebooks
    return pq


def codes_by_hand(X, codebooks):
    """The nearest code of each block, by subtraction."""
    m, _, width = codebooks.shape
    codes = np.empty((len(X), m), np.uint8)
    for j, book in enumerate(codebooks):
        part = X[:, j * width : (j + 1) * width]
        codes[:, j] = np.square(part[:, None] - book).sum(axis=2).argmin(axis=1)
    return codes


def decoded_by_hand(codes, codebooks):
    return np.array(
        [
            np.concatenate([book[c] for book, c in zip(codebooks, row, strict=True)])
            for row in codes.tolist()
        ]
    )


BOOKS = np.array([[[0, 0], [4, 0], [0, 4]], [[0, 0], [1, 1], [-2, 2]]], float)


@task(4)
def test_two_blocks_by_hand(lab):
    pq = quantizer(lab, BOOKS)
    X = np.array([[3.0, 1.0, 1.0, 0.0], [1.0, 3.0, -1.0, 1.5]])
    called = "codebooks (0,0) (4,0) (0,4) and (0,0) (1,1) (-2,2)"
    codes = pq.encode(X)
    by_hand = np.array([[1, 0], [2, 2]], np.uint8)
    check.equal(codes, by_hand, name="codes of (3,1,1,0), (1,3,-1,1.5)", input=called)
    stands = np.array([[4.0, 0.0, 0.0, 0.0], [0.0, 4.0, -2.0, 2.0]])
    check.close(pq.decode(by_hand), stands, **EXACT, name="decoded", input=called)
    q = np.array([1.0, 0.0, 0.0, 1.0])
    tables = np.array([[1.0, 9.0, 17.0], [1.0, 1.0, 5.0]])
    check.close(pq.lookup_tables(q), tables, **EXACT, name="tables of (1,0,0,1)")
    found = pq.search(by_hand, q[None], 2)
    expected = np.array([[0, 1]]), np.array([[9.0 + 1.0, 17.0 + 5.0]])
    check_found(found, expected, "search for (1,0,0,1): ", called)


@task(4)
def test_drawn_codebooks(lab, rng):
    books = rng.normal(0, 2, (3, 11, 4))
    X, Q = rng.normal(0, 2, (90, 12)), rng.normal(0, 2, (7, 12))
    pq, codes = quantizer(lab, books), codes_by_hand(X, books)
    check.equal(pq.encode(X), codes, name="codes")
    stands = decoded_by_hand(codes, books)
    check.close(pq.decode(codes), stands, **EXACT, name="decoded")
    tables = np.vstack(
        [far_by_hand(books[j], Q[:1, 4 * j : 4 * j + 4], "l2") for j in range(3)]
    )
    check.close(pq.lookup_tables(Q[0]), tables, **EXACT, name="lookup_tables")
    expected = nearest(far_by_hand(stands, Q, "l2"), 5)
    # vectors of the same code are equally far: which is first is the tie rule's affair
    check_found(pq.search(codes, Q, 5), expected, "distance to decode(codes): ")


@task(4)
def test_codes_up_to_255(lab, rng):
    books = np.stack([np.arange(256.0), np.arange(256.0)[::-1]])[:, :, None]
    X = rng.integers(0, 256, (50, 2)).astype(float)
    X[:2] = [[255, 0], [200, 128]]
    pq = quantizer(lab, books)
    expected = np.stack([X[:, 0], 255 - X[:, 1]], axis=1).astype(np.uint8)
    check.equal(pq.encode(X), expected, name="codes")
    check.close(pq.decode(expected), X, **EXACT, name="decoded")
    check_found(pq.search(expected, X[:3], 4), exact(X, X[:3], 4, "l2"), "search: ")


@task(4)
def test_the_query_itself_is_not_coded(lab):
    books = np.array([[[0.0], [10.0]], [[0.0], [10.0]]])
    pq = quantizer(lab, books)
    codes = np.array([[0, 0], [1, 0], [1, 1]], np.uint8)
    q = np.array([[6.0, 4.0]])
    expected = np.array([[1, 0, 2]]), np.array([[32.0, 52.0, 52.0]])
    called = "codes stand for (0,0), (10,0), (10,10); query (6, 4)"
    check_found(pq.search(codes, q, 3), expected, input=called)


@task(4)
def test_reranking(lab, rng):
    books = rng.normal(0, 1, (4, 5, 2))
    X, Q = rng.normal(size=(70, 8)), rng.normal(size=(9, 8))
    pq, codes = quantizer(lab, books), codes_by_hand(X, books)
    estimates = far_by_hand(decoded_by_hand(codes, books), Q, "l2")
    true = far_by_hand(X, Q, "l2")
    for rerank in (6, 20, 70):
        chosen = nearest(estimates, rerank)[0]
        far = np.full(true.shape, np.inf)
        values = np.take_along_axis(true, chosen, axis=1)
        np.put_along_axis(far, chosen, values, axis=1)
        got = pq.search(codes, Q, 6, rerank, X)
        check_found(got, nearest(far, 6), f"rerank={rerank}: ")
    X = rng.integers(-2, 3, (40, 8)).astype(float)
    X[rng.integers(0, 40, 20)] = X[3]
    codes = codes_by_hand(X, books)
    Q = X[3:4]
    got = pq.search(codes, Q, 7, rerank=40, X=X)
    check_found(got, exact(X, Q, 7, "l2"), "equal vectors, rerank=N: ")


@task(4)
def test_equal_distances_after_reranking(lab):
    pq = lab.ProductQuantizer(1, 2)
    pq.codebooks = np.array([[[2.5], [-1.0]]])
    X, q = np.array([[1.0], [-1.0]]), np.zeros((1, 1))
    called = "1 and -1, coded as 2.5 and -1; q = 0: both at distance 1"
    expected = np.array([[0, 1]]), np.ones((1, 2))
    codes = np.array([[0], [1]], np.uint8)
    check_found(pq.search(codes, q, 2, 2, X), expected, "rerank=2: ", called)


@task(4)
def test_fit_finds_what_is_there(lab, rng):
    # as many codes as there are different blocks: nothing is lost, from any start
    parts = rng.integers(-9, 9, (3, 6, 2)).astype(float)
    parts[:, :, 0] = 10 * rng.permutation(6) + parts[:, :, 0] / 9  # all different
    rows = rng.integers(0, 6, (3, 80))
    rows[:, :6] = np.arange(6)
    X = np.hstack([part[row] for part, row in zip(parts, rows, strict=True)])
    pq = lab.ProductQuantizer(3, 6, np.random.default_rng(5))
    pq.fit(X)
    check.equal(np.shape(pq.codebooks), (3, 6, 2), name="shape of codebooks")
    check.close(pq.decode(pq.encode(X)), X, **EXACT, name="decode(encode(X))")


@task(4)
def test_fitted_codes_are_means(lab, rng):
    X = rng.normal(size=(60, 6)) * [1, 2, 3, 4, 5, 6]
    draw, unused = np.random.default_rng(6), np.random.default_rng(6)
    pq = lab.ProductQuantizer(2, 3, draw)
    pq.fit(X)
    drawn = draw.bit_generator.state != unused.bit_generator.state
    said = "draws from the rng that the quantizer was given"
    check.that(drawn, said, "no draw from it")
    codes = codes_by_hand(X, np.asarray(pq.codebooks))
    for j in range(2):
        part = X[:, 3 * j : 3 * j + 3]
        means = np.array([part[codes[:, j] == c].mean(axis=0) for c in range(3)])
        check.close(pq.codebooks[j], means, **EXACT, name=f"codebooks[{j}]")


@task(4)
def test_arguments_of_the_quantizer(lab, rng):
    X = rng.normal(size=(20, 6))
    pq = lab.ProductQuantizer(3, 5, rng)
    pq.fit(X)
    codes = pq.encode(X)
    pq.search(codes, X, 20, rerank=20, X=X)
    wrong = [
        (lambda: lab.ProductQuantizer(4, 5, rng).fit(X), "m"),
        (lambda: pq.encode(X[:, :5]), "m"),
        (lambda: lab.ProductQuantizer(3, 21, rng).fit(X), "n_codes"),
        (lambda: pq.search(codes, X, 0), "k"),
        (lambda: pq.search(codes, X, 21), "k"),
        (lambda: pq.search(codes, X, 5, rerank=4, X=X), "rerank"),
        (lambda: pq.search(codes, X, 5, rerank=21, X=X), "rerank"),
        (lambda: pq.search(codes, X, 5, rerank=9), "X"),
    ]
    for call, name in wrong:
        check.raises(ValueError, call, match=name)


# --- Task 5 ----------------------------------------------------------------------


def by_hand_index(lab, vectors, graph, entry=0):
    """The lab's HNSW with a graph that we built."""
    index = lab.HNSW()
    index.vectors, index.graph, index.entry = np.asarray(vectors, float), graph, entry
    return index


def apart(vectors, i, q):
    return math.fsum((a - b) ** 2 for a, b in zip(vectors[i], q, strict=True))


def walk(vectors, links, q, entry_ids, ef):
    """Best-first search with plain lists; also how many distances it took."""
    met = {int(i): apart(vectors, i, q) for i in entry_ids}
    followed = set()
    while True:
        kept = sorted((far, i) for i, far in met.items())[:ef]
        todo = [i for _, i in kept if i not in followed]
        if not todo:
            return kept, len(met)
        followed.add(todo[0])
        met |= {j: apart(vectors, j, q) for j in links[todo[0]] if j not in met}


def random_links(rng, ids, extra, connected):
    """Links of the ids: `extra` one-way ones, and a tree both ways if connected."""
    ids = [int(i) for i in ids]
    links = {i: set() for i in ids}
    for place in range(1, len(ids)) if connected else ():
        i, j = ids[place], ids[int(rng.integers(place))]
        links[i].add(j), links[j].add(i)
    for _ in range(extra):
        i, j = (ids[n] for n in rng.integers(0, len(ids), 2))
        links[i] |= {j} - {i}
    return {i: [int(j) for j in rng.permutation(list(to))] for i, to in links.items()}


@task(5)
def test_a_walk_of_length_one_gets_stuck(lab):
    line = np.array([[0.0], [4.0], [3.0], [9.0], [20.0]])
    links = {0: [1], 1: [0, 2], 2: [1, 3], 3: [2, 4], 4: [3]}
    index = by_hand_index(lab, line, [links])
    q = np.array([10.0])
    called = "0 - 4 - 3 - 9 - 20 on a line, linked in this order; q = 10, from 0"
    for ef, found, scanned in [
        (1, [(36.0, 1)], 3),
        (2, [(1.0, 3), (36.0, 1)], 5),
        (9, [(1.0, 3), (36.0, 1), (49.0, 2), (100.0, 0), (100.0, 4)], 5),
    ]:
        index.scanned = 0
        got = index.search_layer(q, [0], ef, 0)
        check.close(got, found, **EXACT, name=f"ef={ef}", input=called)
        check.equal(index.scanned, scanned, name=f"scanned, ef={ef}", input=called)


@task(5)
def test_walks_on_drawn_graphs(lab, rng):
    for connected in (True, False):
        vectors = rng.normal(size=(50, 3))
        links = random_links(rng, rng.permutation(50), 60, connected)
        index = by_hand_index(lab, vectors, [{}, links])
        for ef in (1, 2, 5, 13, 60):
            q = rng.normal(size=3)
            start = [int(i) for i in rng.permutation(50)[: 1 + ef % 4]]
            found, scanned = walk(vectors, links, q, start, ef)
            index.scanned = 0
            got = index.search_layer(q, start, ef, 1)
            name = f"ef={ef}, from {start}"
            check.close(got, found, **EXACT, name=name)
            check.equal(index.scanned, scanned, name=f"scanned, {name}")


@task(5)
def test_upper_levels_lead_to_the_right_part(lab):
    # two parts that only level 1 joins; entry is in the left one
    line = np.array([[0.0], [1.0], [2.0], [50.0], [51.0], [52.0], [90.0]])
    bottom = {0: [1], 1: [0, 2], 2: [1], 3: [4], 4: [3, 5], 5: [4], 6: []}
    middle = {0: [6], 3: [6], 6: [0, 3]}
    index = by_hand_index(lab, line, [bottom, middle, {0: []}])
    q = np.array([[51.75]])
    called = "parts 0-1-2 and 50-51-52; level 1: 0-90-50, level 2: 0; q = 51.75"
    check.equal(index.descend(q[0], 2), [0], name="descend to level 2", input=called)
    check.equal(index.descend(q[0], 1), [0], name="descend to level 1", input=called)
    check.equal(index.descend(q[0], 0), [3], name="descend to level 0", input=called)
    expected = np.array([[5, 4, 3]]), np.array([[0.0625, 0.5625, 3.0625]])
    check_found(index.search(q, 3, 3), expected, input=called)
    few = np.array([[5, 4, 3, -1]]), np.append(expected[1], [[np.inf]], axis=1)
    check_found(index.search(q, 4, 4), few, "fewer than k: ", called)
    none = np.full((1, 2), -1), np.full((1, 2), np.inf)
    check_found(lab.HNSW().search(q, 2, 2), none, "empty index: ")


@task(5)
def test_each_walk_starts_where_the_one_above_ended(lab):
    line = np.array([[0.0], [50.0], [51.0]])
    graph = [{0: [], 1: [2], 2: [1]}, {0: [], 1: []}, {0: [1], 1: [0]}]
    index = by_hand_index(lab, line, graph)
    called = "0, 50, 51; only level 2 links 0 and 50, level 1 links none; q = 52"
    q = np.array([52.0])
    check.equal(index.descend(q, 0), [1], name="descend to level 0", input=called)


@task(5)
def test_all_kept_on_a_connected_graph_is_exact(lab, rng):
    vectors, Q = rng.normal(size=(45, 4)), rng.normal(size=(8, 4))
    links = random_links(rng, rng.permutation(45), 30, connected=True)
    index = by_hand_index(lab, vectors, [links], entry=17)
    check_found(index.search(Q, 6, 45), exact(vectors, Q, 6, "l2"), "ef=N: ")
    check.equal(index.scanned, 8 * 45, name="scanned by 8 queries")
    for ef in (6, 9, 20):
        found = [walk(vectors, links, q, [17], ef) for q in Q]
        got = index.search(Q, 6, ef)
        ids = np.array([[i for _, i in kept[:6]] for kept, _ in found])
        far = np.array([[far for far, _ in kept[:6]] for kept, _ in found])
        check_found(got, (ids, far), f"ef={ef}: ")
        total = sum(scanned for _, scanned in found)
        check.equal(index.scanned, total, name=f"scanned, ef={ef}")


@task(5)
def test_arguments_of_the_walk(lab):
    index = by_hand_index(lab, X3, [{0: [1], 1: [0, 2], 2: [1]}])
    index.search(X3, 2, 2)
    check.raises(ValueError, lambda: index.search(X3, 0, 2), match="k")
    check.raises(ValueError, lambda: index.search(X3, 3, 2), match="ef")


# --- Task 6 ----------------------------------------------------------------------


def spread_out(vectors, candidates, m):
    """Algorithm 4 of the paper, one distance at a time."""
    taken = []
    for far, i in candidates:
        nearer = any(apart(vectors, i, vectors[t]) < far for t in taken)
        if not nearer and len(taken) < m:
            taken.append(i)
    return taken


def built(vectors, levels, m, ef):
    """A graph of our own: (a dict of sets for each level, entry)."""
    graph, entry = [], 0
    for new, level in enumerate(levels):
        q, start = vectors[new], [entry]
        for above in range(len(graph) - 1, -1, -1):
            wide = above <= level
            kept, _ = walk(vectors, graph[above], q, start, ef if wide else 1)
            start = [i for _, i in kept]
            if not wide:
                continue
            mine = spread_out(vectors, kept, m)
            graph[above][new] = set(mine)
            for i in mine:
                graph[above][i].add(new)
                if len(graph[above][i]) > (m if above else 2 * m):
                    far = [(apart(vectors, j, vectors[i]), j) for j in graph[above][i]]
                    kept = spread_out(vectors, sorted(far), m if above else 2 * m)
                    graph[above][i] = set(kept)
        if level >= len(graph):
            graph += [{new: set()} for _ in range(len(graph), level + 1)]
            entry = new
    return graph, entry


def insert_all(lab, vectors, levels, m, ef):
    """The lab's graph for given levels."""
    index = lab.HNSW(m, ef)
    index.vectors = np.asarray(vectors, float)
    for new, level in enumerate(levels):
        index.insert(new, level)
    return index


def in_order(level):
    """Links as sorted lists; a link that stands twice stays so."""
    return {int(i): sorted(int(j) for j in level[i]) for i in sorted(level)}


def check_graph(index, expected, name="", input=None):
    graph, entry = expected
    check.equal(len(index.graph), len(graph), name=f"{name}levels", input=input)
    for at, (mine, theirs) in enumerate(zip(index.graph, graph, strict=True)):
        what = f"{name}links on level {at}"
        check.equal(in_order(mine), in_order(theirs), name=what, input=input)
    check.equal(int(index.entry), entry, name=f"{name}entry", input=input)


@task(6)
def test_one_neighbour_in_each_direction(lab):
    line = np.array([[0.0], [1.0], [2.0], [-3.0], [-3.5]])
    index = by_hand_index(lab, line, [])
    called = "a vector at 0, candidates at 1, 2, -3, -3.5"
    candidates = [(1.0, 1), (4.0, 2), (9.0, 3), (12.25, 4)]
    # 2 is 1 from 1, but 4 from 0: left out. -3 is 16 from 1, and 9 from 0: taken
    for m, taken in [(4, [1, 3]), (2, [1, 3]), (1, [1])]:
        got = index.select(candidates, m)
        check.equal(list(got), taken, name=f"taken, m={m}", input=called)


@task(6)
def test_as_near_to_a_taken_one_is_not_nearer(lab):
    plane = np.array([[0.0, 0.0], [2.0, 0.0], [1.0, 2.0]])
    got = by_hand_index(lab, plane, []).select([(4.0, 1), (5.0, 2)], 4)
    called = "a vector at (0, 0), candidates (2, 0), (1, 2): 5 from both others"
    check.equal(list(got), [1, 2], name="taken", input=called)


@task(6)
def test_select_on_drawn_vectors(lab, rng):
    for n, m in [(30, 40), (30, 4), (9, 3)]:
        vectors = rng.normal(size=(n, 3))
        near = sorted((apart(vectors, i, np.zeros(3)), i) for i in range(n))
        got = by_hand_index(lab, vectors, []).select(near, m)
        expected = spread_out(vectors, near, m)
        check.equal([int(i) for i in got], expected, name=f"{n} candidates, m={m}")


@task(6)
def test_levels(lab, rng):
    by_hand = [(1.0, 8, 0), (0.5, 8, 0), (0.1, 8, 1), (0.01, 8, 2), (0.3, 2, 1)]
    for u, m, level in by_hand:
        check.equal(lab.level_of(u, m), level, name=f"u={u}, m={m}")
    for m in (2, 5, 16):
        for u in 10 ** rng.uniform(-6, 0, 15):
            level = next(n for n in range(60) if u > float(m) ** -(n + 1))
            check.equal(lab.level_of(float(u), m), level, name=f"m={m}")


@task(6)
def test_four_points_on_a_line(lab):
    line = np.array([[0.0], [1.0], [5.0], [6.5], [2.0]])
    called = "0, 1, 5, 6.5, 2 on a line, inserted in this order at levels 0, 1, 0, 2, 1"
    index = insert_all(lab, line, [0, 1, 0, 2, 1], 4, 9)
    bottom = {0: {1}, 1: {0, 2, 4}, 2: {1, 3, 4}, 3: {2}, 4: {1, 2}}
    middle = {1: {3, 4}, 3: {1, 4}, 4: {1, 3}}
    check_graph(index, ([bottom, middle, {3: set()}], 3), input=called)


@task(6)
def test_links_go_both_ways_and_reach_everything_while_there_is_room(lab, rng):
    vectors = rng.normal(size=(30, 3))
    levels = [int(n) for n in rng.integers(0, 3, 30)]
    index = insert_all(lab, vectors, levels, 30, 30)
    for at, links in enumerate(index.graph):
        there = all(i in links[j] for i in links for j in links[i])
        check.that(there, "a link back for every link", name=f"level {at}")
    # ef = N on a connected graph: candidates are all vectors that are there
    graph = [{} for _ in range(max(levels) + 1)]
    for new, level in enumerate(levels):
        for links in graph[: level + 1]:
            near = sorted((apart(vectors, i, vectors[new]), i) for i in links)
            links[new] = set(spread_out(vectors, near, 30))
            for i in links[new]:
                links[i].add(new)
    check_graph(index, (graph, levels.index(max(levels))), "m = ef = N: ")


@task(6)
def test_a_graph_with_few_links(lab, rng):
    for m, ef in [(2, 6), (3, 12)]:
        vectors = rng.normal(size=(60, 3))
        levels = [int(-math.log(1 - u) / math.log(3)) for u in rng.random(60)]
        index = insert_all(lab, vectors, levels, m, ef)
        for at, links in enumerate(index.graph):
            most = max(len(to) for to in links.values())
            said = f"at most {m if at else 2 * m} links"
            check.that(most <= (m if at else 2 * m), said, most, name=f"level {at}")
        check_graph(index, built(vectors, levels, m, ef), f"m={m}, ef={ef}: ")


@task(6)
def test_add_goes_on_where_it_ended(lab, rng):
    vectors = rng.normal(size=(40, 2))
    index = lab.HNSW(3, 10, np.random.default_rng(7))
    index.add(vectors[:25])
    index.add(vectors[25:])
    draws = 1 - np.random.default_rng(7).random(40)
    levels = [int(-math.log(u) / math.log(3)) for u in draws]
    check_graph(index, built(vectors, levels, 3, 10), "25 vectors and 15 more: ")


# --- Task 7 ----------------------------------------------------------------------


@task(7)
def test_front_of_six_settings(lab):
    points = [(40.0, 0.9), (10.0, 0.5), (20.0, 0.5)]
    points += [(30.0, 0.8), (40.0, 0.7), (60.0, 0.85)]
    expected = [(10.0, 0.5), (30.0, 0.8), (40.0, 0.9)]
    check.equal(list(lab.pareto_front(points)), expected, name="front")
    check.equal(list(lab.pareto_front([(3.0, 0.5)] * 2)), [(3.0, 0.5)], name="twice")
    check.equal(list(lab.pareto_front([])), [], name="no points")


def beaten(p, points):
    return any(o != p and o[0] <= p[0] and o[1] >= p[1] for o in points)


@task(7)
def test_front_by_brute_force(lab, rng):
    for n in (1, 2, 5, 12, 40):
        costs, recalls = rng.integers(0, 9, n) * 1.0, rng.integers(0, 7, n) / 8
        points = list(zip(costs.tolist(), recalls.tolist(), strict=True))
        expected = sorted({p for p in points if not beaten(p, points)})
        got = list(lab.pareto_front(points))
        check.equal(got, expected, name=f"{n} points", input=f"pareto_front({points})")
        rising = all(a[1] < b[1] for a, b in pairwise(got))
        check.that(rising, "recall rises along the front", name=f"{n} points")
