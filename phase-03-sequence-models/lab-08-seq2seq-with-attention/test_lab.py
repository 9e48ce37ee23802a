"""The marking scheme of lab 3.8: what each task must do, and how we know.

Oracles: the answers in plain Python, torch's cross_entropy, and encoder and decoder
written out here from their equations, one row at a time and without any padding. Where
a task uses another one's work it meets scripted parts of ours: an encoder that hands
over a script, a decoder that follows it or a table. Weights are drawn, in float64; no
score after training is graded.
"""

from __future__ import annotations

import copy
import math

import torch

# The first optimizer of a process imports this. It takes longer than all tests here,
# and it replaces functions of torch, which the harness would take for tampering.
import torch._dynamo
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from common.grading import check, task

PAD, BOS, EOS = 0, 1, 2
EXACT = {"rtol": 1e-10, "atol": 1e-10}  # float64
FLOAT32 = {"rtol": 1e-5, "atol": 1e-5}


def seeded(rng) -> torch.Generator:
    """A torch generator whose seed comes from the run's."""
    return torch.Generator().manual_seed(int(rng.integers(2**31)))


def wide(module, rng):
    """The module in float64, with weights spread wide enough to tell mistakes apart."""
    module.double()
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.tensor(rng.normal(0, 0.7, tuple(p.shape))))
    return module


def tensor(values) -> torch.Tensor:
    """In float64."""
    return torch.tensor(values, dtype=torch.float64)


def sources(rng, lengths, vocab) -> torch.Tensor:
    """Rows of so many symbols (EOS instead of the last), padded: (B, max)."""
    rows = torch.zeros(len(lengths), max(lengths), dtype=torch.int64)
    for row, n in zip(rows, lengths, strict=True):
        row[:n] = torch.tensor(rng.integers(3, vocab, n))
        row[n - 1] = EOS
    return rows


# --- Our own encoder and decoder: one row at a time, from the equations -----------


def gru(x, h, w_ih, w_hh, b_ih, b_hh):
    """One step of torch's GRU; x (d,), h (H,)."""
    i_r, i_z, i_n = (w_ih @ x + b_ih).chunk(3)
    h_r, h_z, h_n = (w_hh @ h + b_hh).chunk(3)
    r, z = torch.sigmoid(i_r + h_r), torch.sigmoid(i_z + h_z)
    return (1 - z) * torch.tanh(i_n + r * h_n) + z * h


def read(encoder, ids):
    """The encoder on one row without padding: memory (n, 2H), state (H,)."""
    p, names = dict(encoder.gru.named_parameters()), ("weight_ih", "weight_hh")
    names += ("bias_ih", "bias_hh")
    x, halves, last = encoder.embedding.weight[ids], [], []
    for ending, order in (("_l0", range(len(ids))), ("_l0_reverse", None)):
        h, states = torch.zeros(encoder.gru.hidden_size, dtype=x.dtype), {}
        for t in order or reversed(range(len(ids))):
            h = states[t] = gru(x[t], h, *(p[name + ending] for name in names))
        halves.append(torch.stack([states[t] for t in range(len(ids))]))
        last.append(h)
    bridge = encoder.bridge
    state = torch.tanh(bridge.weight @ torch.cat(last) + bridge.bias)
    return torch.cat(halves, dim=1), state


def write(decoder, token, state, memory):
    """One step on one row; memory (n, 2H) has no padding."""
    inputs, outputs, weights = [decoder.embedding.weight[token]], [], None
    if decoder.attention:
        query = decoder.query.weight @ state
        scores = [
            decoder.score.weight[0] @ torch.tanh(query + decoder.key.weight @ m)
            for m in memory
        ]
        e = torch.exp(torch.stack(scores))
        weights = e / e.sum()
        outputs = [(weights[:, None] * memory).sum(dim=0)]
    cell = decoder.cell
    parameters = cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh
    state = gru(torch.cat([*inputs, *outputs]), state, *parameters)
    out = decoder.output
    return out.weight @ torch.cat([state, *outputs]) + out.bias, state, weights


def run(model, ids, steps, feed):
    """Logits (steps, V), weights (steps, n); feed(t, guess) names the id to read."""
    memory, state = read(model.encoder, ids)
    found, guess = [], None
    for t in range(steps):
        logits, state, weights = write(model.decoder, feed(t, guess), state, memory)
        guess = int(logits.argmax())
        found.append((logits, weights))
    logits, weights = zip(*found, strict=True)
    return torch.stack(logits), None if weights[0] is None else torch.stack(weights)


def all_rows(model, src, lengths, tgt_in, ratio, draws=None):
    """What forward should give, from `run` on each row; draws (T, B) decide."""
    logits, weights = [], torch.zeros(*tgt_in.shape, src.shape[1], dtype=torch.float64)
    for b, n in enumerate(lengths.tolist()):

        def feed(t, guess, b=b):
            taught = t == 0 or (ratio if draws is None else draws[t][b] < ratio)
            return int(tgt_in[b, t]) if taught else guess

        row, w = run(model, src[b, :n], tgt_in.shape[1], feed)
        logits.append(row)
        if w is not None:
            weights[b, :, :n] = w
    return torch.stack(logits), weights if model.decoder.attention else None


def slopes(module, number, **others):
    """The gradient of the number for each parameter, and for the others; 0 if none."""
    named = {**dict(module.named_parameters()), **others}
    zero = 0 * sum(p.sum() for p in named.values())  # so that it depends on all
    found = torch.autograd.grad(number + zero, list(named.values()), retain_graph=True)
    return dict(zip(named, found, strict=True))


# --- Scripted parts --------------------------------------------------------------


