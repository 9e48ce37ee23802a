"""The marking scheme of lab 1.4: what each task must do, and how we know.

Oracles: torch's own functions for the puzzles, gradient descent with the gradient
written out in NumPy and np.linalg.lstsq for tasks 3 and 4, storage pointers for task 5,
hand-written gradients for task 6, a simulated GPU for task 7, autograd for the bonus.
Everything runs on the CPU. No loss after training is graded and no clock is read.
"""

from __future__ import annotations

import dis
import inspect
import itertools
import re
from collections.abc import Iterator
from types import CodeType, FunctionType

import numpy as np
import torch

# The first optimizer of a process imports this. It takes longer than all tests here,
# and it replaces torch.manual_seed, which the harness would take for tampering.
import torch._dynamo
from torch import nn

from common.grading import check, task


def f64(rng, *shape):
    """Normal numbers around 0.5, float64."""
    return torch.from_numpy(rng.normal(0.5, 1.0, shape))


def ints(rng, high, *shape):
    """Whole numbers from 0 to high - 1, int64."""
    return torch.from_numpy(rng.integers(0, high, shape))


# --- The rule of the puzzles -----------------------------------------------------

# A name on this list, alone or with a tail: tril, tril_, tril_indices.
READY_MADE = re.compile(
    "(as_strided|bincount|cdist|diag|diagflat|einsum|eye|ger|histc|histogram|histogramdd"
    "|index_add|kron|layer_norm|log_softmax|logsumexp|normalize|one_hot|outer"
    "|pairwise_distance|pdist|scatter|softmax|softmin|std|tensordot|tril|triu|unfold"
    "|unique|var|vmap|filter|map|reduce|eval|exec|getattr)(_.*)?",
    re.IGNORECASE,
)


# Jumps with NO_INTERRUPT in their name are how `with` and `try` end, and no loops.
LOOP = re.compile("FOR_ITER|(POP_)?JUMP_BACKWARD(_IF_.*)?")


def shortcuts(function) -> list[str]:
    """Loops and ready-made names in a function and in the helpers it calls.

    Read from the bytecode: it is what runs, wherever the text of it came from.
    """
    found, seen, waiting = set(), set(), [inspect.unwrap(function)]
    while waiting:
        function = waiting.pop()
        if not isinstance(function, FunctionType):  # such as outer = torch.outer
            found.add(getattr(function, "__name__", type(function).__name__))
            continue
        seen.add(function)
        for opname, name in instructions(function.__code__):
            if LOOP.fullmatch(opname):
                found.add("a loop")
            elif opname in ("LOAD_GLOBAL", "LOAD_NAME"):
                known = function.__globals__.get(name)
                own = getattr(known, "__module__", "") == function.__module__
                if own and isinstance(known, FunctionType):
                    waiting += {known} - seen
                else:  # also under another name: from torch import outer as product
                    found |= ready_made(name, getattr(known, "__name__", ""))
            elif name and opname.startswith(("LOAD_ATTR", "LOAD_METHOD", "IMPORT_")):
                found |= ready_made(name)
    return sorted(found)


def ready_made(*names: str) -> set[str]:
    """Those of these names that are the answer to a puzzle, or a loop in disguise."""
    return {name for name in names if READY_MADE.fullmatch(name)}


def instructions(code: CodeType) -> Iterator[tuple[str, object]]:
    """(operation, name) of every instruction, inner functions included."""
    for one in dis.get_instructions(code):
        yield one.opname, one.argval if isinstance(one.argval, str) else None
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from instructions(inner)


def written_by_hand(function) -> None:
    """The puzzle is solved by indexing and arithmetic, not looped or looked up."""
    found = shortcuts(function)
    wanted = "no loop and no ready-made function"
    check.that(not found, wanted, found, name=f"how {function.__name__} is written")


# --- Task 1 ----------------------------------------------------------------------


@task(1)
def test_outer(lab, rng):
    got = lab.outer(torch.tensor([1, 2]), torch.tensor([3, 4, 5]))
    check.equal(got, torch.tensor([[3, 4, 5], [6, 8, 10]]))
    written_by_hand(lab.outer)
    a, b = f64(rng, 5), f64(rng, 3)
    check.close(lab.outer(a, b), torch.outer(a, b))


