"""The marking scheme of lab 2.5: what each task must do, and how we know.

Oracles: numbers worked out by hand, central differences of our own over whole arrays,
a network that goes example by example, closed forms, and gradients from torch as
constants. Where a task needs layers, models or losses of other tasks, our own stand in:
they derive from the given `Layer`. How well a network learns is never graded, nor is
speed.
"""

from __future__ import annotations

import math

import numpy as np

from common import labs
from common.grading import check, differences, task

EXACT = {"rtol": 1e-10, "atol": 1e-12}  # the same formula in float64
BY_DIFFERENCES = {"rtol": 1e-6, "atol": 1e-8}  # central differences, h = 1e-5

LN2, LN3 = math.log(2), math.log(3)

# torch 2.13.0, float64: cross_entropy(tanh(X @ W1 + B1) @ W2 + B2, Y) of
# torch.nn.functional, and the gradients after backward(), ten digits.
X = np.array([[0.5, -1.25], [2.0, 0.75], [-1.5, 1.0], [0.25, 3.0]])
Y = np.array([2, 0, 1, 0])
W1 = np.array([[0.5, -0.75, 1.25], [1.0, 0.25, -0.5]])
B1 = np.array([0.125, -0.25, 0.5])
W2 = np.array([[1.0, -0.5, 0.25], [-1.25, 0.75, 1.5], [0.5, 2.0, -1.0]])
B2 = np.array([0.25, 0.0, -0.5])
TORCH_LOSS = 2.284672431300
# fmt: off
TORCH_GRADS = [
    [[-0.2771623468, -0.04233629318, 0.1029817313],
     [0.2050647511, 1.314473678, -0.4930160063]],
    [0.1298796797, 0.2514705944, -0.1048633899],
    [[-0.2236340558, -0.1636812888, 0.3873153447],
     [-0.06199672364, -0.3411574757, 0.4031541993],
     [0.1166331243, 0.4090879648, -0.5257210891]],
    [-0.07956062133, -0.03014474771, 0.109705369],
]
# fmt: on
TEN_DIGITS = {"rtol": 1e-9, "atol": 1e-11}


def linear(lab, W, b):
    """The lab's Linear with given weights."""
    W = np.asarray(W, dtype=float)
    layer = lab.Linear(*W.shape, rng=np.random.default_rng(0))
    layer.weight.data[...], layer.bias.data[...] = W, b
    return layer


# --- Task 1 ----------------------------------------------------------------------

BY_HAND = (
    np.array([[1.0, -2.0], [4.0, 3.0]]),  # W
    np.array([0.5, -1.0]),  # b
    np.array([[1.0, 2.0], [0.0, -1.0], [3.0, 1.0]]),  # x
    np.array([[1.0, 0.0], [2.0, -1.0], [0.0, 3.0]]),  # dy
)


@task(1)
def test_three_examples_by_hand(lab):
    W, b, x, dy = BY_HAND
    layer = linear(lab, W, b)
    y = np.array([[9.5, 3.0], [-3.5, -4.0], [7.5, -4.0]])
    check.close(layer.forward(x), y, **EXACT, name="y")
    dx = np.array([[1.0, 4.0], [4.0, 5.0], [-6.0, 9.0]])
    check.close(layer.backward(dy), dx, **EXACT, name="dx")
    # 1*1 + 0*2 + 3*0 and 1*0 + 0*-1 + 3*3; 2*1 - 1*2 + 1*0 and 2*0 + 1*1 + 1*3
    dW = np.array([[1.0, 9.0], [0.0, 4.0]])
    check.close(layer.weight.grad, dW, **EXACT, name="weight.grad")
    check.close(layer.bias.grad, np.array([3.0, 2.0]), **EXACT, name="bias.grad")


@task(1)
def test_gradients_add_up_in_place(lab):
    W, b, x, dy = BY_HAND
    layer = linear(lab, W, b)
    held = layer.weight.grad, layer.bias.grad
    layer.forward(x)
    layer.backward(dy)
    layer.backward(dy)  # without a forward in between
    layer.forward(x + 1)
    layer.backward(dy)
    dW, db = x.T @ dy, np.array([3.0, 2.0])
    weight, bias = 3 * dW + db, 3 * db  # (x + 1)^T dy is x^T dy plus db in each row
    check.close(layer.weight.grad, weight, **EXACT, name="weight.grad")
    check.close(layer.bias.grad, bias, **EXACT, name="bias.grad")
    check.close(held[0], weight, **EXACT, name="the array weight.grad of before")
    check.close(held[1], bias, **EXACT, name="the array bias.grad of before")
    check.close(layer.weight.data, W, **EXACT, name="weight.data")


