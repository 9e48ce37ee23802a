"""The marking scheme of lab 2.7: what each task must do, and how we know.

Oracles: PyTorch in float64 for every value and gradient, sets and loops for the order
of a graph, loops for the way back through a broadcast. torch is imported here, once,
because most tasks use it. No training, no clock.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from common.grading import check, task

TIGHT = {"rtol": 1e-12, "atol": 1e-12}  # one operation in float64
EXACT = {"rtol": 1e-10, "atol": 1e-12}  # several, in another order
few = settings(max_examples=25)


def ours(lab, xs):
    """A Value for each float, a Tensor with gradient for each array."""
    return [
        lab.Value(x) if isinstance(x, float) else lab.Tensor(x, requires_grad=True)
        for x in xs
    ]


def theirs(xs, shape=None):
    """torch leaves in float64, broadcast to a shape first where one is given."""
    leaves = [torch.tensor(x, dtype=torch.float64) for x in xs]
    if shape is not None:
        leaves = [t.expand(shape).clone() for t in leaves]
    return [t.requires_grad_() for t in leaves]


def plain(x):
    """Floats for numbers, arrays for tensors of either kind."""
    if isinstance(x, torch.Tensor):
        x = x.detach().numpy()
    return np.asarray(x, dtype=np.float64)


def local(y, operand):
    """The local derivative of y on all edges to `operand`, summed, in y's shape."""
    found = [slope for node, slope in y.edges if node is operand]
    ones = np.ones(np.shape(y.data))
    return plain(sum(s(ones) if callable(s) else s * ones for s in found))


def check_edges(lab, f, *xs, text):
    """Task 1: f on nodes and on torch leaves, data and local derivatives."""
    nodes = ours(lab, xs)
    y = f(*nodes)
    leaves = theirs(xs, np.broadcast_shapes(*map(np.shape, xs)))
    expected = f(*leaves)
    expected.sum().backward()
    check.close(plain(y.data), plain(expected), **TIGHT, name="data", input=text)
    for i, (node, t) in enumerate(zip(nodes, leaves, strict=True)):
        name = f"local derivative, operand {i + 1}"
        check.close(local(y, node), plain(t.grad), **TIGHT, name=name, input=text)


def check_grads(lab, f, *xs, text):
    """All other tasks: f on nodes and on torch leaves, data and gradients."""
    nodes, leaves = ours(lab, xs), theirs(xs)
    y, expected = f(*nodes), f(*leaves)
    check.close(plain(y.data), plain(expected), **EXACT, name="data", input=text)
    if isinstance(xs[0], float):
        y.backward()
        expected.backward()
    else:
        G = (np.arange(expected.numel()) * 7 % 11 - 4.5).reshape(expected.shape)
        y.backward(G)
        expected.backward(torch.tensor(G))
    for i, (node, t) in enumerate(zip(nodes, leaves, strict=True)):
        name = f"gradient of operand {i + 1}"
        wanted = np.zeros(np.shape(xs[i])) if t.grad is None else plain(t.grad)
        check.close(plain(node.grad), wanted, **EXACT, name=name, input=text)


def grads(*values):
    """Their gradients as floats."""
    return [float(v.grad) for v in values]


# --- Task 1 ----------------------------------------------------------------------

POSITIVE = {
    "x ** 0.5": lambda x: x**0.5,
    "x ** -1": lambda x: x**-1,
    "x.log()": lambda x: x.log(),
}
ANY = {
    "x ** 3": lambda x: x**3,
    "x.exp()": lambda x: x.exp(),
    "x.tanh()": lambda x: x.tanh(),
    "x.sigmoid()": lambda x: x.sigmoid(),
    "x.relu()": lambda x: x.relu(),
}
BINARY = {"a + b": lambda a, b: a + b, "a * b": lambda a, b: a * b}


@task(1)
def test_eight_operations_by_hand(lab):
    a, b, zero = lab.Value(2.0), lab.Value(-3.0), lab.Value(0.0)
    cases = {
        "Value(2) + Value(-3)": (lambda: a + b, (a, b), -1.0, [1.0, 1.0]),
        "Value(2) * Value(-3)": (lambda: a * b, (a, b), -6.0, [-3.0, 2.0]),
        "Value(2) ** 3": (lambda: a**3, (a,), 8.0, [12.0]),
        "Value(2).exp()": (a.exp, (a,), math.e**2, [math.e**2]),
        "Value(2).log()": (a.log, (a,), math.log(2), [0.5]),
        "Value(0).tanh()": (zero.tanh, (zero,), 0.0, [1.0]),
        "Value(0).sigmoid()": (zero.sigmoid, (zero,), 0.5, [0.25]),
        "Value(2).relu()": (a.relu, (a,), 2.0, [1.0]),
        "Value(-3).relu()": (b.relu, (b,), 0.0, [0.0]),
        "Value(0).relu()": (zero.relu, (zero,), 0.0, [0.0]),
    }
    for text, (make, operands, value, expected) in cases.items():
        y = make()
        slopes = [float(local(y, x)) for x in operands]
        check.close(y.data, value, **TIGHT, name="data", input=text)
        check.close(slopes, expected, **TIGHT, name="local derivatives", input=text)