class Reader(nn.Module):
    """An encoder whose memory is the script of the row's first id; its state counts."""

    def __init__(self, scripts):
        super().__init__()
        self.scripts = scripts  # id -> list of ids, all of one length

    def forward(self, src, lengths):
        rows = [self.scripts[int(i)] for i in src[:, 0]]
        return tensor(rows)[..., None], torch.zeros(len(rows), 1, dtype=torch.float64)


class Follower(nn.Module):
    """A decoder that says its script, as long as it is fed what it has said."""

    def __init__(self, vocab):
        super().__init__()
        self.vocab, self.graphs = vocab, []

    def step(self, token, state, memory, mask):
        self.graphs.append(torch.is_grad_enabled())
        scripts, logits = memory[..., 0].long(), []
        for row, t, fed in zip(scripts.tolist(), state[:, 0], token, strict=True):
            t = min(int(t), len(row) - 1)
            right = int(fed) == (row[t - 1] if t else BOS)
            said = row[t] if right else self.vocab - 1  # the last id: lost
            logits.append(nn.functional.one_hot(torch.tensor(said), self.vocab))
        return torch.stack(logits).double(), state + 1, None


class Table(nn.Module):
    """A decoder whose logits are a row of a table, and how many steps there were."""

    def __init__(self, table):
        super().__init__()
        self.table = table  # (V, V)

    def step(self, token, state, memory, mask):
        weights = mask[:, 0].double() / mask.sum(dim=-1)
        return self.table[token] + state, state + 1, weights


class Fake(nn.Module):
    """A model of scripted parts, with a forward of its own (ratio 0 or 1)."""

    def __init__(self, encoder, decoder):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def forward(self, src, lengths, tgt_in, teacher_forcing=1.0, rng=None):
        memory, state = self.encoder(src, lengths)
        mask = torch.arange(src.shape[1]) < lengths[:, None, None]
        token, found = tgt_in[:, 0], []
        for t in range(tgt_in.shape[1]):
            if t and teacher_forcing == 1:
                token = tgt_in[:, t]
            logits, state, _ = self.decoder.step(token, state, memory, mask)
            token = logits.argmax(dim=-1)
            found.append(logits)
        return torch.stack(found, dim=1), None


# --- Task 1 ----------------------------------------------------------------------

ROWS = st.lists(st.lists(st.integers(3, 20), min_size=1, max_size=6), min_size=1)
SOLVERS = {"copy": lambda s: s, "reverse": lambda s: s[::-1], "sort": sorted}


def padded(rows) -> torch.Tensor:
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[PAD] * (longest - len(row))] for row in rows])


def check_batch(got, rows, name) -> None:
    """All four tensors, against lists."""
    answers = [SOLVERS[name](row) for row in rows]
    check.equal(got.src, padded([[*row, EOS] for row in rows]), name="src")
    lengths = torch.tensor([len(row) + 1 for row in rows])
    check.equal(got.lengths, lengths, name="lengths")
    tgt_in = padded([[BOS, *answer] for answer in answers])
    check.equal(got.tgt_in, tgt_in, name="tgt_in")
    tgt_out = padded([[*answer, EOS] for answer in answers])
    check.equal(got.tgt_out, tgt_out, name="tgt_out")


@task(1)
def test_three_symbols_and_one(lab):
    got = lab.as_batch([[3, 4, 5], [7]], "reverse")
    check.equal(got.src, torch.tensor([[3, 4, 5, 2], [7, 2, 0, 0]]), name="src")
    check.equal(got.lengths, torch.tensor([4, 2]), name="lengths")
    tgt_in = torch.tensor([[1, 5, 4, 3], [1, 7, 0, 0]])
    check.equal(got.tgt_in, tgt_in, name="tgt_in")
    tgt_out = torch.tensor([[5, 4, 3, 2], [7, 2, 0, 0]])
    check.equal(got.tgt_out, tgt_out, name="tgt_out")


@task(1)
@given(rows=ROWS, name=st.sampled_from(sorted(SOLVERS)))
@settings(max_examples=20)
def test_batches_of_given_rows(lab, rows, name):
    check_batch(lab.as_batch(rows, name), rows, name)


@task(1)
def test_drawn_batches_hold_together(lab, rng):
    for name, low, high in [("copy", 1, 6), ("reverse", 3, 5), ("sort", 4, 4)]:
        got = lab.make_batch(seeded(rng), name, 7, low, high, 5)
        rows = [
            [int(i) for i in row if i not in (PAD, EOS)] for row in got.src.unbind()
        ]
        check.equal(len(rows), 7, name="examples")
        sizes = [low <= len(row) <= high for row in rows]
        check.that(all(sizes), f"{low} to {high} symbols in each row", rows)
        check_batch(got, rows, name)


@task(1)
def test_lengths_and_symbols_are_equally_likely(lab, rng):
    got = lab.make_batch(seeded(rng), "copy", 600, 2, 4, 3)
    symbols = got.src[got.src > EOS]
    for name, values, expected in [
        ("symbols in a row", got.lengths - 1, [2, 3, 4]),
        ("ids", symbols, [3, 4, 5]),
    ]:
        found, counts = values.unique(return_counts=True)
        check.equal(found.tolist(), expected, name=name)
        shares = (counts / len(values)).tolist()
        even = all(abs(share - 1 / 3) < 0.12 for share in shares)  # 6 sigma
        check.that(even, "shares near 1/3", shares, name=name)