@task(1)
def test_drawn_layers_against_differences(lab, rng):
    for N, d_in, d_out in [(5, 3, 4), (4, 4, 4), (1, 2, 3), (7, 6, 2)]:
        W, b = rng.normal(0, 2, size=(d_in, d_out)), rng.normal(size=d_out)
        x, pull = rng.normal(size=(N, d_in)), rng.normal(size=(N, d_out))

        def loss(x=x, W=W, b=b, pull=pull):
            return float((pull * (x @ W + b) ** 2).sum())

        layer = linear(lab, W, b)
        y = layer.forward(x)
        check.close(y, np.einsum("ni,ij->nj", x, W) + b, **EXACT, name="y")
        dx = layer.backward(2 * pull * (x @ W + b))
        by_x = differences(lambda v, f=loss: f(x=v), x)
        by_W = differences(lambda v, f=loss: f(W=v), W)
        by_b = differences(lambda v, f=loss: f(b=v), b)
        check.close(dx, by_x, **BY_DIFFERENCES, name="dx")
        check.close(layer.weight.grad, by_W, **BY_DIFFERENCES, name="weight.grad")
        check.close(layer.bias.grad, by_b, **BY_DIFFERENCES, name="bias.grad")


@task(1)
def test_float32_stays_float32(lab, rng):
    layer = lab.Linear(3, 2, rng=np.random.default_rng(0), dtype=np.float32)
    x, dy = np.float32(rng.normal(size=(4, 3))), np.float32(rng.normal(size=(4, 2)))
    y, dx = layer.forward(x), layer.backward(dy)
    arrays = y, dx, layer.weight.grad, layer.bias.grad
    check.equal([str(a.dtype) for a in arrays], ["float32"] * 4, name="dtypes")


@task(1)
def test_width_of_x_and_backward_before_forward(lab):
    def layer():
        return linear(lab, np.ones((3, 5)), np.zeros(5))

    check.close(layer().forward(np.ones((2, 3))), np.full((2, 5), 3.0), name="3 wide")
    for word in ("x", "3", "4"):
        call = lambda: layer().forward(np.ones((2, 4)))  # noqa: E731
        check.raises(ValueError, call, match=word, name="4 wide")
    for shape in ((3,), (2, 2, 3)):
        call = lambda shape=shape: layer().forward(np.ones(shape))  # noqa: E731
        check.raises(ValueError, call, match="x", name=f"x of shape {shape}")
    call = lambda: layer().backward(np.ones((2, 5)))  # noqa: E731
    check.raises(RuntimeError, call, name="backward before forward")


# --- Task 2 ----------------------------------------------------------------------

ACTIVATIONS = {
    "ReLU": lambda x: max(x, 0.0),
    "Tanh": math.tanh,
    "Sigmoid": lambda x: 1 / (1 + math.exp(-x)),
}


@task(2)
def test_activations_by_hand(lab):
    x, dy = np.array([[-2.0, 0.0, 3.0], [1.0, -0.5, 4.0]]), np.array([[5.0, 6, -7]] * 2)
    layer = lab.ReLU()
    y = np.array([[0.0, 0.0, 3.0], [1.0, 0.0, 4.0]])
    check.close(layer.forward(x), y, **EXACT, name="relu")
    dx = np.array([[0.0, 0.0, -7.0], [5.0, 0.0, -7.0]])
    check.close(layer.backward(dy), dx, **EXACT, name="relu backward")
    layer = lab.Tanh()  # tanh(ln a) = (a^2 - 1) / (a^2 + 1)
    y = layer.forward(np.array([LN2, -LN3, 0.0]))
    check.close(y, np.array([0.6, -0.8, 0.0]), **EXACT, name="tanh")
    dx = layer.backward(np.array([2.0, 1.0, -3.0]))
    check.close(dx, np.array([1.28, 0.36, -3.0]), **EXACT, name="tanh backward")
    layer = lab.Sigmoid()  # s(ln a) = a / (a + 1)
    y = layer.forward(np.array([LN3, -math.log(4), 0.0]))
    check.close(y, np.array([0.75, 0.2, 0.5]), **EXACT, name="sigmoid")
    dx = layer.backward(np.array([2.0, -1.0, 8.0]))
    check.close(dx, np.array([0.375, -0.16, 2.0]), **EXACT, name="sigmoid backward")