@task(1)
def test_pairwise_sq_dists(lab, rng):
    X = torch.tensor([[0.0, 0.0], [1.0, 2.0]])
    Y = torch.tensor([[3.0, 4.0], [1.0, 0.0], [1.0, 2.0]])
    got = lab.pairwise_sq_dists(X, Y)
    check.close(got, torch.tensor([[25.0, 1.0, 5.0], [8.0, 4.0, 0.0]]), atol=1e-5)
    written_by_hand(lab.pairwise_sq_dists)
    X, Y = f64(rng, 5, 7), f64(rng, 4, 7)
    exact = "donot_use_mm_for_euclid_dist"
    check.close(lab.pairwise_sq_dists(X, Y), torch.cdist(X, Y, compute_mode=exact) ** 2)


@task(1)
def test_one_hot(lab, rng):
    got = lab.one_hot(torch.tensor([2, 0]), 3)
    check.equal(got, torch.tensor([[0, 0, 1], [1, 0, 0]]))
    written_by_hand(lab.one_hot)
    for n, k in [(6, 4), (3, 8), (5, 1)]:
        ids = ints(rng, k, n)
        check.equal(lab.one_hot(ids, k), nn.functional.one_hot(ids, k))


@task(1)
def test_causal_mask(lab):
    no, yes = False, True
    expected = torch.tensor([[yes, no, no], [yes, yes, no], [yes, yes, yes]])
    check.equal(lab.causal_mask(3), expected)
    written_by_hand(lab.causal_mask)
    for t in (1, 2, 7):
        check.equal(lab.causal_mask(t), torch.ones(t, t).tril().bool())


@task(1)
def test_padding_mask(lab, rng):
    got = lab.padding_mask(torch.tensor([2, 0]), 3)
    check.equal(got, torch.tensor([[True, True, False], [False, False, False]]))
    written_by_hand(lab.padding_mask)
    for b, max_len in [(4, 6), (7, 3), (2, 1)]:
        lengths = ints(rng, max_len + 1, b)
        rows = [[j < n for j in range(max_len)] for n in lengths.tolist()]
        check.equal(lab.padding_mask(lengths, max_len), torch.tensor(rows))


# --- Task 2 ----------------------------------------------------------------------


