"""The marking scheme of lab 2.8: what each task must do, and how we know.

Oracles: paths that torch.optim took, sums over the whole history of gradients (no
running averages), closed forms for constant and for zero gradients, the textbook form
of Nesterov, powers of complex numbers for the cosine, brute force for early stopping.
The instructor's suite compares 50 steps with torch itself; torch would take longer to
import than all this takes to run.
"""

from __future__ import annotations

import cmath
import math

import numpy as np

from common.grading import check, task

EXACT = {"rtol": 1e-10, "atol": 1e-12}  # the same formula in float64
NAN = float("nan")


class Array:
    """Stands in for lab 2.5's Parameter: data, and a gradient that starts at zero."""

    def __init__(self, data, dtype=np.float64):
        self.data = np.array(data, dtype)
        self.grad = np.zeros_like(self.data)


def path(opt, p, gradients, rates=None):
    """`p.data` after each step: (steps, numbers). `rates` are set before the steps."""
    points = []
    for i, g in enumerate(gradients):
        if rates is not None:
            opt.lr = rates[i]
        p.grad[...] = g
        opt.step()
        points.append(p.data.ravel().copy())
    return np.array(points)


# What torch.optim 2.13 does in float64 with weight_decay 0.1; settings in the tests.
START = [1.0, -2.0, 0.5]
GRADIENTS = [[0.5, -1.0, 0.0], [0.25, 3.0, 0.0], [-1.0, 0.5, 2.0], [0.0, -0.25, -4.0]]
RATES = [0.1, 0.1, 0.02, 0.02]
TORCH = {
    "SGD": """0.94 -1.88 0.495  0.8516 -2.0532 0.48555
        0.8539848 -2.0902696 0.4428779  0.8544231504 -2.1144517008 0.4835872542""",
    "SGD, nesterov": """0.886 -1.772 0.4905  0.773066 -2.211132 0.4771305
        0.7938950292 -2.2499630584 0.3977937941
        0.79301587316904 -2.2618411889380803 0.51373797727242""",
    "RMSProp": """0.6996044686182127 -1.6918916031520177 0.30628705663860345
        0.5518088300778045 -1.9822737703814566 0.19633058531552408
        0.60325972177231 -1.9887613785249376 0.1340815977099365
        0.5998073226965014 -1.9787254856038796 0.19067701048405297""",
    "Adam": """0.9016393442622951 -1.9008264462809916 0.4166666666666667
        0.8094932919947411 -1.94776377792526 0.33552616999895946
        0.8126637532282857 -1.9560039777529274 0.32136200234844403
        0.8141612271525661 -1.960335661194353 0.3280660952160588""",
    "AdamW": """0.8919607843137255 -1.8809900990099009 0.495
        0.793264413690467 -1.9160490324970398 0.49005
        0.7974537864385647 -1.922207064978198 0.47534210074610705
        0.8003165232552536 -1.9249947706714838 0.48139944891379266""",
}


def against_torch(name, make, **settings):
    """Four steps on three numbers, with the learning rate lowered after two."""
    p = Array(START)
    got = path(make([p], 0.1, weight_decay=0.1, **settings), p, GRADIENTS, RATES)
    expected = np.array(TORCH[name].split(), np.float64).reshape(4, 3)
    called = f"{name.split(',')[0]}(params, 0.1, weight_decay=0.1, **{settings})"
    check.close(got, expected, **EXACT, name="4 steps, as torch", input=called)


def faded_sum(xs, beta):
    """x_t + beta x_(t-1) + beta² x_(t-2) + ..., from the whole history."""
    return math.fsum(beta**age * x for age, x in enumerate(reversed(xs)))


def faded_mean(xs, beta):
    """The same with weights that sum to 1: what Adam's correction amounts to."""
    return faded_sum(xs, beta) / faded_sum([1.0] * len(xs), beta)