@task(1)
def test_each_symbol_is_drawn_for_itself(lab, rng):
    """Three ids make nine pairs of neighbours, all of them equally likely."""
    src = lab.make_batch(seeded(rng), "copy", 600, 2, 3, 3).src
    pairs, counts = src[:, :2].unique(dim=0, return_counts=True)
    expected = [[i, j] for i in (3, 4, 5) for j in (3, 4, 5)]
    check.equal(pairs.tolist(), expected, name="the first two ids of the rows")
    shares = (counts / 600).tolist()
    even = all(abs(share - 1 / 9) < 0.08 for share in shares)  # 6 sigma
    check.that(even, "shares near 1/9", shares, name="the first two ids of the rows")


@task(1)
def test_only_the_generator_decides(lab):
    batches = []
    for seed, elsewhere in [(3, 1), (3, 2), (4, 1)]:
        torch.manual_seed(elsewhere)
        rng = torch.Generator().manual_seed(seed)
        batches.append([lab.make_batch(rng, "sort", 9, 2, 8, 12) for _ in range(2)])
    first, again, other = batches
    for b in range(2):
        check.equal(again[b].src, first[b].src, name="the same seed")
    check.that(first[0].src.tolist() != first[1].src.tolist(), "another next batch")
    check.that(first[0].src.tolist() != other[0].src.tolist(), "another seed's batch")


@task(1)
def test_batches_that_cannot_be(lab):
    for rows, name, word in [
        ([[3, 4]], "shuffle", "task"),
        ([], "copy", "sequences"),
        ([[3], []], "copy", "sequences"),
        ([[3, 4], [5, EOS]], "copy", "sequences"),
        ([[3, 4], [-1, 5]], "sort", "sequences"),
    ]:
        check.raises(ValueError, lambda r=rows, n=name: lab.as_batch(r, n), match=word)
    rng = torch.Generator().manual_seed(0)
    for low, high in [(0, 3), (5, 4)]:
        check.raises(
            ValueError,
            lambda lo=low, hi=high: lab.make_batch(rng, "copy", 2, lo, hi, 4),
            match="min_len",
        )
    bad = lambda: lab.make_batch(rng, "shuffle", 2, 1, 3, 4)  # noqa: E731
    check.raises(ValueError, bad, match="task")
    shape = tuple(lab.make_batch(rng, "copy", 2, 5, 5, 1).src.shape)
    check.equal(shape, (2, 6), name="good sizes")


# --- Task 2 ----------------------------------------------------------------------


@task(2)
def test_three_targets_and_a_padded_one(lab):
    """Probabilities 3/4, 1/4 and 1/2 for the targets; the last position is PAD."""
    ln3 = math.log(3)
    logits = tensor([[[0, ln3, -1e9], [0, ln3, -1e9]], [[5, -1e9, 5], [9, 0, -9]]])
    targets = torch.tensor([[1, 1], [2, PAD]])
    logits[0, 1] = tensor([ln3, 0, -1e9])
    got = lab.masked_cross_entropy(logits, targets)
    check.close(got, tensor(math.log(4 / 3 * 4 * 2) / 3), **EXACT)


@task(2)
def test_loss_and_gradient_against_torch(lab, rng):
    for dtype, tolerance in ((torch.float64, EXACT), (torch.float32, FLOAT32)):
        logits = torch.tensor(rng.normal(0, 4, (4, 6, 5)), dtype=dtype)
        targets = torch.tensor(rng.integers(0, 5, (4, 6)))
        targets[0, 2:], targets[1, 5:], targets[2] = PAD, PAD, PAD
        ours, theirs = (logits.clone().requires_grad_() for _ in range(2))
        got = lab.masked_cross_entropy(ours, targets)
        (slope,) = torch.autograd.grad(got, ours)
        expected = nn.functional.cross_entropy(
            theirs.flatten(0, 1), targets.flatten(), ignore_index=PAD
        )
        expected.backward()
        check.close(got, expected, **tolerance, name=f"loss, {dtype}")
        check.close(slope, theirs.grad, **tolerance, name=f"gradient, {dtype}")


@task(2)
def test_what_stands_at_padding_does_not_matter(lab, rng):
    logits = tensor(rng.normal(0, 3, (2, 5, 4)))
    targets = torch.tensor([[1, 3, 2, PAD, PAD], [3, 1, 1, 3, 2]])
    first = lab.masked_cross_entropy(logits, targets)
    other = logits.clone()
    other[0, 3:] = tensor(rng.normal(0, 30, (2, 4)))
    got = lab.masked_cross_entropy(other, targets)
    check.close(got, first, **EXACT, name="other logits at PAD")
    more = torch.cat([logits, tensor(rng.normal(0, 30, (2, 3, 4)))], dim=1)
    columns = torch.cat([targets, torch.zeros(2, 3, dtype=torch.int64)], dim=1)
    got = lab.masked_cross_entropy(more, columns)
    check.close(got, first, **EXACT, name="three more columns of PAD")


@task(2)
def test_logits_of_any_size(lab):
    """e^800 and e^-900 are no floats; the losses, 0 and 1,700, are."""
    logits = tensor([[[0, 800, -900], [0, 800, -900]]])
    got = lab.masked_cross_entropy(logits, torch.tensor([[1, 2]]))
    check.close(got, tensor(850.0), **EXACT)


@task(2)
def test_targets_that_cannot_be(lab, rng):
    logits = tensor(rng.normal(0, 1, (2, 3, 4)))
    for targets in ([[0] * 3] * 2, [[1, 2, 4], [1, 0, 0]], [[1, -1, 2], [1, 0, 0]]):
        check.raises(
            ValueError,
            lambda t=targets: lab.masked_cross_entropy(logits, torch.tensor(t)),
            match="targets",
        )
    zeros = torch.zeros(1, 2, 4, dtype=torch.float64)
    got = lab.masked_cross_entropy(zeros, torch.tensor([[3, PAD]]))
    check.close(got, tensor(math.log(4)), **EXACT, name="good targets")


