"""The marking scheme of lab 3.4: what each task must do, and how we know.

Oracles: slices of the padded text, Bengio's formula in NumPy, statistics of the normal
distribution, one large batch, AdamW written out, scripted validation losses, windows as
a recording model saw them, and a grid for the mixture. Models are tiny and made here,
so that each task stands alone; nothing depends on what a training reaches.
"""

from __future__ import annotations

import copy
import itertools
import math

import numpy as np
import torch

# The first optimizer of a process imports this. It takes longer than all tests here,
# and it replaces torch.manual_seed, which the harness would take for tampering.
import torch._dynamo
from torch import nn

from common.grading import check, task

EXACT = {"rtol": 1e-10, "atol": 1e-10}  # float64
FLOAT32 = {"rtol": 1e-5, "atol": 1e-5}
INF = math.inf


def generator(rng) -> torch.Generator:
    """A torch generator, seeded from the test's own."""
    return torch.Generator().manual_seed(int(rng.integers(2**31)))


def draw_ids(rng, vocab_size: int, *shape: int) -> torch.Tensor:
    """Ids from 0 to vocab_size - 1."""
    return torch.tensor(rng.integers(0, vocab_size, shape))


def padded_windows(ids: list, context: int, pad: int) -> list:
    """The windows of a text, slice by slice."""
    padded = [pad] * context + ids
    return [padded[i : i + context] for i in range(len(ids))]


class Net(nn.Module):
    """A window model of our own, float64, all parameters drawn from `rng`."""

    def __init__(self, rng, vocab_size, context, d_embed, d_hidden, direct=False):
        super().__init__()
        self.vocab_size, self.context = vocab_size, context
        width = context * d_embed
        self.embedding = nn.Embedding(vocab_size + 1, d_embed)
        self.hidden = nn.Linear(width, d_hidden)
        self.output = nn.Linear(d_hidden, vocab_size)
        self.direct = nn.Linear(width, vocab_size, bias=False) if direct else None
        self.double()
        redraw(self, rng)

    def forward(self, x):
        e = torch.cat([self.embedding(place) for place in x.T], dim=1)
        logits = self.output(self.hidden(e).tanh())
        return logits + self.direct(e) if self.direct is not None else logits


def redraw(model, rng) -> None:
    """Give every parameter standard normal values."""
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.tensor(rng.normal(size=tuple(p.shape))))


class Table(nn.Module):
    """Logits by the last id of the window, row V after a pad; notes every call."""

    def __init__(self, rows, context=1):
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(rows, dtype=torch.float64))
        self.vocab_size, self.context = self.logits.shape[1], context
        self.windows, self.modes = [], []
        self.part = nn.Identity()  # has a mode of its own, as a dropout layer has

    def forward(self, x):
        self.windows += x.tolist()
        self.modes.append((self.part.training, torch.is_grad_enabled(), len(x)))
        return self.logits[x[:, -1]]


def modes(model) -> list:
    """Whether the model and each of its parts are in training mode."""
    return [part.training for part in model.modules()]


def weights(model) -> list:
    """Copies of all parameters."""
    return [p.detach().clone() for p in model.parameters()]


def shapes(model) -> dict:
    """The shape of each parameter, by name."""
    return {name: tuple(p.shape) for name, p in model.named_parameters()}


# --- Task 1 ----------------------------------------------------------------------


@task(1)
def test_three_ids(lab):
    X, Y = lab.make_windows(torch.tensor([5, 6, 7]), 2, 9)
    check.equal(X, torch.tensor([[9, 9], [9, 5], [5, 6]]), name="X")
    check.equal(Y, torch.tensor([5, 6, 7]), name="Y")


@task(1)
def test_windows_are_slices_of_the_padded_text(lab, rng):
    for n, context in [(17, 3), (11, 1), (4, 6), (1, 2)]:
        ids = draw_ids(rng, 8, n)
        X, Y = lab.make_windows(ids, context, 8)
        expected = padded_windows(ids.tolist(), context, 8)
        check.equal(X, torch.tensor(expected), name=f"X, context {context}")
        check.equal(Y, ids, name=f"Y, context {context}")


@task(1)
def test_every_position_sees_its_past_and_nothing_else(lab):
    ids = torch.arange(1, 14)  # each id says where it stands
    X, Y = lab.make_windows(ids, 5, 0)
    check.equal(len(Y), 13, name="windows")
    check.equal(X.max(dim=1).values, ids - 1, name="newest id of each window")


