"""The marking scheme of lab 2.10: what each task must do, and how we know.

Oracles: networks and softmax regression written out here with torch's layers and NumPy,
lab 1.5's split, lab 2.5's network for the copied weights, AdamW's own rule for what
decays, and for the checkpoint a run that is never interrupted. Data are tiny, and no
score after training is graded. The CPU only, files in a temporary folder.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import os
import tempfile
from pathlib import Path

import numpy as np
import torch

# The first optimizer of a process imports this. It takes longer than all tests here,
# and it replaces torch.manual_seed, which the harness would take for tampering.
import torch._dynamo
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from common import labs
from common.grading import check, task

try:
    import resource
except ImportError:  # Windows
    resource = None

EXACT = {"rtol": 1e-10, "atol": 1e-12}  # float64
FLOAT32 = {"rtol": 1e-5, "atol": 1e-6}
DEFAULTS = {
    "hidden": (128, 64),
    "dropout": 0.1,
    "lr": 1e-3,
    "weight_decay": 0.01,
    "batch_size": 32,
    "epochs": 20,
    "seed": 0,
    "device": "auto",
}


def scratch(name: str = "run.pt") -> Path:
    """A path in a new temporary folder."""
    return Path(tempfile.mkdtemp()) / name


def loader(xs, ys, batch_size, **options) -> DataLoader:
    """Rows in their order, unless the options say otherwise."""
    return DataLoader(TensorDataset(xs, ys), batch_size, **options)


def shapes(model) -> dict:
    """The shape of each parameter, by name."""
    return {name: tuple(p.shape) for name, p in model.named_parameters()}


def weights(model) -> list:
    """Copies of all parameters."""
    return [p.detach().clone() for p in model.parameters()]


# --- Task 1 ----------------------------------------------------------------------


@task(1)
def test_words_change_the_defaults(lab):
    got = lab.Config.from_args(["lr=0.5", "hidden=32,16", "batch_size=7", "device=cpu"])
    changed = {"lr": 0.5, "hidden": (32, 16), "batch_size": 7, "device": "cpu"}
    check.equal(dataclasses.asdict(got), DEFAULTS | changed)
    check.equal(dataclasses.asdict(lab.Config.from_args([])), DEFAULTS, name="no words")
    got = lab.Config.from_args(["seed=3", "hidden=", "epochs=4", "seed=5"])
    check.equal((got.seed, got.hidden, got.epochs), (5, (), 4), name="seed twice")


@task(1)
def test_json_and_back(lab, rng):
    sizes = tuple(rng.integers(2, 99, 3).tolist())
    values = {"hidden": sizes, "dropout": 0.375, "lr": 2e-5, "epochs": 11}
    config = lab.Config(**values)
    text = config.to_json()
    check.equal(json.loads(text), DEFAULTS | values | {"hidden": list(sizes)})
    again = dataclasses.asdict(lab.Config.from_json(text))
    check.equal(again, DEFAULTS | values, name="from_json")
    some = dataclasses.asdict(lab.Config.from_json('{"epochs": 2}'))
    check.equal(some, DEFAULTS | {"epochs": 2}, name="missing keys")


@task(1)
def test_configs_with_mistakes(lab):
    for word, name in [
        ("learning_rate=1", "learning_rate"),
        ("lr=fast", "lr"),
        ("batch_size=1.5", "batch_size"),
        ("hidden=8,x", "hidden"),
        ("lr", "lr"),
        ("hidden", "hidden"),
        ("device", "device"),
    ]:
        check.raises(
            ValueError,
            lambda w=word: lab.Config.from_args(["seed=1", w]),
            match=name,
            name=f"the word {word}",
        )
    text = '{"lr": 0.5, "momentum": 0.9, "nesterov": true}'
    for name in ("momentum", "nesterov"):
        check.raises(
            ValueError, lambda: lab.Config.from_json(text), match=name, name="from_json"
        )
    check.equal(lab.Config.from_json('{"lr": 0.5}').lr, 0.5, name="good JSON")


# --- Task 2 ----------------------------------------------------------------------


def twin(model, d_in, hidden, n_classes, dropout):
    """The network by hand, with the weights of `model`."""
    layers = []
    for size in hidden:
        layers += [nn.Linear(d_in, size), nn.ReLU(), nn.Dropout(dropout)]
        d_in = size
    ours = nn.Sequential(*layers, nn.Linear(d_in, n_classes))
    names = {f"layers.{name}": shape for name, shape in shapes(ours).items()}
    check.equal(shapes(model), names, name="parameters")
    ours.load_state_dict(
        {name.removeprefix("layers."): p for name, p in model.state_dict().items()}
    )
    return ours


@task(2)
def test_names_and_number_of_parameters(lab):
    model = lab.MLP(6, 5, lab.Config(hidden=(4, 3)))
    expected = {
        "layers.0.weight": (4, 6),
        "layers.0.bias": (4,),
        "layers.3.weight": (3, 4),
        "layers.3.bias": (3,),
        "layers.6.weight": (5, 3),
        "layers.6.bias": (5,),
    }
    check.equal(shapes(model), expected)
    count = sum(p.numel() for p in model.parameters())
    check.equal(count, 63, name="6·4+4 + 4·3+3 + 3·5+5")
    largest = float(model.layers[0].weight.detach().abs().max())
    check.that(0 < largest <= 1 / math.sqrt(6), "PyTorch's first weights", largest)
    line = lab.MLP(6, 5, lab.Config(hidden=(), dropout=0.0))
    check.equal(shapes(line), {"layers.0.weight": (5, 6), "layers.0.bias": (5,)})


@task(2)
def test_logits_against_the_same_layers(lab, rng):
    for d_in, hidden, n_classes in [(7, (5, 9), 4), (3, (6,), 2), (4, (), 5)]:
        model = lab.MLP(d_in, n_classes, lab.Config(hidden=hidden, dropout=0.25))
        ours = twin(model, d_in, hidden, n_classes, 0.25).eval()
        x = torch.tensor(rng.normal(0, 9, (11, d_in)), dtype=torch.float32)
        got = model.eval()(x)
        check.close(got, ours(x), **FLOAT32, name="logits")
        sums = got.detach().sum(dim=1)
        share = float(((sums - 1).abs() < 1e-3).float().mean())
        check.that(share < 0.9, "logits, whose rows do not sum to 1", sums)


@task(2)
def test_dropout_while_training_only(lab, rng):
    model = lab.MLP(4, 3, lab.Config(hidden=(20, 10), dropout=0.5))
    ours = twin(model, 4, (20, 10), 3, 0.5)
    x = torch.tensor(rng.normal(0, 3, (6, 4)), dtype=torch.float32)
    for mode in (True, False):
        model.train(mode), ours.train(mode)
        torch.manual_seed(8)
        got = model(x)
        torch.manual_seed(8)
        check.close(got, ours(x), **FLOAT32, name=f"training={mode}")


# --- Task 3 ----------------------------------------------------------------------


def numbered(rng, counts, dtype=np.int64):
    """Rows whose first entry is their number, and classes so many times."""
    y = rng.permutation(np.repeat(np.arange(len(counts)), counts)).astype(dtype)
    X = rng.normal(size=(len(y), 3))
    X[:, 0] = np.arange(len(y))
    return X, y


def made(lab, X, y, seed=0, state=0, batch_size=4):
    """The two loaders for a generator that stands at `state`."""
    generator = torch.Generator().manual_seed(state)
    cfg = lab.Config(seed=seed, batch_size=batch_size)
    return lab.make_loaders(X, y, cfg, generator=generator)


def order(batches) -> list[int]:
    """The row numbers of one epoch."""
    return [int(i) for xb, _ in batches for i in xb[:, 0]]


@task(3)
def test_ten_rows_of_two_classes(lab, rng):
    X, y = numbered(rng, [6, 4], np.int32)  # a fifth, rounded: 1 row of each class
    for name, part, sizes in zip(
        ("train", "val"), made(lab, X, y, batch_size=3), ([3, 3, 2], [2]), strict=True
    ):
        batches = list(part)
        check.equal([len(yb) for _, yb in batches], sizes, name=f"{name}: batch sizes")
        xb, yb = batches[0]
        kinds = str(xb.dtype), tuple(xb.shape), str(yb.dtype), tuple(yb.shape)
        n = sizes[0]
        check.equal(kinds, ("torch.float32", (n, 3), "torch.int64", (n,)), name=name)


@task(3)
def test_every_row_is_in_one_part_with_its_class(lab, rng):
    counts = [23, 8, 14]
    X, y = numbered(rng, counts)
    train, val = made(lab, X, y, seed=5)
    rows = order(train), order(val)
    check.equal(sorted(rows[0] + rows[1]), list(range(len(y))), name="rows, once each")
    per_class = np.bincount(y[rows[1]], minlength=3).tolist()
    check.equal(per_class, [5, 2, 3], name="validation rows of each class")
    for name, part in (("train", train), ("val", val)):
        pairs = [(xb, yb) for xb, yb in part]
        xs, ys = (torch.cat(tensors) for tensors in zip(*pairs, strict=True))
        found = xs[:, 0].long().numpy()
        check.equal(ys, torch.tensor(y[found]), name=f"{name}: classes")
        check.equal(xs, torch.tensor(X[found], dtype=torch.float32), name=f"{name}: X")


@task(3)
def test_training_rows_are_shuffled_by_the_generator(lab, rng):
    X, y = numbered(rng, [30, 21])
    train, _ = made(lab, X, y, state=7)
    torch.manual_seed(1)
    first, second = order(train), order(train)
    check.that(first != second, "another order in the second epoch", second)
    again, _ = made(lab, X, y, state=7)
    torch.manual_seed(2)
    check.equal([order(again), order(again)], [first, second], name="same generator")
    other, _ = made(lab, X, y, state=8)
    check.that(order(other) != first, "another generator, another order", first)


@task(3)
def test_validation_rows_are_always_the_same(lab, rng):
    X, y = numbered(rng, [26, 19])
    for seed in (0, 3):
        loaders = [made(lab, X, y, seed=seed, state=state)[1] for state in (0, 9)]
        found = [order(loaders[0]), order(loaders[0]), order(loaders[1])]
        split = labs.solution("1.5").train_val_split
        draw = np.random.default_rng(seed)
        _, val = split(len(y), val_fraction=0.2, rng=draw, stratify=y)
        check.equal(found, [val.tolist()] * 3, name=f"seed {seed}")


# --- Task 4 ----------------------------------------------------------------------

# Logits and classes of three rows. exp(logits) are in the ratios 1:3, 1:3 and 2:1, so
# the losses are ln(4/3), ln 4 and ln(3/2), and the second row is wrong.
LOGITS = torch.tensor(
    [[0.0, math.log(3)], [0.0, math.log(3)], [math.log(2), 0.0]], dtype=torch.float64
)
CLASSES = torch.tensor([1, 0, 0])
MEAN_LOSS = math.log(4 / 3 * 4 * 3 / 2) / 3


class Scale(nn.Module):
    """Logits are the inputs times one number; notes how it is called."""

    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(1.0, dtype=torch.float64))
        self.calls = []

    def forward(self, x):
        self.calls.append((self.training, torch.is_grad_enabled()))
        return self.factor * x


def softmax_regression(W, b, batches, lr):
    """One epoch of SGD in NumPy; the loss of each example before its step."""
    losses = []
    for x, y in batches:
        logits = x @ W.T + b
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        losses += [-math.log(row[k]) for row, k in zip(p, y, strict=True)]
        error = (p - np.eye(p.shape[1])[y]) / len(y)
        W, b = W - lr * error.T @ x, b - lr * error.sum(axis=0)
    return W, b, math.fsum(losses) / len(losses)


@task(4)
def test_three_rows_in_batches_of_two(lab):
    model = Scale()
    standing = torch.optim.SGD(model.parameters(), lr=0.0)
    rows = loader(LOGITS, CLASSES, 2)
    got = lab.train_epoch(model, rows, standing, "cpu")
    check.close(got, MEAN_LOSS, **EXACT, name="train_epoch")
    got = lab.evaluate(model, rows, "cpu")
    check.close(got, (MEAN_LOSS, 2 / 3), **EXACT, name="evaluate")


@task(4)
def test_an_epoch_of_steps_against_numpy(lab, rng):
    X, y = rng.normal(size=(13, 3)), rng.integers(0, 4, 13)
    model = nn.Linear(3, 4).double()
    W, b = (p.numpy().copy() for p in weights(model))
    model(torch.tensor(X)).sum().backward()  # a gradient from earlier
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    batches = [(X[i : i + 5], y[i : i + 5]) for i in (0, 5, 10)]
    rows = loader(torch.tensor(X), torch.tensor(y), 5)
    for epoch in (1, 2):
        got = lab.train_epoch(model, rows, optimizer, "cpu")
        W, b, loss = softmax_regression(W, b, batches, 0.3)
        check.close(got, loss, **EXACT, name=f"loss of epoch {epoch}")
        check.close(model.weight, torch.tensor(W), **EXACT, name="weight")
        check.close(model.bias, torch.tensor(b), **EXACT, name="bias")


@task(4)
def test_evaluate_against_numpy(lab, rng):
    X, y = rng.normal(size=(17, 3)), rng.integers(0, 4, 17)
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(3, 4)).double()
    W, b = (p.numpy() for p in weights(model))
    rows = loader(torch.tensor(X), torch.tensor(y), 6)
    got = [lab.evaluate(model, rows, "cpu") for _ in range(2)]
    loss = softmax_regression(W, b, [(X, y)], 0.0)[2]
    share = float(np.mean((X @ W.T + b).argmax(axis=1) == y))
    check.close(got, [(loss, share)] * 2, **EXACT)


@task(4)
def test_modes_and_gradients(lab):
    rows = loader(LOGITS, CLASSES, 2)
    for mode in (True, False):
        model = Scale().train(mode)
        model.factor.grad = torch.tensor(5.0, dtype=torch.float64)
        lab.evaluate(model, rows, "cpu")
        check.equal(model.training, mode, name=f"after evaluate, training={mode}")
        check.equal(set(model.calls), {(False, False)}, name="(training, graph)")
        check.equal(model.factor.grad.item(), 5.0, name="grad")
        check.equal(model.factor.item(), 1.0, name="weight")
    model.calls.clear()  # it is in evaluation mode
    lab.train_epoch(model, rows, torch.optim.SGD(model.parameters(), lr=0.1), "cpu")
    check.equal(set(model.calls), {(True, True)}, name="(training, graph)")
    check.equal(model.training, True, name="after train_epoch")


# --- Task 5 ----------------------------------------------------------------------


def grouped(lab, model, weight_decay) -> list:
    """(names, weight_decay) of each group; a name not of the model is an error."""
    names = {id(p): name for name, p in model.named_parameters()}
    found = lab.parameter_groups(model, weight_decay)
    return [
        ([names.get(id(p), "?") for p in group["params"]], group["weight_decay"])
        for group in found
    ]


@task(5)
def test_a_matrix_a_bias_and_a_gain(lab):
    model = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2), nn.Linear(2, 2))
    expected = [
        (["0.weight", "2.weight"], 0.5),
        (["0.bias", "1.weight", "1.bias", "2.bias"], 0.0),
    ]
    check.equal(grouped(lab, model, 0.5), expected)
    check.equal(
        grouped(lab, nn.LayerNorm(4), 0.25), [([], 0.25), (["weight", "bias"], 0.0)]
    )


@task(5)
def test_every_parameter_is_in_one_group(lab):
    model = nn.Module()
    model.words, model.filter = nn.Embedding(5, 3), nn.Conv1d(3, 4, 2)
    model.norm, model.level = nn.BatchNorm1d(4), nn.Parameter(torch.tensor(1.5))
    expected = {name for name, _ in model.named_parameters()}
    (matrices, decay), (others, none) = grouped(lab, model, 0.125)
    check.equal((decay, none), (0.125, 0.0))
    check.equal(sorted(matrices + others), sorted(expected), name="all, once each")
    check.equal(matrices, ["words.weight", "filter.weight"], name="two axes or more")


@task(5)
def test_adamw_shrinks_matrices_only(lab):
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    before = dict(zip(shapes(model), weights(model), strict=True))
    optimizer = torch.optim.AdamW(lab.parameter_groups(model, 0.5), lr=0.25)
    for p in model.parameters():
        p.grad = torch.zeros_like(p)  # then only the decay moves them
    optimizer.step()
    for name, p in model.named_parameters():
        factor = 1 - 0.25 * 0.5 if name == "0.weight" else 1.0
        check.close(p, factor * before[name], **FLOAT32, name=name)


# --- Task 6 ----------------------------------------------------------------------


class Net(nn.Module):
    """An MLP of our own, with dropout layers that drop nothing."""

    def __init__(self, *sizes):
        super().__init__()
        layers = []
        for d_in, d_out in itertools.pairwise(sizes):
            layers += [nn.Linear(d_in, d_out), nn.ReLU(), nn.Dropout(0.0)]
        self.layers = nn.Sequential(*layers[:-2])

    def forward(self, x):
        return self.layers(x)


def pair(rng, *sizes):
    """A torch network and a NumPy network of the same sizes, float64, biases not 0."""
    numpy_model = labs.solution("2.5").mlp(sizes, rng=rng)
    for p in numpy_model.parameters():
        if p.data.ndim == 1:
            p.data[:] = rng.normal(size=len(p.data))
    return Net(*sizes).double(), numpy_model


@task(6)
def test_a_square_layer_by_hand(lab, rng):
    model, numpy_model = pair(rng, 2, 2)
    weight, bias = numpy_model.parameters()
    weight.data[:], bias.data[:] = [[1, 2], [3, 4]], [10, 20]
    lab.load_numpy_weights(model, numpy_model)
    got = model(torch.ones(1, 2, dtype=torch.float64))  # 1 + 3 + 10, 2 + 4 + 20
    check.close(got, torch.tensor([[14.0, 26.0]], dtype=torch.float64), **EXACT)


@task(6)
def test_logits_and_gradients_agree(lab, rng):
    X, y = rng.normal(size=(9, 5)), rng.integers(0, 3, 9)
    for sizes in [(5, 4, 4, 3), (5, 7, 3), (5, 5, 5)]:
        model, numpy_model = pair(rng, *sizes)
        lab.load_numpy_weights(model, numpy_model)
        logits = model(torch.tensor(X))
        nn.functional.cross_entropy(logits, torch.tensor(y)).backward()
        loss = labs.solution("2.5").SoftmaxCrossEntropy()
        theirs = numpy_model.forward(X)
        loss.forward(theirs, y)
        numpy_model.backward(loss.backward())
        check.close(logits, torch.tensor(theirs), **EXACT, name="logits")
        for p, q in zip(model.parameters(), numpy_model.parameters(), strict=True):
            check.close(p.grad, torch.tensor(q.grad.T), **EXACT, name="gradient")


@task(6)
def test_twenty_steps_agree(lab, rng):
    X, y = rng.normal(size=(12, 4)), rng.integers(0, 3, 12)
    model, numpy_model = pair(rng, 4, 4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)  # before the copy
    lab.load_numpy_weights(model, numpy_model)
    rows, classes = torch.tensor(X), torch.tensor(y)
    for _ in range(20):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(rows), classes).backward()
        optimizer.step()
    labs.solution("2.5").train(
        numpy_model, X, y, epochs=20, batch_size=12, lr=0.2, rng=rng
    )
    for p, q in zip(model.parameters(), numpy_model.parameters(), strict=True):
        check.close(p, torch.tensor(q.data.T), rtol=1e-9, atol=1e-9)


@task(6)
def test_no_memory_is_shared_and_the_dtype_stays(lab, rng):
    for dtype in (torch.float64, torch.float32):
        model, numpy_model = pair(rng, 3, 6, 2)
        model, before = (
            model.to(dtype),
            [p.data.copy() for p in numpy_model.parameters()],
        )
        lab.load_numpy_weights(model, numpy_model)
        copied = [torch.tensor(array.T, dtype=dtype) for array in before]
        check.equal(weights(model), copied, name="weights")
        with torch.no_grad():
            for p in model.parameters():
                p += 1
        after = [p.data for p in numpy_model.parameters()]
        check.equal(after, before, name="NumPy weights, when the model's have changed")


@task(6)
def test_networks_that_do_not_fit(lab, rng):
    for sizes in [(3, 4, 5), (3, 4), (3, 4, 2, 2)]:
        model, (_, numpy_model) = Net(3, 4, 2), pair(rng, *sizes)
        before = weights(model)
        check.raises(
            ValueError,
            lambda m=model, n=numpy_model: lab.load_numpy_weights(m, n),
            match="numpy_model",
        )
        check.equal(weights(model), before, name="nothing copied")


# --- Task 7 ----------------------------------------------------------------------


def begin(lab, seed, model=None, lr=0.125, generator=None):
    """A run at its start: AdamW, a cosine over 6 epochs, a generator."""
    torch.manual_seed(seed)
    if model is None:
        layers = nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3)
        model = nn.Sequential(*layers)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=6)
    return lab.Run(model, optimizer, scheduler, torch.Generator().manual_seed(seed))


def epochs(run, xs, ys, count):
    """Train: shuffled batches of 8, dropout, a new learning rate after each epoch."""
    for _ in range(count):
        for rows in torch.randperm(len(ys), generator=run.generator).split(8):
            run.optimizer.zero_grad()
            nn.functional.cross_entropy(run.model(xs[rows]), ys[rows]).backward()
            run.optimizer.step()
        run.scheduler.step()


def save(lab, path, run, epoch=3, history=None):
    """Call the lab with a config and a history that are not the defaults."""
    config = lab.Config(hidden=(8,), epochs=6)
    history = history or labs.solution("2.5").History([0.5, 0.25], [0.75], [])
    lab.save_checkpoint(path, run, epoch=epoch, config=config, history=history)


def hand_made(lab, steps):
    """One weight of 2.0 whose gradient is 1 in every step, and one epoch per step."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 2.0)
    run = begin(lab, 0, model)
    for _ in range(steps):
        model.weight.grad = torch.ones(1, 1)
        run.optimizer.step()
        run.scheduler.step()
    return run