# --- Task 3 ----------------------------------------------------------------------


def zeroed(module):
    """All parameters 0, in float64."""
    module.double()
    for p in module.parameters():
        nn.init.zeros_(p)
    return module


@task(3)
def test_a_gru_that_counts(lab):
    """Without weights z is 1/2; with a bias of atanh 0.8, h = (0.8 + h_before) / 2.

    So h is 0.4, 0.6, 0.7 after 1, 2, 3 ids. The bridge takes half of the forward and
    all of the backward state.
    """
    encoder = zeroed(lab.Encoder(6, 2, 1))
    with torch.no_grad():
        encoder.gru.bias_ih_l0[2] = encoder.gru.bias_ih_l0_reverse[2] = math.atanh(0.8)
        encoder.bridge.weight[:] = tensor([[0.5, 1.0]])
    src = torch.tensor([[3, EOS, PAD], [4, 5, EOS]])
    memory, state = encoder(src, torch.tensor([2, 3]))
    expected = tensor(
        [
            [[0.4, 0.6], [0.6, 0.4], [0, 0]],
            [[0.4, 0.7], [0.6, 0.6], [0.7, 0.4]],
        ]
    )
    check.close(memory, expected, **EXACT, name="memory")
    expected = torch.tanh(tensor([[1.5 * 0.6], [1.5 * 0.7]]))
    check.close(state, expected, **EXACT, name="state")


@task(3)
def test_memory_and_state_against_the_equations(lab, rng):
    encoder, lengths = wide(lab.Encoder(9, 4, 3), rng), [2, 6, 1, 4]
    src = sources(rng, lengths, 9)
    memory, state = encoder(src, torch.tensor(lengths))
    expected = [read(encoder, src[b, :n]) for b, n in enumerate(lengths)]
    check.equal(tuple(memory.shape), (4, 6, 6), name="shape of memory")
    for b, (rows, last) in enumerate(expected):
        n = lengths[b]
        check.close(memory[b, :n], rows, **EXACT, name=f"memory of row {b}")
        check.close(state[b], last, **EXACT, name=f"state of row {b}")
        check.equal(memory[b, n:], torch.zeros(6 - n, 6).double(), name="behind it")


@task(3)
def test_alone_as_in_company(lab, rng):
    encoder, lengths = wide(lab.Encoder(8, 3, 5), rng), [3, 7, 5]
    src = sources(rng, lengths, 8)
    memory, state = encoder(src, torch.tensor(lengths))
    for b, n in enumerate(lengths):
        one, last = encoder(src[b : b + 1, :n], torch.tensor([n]))
        check.close(memory[b : b + 1, :n], one, **EXACT, name=f"memory of row {b}")
        check.close(state[b : b + 1], last, **EXACT, name=f"state of row {b}")


@task(3)
def test_what_stands_behind_the_end_does_not_matter(lab, rng):
    encoder, lengths = wide(lab.Encoder(7, 2, 4), rng), [2, 5, 3]
    src = sources(rng, lengths, 7)
    memory, state = encoder(src, torch.tensor(lengths))
    wider = nn.functional.pad(src, (0, 2))
    got, last = encoder(wider, torch.tensor(lengths))
    expected = nn.functional.pad(memory, (0, 0, 0, 2))
    check.close(got, expected, **EXACT, name="memory, two more columns of PAD")
    check.close(last, state, **EXACT, name="state, two more columns of PAD")
    other = torch.where(src == PAD, 5, src)
    got, last = encoder(other, torch.tensor(lengths))
    check.close(got, memory, **EXACT, name="memory, other ids behind the end")
    check.close(last, state, **EXACT, name="state, other ids behind the end")


@task(3)
def test_gradients_against_the_equations(lab, rng):
    encoder, lengths = wide(lab.Encoder(9, 3, 2), rng), [2, 4]
    src = sources(rng, lengths, 9)
    memory, state = encoder(src, torch.tensor(lengths))
    got = slopes(encoder, memory.square().sum() + state.square().sum())
    rows = [read(encoder, src[b, :n]) for b, n in enumerate(lengths)]
    total = sum(memory.square().sum() + state.square().sum() for memory, state in rows)
    expected = slopes(encoder, total)
    for name, slope in got.items():
        check.close(slope, expected[name], **EXACT, name=f"gradient of {name}")


@task(3)
def test_sources_that_cannot_be(lab):
    encoder = lab.Encoder(5, 2, 3)
    for ids, lengths, word in [
        ([[3, 5, 2]], [3], "src"),
        ([[3, -1, 2]], [3], "src"),
        ([[3, 4, 2]], [4], "lengths"),
        ([[3, 4, 2], [3, 2, 0]], [3, 0], "lengths"),
    ]:
        check.raises(
            ValueError,
            lambda i=ids, n=lengths: encoder(torch.tensor(i), torch.tensor(n)),
            match=word,
        )
    memory, _ = encoder(torch.tensor([[4, 2, 0]]), torch.tensor([2]))
    check.equal(tuple(memory.shape), (1, 3, 6), name="shape, good source")
    check.equal(str(memory.dtype), "torch.float32", name="dtype of float32 weights")


# --- Task 4 ----------------------------------------------------------------------