@task(2)
def test_drawn_arrays_against_loops_and_differences(lab, rng):
    for shape in [(5,), (3, 4), (4, 4), (1, 6), (2, 3, 4)]:
        x = rng.choice([-1, 1], size=shape) * rng.uniform(0.01, 4, size=shape)
        dy = rng.normal(0, 2, size=shape)
        for name, f in ACTIVATIONS.items():
            layer, by_loops = getattr(lab, name)(), np.vectorize(f)
            check.close(layer.forward(x), by_loops(x), **EXACT, name=name)
            dx = layer.backward(dy)
            expected = differences(lambda v, g=by_loops, d=dy: (d * g(v)).sum(), x)
            check.close(dx, expected, **BY_DIFFERENCES, name=f"{name} backward")
            again = layer.backward(-2 * dy)
            check.close(again, -2 * expected, **BY_DIFFERENCES, name=f"{name} again")


@task(2)
def test_far_from_zero_nothing_overflows(lab):
    x = np.array([-1e300, -1000.0, -750.0, 750.0, 1000.0, 1e300])
    step = np.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0])
    ends = {"ReLU": (x * step, step), "Tanh": (2 * step - 1, 0 * x)}
    ends["Sigmoid"] = step, 0 * x
    for name, (y, dx) in ends.items():
        layer = getattr(lab, name)()
        with np.errstate(over="raise", invalid="raise", divide="raise"):
            check.close(layer.forward(x), y, **EXACT, name=name)
            got = layer.backward(np.ones(6))
        check.close(got, dx, **EXACT, name=f"{name} backward")


@task(2)
def test_results_are_new_arrays_of_the_same_dtype(lab):
    x, dy = np.float32([[0.5, 2.0], [1.0, 3.0]]), np.float32([[1.0, -1.0], [2.0, 4.0]])
    for name in ACTIVATIONS:
        layer = getattr(lab, name)()
        y, dx = layer.forward(x), layer.backward(dy)
        check.equal([str(y.dtype), str(dx.dtype)], ["float32"] * 2, name=name)
        new = not np.shares_memory(y, x) and not np.shares_memory(dx, dy)
        check.that(new, "new arrays", name=name)
        call = lambda n=name: getattr(lab, n)().backward(dy)  # noqa: E731
        check.raises(RuntimeError, call, name=f"{name}: backward before forward")


# --- Task 3 ----------------------------------------------------------------------


def own_layer(lab, W, b=0.0, spoil=None, log=None):
    """Our own y = x W + b, in eval mode twice that.

    `spoil` changes the gradients of W and b in place before they are added; `log` gets
    the mode and the input of each forward.
    """

    class Affine(lab.Layer):
        def __init__(self):
            self.weight = lab.Parameter(np.array(W, dtype=float))
            self.bias = lab.Parameter(np.zeros(len(W[0])) + b)

        def forward(self, x):
            self.cache = x
            if log is not None:
                log.append((self.training, x.copy()))
            y = x @ self.weight.data + self.bias.data
            return y if self.training else 2 * y

        def backward(self, dy):
            dW, db = self.saved().T @ dy, dy.sum(axis=0)
            if spoil is not None:
                spoil(dW, db)
            self.weight.grad += dW
            self.bias.grad += db
            return dy @ self.weight.data.T

    return Affine()


def own_square(lab):
    """Our own y = x^2: between two matrices, so that their order shows."""

    class Square(lab.Layer):
        def forward(self, x):
            self.cache = x
            return x**2

        def backward(self, dy):
            return 2 * self.saved() * dy

    return Square()


@task(3)
def test_three_layers_by_hand(lab):
    first, last = own_layer(lab, [[1, 2], [0, 1]]), own_layer(lab, [[1, 0], [3, 1]])
    model = lab.Sequential(first, own_square(lab), last)
    # (1, -2) -> (1, 0) -> (1, 0) -> (1, 0); (2, 1) -> (2, 5) -> (4, 25) -> (79, 25)
    y = model.forward(np.array([[1.0, -2.0], [2.0, 1.0]]))
    check.close(y, np.array([[1.0, 0.0], [79.0, 25.0]]), **EXACT, name="y")
    # (1, 2) -> (1, 5) -> (2, 0) -> (2, 0); (0, 1) -> (0, 1) -> (0, 10) -> (20, 10)
    dx = model.backward(np.array([[1.0, 2.0], [0.0, 1.0]]))
    check.close(dx, np.array([[2.0, 0.0], [20.0, 10.0]]), **EXACT, name="dx")
    dW = np.array([[2.0, 20.0], [-4.0, 10.0]])
    check.close(first.weight.grad, dW, **EXACT, name="grad of the first")
    dW = np.array([[1.0, 6.0], [0.0, 25.0]])
    check.close(last.weight.grad, dW, **EXACT, name="grad of the last")