@task(1)
def test_a_context_below_one(lab):
    ids = torch.tensor([1, 2])
    for n in (0, -1):
        check.raises(
            ValueError, lambda n=n: lab.make_windows(ids, n, 3), match="context"
        )
    check.equal(lab.make_windows(ids, 1, 3)[0], torch.tensor([[3], [1]]))


# --- Task 2 ----------------------------------------------------------------------


@task(2)
def test_one_hidden_unit_by_hand(lab):
    model = lab.WindowLM(2, 2, 1, 1).double()
    check.equal(shapes(model)["hidden.weight"], (1, 2), name="shape of hidden.weight")
    values = {
        "embedding.weight": [[1.0], [3.0], [0.0]],
        "hidden.weight": [[1.0, -0.5]],
        "hidden.bias": [-2.0],
        "output.weight": [[2.0], [-4.0]],
        "output.bias": [0.5, 0.25],
    }
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(torch.tensor(values[name]))
    # 3 - 0.5 * 1 - 2 = 0.5, and tanh(0.5) = 0.462117
    expected = [[0.5 + 2 * 0.46211716, 0.25 - 4 * 0.46211716]]
    got = model(torch.tensor([[1, 0]]))
    check.close(got, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-7)


@task(2)
def test_names_and_shapes(lab):
    for direct in (False, True):
        model = lab.WindowLM(7, 3, 2, 5, direct=direct)
        expected = {
            "embedding.weight": (8, 2),
            "hidden.weight": (5, 6),
            "hidden.bias": (5,),
            "output.weight": (7, 5),
            "output.bias": (7,),
        }
        if direct:
            expected["direct.weight"] = (7, 6)
        check.equal(shapes(model), expected, name=f"shapes, direct={direct}")
        check.equal((model.vocab_size, model.context), (7, 3), name="attributes")
        none = getattr(model, "direct", "missing") is None
        check.equal(none, not direct, name=f"model.direct is None, direct={direct}")


@task(2)
def test_the_formula_in_numpy(lab, rng):
    for direct in (False, True):
        model = lab.WindowLM(7, 3, 4, 5, direct=direct).double()
        redraw(model, rng)
        x = draw_ids(rng, 8, 6, 3)  # with pads
        got = model(x)
        w = {name: p.detach().numpy() for name, p in model.named_parameters()}
        e = w["embedding.weight"][x.numpy()].reshape(6, 12)
        h = np.tanh(e @ w["hidden.weight"].T + w["hidden.bias"])
        logits = h @ w["output.weight"].T + w["output.bias"]
        if direct:
            logits += e @ w["direct.weight"].T
        check.close(got, torch.tensor(logits), **EXACT, name=f"direct={direct}")


@task(2)
def test_gradients_reach_every_weight_and_the_pad(lab, rng):
    ours = Net(rng, 4, 3, 2, 5, direct=True)
    model = lab.WindowLM(4, 3, 2, 5, direct=True).double()
    model.load_state_dict(ours.state_dict())
    x = torch.tensor([[4, 4, 4], [4, 0, 1], [1, 2, 3]])
    found = []
    check.equal(model(x).requires_grad, True, name="logits have a gradient")
    for m in (model, ours):
        m(x).square().sum().backward()
        found.append({name: p.grad for name, p in m.named_parameters()})
    pads = [grads["embedding.weight"][-1] for grads in found]
    check.close(pads[0], pads[1], **EXACT, name="gradient of the pad's row")
    check.close(*found, **EXACT, name="gradients")


@task(2)
def test_the_order_of_the_window_counts(lab, rng):
    model = lab.WindowLM(5, 3, 2, 4).double()
    redraw(model, rng)
    rows = list(itertools.permutations([0, 2, 4]))
    logits = model(torch.tensor(rows)).detach()
    kinds = len({tuple(row) for row in logits.round(decimals=6).tolist()})
    check.equal(kinds, 6, name="different answers to the 6 orders of 3 ids")


@task(2)
def test_windows_of_another_width(lab):
    model = lab.WindowLM(5, 3, 2, 4)
    for shape in [(2, 4), (2, 2), (3,), (2, 3, 1)]:
        x = torch.zeros(shape, dtype=torch.int64)
        check.raises(ValueError, lambda x=x: model(x), match="x")
    check.equal(tuple(model(torch.zeros(2, 3).long()).shape), (2, 5), name="shape")