@task(4)
def test_a_step_by_hand(lab):
    """Scores of 0 share the weight among the real keys; the context is their mean.

    The cell makes (0.8 + 0.2) / 2 of the state; the logits are state and context.
    """
    decoder = zeroed(lab.Decoder(3, 2, 1, 2, True))
    with torch.no_grad():
        decoder.cell.bias_ih[2] = math.atanh(0.8)
        decoder.output.weight[:] = torch.eye(3)
    memory = tensor([[[2, 4], [6, 8], [100, 100]]])
    mask = torch.tensor([[[True, True, False]]])
    logits, state, weights = decoder.step(
        torch.tensor([BOS]), tensor([[0.2]]), memory, mask
    )
    check.close(weights, tensor([[0.5, 0.5, 0]]), **EXACT, name="weights")
    check.close(state, tensor([[0.5]]), **EXACT, name="state")
    check.close(logits, tensor([[0.5, 4, 6]]), **EXACT, name="logits")


def stepping(lab, rng, attention):
    """A decoder with drawn weights, and the arguments of a step of three rows."""
    decoder = wide(lab.Decoder(7, 3, 4, 5, attention), rng)
    lengths = [3, 6, 2]
    memory = tensor(rng.normal(0, 1, (3, 6, 8)))
    mask = torch.arange(6) < torch.tensor(lengths)[:, None, None]
    token = torch.tensor(rng.integers(0, 7, 3))
    return decoder, lengths, (token, tensor(rng.normal(0, 0.6, (3, 4))), memory, mask)


@task(4)
def test_steps_against_the_equations(lab, rng):
    for attention in (True, False):
        decoder, lengths, (token, state, memory, mask) = stepping(lab, rng, attention)
        kind = "with attention" if attention else "without"
        ours = list(state)
        for t in range(3):
            memory = tensor(rng.normal(0, 1, (3, 6, 8)))
            logits, state, weights = decoder.step(token, state, memory, mask)
            for b, n in enumerate(lengths):
                row = write(decoder, int(token[b]), ours[b], memory[b, :n])
                at = f"step {t}, row {b}, {kind}"
                if attention:
                    expected = nn.functional.pad(row[2], (0, 6 - n))
                    check.close(weights[b], expected, **EXACT, name=f"weights, {at}")
                check.close(state[b], row[1], **EXACT, name=f"state, {at}")
                check.close(logits[b], row[0], **EXACT, name=f"logits, {at}")
                ours[b] = row[1]
            token = torch.tensor(rng.integers(0, 7, 3))


@task(4)
def test_weights_lie_on_what_is_real(lab, rng):
    decoder, lengths, arguments = stepping(lab, rng, True)
    _, _, weights = decoder.step(*arguments)
    check.close(weights.sum(dim=1), tensor([1.0] * 3), **EXACT, name="sums")
    for b, n in enumerate(lengths):
        rest = torch.zeros(6 - n, dtype=torch.float64)
        check.equal(weights[b, n:], rest, name=f"weights on padding, row {b}")


@task(4)
def test_padding_in_the_memory_does_not_matter(lab, rng):
    decoder, _, (token, state, memory, mask) = stepping(lab, rng, True)
    first = decoder.step(token, state, memory, mask)
    other = torch.where(mask.mT, memory, tensor(rng.normal(0, 20, (3, 6, 8))))
    second = decoder.step(token, state, other, mask)
    for name, a, b in zip(("logits", "state", "weights"), second, first, strict=True):
        check.close(a, b, **EXACT, name=name)


@task(4)
def test_gradients_against_the_equations_too(lab, rng):
    decoder, lengths, (token, state, memory, mask) = stepping(lab, rng, True)
    state.requires_grad_(), memory.requires_grad_()
    steps = [decoder.step(token, state, memory, mask)]
    got, expected = (
        sum(part.square().sum() for parts in rows for part in parts)
        for rows in (
            steps,
            [
                write(decoder, int(token[b]), state[b], memory[b, :n])
                for b, n in enumerate(lengths)
            ],
        )
    )
    got = slopes(decoder, got, state=state, memory=memory)
    expected = slopes(decoder, expected, state=state, memory=memory)
    for name, slope in got.items():
        check.close(slope, expected[name], **EXACT, name=f"gradient of {name}")


@task(4)
def test_a_memory_of_one_position(lab, rng):
    decoder, _, (token, state, memory, _) = stepping(lab, rng, True)
    mask = torch.ones(3, 1, 1, dtype=torch.bool)
    logits, _, weights = decoder.step(token, state, memory[:, :1], mask)
    check.close(weights, tensor([[1.0]] * 3), **EXACT, name="weights")
    rows = [write(decoder, int(token[b]), state[b], memory[b, :1])[0] for b in range(3)]
    check.close(logits, torch.stack(rows), **EXACT, name="logits")


@task(4)
def test_without_attention_the_memory_is_not_used(lab, rng):
    for attention in (False, True):
        decoder, _, (token, state, memory, mask) = stepping(lab, rng, attention)
        memory.requires_grad_()
        logits, _, weights = decoder.step(token, state, memory, mask)
        (slope,) = torch.autograd.grad(
            logits.sum() + 0 * memory.sum(), memory, allow_unused=True
        )
        used = bool((slope.abs() > 0).any())
        check.equal(used, attention, name=f"memory used, attention={attention}")
        check.equal(weights is None, not attention, name="weights are None")


# --- Task 5 ----------------------------------------------------------------------


def succession(vocab, jumps=None) -> torch.Tensor:
    """A table in which id i is followed by i + 1, or by jumps[i]."""
    nexts = [(i + 1) % vocab for i in range(vocab)]
    for i, j in (jumps or {}).items():
        nexts[i] = j
    return 2 * torch.eye(vocab, dtype=torch.float64)[nexts]


def scripted(lab, table, width=2):
    """A lab.Seq2Seq that reads nothing and writes by the table."""
    model = lab.Seq2Seq(len(table), 2, 3, 2, True).double()
    model.encoder, model.decoder = Reader({3: [0] * width}), Table(table)
    return model


