"""Lab 2.5's solution beside torch in float64: every layer, the loss, five steps.

The grader itself does without torch, so that feedback comes at once.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from common import labs

CLOSE = {"rtol": 1e-10, "atol": 1e-12}
SIZES = [(5, 3, 4), (4, 4, 4), (1, 6, 2), (7, 2, 9)]


@pytest.fixture(scope="module")
def lab():
    return labs.solution("2.5")


def close(ours, theirs, **tolerance):
    np.testing.assert_allclose(ours, theirs.detach().numpy(), **(tolerance or CLOSE))


def twin(layer):
    """torch's Linear with the lab's weights; it stores them (out, in)."""
    theirs = torch.nn.Linear(*layer.weight.data.shape, dtype=torch.float64)
    with torch.no_grad():
        theirs.weight.copy_(torch.tensor(layer.weight.data.T))
        theirs.bias.copy_(torch.tensor(layer.bias.data))
    return theirs


def twins(model):
    """torch's Sequential for a network of the lab."""
    kinds = {"ReLU": torch.nn.ReLU, "Tanh": torch.nn.Tanh, "Sigmoid": torch.nn.Sigmoid}
    layers = [
        twin(layer) if hasattr(layer, "weight") else kinds[type(layer).__name__]()
        for layer in model.layers
    ]
    return torch.nn.Sequential(*layers)


@pytest.mark.parametrize("sizes", SIZES)
def test_linear_is_torchs(lab, sizes):
    N, d_in, d_out = sizes
    rng = np.random.default_rng(1)
    layer = lab.Linear(d_in, d_out, rng=rng)
    layer.bias.data[...] = rng.normal(size=d_out)
    x, dy = rng.normal(size=(N, d_in)), rng.normal(size=(N, d_out))
    theirs, inputs = twin(layer), torch.tensor(x, requires_grad=True)
    out = theirs(inputs)
    close(layer.forward(x), out)
    for times in (1, 2):  # both add to what is there
        out.backward(torch.tensor(dy), retain_graph=True)
        dx = layer.backward(dy)
        close(layer.weight.grad, theirs.weight.grad.T)
        close(layer.bias.grad, theirs.bias.grad)
        close(times * dx, inputs.grad)


@pytest.mark.parametrize("name", ["ReLU", "Tanh", "Sigmoid"])
def test_activations_are_torchs(lab, name):
    function = getattr(torch, name.lower())
    rng = np.random.default_rng(2)
    for shape in [(5,), (4, 4), (2, 3, 5)]:
        x, dy = rng.normal(0, 3, size=shape), rng.normal(size=shape)
        x.flat[0], x.flat[1], x.flat[2] = 0.0, 800.0, -800.0
        layer, inputs = getattr(lab, name)(), torch.tensor(x, requires_grad=True)
        out = function(inputs)
        out.backward(torch.tensor(dy))
        close(layer.forward(x), out)
        close(layer.backward(dy), inputs.grad)


def test_loss_is_torchs(lab):
    rng = np.random.default_rng(3)
    for N, K, spread in [(6, 4, 1), (5, 5, 30), (1, 3, 1), (4, 2, 3000)]:
        logits, y = rng.normal(0, spread, size=(N, K)), rng.integers(K, size=N)
        inputs = torch.tensor(logits, requires_grad=True)
        theirs = torch.nn.functional.cross_entropy(inputs, torch.tensor(y))
        theirs.backward()
        loss = lab.SoftmaxCrossEntropy()
        assert loss.forward(logits, y) == pytest.approx(theirs.item(), rel=1e-12)
        close(loss.backward(), inputs.grad)


def test_one_layer_in_two_places(lab):
    rng = np.random.default_rng(4)
    shared = lab.Linear(3, 3, rng=rng)
    model = lab.Sequential(shared, lab.Tanh(), shared, lab.Sigmoid())
    x, dy = rng.normal(size=(5, 3)), rng.normal(size=(5, 3))
    theirs, inputs = twin(shared), torch.tensor(x, requires_grad=True)
    out = torch.sigmoid(theirs(torch.tanh(theirs(inputs))))
    out.backward(torch.tensor(dy))
    close(model.forward(x), out)
    close(model.backward(dy), inputs.grad)
    close(shared.weight.grad, theirs.weight.grad.T)
    close(shared.bias.grad, theirs.bias.grad)


@pytest.mark.parametrize("name", ["ReLU", "Tanh", "Sigmoid"])
@pytest.mark.parametrize("sizes", [[6, 9, 4], [6, 8, 5, 4], [6, 4]])
def test_five_steps_are_torchs(lab, name, sizes):
    """Two epochs of 11 rows in batches of 4, 4 and 3; five steps and one more."""
    rng = np.random.default_rng(5)
    model = lab.mlp(sizes, rng=rng, activation=getattr(lab, name))
    theirs = twins(model)
    X, y = rng.normal(size=(11, sizes[0])), rng.integers(sizes[-1], size=11)
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.3)
    order, losses = np.random.default_rng(6), []
    for _ in range(2):
        total = 0.0
        batches = labs.solution("1.5").minibatches(X, y, batch_size=4, rng=order)
        for rows, targets in batches:
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(
                theirs(torch.tensor(rows)), torch.tensor(targets)
            )
            loss.backward()
            optimizer.step()
            total += loss.item() * len(targets)
        losses.append(total / 11)
    args = {"epochs": 2, "batch_size": 4, "lr": 0.3, "rng": np.random.default_rng(6)}
    history = lab.train(model, X, y, **args)
    np.testing.assert_allclose(history.train_loss, losses, rtol=1e-9)
    for ours, peer in zip(model.layers[::2], list(theirs)[::2], strict=True):
        close(ours.weight.data, peer.weight.T, rtol=1e-9, atol=1e-11)
        close(ours.bias.data, peer.bias, rtol=1e-9, atol=1e-11)


def test_check_gradients_believes_torch(lab):
    """Gradients as good as autograd's pass; 1 % off in one entry does not."""
    rng = np.random.default_rng(7)
    model = lab.mlp([3, 5, 4], rng=rng, activation=lab.Tanh)
    loss = lab.SoftmaxCrossEntropy()
    X, y = rng.normal(size=(6, 3)), rng.integers(4, size=6)
    found = lab.check_gradients(model, loss, X, y)
    assert max(found.values()) < 1e-6
    theirs = twins(model)
    torch.nn.functional.cross_entropy(
        theirs(torch.tensor(X)), torch.tensor(y)
    ).backward()
    close(model.layers[0].weight.grad, theirs[0].weight.grad.T)

    class Wrong(lab.Linear):
        def backward(self, dy):
            dx = super().backward(dy)
            self.weight.grad[1, 2] *= 1.01
            return dx

    wrong = Wrong(3, 5, rng=rng)
    wrong.weight.data[...] = model.layers[0].weight.data
    model.layers[0] = wrong
    found = lab.check_gradients(model, loss, X, y)
    assert found["layers.0.weight"] > 1e-3
    assert max(v for k, v in found.items() if k != "layers.0.weight") < 1e-6