@task(3)
def test_chain_of_three_against_differences(lab, rng):
    A, B = rng.normal(size=(3, 5)), rng.normal(size=(5, 2))
    x, dy = rng.normal(size=(4, 3)), rng.normal(size=(4, 2))
    model = lab.Sequential(own_layer(lab, A), own_square(lab), own_layer(lab, B))
    check.close(model.forward(x), (x @ A) ** 2 @ B, **EXACT, name="y")
    expected = differences(lambda v: (dy * ((v @ A) ** 2 @ B)).sum(), x)
    check.close(model.backward(dy), expected, **BY_DIFFERENCES, name="dx")


@task(3)
def test_one_layer_in_two_places(lab, rng):
    W, x, dy = (rng.uniform(-1, 1, size=(n, 3)) for n in (3, 4, 4))

    def run(x, W):
        return (((x @ W) ** 2) @ W) ** 2

    by_x = differences(lambda v: (dy * run(v, W)).sum(), x)
    by_W = differences(lambda v: (dy * run(x, v)).sum(), W)
    mix, square = own_layer(lab, W), own_square(lab)
    pair = lab.Sequential(mix, square)
    for layers in ((mix, square, mix, square), (pair, pair)):
        model = lab.Sequential(*layers)
        mix.weight.grad[...] = 0
        model.forward(x[:2])  # forgotten
        check.close(model.forward(x), run(x, W), **EXACT, name="y")
        check.close(model.backward(dy), by_x, **BY_DIFFERENCES, name="dx")
        check.close(mix.weight.grad, by_W, **BY_DIFFERENCES, name="grad of both places")
        check.close(model.backward(dy), by_x, **BY_DIFFERENCES, name="dx once more")
        check.close(mix.weight.grad, 2 * by_W, **BY_DIFFERENCES, name="grad once more")


@task(3)
def test_no_layers_and_backward_before_forward(lab):
    x, dy = np.array([[1.0, 2.0]]), np.array([[3.0, -4.0]])
    empty = lab.Sequential()
    check.close(empty.forward(x), x, **EXACT, name="y")
    check.close(empty.backward(dy), dy, **EXACT, name="dx")
    for layers in ((), (own_layer(lab, np.eye(2)),)):
        model = lab.Sequential(*layers)
        call = lambda model=model: model.backward(dy)  # noqa: E731
        about = f"{len(layers)} layers: backward before forward"
        check.raises(RuntimeError, call, name=about)


# --- Task 4 ----------------------------------------------------------------------


def mean_loss(logits, y):
    """The mean of -log softmax at y, with sums that do not round."""
    losses = []
    for row, target in zip(np.asarray(logits).tolist(), y.tolist(), strict=True):
        top = max(row)
        losses.append(math.log(math.fsum(math.exp(z - top) for z in row)) + top)
        losses[-1] -= row[target]
    return math.fsum(losses) / len(losses)


@task(4)
def test_loss_of_three_examples(lab):
    # probabilities 2/4, 1/4, 1/4; 1/8, 3/8, 4/8; 1/10, 1/10, 8/10
    logits = [[LN2, 0.0, 0.0], [0.0, LN3, math.log(4)], [0.0, 0.0, math.log(8)]]
    loss = lab.SoftmaxCrossEntropy()
    got = loss.forward(np.array(logits), np.array([0, 2, 1]))
    check.close(got, (2 * LN2 + math.log(10)) / 3, **EXACT, name="loss")
    rows = [[-1 / 2, 1 / 4, 1 / 4], [1 / 8, 3 / 8, -1 / 2], [1 / 10, -9 / 10, 8 / 10]]
    expected = np.array(rows) / 3
    dlogits = loss.backward()
    check.close(dlogits, expected, **EXACT, name="dlogits")
    dlogits *= 7  # it is ours now
    check.close(loss.backward(), expected, **EXACT, name="dlogits, asked again")


@task(4)
def test_large_logits(lab):
    logits = np.array([[0.0, 1e4], [-1e4, -1e4], [1e4, 0.0], [1e4, 1e4]])
    loss, y = lab.SoftmaxCrossEntropy(), np.array([0, 1, 0, 0])
    check.close(loss.forward(logits, y), (1e4 + 2 * LN2) / 4, **EXACT, name="loss")
    rows = [[-1.0, 1.0], [0.5, -0.5], [0.0, 0.0], [-0.5, 0.5]]
    check.close(loss.backward(), np.array(rows) / 4, **EXACT, name="dlogits")