@task(2)
def test_how_many_parameters(lab, rng):
    # (2 + 1) 4 = 12, (3 * 4 + 1) 5 = 65, (5 + 1) 2 = 12; direct: 3 * 4 * 2 = 24
    check.equal(lab.parameter_count(2, 3, 4, 5, False), 89)
    check.equal(lab.parameter_count(2, 3, 4, 5, True), 113)
    for direct in (False, True):
        sizes = rng.permutation(np.arange(2, 9))[:4].tolist()
        expected = sum(p.numel() for p in Net(rng, *sizes, direct).parameters())
        check.equal(lab.parameter_count(*sizes, direct), expected)
    check.equal(lab.parameter_count(65, 8, 24, 256), 67_697, name="the large model")
    got = lab.parameter_count(10**15, 1, 1, 1)  # no memory holds such a model
    check.equal(got, 3 * 10**15 + 3, name="without making one")


# --- Task 3 ----------------------------------------------------------------------


@task(3)
def test_the_first_loss_is_ln_v(lab, rng):
    for direct in (False, True):
        model = Net(rng, 65, 8, 24, 256, direct)
        lab.init_parameters_(model, generator(rng))
        logits = model(draw_ids(rng, 65, 300, 8)).detach()
        loss = (logits.logsumexp(dim=1) - logits.mean(dim=1)).mean().item()
        name = f"loss over all answers, direct={direct}"
        # the logits' own spread of about 0.13 (0.19) adds half its square
        check.close(
            loss, math.log(65), rtol=0, atol=0.04 if direct else 0.02, name=name
        )


RULE = {  # standard deviations for context 3, d 50
    "embedding.weight": 1.0,
    "hidden.weight": 5 / 3 / math.sqrt(150),
    "hidden.bias": 0.0,
    "output.weight": 0.01,
    "output.bias": 0.0,
    "direct.weight": 0.01,
}


@task(3)
def test_the_spread_of_every_tensor(lab, rng):
    model = Net(rng, 40, 3, 50, 60, direct=True)
    lab.init_parameters_(model, generator(rng))
    parts = dict(model.named_parameters())
    for name, p in (parts | {"the pad's row": parts["embedding.weight"][-1]}).items():
        n, sd = p.numel(), RULE.get(name, 1.0)
        # five standard errors: n draws miss their deviation by 1 part in sqrt(2n)
        spread = p.detach().square().mean().sqrt().item()
        check.close(spread, sd, rtol=5 / math.sqrt(2 * n), atol=0, name=f"sd of {name}")
        middle = p.detach().mean().item()
        check.close(
            middle, 0.0, rtol=0, atol=5 * sd / math.sqrt(n), name=f"mean of {name}"
        )


@task(3)
def test_weights_are_normal(lab, rng):
    model = Net(rng, 40, 3, 50, 60, direct=True)
    lab.init_parameters_(model, generator(rng))
    for name, p in model.named_parameters():
        if p.ndim > 1:
            w = p.detach() / RULE[name]
            inside = (w.abs() < 1).double().mean().item()  # if uniform: 0.577
            error = 5 * math.sqrt(0.683 * 0.317 / w.numel())
            name = f"share within 1 sd, {name}"
            check.close(inside, 0.6827, rtol=0, atol=error, name=name)


@task(3)
def test_only_rng_decides_and_dtype_and_objects_stay(lab, rng):
    seed = int(rng.integers(2**31))
    first, second = (Net(rng, 5, 3, 2, 4, True) for _ in range(2))
    before, state = list(map(id, first.parameters())), torch.get_rng_state()
    random = torch.Generator().manual_seed(seed)
    lab.init_parameters_(first, random)
    untouched = torch.equal(torch.get_rng_state(), state)
    torch.rand(3)
    lab.init_parameters_(second, torch.Generator().manual_seed(seed))
    check.equal(weights(first), weights(second), name="the same rng twice")
    check.equal(untouched, True, name="torch's global generator is untouched")
    same = list(map(id, first.parameters())) == before
    check.equal(same, True, name="the same parameter objects")
    kinds = {str(p.dtype) for p in first.parameters()}
    check.equal(kinds, {"torch.float64"}, name="dtypes")
    lab.init_parameters_(second, random)  # that has made `first`
    same = torch.equal(first.embedding.weight, second.embedding.weight)
    check.equal(same, False, name="an rng that was used gives the same embedding")