@task(5)
def test_each_id_is_followed_by_the_next(lab):
    """The table answers 1 with 2, 2 with 3 and so on; the right ids are 1 5 4 3."""
    model = scripted(lab, succession(8))
    given = torch.tensor([[3, EOS]]), torch.tensor([2]), torch.tensor([[1, 5, 4, 3]])
    for ratio, expected in [(1.0, [2, 6, 5, 4]), (0.0, [2, 3, 4, 5])]:
        logits, weights = model(*given, ratio)
        check.equal(tuple(logits.shape), (1, 4, 8), name="shape of logits")
        said = logits.argmax(dim=-1)[0].tolist()
        check.equal(said, expected, name=f"ids, teacher_forcing {ratio}")
        check.close(weights, tensor([[[0.5, 0.5]] * 4]), **EXACT, name="weights")
    logits, _ = model(*given)
    check.equal(logits.argmax(dim=-1)[0].tolist(), [2, 6, 5, 4], name="by default")
    draw = torch.Generator().manual_seed(5)
    for ratio in (0.0, 1.0):
        model(*given, ratio, draw)
        unused = torch.Generator().manual_seed(5).get_state()
        same = bool((draw.get_state() == unused).all())
        check.that(same, "no draw from rng", name=f"teacher_forcing {ratio}")


def full(lab, rng, attention, columns=5):
    """A whole model with drawn weights, sources and right ids."""
    model = wide(lab.Seq2Seq(7, 3, 4, 5, attention), rng)
    lengths = torch.tensor([3, 6, 2])
    src = sources(rng, lengths.tolist(), 7)
    tgt_in = torch.tensor(rng.integers(3, 7, (3, columns)))
    tgt_in[:, 0] = BOS
    return model, (src, lengths, tgt_in)


@task(5)
def test_taught_and_free_against_the_equations(lab, rng):
    for attention in (True, False):
        model, given = full(lab, rng, attention)
        for ratio in (1.0, 0.0):
            logits, weights = model(*given, ratio)
            expected, attended = all_rows(model, *given, ratio)
            name = f"attention={attention}, teacher_forcing {ratio}"
            check.close(logits, expected, **EXACT, name=f"logits, {name}")
            check.close(weights, attended, **EXACT, name=f"weights, {name}")


@task(5)
def test_ratios_in_between_draw_for_each_row_and_step(lab, rng):
    table = tensor(rng.normal(0, 1, (9, 9)))
    for ratio in (0.25, 0.75, 0.5):
        model, seed = scripted(lab, table), int(rng.integers(2**31))
        src, lengths = torch.tensor([[3, EOS]] * 6), torch.full((6,), 2)
        tgt_in = torch.tensor(rng.integers(1, 9, (6, 12)))
        torch.manual_seed(1)
        rng_given = torch.Generator().manual_seed(seed)
        logits, _ = model(src, lengths, tgt_in, ratio, rng_given)
        draw = torch.Generator().manual_seed(seed)
        token, expected = tgt_in[:, 0], []
        for t in range(12):
            if t:
                u = torch.rand(6, generator=draw)
                guess = expected[-1].argmax(dim=-1)
                token = torch.where(u < ratio, tgt_in[:, t], guess)
            expected.append(table[token] + t)
        expected = torch.stack(expected, dim=1)
        check.close(logits, expected, **EXACT, name=f"teacher_forcing {ratio}")
        same = bool((rng_given.get_state() == draw.get_state()).all())
        check.that(same, "11 draws of 6 from rng", name=f"teacher_forcing {ratio}")


@task(5)
def test_later_right_ids_change_nothing_before_them(lab, rng):
    model, (src, lengths, tgt_in) = full(lab, rng, True)
    before, _ = model(src, lengths, tgt_in)
    other = tgt_in.clone()
    other[:, 3] = (tgt_in[:, 3] - 2) % 4 + 3
    after, _ = model(src, lengths, other)
    check.close(after[:, :3], before[:, :3], **EXACT, name="logits before column 3")
    moved = (after[:, 3] - before[:, 3]).abs().amax(dim=1) > 1e-6
    check.equal(moved.tolist(), [True] * 3, name="column 3 is another one")


@task(5)
def test_gradients_through_all_steps(lab, rng):
    for attention in (True, False):
        model, given = full(lab, rng, attention, columns=3)
        for ratio in (1.0, 0.0):
            got = slopes(model, model(*given, ratio)[0].square().sum())
            expected = slopes(model, all_rows(model, *given, ratio)[0].square().sum())
            at = f"attention={attention}, teacher_forcing {ratio}"
            for name, slope in got.items():
                check.close(slope, expected[name], **EXACT, name=f"of {name}, {at}")


@task(5)
def test_ratios_that_cannot_be(lab, rng):
    model = scripted(lab, succession(6))
    given = torch.tensor([[3, EOS]]), torch.tensor([2]), torch.tensor([[1, 5]])
    draw = torch.Generator().manual_seed(0)
    for ratio in (-0.25, 1.5):
        check.raises(
            ValueError, lambda r=ratio: model(*given, r, draw), match="teacher_forcing"
        )
    check.raises(ValueError, lambda: model(*given, 0.5), match="rng")
    logits, _ = model(*given, 0.5, draw)
    check.equal(tuple(logits.shape), (1, 2, 6), name="a good ratio")


# --- Task 6 ----------------------------------------------------------------------

SCRIPTS = {
    3: [5, 4, 3, EOS, 6, 6, EOS, 5],
    4: [EOS, 5, 5, 5, 5, 5, 5, 5],
    5: [6, 6, BOS, PAD, 6, 3, EOS, 4],
    6: [3, 4, 5, 6, 3, 4, 5, 6],
}