@task(7)
def test_one_weight_its_moments_and_its_schedule(lab):
    path, run = scratch(), hand_made(lab, 3)
    weight = run.model.weight.item()
    save(lab, path, run)
    other = hand_made(lab, 1)
    lab.load_checkpoint(path, other)
    check.equal(other.model.weight.item(), weight, name="weight")
    # half of the cosine is over: (1 + cos(π/2)) / 2 of the rate
    check.close(other.optimizer.param_groups[0]["lr"], 0.0625, name="learning rate")
    state = other.optimizer.state[other.model.weight]
    check.equal(float(state["step"]), 3.0, name="Adam's steps")
    check.close(state["exp_avg"].item(), 1 - 0.9**3, **FLOAT32, name="first moment")
    check.close(state["exp_avg_sq"].item(), 1 - 0.999**3, **FLOAT32, name="second")
    check.equal(other.scheduler.last_epoch, 3, name="epochs of the schedule")


@task(7)
def test_both_generators_go_on_where_they_were(lab):
    path, run = scratch(), begin(lab, 3)
    torch.rand(7), torch.rand(5, generator=run.generator)
    save(lab, path, run)
    expected = torch.rand(2), torch.rand(2, generator=run.generator)
    other = begin(lab, 4)
    lab.load_checkpoint(path, other)
    check.equal(torch.rand(2), expected[0], name="torch's global generator")
    shuffled = torch.rand(2, generator=other.generator)
    check.equal(shuffled, expected[1], name="the shuffling generator")