@task(2)
def test_standardize_columns(lab, rng):
    columns = [[1.0, 5.0], [1.0, 5.0], [3.0, 5.0], [3.0, 5.0]]
    got = lab.standardize_columns(torch.tensor(columns))
    expected = [[-1.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]
    check.close(got, torch.tensor(expected), atol=1e-6)
    written_by_hand(lab.standardize_columns)
    X = f64(rng, 9, 4) * torch.tensor([1.0, 10.0, 0.1, 3.0]) + 2
    deviation = X.std(dim=0, correction=0)
    check.close(lab.standardize_columns(X), (X - X.mean(dim=0)) / deviation)
    # the mean of seven 0.1 is not exactly 0.1
    tenths = torch.full((7, 2), 0.1)
    got = lab.standardize_columns(tenths)
    check.close(got, torch.zeros(7, 2), atol=1e-6, name="equal values")


@task(2)
def test_sliding_windows(lab, rng):
    got = lab.sliding_windows(torch.tensor([1, 2, 3, 4]), 3)
    check.equal(got, torch.tensor([[1, 2, 3], [2, 3, 4]]))
    written_by_hand(lab.sliding_windows)
    x = f64(rng, 11)
    for w in (1, 4, 11):
        check.equal(lab.sliding_windows(x, w), x.unfold(0, w, 1))
    for w in (0, -2, 12):
        check.raises(ValueError, lambda w=w: lab.sliding_windows(x, w), match="w")


@task(2)
def test_bucket_counts(lab, rng):
    got = lab.bucket_counts(torch.tensor([2, 0, 2, 2, 0]), 4)
    check.equal(got, torch.tensor([2, 0, 3, 0]))
    written_by_hand(lab.bucket_counts)
    for n, k in [(13, 5), (3, 9)]:
        ids = ints(rng, k, n)
        check.equal(lab.bucket_counts(ids, k), torch.bincount(ids, minlength=k))


@task(2)
def test_row_softmax(lab, rng):
    x = torch.tensor([[1000.0, 1000.0, 1000.0, 1000.0], [0.0, 0.0, 0.0, 0.0]])
    x[1, 2:] = torch.log(torch.tensor(3.0))
    expected = torch.tensor([[0.25, 0.25, 0.25, 0.25], [0.125, 0.125, 0.375, 0.375]])
    check.close(lab.row_softmax(x), expected)
    written_by_hand(lab.row_softmax)
    x = f64(rng, 5, 3) * 300
    check.close(lab.row_softmax(x), torch.softmax(x, dim=1))


@task(2)
def test_relative_positions(lab):
    expected = torch.tensor([[0, 1, 2], [-1, 0, 1], [-2, -1, 0]])
    check.equal(lab.relative_positions(3), expected)
    written_by_hand(lab.relative_positions)
    for t in (1, 6):
        rows = [[j - i for j in range(t)] for i in range(t)]
        check.equal(lab.relative_positions(t), torch.tensor(rows))


# --- Task 3 ----------------------------------------------------------------------

# By hand, from weight (0, 0) and bias 0 with lr = 0.25:
#   step  predictions     errors          loss       gradient of weight, of bias
#   1     (0, 0)          (-2, -4)        10         (-2, -8)           -6
#   2     (2, 5.5)        (0, 1.5)        1.125      (0, 3)             1.5
#   3     (1.625, 3.625)  (-0.375, same)  0.140625   (-0.375, -0.75)    -0.75
SMALL_X = torch.tensor([[1.0, 0.0], [0.0, 2.0]], dtype=torch.float64)
SMALL_Y = torch.tensor([2.0, 4.0], dtype=torch.float64)
SMALL_LOSSES = [10.0, 1.125, 0.140625]
SMALL_WEIGHT = torch.tensor([0.59375, 1.4375], dtype=torch.float64)
SMALL_BIAS = torch.tensor(1.3125, dtype=torch.float64)


def plane(rng, n, d, noise=0.1):
    """Examples and targets near a plane with an intercept."""
    X = f64(rng, n, d)
    return X, X @ f64(rng, d) + 2 + noise * f64(rng, n)


def descend(X, y, lr, steps):
    """Gradient descent with the gradient of the mean squared error written out."""
    X, y = X.numpy(), y.numpy()
    weight, bias, losses = np.zeros(X.shape[1]), 0.0, []
    for _ in range(steps):
        error = X @ weight + bias - y
        losses.append(float(np.mean(error**2)))
        weight = weight - lr * 2 * X.T @ error / len(y)
        bias = bias - lr * 2 * error.mean()
    return torch.from_numpy(weight), torch.tensor(bias, dtype=torch.float64), losses


def least_squares(X, y):
    """Weight and bias of the best plane, by NumPy."""
    design = np.column_stack([X.numpy(), np.ones(len(X))])
    best = torch.from_numpy(np.linalg.lstsq(design, y.numpy(), rcond=None)[0])
    return best[:-1], best[-1]


def check_arguments(fit, X, y):
    """A fit that refuses what makes no sense, and names it."""
    column = y[:, None]
    check.raises(ValueError, lambda: fit(X, column), match="y")
    check.raises(ValueError, lambda: fit(X, y[:-1]), match="y")
    check.raises(ValueError, lambda: fit(X[:, 0], y), match="X")


def check_lr_and_steps(fit, X, y):
    """The same for how far and how long it goes."""
    for lr in (0.0, -0.1):
        check.raises(ValueError, lambda lr=lr: fit(X, y, lr=lr), match="lr")
    check.raises(ValueError, lambda: fit(X, y, steps=0), match="steps")


@task(3)
def test_three_steps_by_hand(lab):
    fit = lab.fit_manual(SMALL_X, SMALL_Y, lr=0.25, steps=3)
    check.close(fit.losses, SMALL_LOSSES, name="losses")
    check.close(fit.weight, SMALL_WEIGHT, name="weight")
    check.close(fit.bias, SMALL_BIAS, name="bias")
    check.equal(fit.weight.requires_grad, False, name="weight.requires_grad")
    check.equal(fit.bias.requires_grad, False, name="bias.requires_grad")


@task(3)
def test_every_step_follows_the_gradient(lab, rng):
    X, y = plane(rng, 13, 4)
    fit = lab.fit_manual(X, y, lr=0.05, steps=9)
    weight, bias, losses = descend(X, y, 0.05, 9)
    check.close(fit.losses, losses, name="losses")
    check.close(fit.weight, weight, name="weight")
    check.close(fit.bias, bias, name="bias")


@task(3)
def test_the_fit_arrives_at_least_squares(lab, rng):
    X, y = plane(rng, 57, 3)
    fit = lab.fit_manual(X, y, steps=1000)
    weight, bias = least_squares(X, y)
    check.close(fit.weight, weight, rtol=0, atol=1e-3, name="weight")
    check.close(fit.bias, bias, rtol=0, atol=1e-3, name="bias")


@task(3)
def test_a_second_call_starts_anew(lab, rng):
    X, y = plane(rng, 7, 2)
    X, y = X.float(), y.float()
    first, second = lab.fit_manual(X, y, steps=5), lab.fit_manual(X, y, steps=5)
    check.equal(second.losses, first.losses, name="losses of the second call")
    check.equal(second.weight, first.weight, name="weight of the second call")
    check.equal(str(second.weight.dtype), "torch.float32", name="dtype of the weight")
    check.equal(len(first.losses), 5, name="how many losses")


@task(3)
def test_fit_manual_with_senseless_arguments(lab, rng):
    X, y = plane(rng, 6, 2)
    check_arguments(lab.fit_manual, X, y)
    check_lr_and_steps(lab.fit_manual, X, y)


# --- Task 4 ----------------------------------------------------------------------


class Plane(nn.Module):
    """A model of our own for `fit_module`, from zero, under other names."""

    def __init__(self, d):
        super().__init__()
        self.slope = nn.Parameter(torch.zeros(d, dtype=torch.float64))
        self.level = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, X):
        return X @ self.slope + self.level