def walk(start, gradients, rates, decay, direction, beside=False):
    """The path of one number, as Python floats; `beside`: the decay is AdamW's."""
    p, seen, points = float(start), [], []
    for g, lr in zip(gradients, rates, strict=True):
        if beside:
            p = p - lr * decay * p
        seen.append(float(g) if beside else float(g) + decay * p)
        p = p - lr * direction(seen)
        points.append(p)
    return points


def against_history(rng, make, direction, *, decay, beside=False, **settings):
    """Twelve steps of three arrays, some gradients zero, lr changed on the way."""
    shapes, rates = [(3, 4), (5,), (2, 3, 2)], [0.05] * 7 + [0.01] * 5
    params = [Array(rng.normal(0, 2, shape)) for shape in shapes]
    starts = [p.data.ravel().copy() for p in params]
    gradients = [rng.normal(0, 3, (12, p.data.size)) for p in params]
    gradients[0][2:4] = 0.0
    gradients[1][:, 1] = 0.0
    gradients[2][rng.random((12, 12)) < 0.3] = 0.0
    opt = make(params, 0.05, weight_decay=decay, **settings)
    got = []
    for i, opt.lr in enumerate(rates):
        for p, g in zip(params, gradients, strict=True):
            p.grad[...] = g[i].reshape(p.data.shape)
        opt.step()
        got.append([p.data.copy() for p in params])
    for k, shape in enumerate(shapes):
        paths = [
            walk(start, g, rates, decay, direction, beside)
            for start, g in zip(starts[k], gradients[k].T, strict=True)
        ]
        for step in (5, 11):
            expected = np.array([points[step] for points in paths]).reshape(shape)
            name = f"array {shape} after step {step + 1}, weight_decay={decay}"
            check.close(got[step][k], expected, **EXACT, name=name)


def in_place(make, **settings):
    """A step changes the numbers of the array that others hold, not its dtype."""
    p = Array([[1.0, -2.0, 4.0]], np.float32)
    g = np.array([[2.0, -1.0, 0.5]], np.float32)
    p.grad[...] = g
    held, before = p.data, p.data.copy()
    opt = make([p], 0.1, weight_decay=0.1, **settings)
    opt.step()
    opt.step()
    moved = bool((held != before).all())
    check.that(moved, "the array from before holds the new numbers", held)
    check.equal(p.data, held, name="p.data, of float32")
    check.equal(p.grad, g, name="p.grad")


def scale_is_not_felt(rng, make):
    """Gradients 1024 times as large, a power of 2: the same path."""
    gradients, start = rng.normal(1, 2, (9, 4)), rng.normal(size=4)
    p, q = Array(start), Array(start)
    once = path(make([p], eps=0.0), p, gradients)
    scaled = path(make([q], eps=0.0), q, 1024 * gradients)
    check.close(scaled, once, **EXACT, name="gradients times 1024")


# --- Task 1 ----------------------------------------------------------------------


@task(1)
def test_three_steps_by_hand(lab):
    p = Array([1.0, -2.0])
    opt = lab.SGD([p], 0.5, momentum=0.5)
    # v = (2, -4), then (3, 0), then (-2.5, 4); the third step has lr 0.25
    got = path(opt, p, [[2, -4], [2, 2], [-4, 4]], [0.5, 0.5, 0.25])
    expected = np.array([[0.0, 0.0], [-1.5, 0.0], [-0.875, -1.0]])
    called = "SGD(params, 0.5, momentum=0.5); lr = 0.25 at the third step"
    check.close(got, expected, **EXACT, name="p after each step", input=called)
    check.close(opt.state["v"][0], np.array([-2.5, 4.0]), **EXACT, name='state["v"]')


@task(1)
def test_without_momentum_and_with_decay(lab):
    p = Array([[4.0, -8.0, 0.5]])
    got = path(lab.SGD([p], 0.25), p, [[4, 4, -2], [0, 8, 2]])
    expected = np.array([[3.0, -9.0, 1.0], [3.0, -11.0, 0.5]])
    check.close(got, expected, **EXACT, name="plain descent")
    p = Array([4.0, -8.0])
    opt = lab.SGD([p], 0.5, weight_decay=0.5)
    check.close(path(opt, p, [[0, 0], [0, 2]])[1], np.array([2.25, -5.5]), **EXACT)