@task(7)
def test_a_resumed_run_ends_like_an_uninterrupted_one(lab, rng):
    xs = torch.tensor(rng.normal(size=(21, 4)), dtype=torch.float32)
    ys = torch.tensor(rng.integers(0, 3, 21))
    straight = begin(lab, 5)
    epochs(straight, xs, ys, 6)
    path, first = scratch(), begin(lab, 5)
    epochs(first, xs, ys, 3)
    save(lab, path, first)
    resumed = begin(lab, 5)  # as a new process would begin
    lab.load_checkpoint(path, resumed)
    epochs(resumed, xs, ys, 3)
    check.equal(weights(resumed.model), weights(straight.model), name="last weights")


@task(7)
def test_what_load_returns(lab):
    path, run = scratch(), begin(lab, 1)
    save(lab, str(path), run, epoch=2)
    lab.load_checkpoint(str(path), run)
    save(lab, path, run, epoch=4)  # over the old one
    got = lab.load_checkpoint(path, run)
    check.equal(sorted(got), ["config", "epoch", "history"], name="keys")
    check.equal(got["epoch"], 4, name="epoch")
    config = DEFAULTS | {"hidden": (8,), "epochs": 6}
    kinds = [type(got[key]).__name__ for key in ("config", "history")]
    check.equal(kinds, ["Config", "History"], name="types of config and history")
    check.equal(dataclasses.asdict(got["config"]), config, name="config")
    lists = {"train_loss": [0.5, 0.25], "val_loss": [0.75], "val_accuracy": []}
    check.equal(dataclasses.asdict(got["history"]), lists, name="history")


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@task(7)
def test_files_hold_plain_data_only(lab):
    path, run = scratch(), begin(lab, 1)
    save(lab, path, run)
    try:
        torch.load(path, weights_only=True)
        said = "it can"
    except Exception as error:
        said = type(error).__name__
    check.equal(said, "it can", name="can weights_only=True read it")
    trap = scratch("trap")
    torch.save(Trap(str(trap)), path)
    check.raises(Exception, lambda: lab.load_checkpoint(path, run))
    check.equal(trap.exists(), False, name="code in a file was run")