# --- Task 4 ----------------------------------------------------------------------

CHANCES = [[1 / 4, 3 / 4], [7 / 8, 1 / 8], [1 / 2, 1 / 2]]  # after 0, 1, pad


@task(4)
def test_three_positions_by_hand(lab):
    model, ids = Table(np.log(CHANCES)), torch.tensor([0, 1, 1])
    got = lab.log_probs(model, ids)
    check.close(got, torch.tensor([1 / 2, 3 / 4, 1 / 8]).double().log(), **EXACT)
    check.close(lab.evaluate(model, ids), math.log(2 * 4 / 3 * 8) / 3, **EXACT)


@task(4)
def test_the_batch_size_changes_nothing(lab, rng):
    model, ids = Net(rng, 7, 3, 2, 5), draw_ids(rng, 6, 29)  # without the last id
    X = torch.tensor(padded_windows(ids.tolist(), 3, 7))
    expected = nn.functional.cross_entropy(model(X), ids, reduction="none").detach()
    for batch in (1, 4, 28, 29, 5000):
        got = lab.log_probs(model, ids, batch)
        check.close(got, -expected, **EXACT, name=f"log_probs, batch={batch}")
        got = lab.evaluate(model, ids, batch)
        check.close(got, expected.mean().item(), **EXACT, name=f"nats, batch={batch}")


@task(4)
def test_equal_logits_give_ln_v(lab, rng):
    model = Table(np.full((10, 9), 2.5), context=4)
    got = lab.evaluate(model, draw_ids(rng, 9, 23), 5)
    check.close(got, math.log(9), **EXACT)


@task(4)
def test_logits_of_any_size_and_of_float32(lab, rng):
    model = Table([[0.0, 1000.0], [-1000.0, 0.0], [2000.0, 2000.0]])
    got = lab.log_probs(model, torch.tensor([0, 0, 1, 1]))
    expected = torch.tensor([-math.log(2), -1000.0, 0.0, 0.0], dtype=torch.float64)
    check.close(got, expected, **EXACT, name="large logits")
    model, ids = Net(rng, 7, 3, 2, 5), draw_ids(rng, 7, 13)
    X = torch.tensor(padded_windows(ids.tolist(), 3, 7))
    expected = model(X).log_softmax(1)[torch.arange(13), ids].detach()
    before = weights(model.float())
    check.close(lab.log_probs(model, ids), expected, **FLOAT32, name="float32")
    check.equal(weights(model), before, name="weights afterwards")


@task(4)
def test_a_visit_leaves_no_trace(lab, rng):
    ids = draw_ids(rng, 2, 11)
    for function in ("log_probs", "evaluate"):
        for mode, batch in [(True, 4), (False, 3)]:
            model = Table(np.log(CHANCES)).train(mode)
            model.logits.grad = torch.ones_like(model.logits)
            with torch.enable_grad():
                getattr(lab, function)(model, ids, batch)
                recorded = torch.is_grad_enabled(), model.logits.requires_grad
            check.equal(modes(model), [mode] * 2, name=f"modes after {function}")
            seen = {(training, graph) for training, graph, _ in model.modes}
            check.equal(seen, {(False, False)}, name=f"(training, graph) in {function}")
            largest = max(size for *_, size in model.modes)
            check.equal(largest, batch, name=f"largest batch in {function}")
            name = f"(gradients are on, weights learn) after {function}"
            check.equal(recorded, (True, True), name=name)
            left = model.logits.grad
            check.equal(left, torch.ones(3, 2).double(), name="gradient, set before")


@task(4)
def test_no_ids_or_no_batch(lab):
    model, ids = Table(np.log(CHANCES)), torch.tensor([0, 1])
    for function in (lab.log_probs, lab.evaluate):
        check.raises(ValueError, lambda f=function: f(model, ids[:0]), match="ids")
        for batch in (0, -1):
            check.raises(
                ValueError, lambda f=function, b=batch: f(model, ids, b), match="batch"
            )
        function(model, ids, 1)


# --- Task 5 ----------------------------------------------------------------------