@task(1)
def test_momentum_as_torch_and_as_a_sum_over_history(lab, rng):
    against_torch("SGD", lab.SGD, momentum=0.9)
    for mu, decay in [(0.9, 0.0), (0.7, 0.3), (0.0, 0.3)]:

        def direction(seen, mu=mu):
            return faded_sum(seen, mu)

        against_history(rng, lab.SGD, direction, decay=decay, momentum=mu)


@task(1)
def test_constant_gradient_tends_to_lr_over_one_minus_momentum(lab):
    p = Array([0.0, 0.0, 0.0])
    c = np.array([1.0, -3.0, 0.25])
    got = path(lab.SGD([p], 0.1, momentum=0.8), p, [c] * 60)
    sizes = 0.1 * (1 - 0.8 ** np.arange(1, 61)) / (1 - 0.8)  # a geometric series
    steps = -np.diff(got, axis=0, prepend=0)
    check.close(steps, sizes[:, None] * c, **EXACT, name="step after step")


@task(1)
def test_momentum_works_in_place(lab):
    in_place(lab.SGD, momentum=0.9)


# --- Task 2 ----------------------------------------------------------------------


@task(2)
def test_look_ahead_of_three_numbers(lab):
    opt = lab.SGD([Array([0.0])], 1.0, momentum=0.5, nesterov=True)
    g, v = np.array([1.0, -2.0, 0.0]), np.array([4.0, 3.0, -8.0])
    check.close(opt.look_ahead(g, v), np.array([3.0, -0.5, -4.0]), **EXACT)
    check.close(g, np.array([1.0, -2.0, 0.0]), name="g unchanged")


@task(2)
def test_nesterov_on_a_parabola(lab):
    p = Array([1.0])
    opt, got = lab.SGD([p], 0.1, momentum=0.9, nesterov=True), []
    for _ in range(3):
        p.grad[...] = 2 * p.data  # of the loss p²
        opt.step()
        got.append(float(p.data[0]))
    called = "SGD(params, 0.1, momentum=0.9, nesterov=True) on p², from p = 1"
    check.close(got, [0.62, 0.2224, -0.108352], **EXACT, input=called)


@task(2)
def test_nesterov_as_torch_and_as_a_sum_over_history(lab, rng):
    def direction(seen):
        return seen[-1] + 0.7 * faded_sum(seen, 0.7)

    against_torch("SGD, nesterov", lab.SGD, momentum=0.9, nesterov=True)
    settings = {"momentum": 0.7, "nesterov": True}
    against_history(rng, lab.SGD, direction, decay=0.3, **settings)


@task(2)
def test_path_is_that_of_the_textbooks_look_ahead_points(lab, rng):
    curvature, start = np.array([0.5, 3.0, 1.5]), rng.normal(0, 2, 3)
    p = Array(start)
    opt = lab.SGD([p], 0.1, momentum=0.8, nesterov=True)
    got, expected = [], []
    x, v = start.copy(), np.zeros(3)
    for _ in range(8):
        p.grad[...] = curvature * p.data
        opt.step()
        got.append(p.data.copy())
        # Sutskever et al.: the gradient at the point where momentum would lead
        v = 0.8 * v - 0.1 * curvature * (x + 0.8 * v)
        x = x + v
        expected.append(x + 0.8 * v)
    check.close(np.array(got), np.array(expected), **EXACT)


# --- Task 3 ----------------------------------------------------------------------