def found(path, before) -> str:
    """What has become of a file that held the bytes `before`."""
    if not path.exists():
        return "gone"
    now = path.read_bytes()
    if now == before:
        return "as it was"
    return "another file" if len(now) >= len(before) else "a shorter file"


def save_where(limit, lab, path, run):
    """Save while no file can grow beyond `limit` bytes, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        save(lab, path, run, epoch=4)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@task(7)
def test_a_save_that_fails_leaves_the_old_file(lab):
    path, run = scratch(), begin(lab, 1)
    save(lab, path, run)
    before = path.read_bytes()
    broken = labs.solution("2.5").History([lambda: 0.5])  # cannot be written
    why = "a value cannot be written"
    check.raises(Exception, lambda: save(lab, path, run, history=broken), name=why)
    check.equal(found(path, before), "as it was", name=f"the file after: {why}")
    if resource is not None:
        why = "the disk is full at half of the file"
        check.raises(
            Exception, lambda: save_where(len(before) // 2, lab, path, run), name=why
        )
        check.equal(found(path, before), "as it was", name=f"the file after: {why}")
    save(lab, path, run, epoch=5)
    check.equal(lab.load_checkpoint(path, run)["epoch"], 5, name="epoch, saved again")


@task(7)
def test_a_new_file_takes_the_place_of_the_old(lab):
    path, run = scratch(), begin(lab, 1)
    save(lab, path, run, epoch=2)
    second_name = path.with_name("second-name.pt")
    try:
        os.link(path, second_name)  # the same file: writing into it changes both
    except OSError:
        return  # a file system without hard links
    save(lab, path, run, epoch=4)
    check.equal(lab.load_checkpoint(path, run)["epoch"], 4, name="epoch in `path`")
    got = lab.load_checkpoint(second_name, run)["epoch"]
    check.equal(got, 2, name="epoch in the old file, which has a second name")


@task(7)
def test_the_whole_program_resumes_exactly(lab, rng):
    X, y = rng.normal(size=(30, 4)), np.arange(30) % 3
    given = {"hidden": (6,), "dropout": 0.5, "lr": 0.05, "batch_size": 7, "epochs": 4}
    cfg, path = lab.Config(**given, device="cpu"), scratch()
    straight, expected = lab.fit(cfg, X, y)
    lab.fit(cfg, X, y, checkpoint_path=path, stop_after=2)
    resumed, history = lab.fit(cfg, X, y, resume_from=path)
    check.equal(weights(resumed), weights(straight), name="last weights")
    lists = dataclasses.asdict(history), dataclasses.asdict(expected)
    check.equal(*lists, name="history")