@task(4)
def test_drawn_logits_against_sums_and_differences(lab, rng):
    for N, K in [(6, 4), (3, 7), (5, 5), (1, 3), (4, 2)]:
        logits, y = rng.normal(0, 2, size=(N, K)), rng.integers(K, size=N)
        loss = lab.SoftmaxCrossEntropy()
        got = loss.forward(logits, y)
        check.close(got, mean_loss(logits, y), **EXACT, name="loss")
        expected = differences(lambda z, y=y: mean_loss(z, y), logits)
        check.close(loss.backward(), expected, **BY_DIFFERENCES, name="dlogits")


@task(4)
def test_float32_goes_back_as_float32(lab, rng):
    # float64 here would make the whole way back float64
    loss, logits = lab.SoftmaxCrossEntropy(), np.float32(rng.normal(size=(4, 3)))
    loss.forward(logits, np.array([2, 0, 1, 2]))
    check.equal(str(loss.backward().dtype), "float32", name="dtype of dlogits")


@task(4)
def test_whole_network_against_torch(lab):
    first, last = linear(lab, W1, B1), linear(lab, W2, B2)
    model, loss = lab.Sequential(first, lab.Tanh(), last), lab.SoftmaxCrossEntropy()
    got = loss.forward(model.forward(X), Y)
    check.close(got, TORCH_LOSS, **TEN_DIGITS, name="loss")
    model.backward(loss.backward())
    grads = first.weight.grad, first.bias.grad, last.weight.grad, last.bias.grad
    names = "grad of W1", "grad of b1", "grad of W2", "grad of b2"
    for name, grad, expected in zip(names, grads, TORCH_GRADS, strict=True):
        check.close(grad, np.array(expected), **TEN_DIGITS, name=name)


@task(4)
def test_shape_of_y_and_backward_before_forward(lab):
    def forward(y):
        return lambda: lab.SoftmaxCrossEntropy().forward(np.zeros((4, 3)), np.array(y))

    check.close(forward([0, 1, 2, 0])(), LN3, name="three equal logits")
    for bad in ([0, 1, 2], [[0], [1], [2], [0]], 1):
        about = f"y of shape {np.shape(bad)}"
        check.raises(ValueError, forward(bad), match="y", name=about)
    call = lambda: lab.SoftmaxCrossEntropy().backward()  # noqa: E731
    check.raises(RuntimeError, call, name="backward before forward")


# --- Task 5 ----------------------------------------------------------------------


def parameter(lab, data, grad):
    """One of the lab's parameters with a gradient."""
    made = lab.Parameter(np.array(data))
    made.grad[...] = grad
    return made


@task(5, mutates=True)
def test_one_step_by_hand(lab):
    a = parameter(lab, [1.0, 2.0, 3.0], [4.0, -2.0, 0.5])
    b = parameter(lab, [[0.5], [-1.0]], [[2.0], [0.0]])
    held = a.data, b.data
    lab.sgd_step([a, b], lr=0.25)
    moved = np.array([0.0, 2.5, 2.875]), np.array([[0.0], [-1.0]])
    check.close(a.data, moved[0], **EXACT, name="data")
    check.close(b.data, moved[1], **EXACT, name="data of the second")
    check.close(held[0], moved[0], **EXACT, name="the array data of before")
    check.close(held[1], moved[1], **EXACT, name="the second array of before")
    check.close(a.grad, np.array([4.0, -2.0, 0.5]), **EXACT, name="grad")


@task(5, mutates=True)
def test_zero_grad_clears_the_array_itself(lab, rng):
    params = [parameter(lab, rng.normal(size=s), 3.5) for s in [(2, 3), (4,), (3, 3)]]
    held, data = [p.grad for p in params], [p.data.copy() for p in params]
    params[1].grad[2] = np.inf  # times 0 it would be NaN
    lab.zero_grad(params)
    for p, old, before in zip(params, held, data, strict=True):
        check.equal(p.grad, np.zeros(before.shape), name="grad")
        check.equal(old, np.zeros(before.shape), name="the array grad of before")
        check.equal(p.data, before, name="data")


@task(5, mutates=True)
def test_descent_of_parabolas_in_closed_form(lab, rng):
    # the gradient of x^2 / 2 is x, so each step multiplies x by 1 - lr
    for lr in (0.125, 1.5):
        start = rng.normal(size=(3, 4))
        p = lab.Parameter(start.copy())
        for _ in range(6):
            lab.zero_grad([p])
            p.grad += p.data
            lab.sgd_step([p], lr=lr)
        check.close(p.data, (1 - lr) ** 6 * start, **EXACT, name=f"lr = {lr}")