@task(1)
def test_powers_at_base_zero(lab):
    for exponent, slope in [(1, 1.0), (2, 0.0), (2.5, 0.0)]:
        zero, text = lab.Value(0.0), f"Value(0) ** {exponent}"
        y = zero**exponent
        check.close(y.data, 0.0, name="data", input=text)
        got = float(local(y, zero))
        check.close(got, slope, **TIGHT, name="local derivative", input=text)
    pair = lab.Tensor([0.0, 1.0], requires_grad=True)
    y, text = pair**2, "Tensor([0, 1]) ** 2"
    check.close(y.data, np.array([0.0, 1.0]), name="data", input=text)
    got, slopes = local(y, pair), np.array([0.0, 2.0])
    check.close(got, slopes, **TIGHT, name="local derivative", input=text)


@task(1)
def test_sigmoid_far_from_zero(lab):
    for x, expected in [(-1000.0, 0.0), (1000.0, 1.0), (-2.0, 1 / (1 + math.e**2))]:
        y, text = lab.Value(x).sigmoid(), f"Value({x:g}).sigmoid()"
        check.close(y.data, expected, **TIGHT, name="data", input=text)
        slope = expected * (1 - expected)
        check.close(float(y.edges[0][1]), slope, **TIGHT, name="edge", input=text)


@task(1)
def test_an_operand_used_twice_has_two_edges(lab):
    a = lab.Value(3.0)
    for y, text, value in [(a * a, "a * a", 9.0), (a + a, "a + a", 6.0)]:
        check.close(y.data, value, name="data", input=f"{text} at a = 3")
        check.equal([node is a for node, _ in y.edges], [True, True], input=text)
    check.equal([a.data, a.grad, a.edges], [3.0, 0.0, ()], name="a afterwards")


@task(1)
def test_drawn_numbers_against_torch(lab, rng):
    for text, f in {**ANY, **POSITIVE}.items():
        for x in rng.uniform(0.1, 3, 4) * [-1 if text in ANY else 1, 1, 1, 1]:
            check_edges(lab, f, float(x), text=f"{text} at x = {x:.6g}")
    for text, f in BINARY.items():
        for a, b in rng.uniform(-3, 3, (3, 2)).tolist():
            check_edges(lab, f, a, b, text=f"{text} at a = {a:.6g}, b = {b:.6g}")


@task(1)
def test_the_same_operations_on_arrays(lab, rng):
    x, signs = rng.uniform(0.1, 3, (2, 3)), np.array([-1, 1, 1])
    for text, f in {**ANY, **POSITIVE}.items():
        data = x * signs if text in ANY else x
        check_edges(lab, f, data, text=f"{text}, x a Tensor (2, 3)")
    for text, f in BINARY.items():
        a, b = rng.normal(size=(4, 1)), rng.normal(size=3)
        check_edges(lab, f, a, b, text=f"{text}, Tensors (4, 1) and (3,)")


@task(1)
def test_numbers_on_the_right_and_bad_exponents(lab):
    v = lab.Value(1.5)
    for y, text, value in [(v + 2, "v + 2", 3.5), (v * -4.0, "v * -4.0", -6.0)]:
        check.close(y.data, value, name="data", input=f"{text} at v = 1.5")
        check.equal(y.edges[0][0] is v, True, name="first edge leads to v", input=text)
    for bad in (lab.Value(2.0), "2"):
        text = f"v ** {type(bad).__name__}"
        check.raises(TypeError, lambda x=bad: v**x, match="exponent", input=text)


# --- Task 2 ----------------------------------------------------------------------

DIAMOND = "c = a + b, d = a * b, e = c + d, f = c * d, y = e + f at a = 2, b = 3"


def diamond(lab):
    """Its seven nodes, from a to y."""
    a, b = lab.Value(2.0), lab.Value(3.0)
    c, d = a + b, a * b
    e, f = c + d, c * d
    return a, b, c, d, e, f, e + f


@task(2)
def test_gradients_of_a_diamond_by_hand(lab):
    nodes = diamond(lab)
    nodes[-1].backward()
    expected = [25.0, 19.0, 7.0, 6.0, 1.0, 1.0, 1.0]
    check.close(grads(*nodes), expected, **TIGHT, name="grads a to y", input=DIAMOND)