def following(firsts):
    """A fake model, and a source row for each script."""
    src = torch.tensor([[i, EOS] for i in firsts])
    return Fake(Reader(SCRIPTS), Follower(9)), src, torch.full((len(firsts),), 2)


@task(6)
def test_rows_end_at_their_own_eos(lab):
    model, src, lengths = following([3, 4, 5])
    got = lab.greedy_decode(model, src, lengths, 8)
    check.equal(got, [[5, 4, 3], [], [6, 6, BOS, PAD, 6, 3]])
    check.equal(set(model.decoder.graphs), {False}, name="gradients were on")


@task(6)
def test_no_row_is_longer_than_asked(lab):
    for max_len in (1, 3, 5):
        model, src, lengths = following([6, 3, 6])
        got = lab.greedy_decode(model, src, lengths, max_len)
        expected = [SCRIPTS[6][:max_len], [5, 4, 3][:max_len], SCRIPTS[6][:max_len]]
        check.equal(got, expected, name=f"max_len {max_len}")


@task(6)
def test_decoding_against_the_equations(lab, rng):
    for attention in (True, False):
        model, (src, lengths, _) = full(lab, rng, attention)
        got = lab.greedy_decode(model, src, lengths, 9)
        expected = []
        for b, n in enumerate(lengths.tolist()):
            logits, _ = run(model, src[b, :n], 9, lambda t, guess: guess if t else BOS)
            row = logits.argmax(dim=-1).tolist()
            expected.append(row[: row.index(EOS)] if EOS in row else row)
        check.equal(got, expected, name=f"attention={attention}")


@task(6)
def test_five_ids_of_six(lab):
    pred, gold = [[5, 4, 3], [3, 4, 9]], [[5, 4, 3], [3, 4, 5]]
    check.close(lab.token_accuracy(pred, gold), 5 / 6, name="token_accuracy")
    check.close(lab.exact_match(pred, gold), 0.5, name="exact_match")
    pred, gold = [[5, 4, 3], [3, 4], [7, 8, 8]], [[5, 4, 3], [3, 9, 5], [7]]
    check.close(lab.token_accuracy(pred, gold), 5 / 9, name="token_accuracy")
    check.close(lab.exact_match(pred, gold), 1 / 3, name="exact_match")
    pred, gold = [[], [3]], [[4], [3]]
    check.close(lab.token_accuracy(pred, gold), 0.5, name="token_accuracy, empty row")


@task(6)
def test_rows_that_are_nearly_right(lab):
    """A PAD too much, a row without fault, and the right ids in another order."""
    pred, gold = [[5, PAD], [3, 4, 6], [4, 3]], [[5], [3, 4, 6], [3, 4]]
    check.close(lab.token_accuracy(pred, gold), 4 / 7, name="token_accuracy")
    check.close(lab.exact_match(pred, gold), 1 / 3, name="exact_match")


@task(6)
def test_scores_against_counting(lab, rng):
    for _ in range(5):
        rows = int(rng.integers(3, 8))
        gold = [rng.integers(3, 6, rng.integers(1, 5)).tolist() for _ in range(rows)]
        pred = [list(row) for row in gold]
        for b in range(0, rows, 2):
            pred[b] = rng.integers(3, 6, rng.integers(0, 6)).tolist()
        places = [
            (b, i) for b in range(rows) for i in range(max(len(pred[b]), len(gold[b])))
        ]
        right = [
            i < len(pred[b]) and i < len(gold[b]) and pred[b][i] == gold[b][i]
            for b, i in places
        ]
        got = lab.token_accuracy(pred, gold)
        check.close(got, sum(right) / len(places), name="token_accuracy")
        wrong = {b for (b, _), ok in zip(places, right, strict=True) if not ok}
        got = lab.exact_match(pred, gold)
        check.close(got, 1 - len(wrong) / rows, name="exact_match")


@task(6)
def test_scores_that_cannot_be(lab):
    for score in (lab.token_accuracy, lab.exact_match):
        for pred, gold in [([[3]], [[3], [4]]), ([[3], [4]], [[3]])]:
            check.raises(
                ValueError,
                lambda s=score, p=pred, g=gold: s(p, g),
                match="pred",
            )
        check.close(score([[3]], [[3]]), 1.0, name="good lists")


# --- Task 7 ----------------------------------------------------------------------


class Tiny(nn.Module):
    """Logits from the id that was fed and the first of the source; notes the calls."""

    def __init__(self, vocab, rng):
        super().__init__()
        self.source, self.fed = nn.Embedding(vocab, 3), nn.Embedding(vocab, 3)
        self.out = nn.Linear(3, vocab)
        self.ratios = []
        wide(self, rng)

    def forward(self, src, lengths, tgt_in, teacher_forcing=1.0, rng=None):
        self.ratios.append(float(teacher_forcing))
        x = self.fed(tgt_in) + self.source(src[:, :1]) * lengths[:, None, None]
        return self.out(torch.tanh(x)), None


class Level(nn.Module):
    """One number: how much more likely id 3 is than all others, at every place."""

    def __init__(self):
        super().__init__()
        self.level = nn.Parameter(tensor(0.0))

    def forward(self, src, lengths, tgt_in, teacher_forcing=1.0, rng=None):
        towards = tensor([0, 0, 0, 1, 0])
        return (self.level * towards).expand(*tgt_in.shape, 5), None