@task(5, mutates=True)
def test_learning_rates_that_are_none(lab):
    p = parameter(lab, [1.0, 2.0], [3.0, 4.0])
    lab.sgd_step([p], lr=1e-3)
    check.close(p.data, np.array([0.997, 1.996]), **EXACT, name="data")
    for lr in (0.0, -0.1, math.nan):
        call = lambda lr=lr: lab.sgd_step([p], lr=lr)  # noqa: E731
        check.raises(ValueError, call, match="lr", name=f"lr = {lr}")
    check.close(p.data, np.array([0.997, 1.996]), **EXACT, name="data afterwards")


# --- Task 6 ----------------------------------------------------------------------


def powers(pull, p=2):
    """Stands in for the loss: the sum of pull * logits^p / p."""

    class Powers:
        def forward(self, logits, y):
            self.logits = logits
            return float((pull * logits**p).sum() / p)

        def backward(self):
            return pull * self.logits ** (p - 1)

    return Powers()


def affine_case(rng):
    """W (3, 2), b, X (5, 3) and pull (5, 2), positive: no derivative is near 0."""
    sizes = (3, 2), (2,), (5, 3), (5, 2)
    return [rng.uniform(0.5, 2, size=size) for size in sizes]


Y5 = np.array([0, 1, 1, 0, 1])


@task(6, mutates=True)
def test_right_and_wrong_gradients_by_hand(lab, rng):
    W, b, X5, pull = affine_case(rng)

    def ask(broken=None):
        model = own_layer(lab, W, b, broken)
        found = lab.check_gradients(model, powers(pull), X5, Y5)
        check.equal(sorted(found), ["bias", "weight"], name="names")
        return found

    def double_weight(dW, db):
        dW *= 2

    def one_entry_of_bias(dW, db):
        db[1] *= -1

    small, close = {"rtol": 0, "atol": 1e-6}, {"rtol": 1e-5}
    found = ask()
    check.close(found, {"weight": 0.0, "bias": 0.0}, **small, name="right")
    found = ask(double_weight)  # |2 - 1| / (2 + 1)
    check.close(found["weight"], 1 / 3, **close, name="weight doubled: weight")
    check.close(found["bias"], 0.0, **small, name="weight doubled: bias")
    found = ask(one_entry_of_bias)  # |-1 - 1| / (1 + 1)
    check.close(found["bias"], 1.0, **close, name="one sign of bias: bias")
    check.close(found["weight"], 0.0, **small, name="one sign of bias: weight")


@task(6, mutates=True)
def test_the_mode_is_not_touched(lab, rng):
    W, b, X5, pull = affine_case(rng)
    for training, error in ((True, 0.0), (False, 1 / 3)):
        # in eval mode our layer's forward doubles, its backward does not:
        # the differences say 2 * 2, backward 2, and |4 - 2| / (4 + 2) is 1/3
        log = []
        model = own_layer(lab, W, b, log=log)
        model.training = training
        found = lab.check_gradients(model, powers(pull), X5, Y5)
        modes = {mode for mode, _ in log}
        about = f"training = {training}"
        check.equal(modes, {training}, name=f"{about}: modes of the forward passes")
        check.equal(model.training, training, name=f"{about}: mode afterwards")
        expected = {"weight": error, "bias": error}
        check.close(found, expected, rtol=1e-5, atol=1e-6, name=f"{about}: errors")


@task(6, mutates=True)
def test_what_was_in_grad_before_does_not_count(lab, rng):
    W, b, X5, pull = affine_case(rng)
    model = own_layer(lab, W, b)
    model.weight.grad += 5.0
    model.bias.grad -= 3.0
    zero = {"weight": 0.0, "bias": 0.0}
    for name in ("first", "second"):
        found = lab.check_gradients(model, powers(pull), X5, Y5)
        check.close(found, zero, rtol=0, atol=1e-6, name=name)
    dy = pull * (X5 @ W + b)
    check.close(model.weight.grad, X5.T @ dy, **EXACT, name="weight.grad afterwards")
    check.close(model.bias.grad, dy.sum(axis=0), **EXACT, name="bias.grad afterwards")
    check.equal(model.weight.data, W, name="weight afterwards")
    check.equal(model.bias.data, b, name="bias afterwards")