@task(2)
def test_calls_add_up_in_leaves_only(lab):
    nodes = diamond(lab)
    for _ in range(2):
        nodes[-1].backward()
    expected = [50.0, 38.0, 7.0, 6.0, 1.0, 1.0, 1.0]
    text = f"backward twice; {DIAMOND}"
    check.close(grads(*nodes), expected, **TIGHT, name="grads a to y", input=text)
    a = lab.Value(5.0)
    middle = a * a
    one, two = middle * 3, middle + middle
    one.backward()
    two.backward()
    text = "m = a * a; (m * 3).backward(), then (m + m).backward(), at a = 5"
    check.close(grads(a, middle), [50.0, 2.0], **TIGHT, name="a, m", input=text)
    a.backward()
    check.close(a.grad, 51.0, **TIGHT, name="a leaf as root", input="then a.backward()")


class Plain:
    """A node that only has edges."""

    def __init__(self, name, *sources):
        self.name, self.edges = name, tuple((source, None) for source in sources)


def faults(order, root):
    """What is wrong with an order, in words; "" where nothing is."""
    place = {id(node): i for i, node in enumerate(order)}
    reached, todo = {id(root)}, [root]
    while todo:
        for source, _ in todo.pop().edges:
            if id(source) not in reached:
                reached.add(id(source))
                todo.append(source)
    if len(order) != len(reached) or place.keys() != reached:
        return f"{len(order)} nodes, {len(place)} of them different, not {len(reached)}"
    edges = ((node, source) for node in order for source, _ in node.edges)
    early = (
        f"{n.name} before {s.name}" for n, s in edges if place[id(s)] > place[id(n)]
    )
    return next(early, "")


@task(2)
@few
@given(st.data())
def test_order_of_drawn_graphs(lab, data):
    nodes = [Plain("n0")]
    for i in range(1, data.draw(st.integers(2, 9))):
        ids = data.draw(st.lists(st.integers(0, i - 1), max_size=3))
        nodes.append(Plain(f"n{i}", *[nodes[j] for j in ids]))
    wrong = faults(list(lab.topological_order(nodes[-1])), nodes[-1])
    graph = str({n.name: " ".join(s.name for s, _ in n.edges) for n in nodes})
    check.that(wrong == "", "each node once, inputs first", wrong or None, input=graph)


@task(2)
def test_deep_graphs_need_no_recursion(lab):
    root = Plain("n0")
    for i in range(100_000):
        root = Plain(f"n{i + 1}", root)
    try:
        wrong = faults(list(lab.topological_order(root)), root)
    finally:
        while root.edges:  # take the chain apart here, link by link
            root = root.edges[0][0]
    text = "topological_order of a chain of 100,001 nodes"
    check.that(wrong == "", "each node once, inputs first", wrong or None, input=text)
    a = total = lab.Value(0.5)
    for _ in range(3_000):
        total = total + a
    total.backward()
    check.close(a.grad, 3001.0, **TIGHT, input="a + a + ... + a, 3,001 times")


STEPS = st.tuples(st.sampled_from("+*t"), st.integers(0, 9), st.integers(1, 2))


@task(2)
@few
@given(st.tuples(*[st.integers(-12, 12)] * 3), st.lists(STEPS, min_size=2, max_size=8))
def test_drawn_graphs_against_torch(lab, eighths, steps):
    def build(*leaves):
        nodes = list(leaves)
        for kind, i, j in steps:
            a, b = nodes[i % len(nodes)], nodes[-j]
            step = a + b if kind == "+" else a.tanh()
            nodes.append(step * b if kind == "*" else step)
        return nodes[-1]

    numbers = [n / 8 for n in eighths]
    check_grads(lab, build, *numbers, text=f"graph {steps} on leaves {numbers}")


@task(2)
def test_to_dot_shows_every_node_and_edge(lab):
    a = lab.Value(2.0)
    text = lab.to_dot(a * a + a)
    counts = [text.count("label="), text.count("->"), text.count("digraph")]
    check.equal(counts, [3, 4, 1], name="nodes, edges, graphs", input="a * a + a")


# --- Task 3 ----------------------------------------------------------------------


@task(3)
def test_numbers_on_either_side_by_hand(lab):
    cases = {
        "-v": (lambda v: -v, -4.0, -1.0),
        "v - 2": (lambda v: v - 2, 2.0, 1.0),
        "2 - v": (lambda v: 2 - v, -2.0, -1.0),
        "v / 2": (lambda v: v / 2, 2.0, 0.5),
        "2 / v": (lambda v: 2 / v, 0.5, -0.125),
        "2 + v": (lambda v: 2 + v, 6.0, 1.0),
        "2 * v": (lambda v: 2 * v, 8.0, 2.0),
        "1.5 - v / (3 - v)": (lambda v: 1.5 - v / (3 - v), 5.5, -3.0),
    }
    for text, (f, value, slope) in cases.items():
        v = lab.Value(4.0)
        y = f(v)
        check.close(y.data, value, **TIGHT, name="data", input=f"{text} at v = 4")
        y.backward()
        check.close(v.grad, slope, **TIGHT, name="v.grad", input=f"{text} at v = 4")