@task(3)
def test_rmsprop_by_hand(lab):
    p = Array([1.0, 2.0, -3.0])
    opt = lab.RMSProp([p], 0.5, alpha=0.75, eps=1.0)
    # v = (4, 64, 0) with roots 2, 8, 0; then v = (100, 48, 9) with root 3 at the end
    got = path(opt, p, [[4, -16, 0], [-math.sqrt(388), 0, 6]])
    first = [1 - 0.5 * 4 / 3, 2 + 0.5 * 16 / 9, -3.0]
    second = [first[0] + 0.5 * math.sqrt(388) / 11, first[1], -3 - 0.5 * 6 / 4]
    called = "RMSProp(params, 0.5, alpha=0.75, eps=1.0), two steps"
    check.close(got, np.array([first, second]), **EXACT, input=called)
    check.close(opt.state["v"][0], np.array([100.0, 48.0, 9.0]), **EXACT, name="v")


@task(3)
def test_rmsprop_as_torch_and_as_a_sum_over_history(lab, rng):
    against_torch("RMSProp", lab.RMSProp, alpha=0.9, eps=0.01)
    for eps, decay in [(0.1, 0.3), (1e-8, 0.0)]:

        def direction(seen, eps=eps):
            v = 0.2 * faded_sum([g * g for g in seen], 0.8)
            return seen[-1] / (math.sqrt(v) + eps)

        settings = {"alpha": 0.8, "eps": eps, "decay": decay}
        against_history(rng, lab.RMSProp, direction, **settings)


@task(3)
def test_rmsprop_does_not_feel_the_scale(lab, rng):
    c = np.array([1e-3, -2.0, 5e4])
    p = Array(np.zeros(3))
    got = path(lab.RMSProp([p], 0.1, alpha=0.9, eps=0.0), p, [c] * 20)
    steps = np.diff(got, axis=0, prepend=0)
    sizes = 0.1 / np.sqrt(1 - 0.9 ** np.arange(1, 21))  # v = c² (1 - alphaᵗ)
    expected = -sizes[:, None] * np.sign(c)
    check.close(steps, expected, **EXACT, name="steps at a constant gradient")
    scale_is_not_felt(rng, lab.RMSProp)


@task(3)
def test_rmsprop_works_in_place(lab):
    in_place(lab.RMSProp)


# --- Task 4 ----------------------------------------------------------------------


def adam_against_history(rng, make, beside):
    """Twelve steps of Adam or, with the decay beside the gradient, AdamW."""
    for eps, decay in [(0.1, 0.3), (1e-8, 0.0)]:

        def direction(seen, eps=eps):
            v = faded_mean([g * g for g in seen], 0.9)
            return faded_mean(seen, 0.7) / (math.sqrt(v) + eps)

        settings = {"betas": (0.7, 0.9), "eps": eps, "decay": decay}
        against_history(rng, make, direction, beside=beside, **settings)


@task(4)
def test_adam_by_hand(lab):
    p, q = Array([1.0, 0.0]), Array([[5.0]])
    opt = lab.Adam([p, q], 0.5, betas=(0.5, 0.75), eps=1.0)
    p.grad[...], q.grad[...] = [4.0, -8.0], [[2.0]]
    opt.step()
    called = "Adam(params, 0.5, betas=(0.5, 0.75), eps=1.0); gradient 4, -8 and 2"
    # corrected, the averages are g and g²: the step is 0.5 g / (|g| + 1)
    first = np.array([1 - 0.5 * 4 / 5, 0.5 * 8 / 9])
    check.close(p.data, first, **EXACT, name="first step", input=called)
    check.close(q.data, np.array([[5 - 0.5 * 2 / 3]]), **EXACT, input=called)
    check.close(opt.state["m"][0], np.array([2.0, -4.0]), **EXACT, name="m")
    check.close(opt.state["v"][0], np.array([4.0, 16.0]), **EXACT, name="v")
    p.grad[...], q.grad[...] = [-2.0, 0.0], [[0.0]]
    opt.step()
    # m = (0, -2) over 3/4; v = (4, 12) over 7/16
    second = first - [0.0, 0.5 * (-8 / 3) / (math.sqrt(12 * 16 / 7) + 1)]
    check.close(p.data, second, **EXACT, name="second step", input=called)
    check.close(opt.state["v"][0], np.array([4.0, 12.0]), **EXACT, name="v")
    check.equal(opt.t, 2, name="t after two steps")