@task(5)
def test_batches_are_rows_with_their_targets(lab, rng):
    X = torch.arange(14).reshape(7, 2)
    Y = 100 + torch.arange(7)
    found = lab.batches(X, Y, 9, generator(rng))
    xb, yb = next(found)
    check.equal((tuple(xb.shape), tuple(yb.shape)), ((9, 2), (9,)), name="shapes")
    check.equal(xb, X[yb - 100], name="rows of X that belong to Y")
    more = [tuple(next(found)[1].tolist()) for _ in range(40)]
    check.that(len(set(more)) > 35, "each batch is drawn anew", len(set(more)))


@task(5)
def test_all_rows_are_equally_likely(lab, rng):
    seed, Y = int(rng.integers(2**31)), torch.arange(31)
    rows, state = Y[:, None], torch.get_rng_state()
    drawn = []
    for _ in range(2):
        random = torch.Generator().manual_seed(seed)
        found = lab.batches(rows, Y, 20, random)
        drawn.append(torch.stack([next(found)[1] for _ in range(155)]))
    untouched = torch.equal(torch.get_rng_state(), state)
    check.equal(drawn[0], drawn[1], name="the same rng twice")
    check.equal(untouched, True, name="torch's global generator is untouched")
    again = next(lab.batches(rows, Y, 20, random))[1]
    same = torch.equal(again, drawn[0][0])
    check.equal(same, False, name="an rng that was used gives the same rows")
    # 31 (1 - (30/31)^20) are expected, 0.75 is six standard errors
    different = sum(len(set(b)) for b in drawn[0].tolist()) / 155
    name = "different rows among 20 of 31, on average"
    check.close(different, 14.91, rtol=0, atol=0.75, name=name)
    counts = torch.bincount(drawn[0].flatten(), minlength=31)  # 100 of each expected
    chi = ((counts - 100) ** 2 / 100).sum().item()
    # 30 degrees of freedom: above 87 once in a million
    check.that(chi < 87, "chi-square of the rows below 87", chi)


class Coin(nn.Module):
    """Two logits that do not depend on the window, 0 at first."""

    def __init__(self):
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(2, dtype=torch.float64))

    def forward(self, x):
        return self.logits.expand(len(x), 2)


@task(5)
def test_two_steps_of_two_logits(lab):
    ones = itertools.repeat((torch.zeros(3, 1).long(), torch.ones(3).long()))
    settings = {"steps": 2, "lr": 0.1, "weight_decay": 0.5, "eval_every": 5}
    answers, model = iter([2.0, 1.0]), Coin()
    got = lab.train(model, ones, lambda m: next(answers), **settings, patience=3)
    # Adam's first step is the rate for each number: logits -0.1 and 0.1, no decay
    expected = [math.log(2), math.log(1 + math.exp(-0.2))]
    check.close(got.train, expected, rtol=0, atol=1e-7, name="train")
    check.equal(got.val, [(0, 2.0), (2, 1.0)], name="val")
    # m / (1 - 0.9²) over √(v / (1 - 0.999²)) is 0.99590, at half of the rate
    expected = torch.tensor([-0.1497951, 0.1497951], dtype=torch.float64)
    check.close(model.logits.detach(), expected, rtol=0, atol=1e-6, name="logits")


def adamw(model, data, lr, decay) -> list:
    """AdamW by its formulas with a cosine rate; returns the losses."""
    params = list(model.parameters())
    m, v, losses = [0.0] * len(params), [0.0] * len(params), []
    for t, (xb, yb) in enumerate(data):
        loss = -model(xb).log_softmax(dim=1)[torch.arange(len(yb)), yb].mean()
        losses.append(loss.item())
        rate = lr * (1 + math.cos(math.pi * t / len(data))) / 2
        grads = torch.autograd.grad(loss, params)
        with torch.no_grad():
            for i, (p, g) in enumerate(zip(params, grads, strict=True)):
                m[i] = 0.9 * m[i] + 0.1 * g
                v[i] = 0.999 * v[i] + 0.001 * g**2
                if p.ndim > 1:
                    p *= 1 - rate * decay
                m_hat, v_hat = (
                    m[i] / (1 - 0.9 ** (t + 1)),
                    v[i] / (1 - 0.999 ** (t + 1)),
                )
                p -= rate * m_hat / (v_hat.sqrt() + 1e-8)
    return losses