@task(3)
def test_two_values_against_torch(lab, rng):
    forms = {
        "a - b": lambda a, b: a - b,
        "a / b": lambda a, b: a / b,
        "-a / (b - 4) - 3 / a": lambda a, b: -a / (b - 4) - 3 / a,
    }
    for a, b in rng.uniform(0.3, 3, (4, 2)).tolist():
        for text, f in forms.items():
            check_grads(lab, f, a, b, text=f"{text} at a = {a:.6g}, b = {b:.6g}")


@task(3)
def test_arrays_and_numpy_numbers_on_either_side(lab, rng):
    A, b, whole = rng.uniform(1, 3, (4, 3)), rng.uniform(1, 3, 3), np.array([1, 2, 4])
    t, v = lab.Tensor(b), lab.Value(2.0)
    cases = {
        "A - t": (A - t, A - b),
        "A / t": (A / t, A / b),
        "A + t": (A + t, A + b),
        "A * t": (A * t, A * b),
        "t - A": (t - A, b - A),
        "t / A": (t / A, b / A),
        "t / np.array([1, 2, 4])": (t / whole, b / whole),
        "-t": (-t, -b),
        "np.float64(7) - Value(2)": (np.float64(7.0) - v, np.array(5.0)),
    }
    for text, (y, expected) in cases.items():
        kind = lab.Value if "Value" in text else lab.Tensor
        check.equal(isinstance(y, kind), True, name=f"a {kind.__name__}", input=text)
        check.close(plain(y.data), expected, **TIGHT, input=f"{text}, A (4, 3), t (3,)")
    check.raises(TypeError, lambda: v - "1", input="Value(2) - '1'")


# --- Task 4 ----------------------------------------------------------------------


def as_torch(net, sizes):
    """The network's weights as torch leaves: [W, b] of each layer."""
    numbers = iter([p.data for p in net.parameters()])

    def take(n):
        return list(itertools.islice(numbers, n))

    pairs = itertools.pairwise(sizes)
    return [theirs([[take(k) for _ in range(d)], take(k)]) for d, k in pairs]


def torch_forward(layers, x):
    for W, b in layers[:-1]:
        x = torch.relu(x @ W + b)
    W, b = layers[-1]
    return x @ W + b


@task(4)
def test_a_small_network_by_hand(lab):
    net = lab.MLP([2, 2, 1], rng=np.random.default_rng(0))
    weights = [1.0, -1.0, 0.5, 2.0, 0.0, -4.0, 3.0, 5.0, -7.0]
    check.equal(len(net.parameters()), 9, name="number of parameters")
    for p, w in zip(net.parameters(), weights, strict=True):
        p.data = w
    y = net([1.0, 2.0])  # hidden: relu(1 + 1 + 0) = 2, relu(-1 + 4 - 4) = 0
    text = "W (1, -1), (0.5, 2), b (0, -4); then W 3, 5, b -7; x = (1, 2)"
    check.close(y.data, -1.0, **TIGHT, name="output", input=text)
    y.backward()
    expected = [3.0, 0.0, 6.0, 0.0, 3.0, 0.0, 2.0, 0.0, 1.0]
    check.close(grads(*net.parameters()), expected, **TIGHT, name="grads", input=text)


@task(4)
def test_weights_are_drawn_in_order(lab, rng):
    seed = int(rng.integers(1000))
    net = lab.MLP((3, 4, 2), rng=np.random.default_rng(seed))
    draw = np.random.default_rng(seed)
    first = draw.standard_normal((3, 4)) * math.sqrt(2 / 3)
    second = draw.standard_normal((4, 2)) * math.sqrt(2 / 4)
    parts = [first.ravel(), np.zeros(4), second.ravel(), np.zeros(2)]
    got = np.array([float(p.data) for p in net.parameters()])
    check.close(got, np.concatenate(parts), **TIGHT, name="parameters")
    pairs = zip(net.parameters(), net.parameters(), strict=True)
    check.that(all(p is q for p, q in pairs), "the same objects at each call")