@task(4)
def test_the_module_has_two_parameters(lab, rng):
    model = lab.LinearRegression(3)
    shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
    check.equal(shapes, {"weight": (3,), "bias": ()}, name="named_parameters")
    check.equal(model.weight.tolist(), [0.0] * 3, name="weight at the start")
    check.equal(model.bias.item(), 0.0, name="bias at the start")
    with torch.no_grad():
        model.weight.copy_(torch.tensor([1.0, -2.0, 0.5]))
        model.bias.fill_(4.0)
    got = model(torch.tensor([[1.0, 1.0, 2.0], [0.0, 3.0, 0.0]])).detach()
    check.close(got, torch.tensor([4.0, -2.0]), name="predictions")


@task(4)
def test_three_steps_of_the_module_by_hand(lab):
    model = lab.LinearRegression(2).double()
    losses = lab.fit_module(model, SMALL_X, SMALL_Y, lr=0.25, steps=3)
    check.close(losses, SMALL_LOSSES, name="losses")
    check.close(model.weight, SMALL_WEIGHT, name="weight")
    check.close(model.bias, SMALL_BIAS, name="bias")


@task(4)
def test_fit_module_trains_any_model(lab, rng):
    X, y = plane(rng, 13, 4)
    model = Plane(4)
    losses = lab.fit_module(model, X, y, lr=0.05, steps=9)
    slope, level, expected = descend(X, y, 0.05, 9)
    check.close(losses, expected, name="losses")
    check.close(model.slope, slope, name="first parameter")
    check.close(model.level, level, name="second parameter")


@task(4)
def test_gradients_from_earlier_have_no_influence(lab, rng):
    X, y = plane(rng, 5, 3)
    model = Plane(3)
    (100 * model(X).sum()).backward()
    losses = lab.fit_module(model, X, y, lr=0.05, steps=4)
    check.close(losses, descend(X, y, 0.05, 4)[2], name="losses")


@task(4)
def test_closed_form_of_a_plane(lab):
    # y = 2 first + 3 second + 1, exactly
    X = torch.tensor([[0, 0], [1, 0], [0, 1], [2, 1]], dtype=torch.float64)
    y = torch.tensor([1, 3, 4, 8], dtype=torch.float64)
    weight, bias = lab.closed_form(X, y)
    check.close(weight, torch.tensor([2, 3], dtype=torch.float64), name="weight")
    check.close(bias, torch.tensor(1, dtype=torch.float64), name="bias")