@task(6, mutates=True)
def test_the_step_h_is_handed_on(lab):
    # ((z + h)^3 - (z - h)^3) / 6h = z^2 + h^2 / 3, and z = 1 + 1 here
    model, one = own_layer(lab, [[1.0]], [1.0]), np.array([[1.0]])
    found = lab.check_gradients(model, powers(1.0, p=3), one, np.array([0]), h=0.5)
    check.close(found, {"weight": 1 / 97, "bias": 1 / 97}, rtol=1e-9, name="h = 0.5")
    found = lab.check_gradients(model, powers(1.0, p=3), one, np.array([0]))
    small = {"rtol": 0, "atol": 1e-6}
    check.close(found, {"weight": 0.0, "bias": 0.0}, **small, name="h = 1e-5")


@task(6, mutates=True)
def test_every_name_of_a_network(lab):
    first, last = linear(lab, W1, B1), linear(lab, W2, B2)
    model = lab.Sequential(first, lab.Tanh(), last)
    found = lab.check_gradients(model, lab.SoftmaxCrossEntropy(), X, Y)
    names = [f"layers.{i}.{n}" for i in (0, 2) for n in ("weight", "bias")]
    zeros = dict.fromkeys(names, 0.0)
    check.close(found, zeros, rtol=0, atol=1e-6, name="errors")
    dW = np.array(TORCH_GRADS[0])
    check.close(first.weight.grad, dW, **TEN_DIGITS, name="weight.grad of layers.0")
    check.equal(last.weight.data, W2, name="weight afterwards")


# --- Task 7 ----------------------------------------------------------------------


def loop_step(weights, rows, targets, lr):
    """A step of a network with one tanh layer, one example at a time; its losses."""
    W1, b1, W2, b2 = weights
    new, losses = [w.copy() for w in weights], []
    for x, target in zip(rows, targets, strict=True):
        hidden = np.tanh(x @ W1 + b1)
        p = np.exp(hidden @ W2 + b2)
        p /= p.sum()
        losses.append(-math.log(p[target]))
        dz = p - (np.arange(len(p)) == target)
        da = (1 - hidden**2) * (W2 @ dz)
        grads = np.outer(x, da), da, np.outer(hidden, dz), dz
        for w, grad in zip(new, grads, strict=True):
            w -= lr / len(rows) * grad
    return new, losses


def batches(X, y, size, seed, epochs):
    """The batches of each epoch, in the order that lab 1.5 makes of this seed."""
    minibatches, rng = labs.solution("1.5").minibatches, np.random.default_rng(seed)
    return [list(minibatches(X, y, batch_size=size, rng=rng)) for _ in range(epochs)]


@task(7, mutates=True)
def test_accuracy_by_hand(lab):
    log = []
    model = own_layer(lab, np.eye(3), log=log)
    x = [[1.0, 2.0, 0.0], [3.0, 3.0, 1.0], [0.0, 1.0, 1.0], [-1.0, -2.0, -1.5]]
    y = np.array([1, 0, 2, 1])  # right; right, the first of equals; wrong; wrong
    for training in (True, False):
        model.training = training
        check.close(lab.accuracy(model, np.array(x), y), 0.5, name="accuracy")
        check.equal(model.training, training, name="mode afterwards")
    check.equal([mode for mode, _ in log], [False] * len(log), name="training mode")
    check.equal(model.weight.grad, np.zeros((3, 3)), name="grad")


@task(7, mutates=True)
def test_one_epoch_by_hand(lab):
    X3, y3 = np.array([[1.0], [2.0], [-1.0]]), np.array([0, 1, 0])
    model = own_layer(lab, [[0.0, 0.0]])
    model.weight.grad += 9.0  # left from something else
    args = {"epochs": 1, "batch_size": 3, "lr": 3.0, "rng": np.random.default_rng(0)}
    history = lab.train(model, X3, y3, **args)
    # dlogits is -1/6, 1/6, -1/6 and its opposite: x^T dlogits = (-1 + 2 + 1) / 6 = 1/3
    check.close(model.weight.data, np.array([[-1.0, 1.0]]), **EXACT, name="weight")
    check.close(model.bias.data, np.array([0.5, -0.5]), **EXACT, name="bias")
    check.close(history.train_loss, [LN2], **EXACT, name="train_loss")
    check.equal([history.val_loss, history.val_accuracy], [[], []], name="validation")