@task(4)
def test_loss_and_gradients_against_torch(lab, rng):
    for sizes in [(2, 5, 3, 1), (3, 4, 2)]:
        net, X = lab.MLP(sizes, rng=rng), rng.normal(size=(5, sizes[0]))
        for p in net.parameters():
            p.data += 0.3 * float(rng.normal())  # so that no bias is zero
        layers = as_torch(net, sizes)
        expected = torch_forward(layers, torch.tensor(X))
        outputs = [net(row) for row in X.tolist()]
        outputs = outputs if sizes[-1] > 1 else [[y] for y in outputs]
        got = np.array([[v.data for v in y] for y in outputs])
        check.close(got, plain(expected), **EXACT, name="outputs")
        loss = lab.Value(0.0)
        for v in itertools.chain(*outputs):
            loss = loss + v * v * v
        loss.backward()
        (expected**3).sum().backward()
        torchs = [plain(t.grad).ravel() for layer in layers for t in layer]
        got = np.array(grads(*net.parameters()))
        text = f"sum of the cubed outputs of MLP({list(sizes)}), 5 examples"
        check.close(got, np.concatenate(torchs), rtol=1e-9, name="grads", input=text)


@task(4)
def test_inputs_may_be_values_and_must_fit(lab, rng):
    net = lab.MLP([2, 3, 1], rng=rng)
    for p in net.parameters()[6:9]:
        p.data = 50.0  # no hidden neuron is cut off
    x = [lab.Value(0.25), lab.Value(-0.5)]
    net(x).backward()
    (W, _), (V, _) = as_torch(net, (2, 3, 1))
    check.close(np.array(grads(*x)), plain(W @ V)[:, 0], **EXACT, name="grads of x")
    check.raises(ValueError, lambda: net([1.0, 2.0, 3.0]), match="x")
    check.raises(ValueError, lambda: lab.MLP([3], rng=rng), match="sizes")


# --- Task 5 ----------------------------------------------------------------------


@task(5)
def test_seven_shapes_by_hand(lab):
    grad = np.array([[1.0, 2.0, 4.0], [8.0, 16.0, 32.0]])
    columns, rows = [9.0, 18.0, 36.0], [[7.0], [56.0]]
    cases = {(3,): columns, (1, 3): [columns], (2, 1): rows, (2, 3): grad}
    cases |= {(1, 1): [[63.0]], (1,): [63.0], (): 63.0}
    for shape, expected in cases.items():
        got = plain(lab.unbroadcast(grad, shape))
        check.close(got, np.array(expected), **TIGHT, name=f"shape {shape}")


@st.composite
def stretched(draw):
    """A shape, and one that it broadcasts to."""
    whole = draw(st.lists(st.integers(1, 3), max_size=4))
    kept = whole[draw(st.integers(0, len(whole))) :]
    return tuple(draw(st.sampled_from([1, n])) for n in kept), tuple(whole)


@task(5)
@few
@given(stretched(), st.integers(0, 999))
def test_adjoint_of_every_broadcast(lab, shapes, seed):
    shape, whole = shapes
    draw = np.random.default_rng(seed)
    grad = draw.integers(-9, 10, whole).astype(float)
    got = plain(lab.unbroadcast(grad, shape))
    expected = np.zeros(shape)
    for index in np.ndindex(whole):
        own = index[len(whole) - len(shape) :]
        own = tuple(0 if n == 1 else i for i, n in zip(own, shape, strict=True))
        expected[own] += grad[index]
    check.equal(got, expected, name=f"grad {whole}, shape {shape}")
    x = draw.integers(-9, 10, shape).astype(float)
    forth, back = (np.broadcast_to(x, whole) * grad).sum(), (x * got).sum()
    check.equal(float(back), float(forth), name="<x, back(g)> = <broadcast(x), g>")


# --- Task 6 ----------------------------------------------------------------------


@task(6)
def test_a_column_times_a_row_by_hand(lab):
    a, b = ours(lab, [np.array([[1.0], [2.0]]), np.array([10.0, 20.0, 30.0])])
    y = a * b + b
    y.backward([[1.0, 0.0, 2.0], [0.0, 3.0, 0.0]])
    text = "y = a * b + b, a (2, 1), b (3,), grad [[1, 0, 2], [0, 3, 0]]"
    check.close(a.grad, np.array([[70.0], [60.0]]), **TIGHT, name="a.grad", input=text)
    check.close(b.grad, np.array([2.0, 9.0, 4.0]), **TIGHT, name="b.grad", input=text)


@task(6)
def test_broadcast_pairs_against_torch(lab, rng):
    forms = {
        "a + b": lambda a, b: a + b,
        "a - b": lambda a, b: a - b,
        "a * b": lambda a, b: a * b,
        "a / b": lambda a, b: a / b,
        "(a * b).tanh() - a / (a + b.exp())": lambda a, b: (
            (a * b).tanh() - a / (a + b.exp())
        ),
    }
    shapes = [((3, 4), (4,)), ((2, 1, 4), (3, 1)), ((), (2, 3)), ((3,), (3, 1))]
    for (s, t), (text, f) in itertools.product(
        [*shapes, ((1,), (1, 1))], forms.items()
    ):
        pair = rng.uniform(0.5, 2, s), rng.uniform(0.5, 2, t)
        check_grads(lab, f, *map(np.asarray, pair), text=f"{text}, a {s}, b {t}")