@task(4)
def test_closed_form_against_numpy(lab, rng):
    X, y = plane(rng, 31, 5, noise=1.0)
    weight, bias = lab.closed_form(X, y)
    expected_weight, expected_bias = least_squares(X, y)
    check.close(weight, expected_weight, name="weight")
    check.close(bias, expected_bias, name="bias")


@task(4)
def test_fits_with_senseless_arguments(lab, rng):
    X, y = plane(rng, 6, 2)

    def fit(X, y, **options):
        return lab.fit_module(Plane(2), X, y, **options)

    check_arguments(fit, X, y)
    check_lr_and_steps(fit, X, y)
    check_arguments(lab.closed_form, X, y)


# --- Task 5 ----------------------------------------------------------------------

OPERATIONS = {
    "x[1]": lambda x: x[1],
    "x[:, ::2]": lambda x: x[:, ::2],
    "x[[0, 2]]": lambda x: x[[0, 2]],
    "x[x > 4]": lambda x: x[x > 4],
    "x.T": lambda x: x.T,
    "x.reshape(4, 3)": lambda x: x.reshape(4, 3),
    "x.T.reshape(12)": lambda x: x.T.reshape(12),
    "x.T.contiguous()": lambda x: x.T.contiguous(),
    "x.detach()": lambda x: x.detach(),
    "x.to(torch.float32)": lambda x: x.to(torch.float32),
}


def storage(tensor):
    """Where a tensor's memory begins."""
    return tensor.untyped_storage().data_ptr()


@task(5)
def test_rows_share_the_memory_of_their_matrix(lab):
    x = torch.arange(12.0).reshape(3, 4)
    pairs = {
        "x and x[1]": (x, x[1]),
        "x[0] and x[2]": (x[0], x[2]),
        "x and x.T": (x, x.T),
        "x and x.clone()": (x, x.clone()),
        "x.T[1] and x[:, 1].clone()": (x.T[1], x[:, 1].clone()),
    }
    got = {name: lab.shares_memory(a, b) for name, (a, b) in pairs.items()}
    expected = dict(zip(pairs, (True, True, True, False, False), strict=True))
    check.equal(got, expected)


@task(5)
def test_shares_memory_after_each_operation(lab, rng):
    x = f64(rng, 3, 5).float()
    others = [f(x) for name, f in OPERATIONS.items() if "reshape" not in name]
    others += [x.reshape(5, 3), x.T.reshape(15), x.double(), x.view(torch.int32)]
    pairs = list(itertools.permutations(others, 2))
    got = [lab.shares_memory(a, b) for a, b in pairs]
    check.equal(got, [storage(a) == storage(b) for a, b in pairs])


@task(5)
def test_the_table_of_views_and_copies(lab):
    x = torch.arange(12.0).reshape(3, 4)
    lab.shares_memory(x, x)  # the table is written when the function is
    truth = {name: storage(f(x)) == storage(x) for name, f in OPERATIONS.items()}
    check.equal(lab.VIEW_OR_COPY, truth, name="VIEW_OR_COPY", input="VIEW_OR_COPY")


# --- Task 6 ----------------------------------------------------------------------


class Watched(nn.Module):
    """A linear model with dropout that notes how many rows it sees, and how."""

    def __init__(self, weight, dropout=0.0):
        super().__init__()
        self.weight = nn.Parameter(torch.as_tensor(weight, dtype=torch.float64))
        self.dropout = nn.Dropout(dropout)
        self.rows, self.graphs = [], []

    def forward(self, X):
        predictions = self.dropout(X) @ self.weight
        self.rows.append(len(X))
        self.graphs.append(predictions.requires_grad)
        return predictions


mse = nn.functional.mse_loss