@task(4)
def test_adam_as_torch_and_as_a_mean_over_history(lab, rng):
    against_torch("Adam", lab.Adam, betas=(0.8, 0.95), eps=0.01)
    adam_against_history(rng, lab.Adam, beside=False)


@task(4)
def test_every_step_is_lr_at_a_constant_gradient(lab, rng):
    c = np.array([1e-3, -2.0, 5e4])
    p = Array(np.zeros(3))
    got = path(lab.Adam([p], 0.1, eps=0.0), p, [c] * 30)
    expected = -0.1 * np.arange(1, 31)[:, None] * np.sign(c)
    check.close(got, expected, rtol=1e-9, name="constant gradient, default betas")
    scale_is_not_felt(rng, lab.Adam)


@task(4)
def test_l2_decay_alone_takes_steps_of_lr(lab):
    p = Array([3.0, -0.01, 40.0])
    opt = lab.Adam([p], 0.125, eps=0.0, weight_decay=1e-3)
    got = path(opt, p, [np.zeros(3)])
    # the gradient is 0.001 p, and a first step has the size lr whatever its scale
    check.close(got, np.array([[2.875, 0.115, 39.875]]), **EXACT)


@task(4)
def test_adam_works_in_place(lab):
    in_place(lab.Adam)


# --- Task 5 ----------------------------------------------------------------------


@task(5)
def test_adamw_by_hand(lab):
    p = Array([8.0, -4.0])
    opt = lab.AdamW([p], 0.5, betas=(0.5, 0.75), eps=1.0, weight_decay=0.25)
    got = path(opt, p, [[4.0, 0.0]])
    # first 1 - 0.5 · 0.25 = 0.875 of each, then a step of 0.5 · 4 / (4 + 1)
    called = "AdamW(params, 0.5, betas=(0.5, 0.75), eps=1.0, weight_decay=0.25)"
    check.close(got, np.array([[6.6, -3.5]]), **EXACT, input=called)
    check.close(opt.state["m"][0], np.array([2.0, 0.0]), **EXACT, name="m")
    check.equal(opt.t, 1, name="t after one step")


@task(5)
def test_zero_gradient_shrinks_by_a_power(lab):
    p = Array([3.0, -0.01, 40.0])
    opt = lab.AdamW([p], 0.1, weight_decay=0.2)
    got = path(opt, p, [np.zeros(3)] * 10)
    expected = 0.98 ** np.arange(1, 11)[:, None] * np.array([3.0, -0.01, 40.0])
    check.close(got, expected, **EXACT, name="(1 - lr · weight_decay)ᵗ")
    check.close(opt.state["v"][0], np.zeros(3), name="no decay in v")


@task(5)
def test_adamw_as_torch_and_as_a_mean_over_history(lab, rng):
    against_torch("AdamW", lab.AdamW, betas=(0.8, 0.95), eps=0.01)
    adam_against_history(rng, lab.AdamW, beside=True)


@task(5)
def test_adamw_works_in_place(lab):
    in_place(lab.AdamW)


# --- Task 6 ----------------------------------------------------------------------


@task(6)
def test_schedules_at_points_known_by_heart(lab):
    stairs = [
        lab.step_lr(t, base=8.0, step_size=3, gamma=0.5) for t in (0, 2, 3, 5, 6, 30)
    ]
    called = "step_lr(t, base=8, step_size=3, gamma=0.5) for t = 0, 2, 3, 5, 6, 30"
    by_hand = [8.0, 8.0, 4.0, 4.0, 2.0, 8.0 / 1024]
    check.close(stairs, by_hand, **EXACT, name="stairs", input=called)
    # cos of 0°, 60°, 90°, 120°, 180°
    wave = [
        lab.cosine_lr(t, base=5.0, total=12, minimum=1.0) for t in (0, 4, 6, 8, 12, 13)
    ]
    called = "cosine_lr(t, base=5, total=12, minimum=1) for t = 0, 4, 6, 8, 12, 13"
    by_hand = [5.0, 4.0, 3.0, 2.0, 1.0, 1.0]
    check.close(wave, by_hand, **EXACT, name="cosine", input=called)
    both = [
        lab.warmup_cosine_lr(t, base=5.0, warmup=4, total=16, minimum=1.0)
        for t in (0, 1, 3, 4, 8, 10, 12, 16, 99)
    ]
    by_hand = [0.0, 1.25, 3.75, 5.0, 4.0, 3.0, 2.0, 1.0, 1.0]
    called = "warmup_cosine_lr(t, base=5, warmup=4, total=16, minimum=1) for"
    called += " t = 0, 1, 3, 4, 8, 10, 12, 16, 99"
    check.close(both, by_hand, **EXACT, name="warm-up, cosine", input=called)