@task(6)
def test_calls_add_up_in_leaves_and_zero_grad_starts_anew(lab):
    a = lab.Tensor([1.0, 2.0, 3.0], requires_grad=True)
    middle = a * a
    y = middle * 5.0
    y.backward([1.0, 1.0, 2.0])
    y.backward([0.0, 1.0, 1.0])
    text = "m = a * a, y = 5 m, a = (1, 2, 3); backward((1, 1, 2)), backward((0, 1, 1))"
    check.close(a.grad, np.array([10.0, 40.0, 90.0]), name="a.grad", input=text)
    check.close(middle.grad, np.array([0.0, 5.0, 5.0]), name="m.grad", input=text)
    a.zero_grad()
    y.backward([1.0, 0.0, 0.0])
    check.close(a.grad, np.array([10.0, 0.0, 0.0]), name="after zero_grad", input=text)
    a.backward([0.0, 1.0, 2.0])
    text += "; a.zero_grad(), y.backward((1, 0, 0)), a.backward((0, 1, 2))"
    check.close(a.grad, np.array([10.0, 1.0, 2.0]), name="a leaf as root", input=text)
    leaf = lab.Tensor(2.0, requires_grad=True)
    leaf.backward()
    leaf.backward()
    text = "leaf = Tensor(2, True); leaf.backward() twice"
    check.close(leaf.grad, np.array(2.0), name="a leaf as root", input=text)


@task(6)
def test_constants_get_none_and_gradients_are_arrays_of_their_own(lab):
    a, b = ours(lab, [np.full((2, 3), 1.0), np.full((2, 3), 2.0)])
    constant, grad = lab.Tensor(np.ones((2, 3))), np.ones((2, 3))
    (a + b + constant).backward(grad)
    check.equal(constant.grad, None, name="grad of a constant")
    a.grad *= 7.0
    check.close([b.grad, grad], [np.ones((2, 3))] * 2, name="after a.grad *= 7")


def spread(x):
    """The sum of all entries; its edge returns a read-only array."""
    return x._result(x.data.sum(), "", (x, lambda g: np.broadcast_to(g, x.data.shape)))


def column(x):
    """x as a column; its edge returns a view of the gradient it is given."""
    return x._result(x.data[:, None], "", (x, lambda g: g[:, 0]))


@task(6)
def test_functions_on_edges_may_return_views(lab):
    (x,) = ours(lab, [np.array([3.0, 5.0])])
    y, text = spread(x), "edge from y to x: a function that returns a read-only array"
    y.backward()
    check.close(x.grad, np.ones(2), name="x.grad", input=text)
    wanted, free = "x.grad can be written to", x.grad.flags.writeable
    check.that(free, wanted, "a read-only array", input=text)
    x.zero_grad()
    r, G = column(x), np.array([[1.0], [2.0]])
    text = "edge from r to x: a function that returns a view of its argument; grad G"
    r.backward(G)
    check.close(x.grad, np.array([1.0, 2.0]), name="x.grad", input=text)
    for name, a, b in [("x.grad, r.grad", x.grad, r.grad), ("r.grad, G", r.grad, G)]:
        apart = not np.shares_memory(a, b)
        check.that(apart, "memory of their own", "shared", name=name, input=text)


@task(6)
def test_two_functions_that_return_views_lead_to_one_leaf(lab):
    (x,) = ours(lab, [np.array([3.0, 5.0])])
    (spread(x) + spread(x)).backward()
    text = "sum(x) + sum(x), x = (3, 5), whose edges return read-only arrays"
    check.close(x.grad, np.array([2.0, 2.0]), name="x.grad", input=text)
    x.zero_grad()
    q, r, G = column(x), column(x), np.array([[1.0], [2.0]])
    (q + r).backward(G)
    text = "q + r, two columns made of x, whose edges return views; grad (1, 2)"
    check.close(x.grad, np.array([2.0, 4.0]), name="x.grad", input=text)
    check.close(q.grad + r.grad, 2 * G, name="q.grad + r.grad", input=text)


@task(6)
def test_where_grad_may_be_left_out(lab):
    for shape in [(), (1,), (1, 1)]:
        a = lab.Tensor(np.full(shape, 3.0), requires_grad=True)
        (a * a).backward()
        check.close(a.grad, np.full(shape, 6.0), name=f"a * a, shape {shape}")
    y = lab.Tensor([1.0, 2.0], requires_grad=True) * 2.0
    check.raises(ValueError, lambda: y.backward(), match="grad")
    check.raises(ValueError, lambda: y.backward([1.0, 2.0, 3.0]), match="grad")
    check.raises(ValueError, lambda: y.backward(1.0), match="grad")
    constant = lab.Tensor(2.0) * 3.0
    check.raises(RuntimeError, lambda: constant.backward(), match="requires_grad")