@task(6)
def test_gradient_of_two_unequal_batches_by_hand(lab):
    # All rows at once: 2/3 X^T (X w - y) at w = 0 is -2/3 (12, 15) = (-8, -10).
    X = torch.tensor([[1, 0], [0, 1], [1, 1]], dtype=torch.float64)
    y = torch.tensor([3, 6, 9], dtype=torch.float64)
    model = Watched([0.0, 0.0])
    model.weight.grad = torch.tensor([100.0, 1000.0], dtype=torch.float64)
    lab.accumulate_gradients(model, [(X[:2], y[:2]), (X[2:], y[2:])], mse)
    expected = torch.tensor([-8, -10], dtype=torch.float64)
    check.close(model.weight.grad, expected, name="weight.grad")
    check.equal(model.rows, [2, 1], name="rows in each call of the model")


@task(6)
def test_gradient_of_the_full_batch(lab, rng):
    X, y = f64(rng, 17, 3), f64(rng, 17)
    model = Watched(f64(rng, 3))
    weight = model.weight.detach().clone()
    batches = list(zip(X.split([2, 9, 5, 1]), y.split([2, 9, 5, 1]), strict=True))
    lab.accumulate_gradients(model, batches, nn.functional.l1_loss)
    expected = torch.sign(X @ weight - y) @ X / 17
    check.close(model.weight.grad, expected, name="weight.grad")
    check.equal(model.weight, weight, name="weight")
    check.equal(max(model.rows), 9, name="most rows in a call of the model")


def evaluated(lab, model):
    """What `evaluate` says of a model, on targets that it misses by 1 and by 3."""
    X = torch.tensor([[1, 1], [2, 0], [0, 3], [4, 4]], dtype=torch.float64)
    y = torch.tensor([4, 3, 9, 15], dtype=torch.float64)
    return lab.evaluate(model, X, y, mse)  # of (3, 2, 6, 12): (1 + 1 + 9 + 9) / 4


@task(6)
def test_evaluation_leaves_no_trace(lab):
    model = Watched([1.0, 2.0], dropout=0.5)
    model.weight.grad = torch.tensor([7.0, 8.0], dtype=torch.float64)
    check.close(evaluated(lab, model), 5.0, name="loss")
    modes = {"model": model.training, "its dropout": model.dropout.training}
    wanted = {"model": True, "its dropout": True}
    check.equal(modes, wanted, name="training mode afterwards")
    check.equal(model.graphs, [False], name="predictions with a graph")
    check.equal(model.weight.grad.tolist(), [7.0, 8.0], name="weight.grad")
    check.equal(model.weight.tolist(), [1.0, 2.0], name="weight")


@task(6)
def test_a_model_in_evaluation_mode_stays_there(lab):
    model = Watched([1.0, 2.0], dropout=0.5).eval()
    check.close(evaluated(lab, model), 5.0, name="loss")
    modes = {"model": model.training, "its dropout": model.dropout.training}
    wanted = {"model": False, "its dropout": False}
    check.equal(modes, wanted, name="training mode afterwards")
    check.equal(torch.is_grad_enabled(), True, name="gradients enabled afterwards")


# --- Task 7 ----------------------------------------------------------------------


class Gpu:
    """A clock, and a device that works through its queue while the program goes on.

    Queueing a call takes 0.25 seconds of the program's time. The work of each call, in
    seconds, comes from a list.
    """

    def __init__(self, work):
        self.now = self.idle_from = 100.0
        self.work, self.calls, self.waited_for = list(work), 0, set()

    def step(self):
        self.now += 0.25
        work = self.work[self.calls] if self.calls < len(self.work) else 50.0
        self.idle_from = max(self.now, self.idle_from) + work
        self.calls += 1

    def synchronize(self, device):
        self.waited_for.add(device)
        self.now = max(self.now, self.idle_from)

    def clock(self):
        return self.now

    def time(self, lab, device="cuda", **options):
        """`time_step` on this device."""
        options |= {"clock": self.clock, "synchronize": self.synchronize}
        return lab.time_step(self.step, device=device, **options)


@task(7)
def test_median_of_four_calls(lab):
    # timed calls take 0.25 + (1, 8, 2, 4): between 2.25 and 4.25 lies 3.25
    gpu = Gpu([10.0, 20.0, 1.0, 8.0, 2.0, 4.0])
    check.close(gpu.time(lab, warmup=2, repeats=4), 3.25, name="seconds")
    check.equal(gpu.calls, 6, name="calls of fn")
    check.equal(gpu.waited_for, {"cuda"}, name="devices waited for")