@task(7, mutates=True)
def test_network_against_one_example_after_the_other(lab, rng):
    X11, y11 = rng.normal(size=(11, 2)), rng.integers(3, size=11)
    X_val, y_val = rng.normal(size=(5, 2)), rng.integers(3, size=5)
    weights, seed = [W1, B1, W2, B2], int(rng.integers(1000))
    expected = {"train_loss": [], "val_loss": [], "val_accuracy": []}
    for epoch in batches(X11, y11, 4, seed, 2):
        losses = []
        for rows, targets in epoch:
            weights, new = loop_step(weights, rows, targets, 0.3)
            losses += new
        expected["train_loss"].append(math.fsum(losses) / 11)
        logits = np.tanh(X_val @ weights[0] + weights[1]) @ weights[2] + weights[3]
        expected["val_loss"].append(mean_loss(logits, y_val))
        hits = [int(np.argmax(z)) == t for z, t in zip(logits, y_val, strict=True)]
        expected["val_accuracy"].append(sum(hits) / 5)
    first, last = linear(lab, W1, B1), linear(lab, W2, B2)
    model = lab.Sequential(first, lab.Tanh(), last)
    args = {"epochs": 2, "batch_size": 4, "lr": 0.3, "X_val": X_val, "y_val": y_val}
    shuffle = np.random.default_rng(seed)
    history = lab.train(model, X11, y11, rng=shuffle, **args)
    # the losses first: an epoch without batches shows there as 0
    for name, values in expected.items():
        check.close(getattr(history, name), values, rtol=1e-9, name=name)
    got = first.weight.data, first.bias.data, last.weight.data, last.bias.data
    for name, ours, theirs in zip(("W1", "b1", "W2", "b2"), got, weights, strict=True):
        check.close(ours, theirs, rtol=1e-9, atol=1e-11, name=name)


@task(7, mutates=True)
def test_modes_batches_and_what_is_drawn(lab, rng):
    X7, y7 = rng.normal(size=(7, 3)), np.array([0, 1, 2, 0, 1, 2, 1])
    X_val, y_val = rng.normal(size=(4, 3)), np.array([2, 0, 1, 1])
    shuffle, log = np.random.default_rng(5), []
    model = own_layer(lab, np.eye(3), log=log)
    model.eval()
    args = {"epochs": 3, "batch_size": 3, "lr": 0.5, "rng": shuffle}
    history = lab.train(model, X7, y7, X_val=X_val, y_val=y_val, **args)
    seen = [x for training, x in log if training]
    expected = [rows for epoch in batches(X7, y7, 3, 5, 3) for rows, _ in epoch]
    check.equal(seen, expected, name="what came in training mode")
    shown = [x for training, x in log if not training]
    check.equal(shown, [X_val] * len(shown), name="what came in eval mode")
    check.equal(model.training, True, name="training mode at the end")
    # eval mode doubles the logits
    logits = 2 * (X_val @ model.weight.data + model.bias.data)
    expected = mean_loss(logits, y_val)
    check.close(history.val_loss[-1], expected, **EXACT, name="val_loss")
    replay = np.random.default_rng(5)
    for _ in range(3):
        replay.permutation(7)
    check.equal(shuffle.random(), replay.random(), name="the next random number")


@task(7, mutates=True)
def test_every_example_counts_alike_in_the_loss(lab):
    # an all but vanishing step, so that the losses are those of the start
    logits = np.array([[0.0, math.log(a)] for a in (1, 3, 7, 15, 31, 63, 127)])
    model = own_layer(lab, np.eye(2))
    args = {"epochs": 2, "batch_size": 3, "lr": 1e-13, "rng": np.random.default_rng(2)}
    history = lab.train(model, logits, np.zeros(7, dtype=int), **args)
    # log 2, log 4, ... log 128: their mean is that of 1 to 7, times log 2
    check.close(history.train_loss, [4 * LN2, 4 * LN2], **EXACT, name="train_loss")


@task(7, mutates=True)
def test_arguments_of_train(lab):
    X2, y2 = np.array([[1.0, 2.0], [3.0, 5.0]]), np.array([0, 1])
    model = own_layer(lab, np.eye(2))

    def ask(epochs, **more):
        rng = np.random.default_rng(0)
        args = {"epochs": epochs, "batch_size": 2, "lr": 0.1, "rng": rng}
        return lambda: lab.train(model, X2, y2, **args, **more)

    history = ask(0)()
    lists = [history.train_loss, history.val_loss, history.val_accuracy]
    check.equal(lists, [[], [], []], name="no epochs")
    for word in ("X_val", "y_val"):
        check.raises(ValueError, ask(1, X_val=X2), match=word, name="X_val alone")
        check.raises(ValueError, ask(1, y_val=y2), match=word, name="y_val alone")
    check.equal(model.weight.data, np.eye(2), name="weights")