# --- Task 7 ----------------------------------------------------------------------


@task(7)
def test_matrix_product_by_hand(lab):
    A = lab.Tensor([[1.0, 2.0], [3.0, 5.0]], requires_grad=True)
    B = lab.Tensor([[10.0, 0.0], [1.0, 4.0]], requires_grad=True)
    C = A @ B
    C.backward(np.eye(2))
    text = "[[1, 2], [3, 5]] @ [[10, 0], [1, 4]], grad [[1, 0], [0, 1]]"
    check.close(C.data, np.array([[12.0, 8.0], [35.0, 20.0]]), name="data", input=text)
    check.close(A.grad, np.array([[10.0, 1.0], [0.0, 4.0]]), name="A.grad", input=text)
    check.close(B.grad, np.array([[1.0, 3.0], [2.0, 5.0]]), name="B.grad", input=text)


@task(7)
def test_products_of_vectors_matrices_and_stacks(lab, rng):
    pairs = [((3, 4), (4, 5)), ((4,), (4, 5)), ((3, 4), (4,)), ((4,), (4,))]
    pairs += [((2, 1, 3, 4), (5, 4, 2)), ((2, 3, 4), (4,)), ((4,), (2, 4, 3))]
    for s, t in pairs:
        arrays = rng.normal(size=s), rng.normal(size=t)
        check_grads(lab, lambda a, b: a @ b, *arrays, text=f"{s} @ {t}")


@task(7)
def test_reductions_by_hand(lab):
    cases = {
        "sum": ([12.0, 8.0], [[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]]),
        "mean": ([4.0, 8 / 3], [[1 / 3, 1 / 3, 1 / 3], [2 / 3, 2 / 3, 2 / 3]]),
        "max": ([5.0, 7.0], [[0.0, 0.5, 0.5], [2.0, 0.0, 0.0]]),
    }
    for name, (value, grad) in cases.items():
        x = lab.Tensor([[2.0, 5.0, 5.0], [7.0, 1.0, 0.0]], requires_grad=True)
        y = getattr(x, name)(axis=1)
        y.backward([1.0, 2.0])
        text = f"[[2, 5, 5], [7, 1, 0]].{name}(axis=1), grad (1, 2)"
        check.close(y.data, np.array(value), **TIGHT, name="data", input=text)
        check.close(x.grad, np.array(grad), **TIGHT, name="grad", input=text)


@task(7)
def test_reductions_against_torch(lab, rng):
    def reduced(v, name, axis, keep):
        if not isinstance(v, torch.Tensor):
            return getattr(v, name)(axis=axis, keepdims=keep)
        dim = (0, 1, 2) if axis is None else axis
        return getattr(v, "amax" if name == "max" else name)(dim=dim, keepdim=keep)

    x = rng.integers(-2, 3, (2, 3, 4)).astype(float)  # so few numbers that many tie
    axes = [None, 0, 1, -1, (0, 2), (-1, 1)]
    for case in itertools.product(["sum", "mean", "max"], axes, [False, True]):
        text = "x.{}(axis={}, keepdims={}), x (2, 3, 4)".format(*case)
        check_grads(lab, lambda v, case=case: reduced(v, *case), x, text=text)


@task(7)
def test_a_row_that_is_picked_three_times(lab):
    x = lab.Tensor([10.0, 20.0, 30.0], requires_grad=True)
    y = x[np.array([0, 2, 2, 2])]
    check.close(y.data, np.array([10.0, 30.0, 30.0, 30.0]), name="data")
    y.backward([1.0, 2.0, 3.0, 4.0])
    text = "(10, 20, 30)[[0, 2, 2, 2]], grad (1, 2, 3, 4)"
    check.close(x.grad, np.array([1.0, 0.0, 9.0]), **TIGHT, name="grad", input=text)


@task(7)
def test_shapes_and_indices_against_torch(lab, rng):
    def turned(v, *axes):
        if isinstance(v, torch.Tensor):
            return v.permute(axes or (2, 1, 0))
        return v.transpose(*axes)

    rows, columns = np.array([0, 1, 1, 0]), np.array([2, 0, 0, 2])
    part = (-1, slice(1, None), slice(None, None, 2))
    forms = {
        "x[1]": lambda v: v[1],
        "x[-1, 1:, ::2]": lambda v: v[part],
        "x[..., None, 2] * x[..., 1:2]": lambda v: v[..., None, 2] * v[..., 1:2],
        "x[rows, columns]": lambda v: v[rows, columns],
        "x[:, columns] + x[0, 0]": lambda v: v[:, columns] + v[0, 0],
        "x.reshape(4, -1)": lambda v: v.reshape(4, -1),
        "x.reshape(24)": lambda v: v.reshape(24),
        "x.transpose(2, 0, 1)": lambda v: turned(v, 2, 0, 1),
        "x.transpose(1, 2, 0)": lambda v: turned(v, 1, 2, 0),
        "x.transpose()": lambda v: turned(v),
    }
    for text, f in forms.items():
        check_grads(lab, f, rng.normal(size=(2, 3, 4)), text=f"{text}, x (2, 3, 4)")