@task(5)
def test_four_steps_are_those_of_adamw(lab, rng):
    model = Net(rng, 6, 2, 3, 4, direct=True)
    twin = copy.deepcopy(model)
    data = [(draw_ids(rng, 7, 5, 2), draw_ids(rng, 6, 5)) for _ in range(4)]
    falling = itertools.count(0, -1.0)
    got = lab.train(
        model,
        iter(data),
        lambda m: next(falling),
        steps=4,
        lr=0.05,
        weight_decay=0.4,
        eval_every=2,
        patience=9,
    )
    check.close(got.train, adamw(twin, data, 0.05, 0.4), **EXACT, name="train")
    # a wide margin below what a wrong rule makes, and above √v's rounding
    check.close(weights(model), weights(twin), rtol=1e-7, atol=1e-8, name="weights")


class Script:
    """An evaluation that says what stands in a list, and notes the weights it saw."""

    def __init__(self, *answers):
        self.answers, self.seen = list(answers), []

    def __call__(self, model):
        self.seen.append(weights(model))
        model.eval()
        return self.answers[len(self.seen) - 1]


def run(lab, rng, script, **settings):
    """Train a small model; the number of batches it took comes too."""
    model = Net(rng, 6, 2, 3, 4)
    taken = itertools.count()
    data = ((draw_ids(rng, 6, 5, 2), draw_ids(rng, 6, 5)) for _ in taken)
    given = {"steps": 40, "lr": 0.05, "weight_decay": 0.1, "eval_every": 3}
    history = lab.train(model, data, script, **given | settings)
    return model, history, next(taken)


@task(5)
def test_stopping_and_the_best_weights(lab, rng):
    script = Script(3.0, 2.5, 2.75, 2.4999, 2.625, 2.75, 2.4999, 1.0, 0.5)
    model, history, taken = run(lab, rng, script, patience=3)
    expected = list(zip(range(0, 19, 3), script.answers[:7], strict=True))
    check.equal(history.val, expected, name="val")
    check.equal(history.best_step, 9, name="best_step")
    check.equal((len(history.train), taken), (18, 18), name="losses, batches taken")
    check.equal(weights(model), script.seen[3], name="weights, beside step 9's")


@task(5)
def test_when_it_is_evaluated(lab, rng):
    for steps, expected in [(7, [0, 3, 6, 7]), (6, [0, 3, 6]), (2, [0, 2])]:
        script = Script(*range(9, 0, -1))
        model, history, taken = run(lab, rng, script, steps=steps, patience=2)
        name = f"steps={steps}"
        check.equal([t for t, _ in history.val], expected, name=f"evaluated, {name}")
        check.equal(history.best_step, steps, name=f"best_step, {name}")
        check.equal(taken, steps, name=f"batches taken, {name}")
        check.equal(weights(model), script.seen[-1], name=f"weights, {name}")


@task(5)
def test_the_best_weights_without_an_early_stop(lab, rng):
    script = Script(3.0, 1.0, 2.0, 2.5)
    model, history, taken = run(lab, rng, script, steps=8, patience=3)
    check.equal((history.best_step, taken), (3, 8), name="best_step, batches taken")
    check.equal(weights(model), script.seen[1], name="weights, beside step 3's")


@task(5)
def test_no_answer_is_better_than_the_first(lab, rng):
    nan = math.nan
    for *answers, patience in [
        (1.0, 1.0, 1.0, 2),
        (1.0, nan, 1.5, 2),
        (nan, nan, 2),
        (nan, 1),
    ]:
        script = Script(*answers, 0.5)
        model, history, _ = run(lab, rng, script, patience=patience)
        got, name = (history.best_step, len(history.val)), f"best, asked: {answers}"
        check.equal(got, (0, len(answers)), name=name)
        check.equal(weights(model), script.seen[0], name="weights, beside the first")


@task(5)
def test_training_mode_and_the_same_objects(lab, rng):
    model = Table(rng.normal(size=(4, 3)))
    before = list(map(id, model.parameters()))
    data = iter([(draw_ids(rng, 4, 5, 1), draw_ids(rng, 3, 5)) for _ in range(4)])
    settings = {"steps": 4, "lr": 0.1, "weight_decay": 0.1, "eval_every": 1}
    script = Script(5.0, 4.0, 3.0, 2.0, 1.0)
    lab.train(model, data, script, **settings, patience=2)
    check.equal(model.modes, [(True, True, 5)] * 4, name="(training, graph, rows)")
    same = list(map(id, model.parameters())) == before
    check.equal(same, True, name="the same parameter objects")