@task(7)
def test_median_of_drawn_calls(lab, rng):
    for warmup, repeats in [(0, 5), (3, 1), (4, 8)]:
        work = rng.uniform(1, 100, warmup + repeats)
        gpu = Gpu(work.tolist())
        got = gpu.time(lab, "mps", warmup=warmup, repeats=repeats)
        check.close(got, float(np.median(work[warmup:])) + 0.25, name="seconds")
        check.equal(gpu.calls, warmup + repeats, name="calls of fn")


@task(7)
def test_real_clock_on_the_cpu(lab):
    calls = []
    got = lab.time_step(lambda: calls.append(1), device="cpu")
    check.equal(len(calls), 23, name="calls of fn")
    check.equal(isinstance(got, float) and got >= 0, True, name="a time in seconds")


@task(7)
def test_counts_of_calls_that_make_no_sense(lab):
    gpu = Gpu([1.0])
    check.raises(ValueError, lambda: gpu.time(lab, warmup=-1), match="warmup")
    check.raises(ValueError, lambda: gpu.time(lab, repeats=0), match="repeats")


def places(data):
    """The data with each tensor replaced by the name of its device."""
    if isinstance(data, torch.Tensor):
        return str(data.device)
    if isinstance(data, dict):
        return {key: places(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return type(data)(places(value) for value in data)
    return data


@task(7)
def test_every_tensor_moves(lab):
    # "meta" is a device without memory that every machine has
    batch = {"ids": torch.arange(6), "pair": (torch.ones(2), [torch.ones(3, 5)])}
    moved = lab.to_device(batch | {"name": "train", "epoch": 3}, "meta")
    expected = {"ids": "meta", "pair": ("meta", ["meta"]), "name": "train", "epoch": 3}
    check.equal(places(moved), expected, name="where the result is")
    check.equal(places(batch["pair"]), ("cpu", ["cpu"]), name="where the input is")
    check.equal(places(lab.to_device(torch.ones(4), "meta")), "meta", name="one tensor")
    check.equal(lab.to_device([torch.arange(3)], "cpu"), [torch.arange(3)])


# --- Bonus -----------------------------------------------------------------------


@task(8)
def test_mlp_gradients_by_hand(lab):
    # Hidden: (1, -1) before relu, (1, 0) after. Predictions (5, 3), errors (4, 2), and
    # each error weighs 2/2. Back through W2: (4·3 + 2·1, ...) = 14 where relu is open.
    X = torch.tensor([[1.0, 2.0, 0.0]])
    W1 = torch.tensor([[1.0, 1.0], [0.0, -1.0], [5.0, 5.0]])
    W2 = torch.tensor([[3.0, 1.0], [7.0, 7.0]])
    b1, b2 = torch.tensor([0.0, 0.0]), torch.tensor([2.0, 2.0])
    got = lab.mlp_manual_backward(X, torch.ones(1, 2), W1, b1, W2, b2)
    expected = {
        "W1": torch.tensor([[14.0, 0.0], [28.0, 0.0], [0.0, 0.0]]),
        "b1": torch.tensor([14.0, 0.0]),
        "W2": torch.tensor([[4.0, 2.0], [0.0, 0.0]]),
        "b2": torch.tensor([4.0, 2.0]),
    }
    check.close(got, expected)


@task(8)
def test_mlp_gradients_against_autograd(lab, rng):
    shapes = {"X": (7, 5), "y": (7, 3), "W1": (5, 4), "b1": (4,)}
    shapes |= {"W2": (4, 3), "b2": (3,)}
    given = {name: f64(rng, *shape) - 0.5 for name, shape in shapes.items()}
    with torch.no_grad():  # nothing to call backward() on
        got = lab.mlp_manual_backward(*given.values())
    names = ("W1", "b1", "W2", "b2")
    leaves = {n: given[n].clone().requires_grad_() for n in names}
    hidden = torch.relu(given["X"] @ leaves["W1"] + leaves["b1"])
    loss = mse(hidden @ leaves["W2"] + leaves["b2"], given["y"])
    gradients = torch.autograd.grad(loss, list(leaves.values()))
    expected = dict(zip(names, gradients, strict=True))
    check.close(got, expected, rtol=1e-10, atol=1e-12)