# --- Task 8 ----------------------------------------------------------------------


@task(8)
def test_loss_of_two_examples_by_hand(lab):
    logits = lab.Tensor([[0.0, math.log(3)], [math.log(4), 0.0]], requires_grad=True)
    loss = lab.cross_entropy(logits, np.array([1, 1]))
    expected = (math.log(4 / 3) + math.log(5)) / 2  # softmax: 1/4, 3/4 and 4/5, 1/5
    check.close(plain(loss.data), np.array(expected), **TIGHT, name="loss")
    loss.backward()
    grad = np.array([[1 / 8, -1 / 8], [2 / 5, -2 / 5]])
    check.close(logits.grad, grad, **TIGHT, name="gradient")


@task(8)
def test_loss_against_torch(lab, rng):
    for N, K, scale in [(5, 3, 1.0), (4, 4, 10.0), (3, 6, 2000.0)]:
        logits, targets = rng.normal(size=(N, K)) * scale, rng.integers(0, K, N)
        (node,), (t,) = ours(lab, [logits]), theirs([logits])
        loss = lab.cross_entropy(node, targets)
        expected = torch.nn.functional.cross_entropy(t, torch.tensor(targets))
        check.close(plain(loss.data), plain(expected), **EXACT, name=f"scale {scale:g}")
        loss.backward()
        expected.backward()
        check.close(node.grad, plain(t.grad), **EXACT, name="gradient")


@task(8)
def test_loss_of_rows_far_apart(lab):
    rows = np.array([[-1000.0, -1000.0], [1000.0, 1000.0]])
    logits = lab.Tensor(rows, requires_grad=True)
    loss = lab.cross_entropy(logits, np.array([0, 1]))
    text = "logits [[-1000, -1000], [1000, 1000]], targets [0, 1]"
    check.close(plain(loss.data), np.array(math.log(2)), name="loss", input=text)
    loss.backward()
    grad = np.array([[-0.25, 0.25], [0.25, -0.25]])
    check.close(logits.grad, grad, **TIGHT, name="gradient", input=text)


def leave_by_error(lab):
    with lab.no_grad():
        raise KeyError("an error inside the block")


@task(8)
def test_nothing_is_recorded_inside_no_grad(lab):
    a = lab.Tensor([1.0, 2.0], requires_grad=True)
    try:
        with lab.no_grad():
            inside = a * a
            with lab.no_grad():
                pass
            outer = a * a
        after = a * a
        check.raises(KeyError, lambda: leave_by_error(lab), input="an error inside")
        later = a * a
    finally:
        lab.Tensor.recording = True  # whatever the lab did, for the tests to come
    check.close(inside.data, np.array([1.0, 4.0]), name="data inside")
    made = {"inside": inside, "inside, after an inner block": outer}
    made |= {"after the block": after, "after a block that raised": later}
    for text, y in made.items():
        recorded = [text.startswith("after")] * 2
        got = [y.requires_grad, len(y.edges) > 0]
        text = f"a * a {text}"
        check.equal(got, recorded, name="requires_grad, has edges", input=text)


@task(8)
def test_no_gradient_flows_through_detach(lab):
    a = lab.Tensor([2.0, 5.0], requires_grad=True)
    b = a * a
    cut = b.detach()
    got = [cut.requires_grad, cut.edges, np.shares_memory(cut.data, b.data)]
    check.equal(got, [False, (), True], name="requires_grad, edges, shared data")
    (a * cut).backward([1.0, 1.0])
    check.close(a.grad, np.array([4.0, 25.0]), input="(a * (a * a).detach()).backward")


@task(8)
def test_logits_and_targets_that_do_not_fit(lab):
    logits, flat = lab.Tensor(np.zeros((2, 3))), lab.Tensor(np.zeros(3))

    def loss(logits, targets):
        return lab.cross_entropy(logits, np.array(targets))

    check.close(float(loss(logits, [0, 2]).data), math.log(3), **TIGHT)
    for bad in ([0], [[0, 1]], [0, 3], [-1, 0], [0.0, 1.0]):
        check.raises(ValueError, lambda b=bad: loss(logits, b), match="targets")
    check.raises(ValueError, lambda: loss(flat, [0]), match="logits")