@task(5)
def test_settings_below_one(lab, rng):
    names = ("steps", "eval_every", "patience")
    for name, value in itertools.product(names, (0, -1)):
        settings = {"patience": 2, name: value}
        script = Script(*range(99))
        check.raises(
            ValueError, lambda s=script, k=settings: run(lab, rng, s, **k), match=name
        )
    run(lab, rng, Script(2.0, 1.0), steps=1, eval_every=1, patience=1)


# --- Task 6 ----------------------------------------------------------------------

SURE = [
    [0, 900, 0],
    [0, 0, 900],
    [900, 0, 0],
    [900, 0, 0],
]  # 0 -> 1 -> 2 -> 0; pad -> 0


@task(6)
def test_a_chain_without_a_choice(lab, rng):
    model = Table(SURE, context=2)
    check.equal(lab.generate(model, [1], 5, generator(rng)), [2, 0, 1, 2, 0])
    check.equal(lab.generate(model, [], 4, generator(rng)), [0, 1, 2, 0])
    check.equal(lab.generate(model, (0, 2), 0, generator(rng)), [])


@task(6)
def test_the_windows_it_asks_about(lab, rng):
    for prompt in [[], [3], [2, 1, 3, 0, 2, 4]]:
        model = Table(rng.normal(size=(6, 5)), context=4)
        got = lab.generate(model, prompt, 7, generator(rng))
        text = prompt + got
        expected = padded_windows(text, 4, 5)[len(prompt) :]
        check.equal(model.windows, expected, name=f"windows after {prompt}")


@task(6)
def test_a_low_temperature_takes_the_most_likely(lab, rng):
    table = np.stack([rng.permutation(6) for _ in range(7)]) / 2
    expected, last = [], 4
    for _ in range(9):
        last = int(table[last].argmax())
        expected.append(last)
    for temperature in (0, 0.001):
        got = lab.generate(Table(table), [4], 9, generator(rng), temperature)
        check.equal(got, expected, name=f"temperature={temperature}")
    tie = Table([[1.0, 2.0, 2.0]] * 4)
    got = lab.generate(tie, [], 3, generator(rng), 0)
    check.equal(got, [1, 1, 1], name="a tie at temperature 0")


@task(6)
def test_draws_follow_the_probabilities(lab, rng):
    p = np.array([0.6, 0.25, 0.1, 0.05])
    for given in [(), (4.0,), (0.4,)]:
        temperature = given[0] if given else 1.0
        model = Table([temperature * np.log(p) + 3.0] * 5)
        draws = lab.generate(model, [0], 1200, generator(rng), *given)
        counts = np.bincount(draws, minlength=4)
        chi = float(((counts - 1200 * p) ** 2 / (1200 * p)).sum())
        # 3 degrees of freedom: above 31 once in a million
        check.that(chi < 31, f"chi-square below 31 at temperature {temperature}", chi)


@task(6)
def test_rng_decides_and_no_trace_is_left(lab, rng):
    seed, state = int(rng.integers(2**31)), torch.get_rng_state()
    texts = []
    for mode in (True, False):
        model = Table(np.zeros((9, 8))).train(mode)
        rng_ = torch.Generator().manual_seed(seed)
        texts.append(lab.generate(model, [1, 2], 20, rng_))
        check.equal(modes(model), [mode] * 2, name="modes afterwards")
        seen = {(training, graph) for training, graph, _ in model.modes}
        check.equal(seen, {(False, False)}, name="(training, graph)")
    untouched = torch.equal(torch.get_rng_state(), state)
    check.equal(texts[0], texts[1], name="the same rng twice")
    check.equal(untouched, True, name="torch's global generator is untouched")
    again = lab.generate(model, [1, 2], 20, rng_)
    check.equal(again == texts[0], False, name="an rng that was used gives the same")


@task(6)
def test_a_temperature_and_ids_that_are_none(lab, rng):
    model, random = Table(SURE), generator(rng)
    check.raises(
        ValueError,
        lambda: lab.generate(model, [0], 2, random, -0.5),
        match="temperature",
    )
    for bad, n in [([0, 3], 2), ([-1], 2), ([3, 0], 0)]:  # a window is one id
        check.raises(
            ValueError,
            lambda p=bad, n=n: lab.generate(model, p, n, random),
            match="prompt",
        )
    check.equal(lab.generate(model, [2], 2, random, 0.5), [0, 1])