@task(6)
def test_warmup_as_published_for_cs336(lab):
    got = [
        lab.warmup_cosine_lr(t, base=1.0, warmup=7, total=21, minimum=0.1)
        for t in range(25)
    ]
    wave = [
        0.98871756, 0.95543599, 0.90182417, 0.83057041, 0.74524768, 0.65013442, 0.55,
        0.44986558, 0.35475232, 0.26942959, 0.19817583, 0.14456400, 0.11128244,
    ]  # fmt: skip
    expected = [t / 7 for t in range(8)] + wave + [0.1] * 4
    check.close(got, expected, rtol=1e-7, atol=1e-8, input="warm-up 7, total 21")


@task(6)
def test_schedules_against_powers(lab, rng):
    for _ in range(12):
        warmup, length, after = (int(n) for n in rng.integers(2, 20, 3))
        base, minimum = float(rng.uniform(1, 3)), float(rng.uniform(0, 1))
        turn = cmath.exp(1j * cmath.pi / length)  # its powers run half a circle
        wave = [
            minimum + (base - minimum) * (1 + (turn**t).real) / 2
            for t in range(length + 1)
        ] + [minimum] * after
        settings = {"base": base, "minimum": minimum}
        got = [lab.cosine_lr(t, total=length, **settings) for t in range(len(wave))]
        called = f"cosine_lr(t, total={length}, **{settings}) for t = 0, 1, 2, ..."
        check.close(got, wave, **EXACT, name="cosine", input=called)
        settings |= {"warmup": warmup, "total": warmup + length}
        line = [base * t / warmup for t in range(warmup)]
        got = [lab.warmup_cosine_lr(t, **settings) for t in range(warmup + len(wave))]
        called = f"warmup_cosine_lr(t, **{settings}) for t = 0, 1, 2, ..."
        check.close(got, line + wave, **EXACT, name="warm-up, cosine", input=called)
        gamma, rate, stairs = float(rng.uniform(0.2, 0.9)), base, []
        for _ in range(5):
            stairs += [rate] * length
            rate *= gamma
        got = [
            lab.step_lr(t, base=base, step_size=length, gamma=gamma)
            for t in range(len(stairs))
        ]
        called = f"step_lr(t, base={base}, step_size={length}, gamma={gamma}), all t"
        check.close(got, stairs, **EXACT, name="stairs", input=called)


@task(6)
def test_arguments_of_the_schedules(lab):
    step, cosine, warm = lab.step_lr, lab.cosine_lr, lab.warmup_cosine_lr
    check.close(cosine(0, base=0.5, total=1), 0.5, name="total=1")
    check.close(cosine(1, base=0.5, total=1), 0.0, name="total=1")
    check.close(warm(0, base=0.5, warmup=0, total=9), 0.5, name="no warm-up")
    wrong = [
        (lambda: step(-1, base=1.0, step_size=2, gamma=0.5), "t"),
        (lambda: step(3, base=1.0, step_size=0, gamma=0.5), "step_size"),
        (lambda: cosine(-1, base=1.0, total=5), "t"),
        (lambda: cosine(0, base=1.0, total=0), "total"),
        (lambda: warm(-1, base=1.0, warmup=2, total=5), "t"),
        (lambda: warm(0, base=1.0, warmup=-1, total=5), "warmup"),
        (lambda: warm(7, base=1.0, warmup=5, total=5), "warmup"),
    ]
    for call, name in wrong:
        check.raises(ValueError, call, match=name)