def drawn(lab, rng, count, vocab=9):
    """Batches of our own making, each of another size and with padding."""
    batches = []
    for i in range(count):
        rows = [rng.integers(3, vocab, n).tolist() for n in (2 + i, 4, 1 + 2 * i)]
        ends = [[*row, EOS] for row in rows]
        begins, lengths = [[BOS, *row] for row in rows], [len(row) + 1 for row in rows]
        parts = padded(ends), torch.tensor(lengths), padded(begins), padded(ends)
        batches.append(lab.Batch(*parts))
    return batches


def trained(model, batches, lr, clip):
    """The loop in full: losses, after which the model has moved."""
    optimizer, losses = torch.optim.Adam(model.parameters(), lr=lr), []
    for batch in batches:
        logits, _ = model(batch.src, batch.lengths, batch.tgt_in)
        loss = nn.functional.cross_entropy(
            logits.flatten(0, 1), batch.tgt_out.flatten(), ignore_index=PAD
        )
        grads = torch.autograd.grad(loss, list(model.parameters()))
        norm = math.sqrt(sum(float(g.square().sum()) for g in grads))
        for p, g in zip(model.parameters(), grads, strict=True):
            p.grad = g * min(1.0, clip / (norm + 1e-6))
        optimizer.step()
        losses.append(loss.item())
    return losses


@task(7)
def test_one_number_moves_by_the_rate(lab):
    """All logits are 0, so the loss is ln 5; Adam's first step has the length lr."""
    target = torch.tensor([[3, 3, EOS]])
    batch = lab.Batch(target, torch.tensor([3]), torch.tensor([[BOS, 3, 3]]), target)
    model = Level()
    losses = lab.train(model, iter([batch]), 1, lr=0.125)
    check.close(losses, [math.log(5)], **EXACT, name="losses")
    check.close(model.level.item(), 0.125, rtol=1e-6, name="the number after a step")


@task(7)
def test_steps_against_the_loop_in_full(lab, rng):
    for clip in (0.05, 1e9):
        model, batches = Tiny(9, rng), drawn(lab, rng, 4)
        ours, fed = copy.deepcopy(model), iter(batches)
        losses = lab.train(model, fed, 3, lr=0.03, clip=clip)
        expected = trained(ours, batches[:3], 0.03, clip)
        check.close(losses, expected, **EXACT, name=f"losses, clip {clip:g}")
        for (name, p), q in zip(
            model.named_parameters(), ours.parameters(), strict=True
        ):
            check.close(p, q, **EXACT, name=f"{name}, clip {clip:g}")
        check.equal(set(model.ratios), {1.0}, name="teacher_forcing")
        left = len(list(fed))
        check.equal(left, 1, name="batches that are left of 4 after 3 steps")


@task(7)
def test_called_after_every_step(lab, rng):
    model, seen = Tiny(9, rng), []
    before = model.out.bias.detach().clone()

    def after_step(n):
        seen.append((n, bool((model.out.bias != before).any())))

    lab.train(model, iter(drawn(lab, rng, 3)), 3, after_step=after_step)
    check.equal(seen, [(1, True), (2, True), (3, True)], name="(step, has moved)")


@task(7)
def test_a_gap_that_is_built_in(lab):
    """BOS is answered with 4, all others with their next one; EOS follows on 5.

    Right are 3 4 5 EOS. Taught, the first is wrong: 3 of 4. Free, it says 4 5 EOS and
    then 3: 0 of 4. The second row, 4 5 EOS, is right either way: 3 of 3.
    """
    table = succession(7, {BOS: 4, 5: EOS})
    model = Fake(Reader({3: [0] * 4, 4: [0] * 4}), Table(table))
    tgt_in = torch.tensor([[BOS, 3, 4, 5], [BOS, 4, 5, PAD]])
    tgt_out = torch.tensor([[3, 4, 5, EOS], [4, 5, EOS, PAD]])
    src = torch.tensor([[3, 4, 5, EOS], [4, 5, EOS, PAD]])
    batch = lab.Batch(src, torch.tensor([4, 3]), tgt_in, tgt_out)
    got = lab.exposure_gap(model, batch)
    check.close(got, 6 / 7 - 3 / 7, atol=1e-6)


@task(7)
def test_a_gap_below_zero(lab):
    """BOS is answered with 6, 6 with 4, and 3 with itself; 3 4 5 EOS is right.

    Taught it says 6 3 5 EOS, 2 of 4; free, 6 4 5 EOS, 3 of 4.
    """
    table = succession(7, {BOS: 6, 6: 4, 3: 3, 5: EOS})
    model, ids = Fake(Reader({3: [0] * 4}), Table(table)), torch.tensor
    tgt_in, tgt_out = ids([[BOS, 3, 4, 5]]), ids([[3, 4, 5, EOS]])
    batch = lab.Batch(ids([[3, 4, 5, EOS]]), ids([4]), tgt_in, tgt_out)
    check.close(lab.exposure_gap(model, batch), -0.25, atol=1e-6)


@task(7)
def test_gaps_against_counting(lab, rng):
    for batch in drawn(lab, rng, 4, vocab=6):
        table = succession(6) + tensor(rng.normal(0, 1, (6, 6)))
        scripts = {i: [0] * batch.src.shape[1] for i in range(3, 6)}
        model = Fake(Reader(scripts), Table(table))
        got, right, places = lab.exposure_gap(model, batch), [0, 0], 0
        for fed, wanted in zip(
            batch.tgt_in.tolist(), batch.tgt_out.tolist(), strict=True
        ):
            guess = BOS
            for token, target in zip(fed, wanted, strict=True):
                if target == PAD:
                    continue
                places += 1
                guess = int(table[guess].argmax())
                right[0] += int(table[token].argmax()) == target
                right[1] += guess == target
        check.close(got, (right[0] - right[1]) / places, atol=1e-6)