# --- Task 7 ----------------------------------------------------------------------


def doubles(*values) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@task(7)
def test_two_positions_by_hand(lab):
    p_a, p_b = doubles(0.5, 0.1), doubles(0.1, 0.5)
    check.close(lab.mixture_nats(p_a, p_b, 0.5), -math.log(0.3), **EXACT)
    p_a, p_b = doubles(0.5, 0.5), doubles(0.1, 0.1)
    check.close(lab.mixture_nats(p_a, p_b, 0.75), -math.log(0.4), **EXACT)
    for weight, expected in [(1, 0.5), (0, 0.1)]:
        got = lab.mixture_nats(p_a, p_b, weight)
        check.close(got, -math.log(expected), **EXACT, name=f"weight {weight}")
    got = lab.mixture_nats(doubles(1e-30), doubles(3e-30), 0.5)
    check.close(got, -math.log(2e-30), **EXACT, name="small probabilities")


@task(7)
def test_em_on_one_position(lab):
    # 0.15 / 0.2, then 0.75 * 0.3 / (0.75 * 0.3 + 0.25 * 0.1)
    for p_a, p_b in [(0.3, 0.1), (3e-20, 1e-20)]:
        for iters, expected in [(0, 0.5), (1, 0.75), (2, 0.9)]:
            got = lab.best_mixture_weight(doubles(p_a), doubles(p_b), iters)
            check.close(got, expected, **EXACT, name=f"iters={iters}, p_a={p_a}")


def two_models(rng, n=60) -> tuple:
    """Probabilities of n positions, the first model a little better."""
    a, b = rng.beta(1, 1.5, n), rng.beta(1, 2, n)
    return torch.tensor(a + 1e-3), torch.tensor(b + 1e-3)


@task(7)
def test_mixing_is_a_mean_of_probabilities(lab, rng):
    p_a, p_b = two_models(rng)
    for weight in (0.125, 0.5, 0.9):
        pairs = zip(p_a.tolist(), p_b.tolist(), strict=True)
        mixed = [weight * a + (1 - weight) * b for a, b in pairs]
        expected = -sum(map(math.log, mixed)) / len(mixed)
        got = lab.mixture_nats(p_a, p_b, weight)
        check.close(got, expected, **EXACT, name=f"weight {weight}")


@task(7)
def test_em_finds_the_best_weight_of_a_grid(lab, rng):
    p_a, p_b = two_models(rng)
    grid = np.linspace(0, 1, 1001)[:, None]
    a, b = p_a.numpy(), p_b.numpy()
    losses = -np.log(grid * a + (1 - grid) * b).mean(axis=1)
    weight = lab.best_mixture_weight(p_a, p_b, iters=3000)
    own = float(-np.log(weight * a + (1 - weight) * b).mean())
    check.close(weight, float(grid[losses.argmin(), 0]), rtol=0, atol=2e-3)
    name = "loss at the weight, less the grid's lowest"
    check.close(max(own - losses.min(), 0.0), 0.0, rtol=0, atol=1e-6, name=name)


@task(7)
def test_no_step_of_em_raises_the_loss(lab, rng):
    p_a, p_b = two_models(rng)
    a, b = p_a.numpy(), p_b.numpy()
    found = [lab.best_mixture_weight(p_a, p_b, iters) for iters in range(6)]
    losses = [-np.log(w * a + (1 - w) * b).mean() for w in found]
    rises = [float(max(d, 0)) for d in np.diff(losses)]
    check.close(rises, [0.0] * 5, rtol=0, atol=1e-12, name="rises of the loss")
    w, expected = 0.5, [0.5]
    for _ in range(50):
        w = float(
            np.mean([w * x / (w * x + (1 - w) * y) for x, y in zip(a, b, strict=True)])
        )
        expected.append(w)
    check.close(found, expected[:6], **EXACT, name="weights after 0 to 5 steps")
    got = lab.best_mixture_weight(p_a, p_b)
    check.close(got, expected[50], **EXACT, name="weight after 50 steps, the default")


@task(7)
def test_a_weight_outside(lab):
    p = doubles(0.5, 0.25)
    for weight in (-0.1, 1.1):
        check.raises(
            ValueError, lambda w=weight: lab.mixture_nats(p, p, w), match="weight"
        )
    check.close(lab.mixture_nats(p, p, 0.3), 1.5 * math.log(2), **EXACT)