# --- Task 7 ----------------------------------------------------------------------


def stops(stopper, values):
    """What `update` answers to each value."""
    return [stopper.update(value) for value in values]


@task(7)
def test_losses_with_two_bad_in_a_row(lab):
    stopper = lab.EarlyStopping(2)
    got = stops(stopper, [4.0, 3.0, 3.5, 2.0, 2.0, 2.5, 9.0, 1.0, 1.5])
    expected = [False, False, False, False, False, True, True, False, False]
    called = "EarlyStopping(2); losses 4, 3, 3.5, 2, 2, 2.5, 9, 1, 1.5"
    check.equal(got, expected, name="stop?", input=called)
    check.equal((stopper.best, stopper.best_step), (1.0, 7), name="best, best_step")


@task(7)
def test_small_gains_add_up(lab):
    stopper = lab.EarlyStopping(3, min_delta=0.5)
    # exactly 0.5 is not more than 0.5; 9.25 is the first beyond 10 - 0.5
    got = stops(stopper, [10.0, 9.75, 9.5, 9.25, 9.0, 8.875, 8.75])
    called = "EarlyStopping(3, min_delta=0.5); 10, 9.75, 9.5, 9.25, 9, 8.875, 8.75"
    expected = [False, False, False, False, False, False, True]
    check.equal(got, expected, name="stop?", input=called)
    check.equal((stopper.best, stopper.best_step), (9.25, 3), name="best, best_step")


@task(7)
def test_accuracies_and_nan(lab):
    stopper = lab.EarlyStopping(2, min_delta=0.125, mode="max")
    got = stops(stopper, [0.25, 0.5, 0.625, 0.75, NAN, NAN, 0.875])
    called = "EarlyStopping(2, min_delta=0.125, mode='max'); "
    called += "0.25, 0.5, 0.625, 0.75, nan, nan, 0.875"
    expected = [False, False, False, False, False, True, True]
    check.equal(got, expected, name="stop?", input=called)
    check.equal((stopper.best, stopper.best_step), (0.75, 3), name="best, best_step")
    stopper = lab.EarlyStopping(2)
    check.equal(stops(stopper, [NAN, NAN, 5.0, NAN]), [False, True, False, False])
    check.equal((stopper.best, stopper.best_step), (5.0, 2), name="after NaN")
    none = lab.EarlyStopping(1)
    check.equal(none.update(NAN), True, name="only NaN")
    check.equal((none.best, none.best_step), (math.inf, None), name="only NaN")


def improvements(values, min_delta, mode):
    """For each value, whether it improves on the last one that did."""
    found, best = [], None
    for value in values:
        loss = value if mode == "min" else -value
        found.append(best is None or loss < best - min_delta)
        best = loss if found[-1] else best
    return found


@task(7)
def test_drawn_scores_by_brute_force(lab, rng):
    for i in range(40):
        patience, n = int(rng.integers(1, 5)), int(rng.integers(6, 25))
        values = [float(x) for x in rng.integers(-12, 12, n) / 8]  # sums are exact
        settings = {"min_delta": float(rng.integers(0, 4)) / 8}
        settings["mode"] = ("min", "max")[i % 2]
        stopper = lab.EarlyStopping(patience, **settings)
        got = stops(stopper, values)
        good = improvements(values, **settings)
        expected = [
            t + 1 >= patience and not any(good[t + 1 - patience : t + 1])
            for t in range(n)
        ]
        called = f"EarlyStopping({patience}, **{settings}); {values}"
        check.equal(got, expected, name="stop?", input=called)
        last = max(t for t in range(n) if good[t])
        check.equal(stopper.best_step, last, name="best_step", input=called)
        check.equal(stopper.best, values[last], name="best", input=called)


