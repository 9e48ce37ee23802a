"""Lab 1.4 solved blind, from its README and stub alone; it must earn 10 of 10.

One puzzle is mended: solving it blind showed that the grader let a wrong one pass.
"""

from __future__ import annotations
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
import torch
from torch import Tensor, nn
from common.device import synchronize


def outer(a: Tensor, b: Tensor) -> Tensor:
    return a[:, None] @ b[None, :]


def pairwise_sq_dists(X: Tensor, Y: Tensor) -> Tensor:
    return (X**2).sum(1)[:, None] + (Y**2).sum(1) - 2 * X @ Y.T


def one_hot(ids: Tensor, k: int) -> Tensor:
    out = torch.zeros(len(ids), k, dtype=torch.int64)
    out[torch.arange(len(ids)), ids] = 1
    return out


def causal_mask(t: int) -> Tensor:
    return torch.ones(t, t, dtype=torch.int64).cumsum(0) >= torch.arange(1, t + 1)


def padding_mask(lengths: Tensor, max_len: int) -> Tensor:
    return torch.arange(max_len).expand(len(lengths), -1) < lengths.unsqueeze(1)


def standardize_columns(X: Tensor) -> Tensor:
    centred = X - X.mean(0)
    sd = centred.pow(2).mean(0).sqrt()
    varies = X.max(0).values > X.min(0).values
    return torch.where(varies, centred / sd, torch.zeros_like(X))


def sliding_windows(x: Tensor, w: int) -> Tensor:
    if w < 1 or w > len(x):
        raise ValueError("w must be in 1..n")
    start = torch.arange(len(x) - w + 1)
    return x[start[:, None] + torch.arange(w)]


def bucket_counts(ids: Tensor, k: int) -> Tensor:
    out = torch.zeros(k, dtype=torch.int64)
    return out.index_put((ids,), torch.ones_like(ids), accumulate=True)


def row_softmax(x: Tensor) -> Tensor:
    return 1 / torch.exp(x[:, None, :] - x[:, :, None]).sum(-1)


def relative_positions(t: int) -> Tensor:
    i = torch.arange(t)
    return i - i[:, None]


@dataclass
class FitResult:
    weight: Tensor
    bias: Tensor
    losses: list[float]


def make_regression(
    n: int, d: int, noise: float, *, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, float]:

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    X, weight, bias = (draw(n, d), draw(d), 1.5)
    return (X, X @ weight + bias + noise * draw(n), weight, bias)


def check_fit(X: Tensor, y: Tensor, lr: float = 1.0, steps: int = 1) -> None:
    if X.ndim != 2:
        raise ValueError(f"X must have shape (n, d), got {tuple(X.shape)}")
    if y.shape != (len(X),):
        raise ValueError(f"y must have shape ({len(X)},), got {tuple(y.shape)}")
    if not lr > 0:
        raise ValueError(f"lr must be above 0, got {lr}")
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")


def fit_manual(X: Tensor, y: Tensor, *, lr: float = 0.1, steps: int = 500) -> FitResult:
    check_fit(X, y, lr, steps)
    w = torch.zeros(X.shape[1], dtype=X.dtype, requires_grad=True)
    b = torch.zeros((), dtype=X.dtype, requires_grad=True)
    losses = []
    for _ in range(steps):
        loss = ((X @ w + b - y) ** 2).mean()
        losses.append(loss.item())
        loss.backward()
        w.data -= lr * w.grad
        b.data -= lr * b.grad
        w.grad = None
        b.grad = None
    return FitResult(w.detach(), b.detach(), losses)


class LinearRegression(nn.Module):
    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(n_features))
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, X: Tensor) -> Tensor:
        return (X * self.weight).sum(-1) + self.bias


def fit_module(
    model: nn.Module, X: Tensor, y: Tensor, *, lr: float = 0.1, steps: int = 500
) -> list[float]:
    check_fit(X, y, lr, steps)
    opt = torch.optim.SGD(model.parameters(), lr=lr)
    losses = []
    for _ in range(steps):
        opt.zero_grad()
        loss = nn.functional.mse_loss(model(X), y)
        loss.backward()
        opt.step()
        losses.append(loss.item())
    return losses


def closed_form(X: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    check_fit(X, y)
    A = torch.cat([X, torch.ones(len(X), 1, dtype=X.dtype)], 1)
    theta = torch.linalg.solve(A.T @ A, A.T @ y)
    return (theta[:-1], theta[-1])


OPERATIONS: dict[str, Callable[[Tensor], Tensor]] = {
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
VIEW_OR_COPY: dict[str, bool] = dict(
    zip(OPERATIONS, [True, True, False, False, True, True, False, False, True, True])
)


def shares_memory(a: Tensor, b: Tensor) -> bool:
    return a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr()


LossFn = Callable[[Tensor, Tensor], Tensor]


def accumulate_gradients(
    model: nn.Module, batches: Sequence[tuple[Tensor, Tensor]], loss_fn: LossFn
) -> None:
    model.zero_grad()
    n = 0
    for X, y in batches:
        (loss_fn(model(X), y) * len(X)).backward()
        n += len(X)
    for p in model.parameters():
        if p.grad is not None:
            p.grad /= n


def evaluate(model: nn.Module, X: Tensor, y: Tensor, loss_fn: LossFn) -> float:
    was = model.training
    model.eval()
    with torch.no_grad():
        loss = loss_fn(model(X), y).item()
    model.train(was)
    return loss


def time_step(
    fn: Callable[[], object],
    *,
    device: str,
    warmup: int = 3,
    repeats: int = 20,
    clock: Callable[[], float] = time.perf_counter,
    synchronize: Callable[[str], None] = synchronize,
) -> float:
    if warmup < 0 or repeats < 1:
        raise ValueError("warmup or repeats")
    for _ in range(warmup):
        fn()
    times = []
    for _ in range(repeats):
        synchronize(device)
        t0 = clock()
        fn()
        synchronize(device)
        times.append(clock() - t0)
    return statistics.median(times)


def to_device(data: Any, device: str) -> Any:
    if isinstance(data, Tensor):
        return data.to(device)
    if isinstance(data, dict):
        return {k: to_device(v, device) for k, v in data.items()}
    if isinstance(data, (list, tuple)):
        return type(data)([to_device(v, device) for v in data])
    return data


def mlp_manual_backward(
    X: Tensor, y: Tensor, W1: Tensor, b1: Tensor, W2: Tensor, b2: Tensor
) -> dict[str, Tensor]:
    z = X @ W1 + b1
    h = torch.where(z > 0, z, torch.zeros_like(z))
    dout = 2 * (h @ W2 + b2 - y) / y.numel()
    dz = dout @ W2.T * (z > 0)
    return {"W1": X.T @ dz, "b1": dz.sum(0), "W2": h.T @ dout, "b2": dout.sum(0)}