# --- Task 8 ----------------------------------------------------------------------


def kinds(lab):
    """One of each, with settings of its own."""
    return {
        "SGD": lambda params: lab.SGD(params, 0.1, momentum=0.9),
        "RMSProp": lambda params: lab.RMSProp(params, 0.1, alpha=0.9),
        "Adam": lambda params: lab.Adam(params, 0.1, betas=(0.8, 0.9)),
        "AdamW": lambda params: lab.AdamW(params, 0.1, weight_decay=0.2),
    }


def train(opt, params, gradients):
    """One step for each row of gradients, (steps, numbers of all arrays)."""
    ends = np.cumsum([p.data.size for p in params])[:-1]
    for row in gradients:
        for p, g in zip(params, np.split(row, ends), strict=True):
            p.grad[...] = g.reshape(p.data.shape)
        opt.step()


@task(8)
def test_what_is_in_a_state_dict(lab):
    p = Array([1.0, -2.0])
    opt = lab.Adam([p], 0.5, betas=(0.5, 0.75))
    train(opt, [p], np.array([[4.0, -8.0]]))
    expected = {
        "lr": 0.5,
        "t": 1,
        "state": {"m": [np.array([2.0, -4.0])], "v": [np.array([4.0, 16.0])]},
    }
    check.close(opt.state_dict(), expected, **EXACT)


@task(8)
def test_a_saved_state_does_not_change(lab, rng):
    p = Array(rng.normal(size=(2, 3)))
    opt = lab.SGD([p], 0.5, momentum=0.5)
    gradients = rng.integers(-8, 8, (3, 6)) / 4
    train(opt, [p], gradients[:1])
    first = gradients[0].reshape(2, 3)
    saved = opt.state_dict()
    train(opt, [p], gradients[1:])
    check.close(saved["state"]["v"][0], first, **EXACT, name="saved, trained on")
    opt.load_state_dict(saved)
    check.close(opt.state["v"][0], first, **EXACT, name="loaded")
    train(opt, [p], gradients[1:])
    check.close(saved["state"]["v"][0], first, **EXACT, name="loaded, trained on")


@task(8)
def test_going_on_gives_the_same_bits(lab, rng):
    for name, make in kinds(lab).items():
        params = [Array(rng.normal(size=shape)) for shape in [(3, 2), (4,)]]
        gradients = rng.normal(0, 3, (30, 10))
        opt = make(params)
        train(opt, params, gradients[:9])
        opt.lr = 0.03
        saved, others = opt.state_dict(), [Array(p.data) for p in params]
        train(opt, params, gradients[9:])
        fresh = make(others)
        fresh.load_state_dict(saved)
        train(fresh, others, gradients[9:])
        for p, other in zip(params, others, strict=True):
            check.equal(other.data, p.data, name=f"{name}, saved at step 9 of 30")
        check.equal((fresh.lr, fresh.t), (opt.lr, opt.t), name=f"{name}: lr, t")


@task(8)
def test_a_state_of_other_arrays_is_refused(lab):
    p, q = Array([1.0, 2.0, 3.0]), Array([[1.0, 2.0]])
    opt = lab.SGD([p, q], 0.5, momentum=0.5)
    opt.load_state_dict(lab.SGD([p, q], 0.25, momentum=0.5).state_dict())
    check.equal(opt.lr, 0.25, name="lr of a state that fits")
    strangers = {
        "another number of arrays": lab.SGD([p], 0.1),
        "other shapes": lab.SGD([p, Array([[1.0], [2.0]])], 0.1),
        "shapes that would broadcast": lab.SGD([Array([1.0]), q], 0.1),
        "other names": lab.Adam([p, q], 0.1),
    }
    for name, stranger in strangers.items():
        saved = stranger.state_dict()
        check.raises(
            ValueError,
            lambda saved=saved: opt.load_state_dict(saved),
            match="state_dict",
            name=name,
        )
        check.equal(opt.lr, 0.25, name="lr after an error")
