"""SVD and low rank: how far a matrix stretches, and how little of it is needed.

You build the tools that read singular values: power iteration, the best low-rank
approximation, a randomized SVD, PCA, and the arithmetic of LoRA. Matrices are float64.

1 power iteration (2)   2 best rank k (2)     3 randomized SVD (2)
4 PCA (2)               5 initialisation (1)  6 LoRA (1)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np


def as_matrix(name: str, values: np.ndarray) -> np.ndarray:
    """The values as a float64 matrix; ValueError names what has no two dimensions."""
    matrix = np.asarray(values, dtype=np.float64)
    if matrix.ndim != 2 or matrix.size == 0:
        raise ValueError(f"{name} must be a matrix, got shape {matrix.shape}")
    return matrix


def check_rank(name: str, rank: int, shape: tuple[int, int]) -> None:
    """ValueError unless the rank is in 1..min(shape)."""
    if not 1 <= rank <= min(shape):
        raise ValueError(f"{name} must be in 1..{min(shape)}, got {rank}")


# --- Task 1 (2 points): power iteration ------------------------------------------


def power_iteration(
    A: np.ndarray, *, n_iter: int = 500, tol: float = 1e-12, rng: np.random.Generator
) -> tuple[float, np.ndarray, np.ndarray]:
    """The largest singular value of a matrix and its two directions.

    A turns the unit vector v into sigma u, and no unit vector becomes longer than
    that. The way there: start with a random v and apply AᵀA again and again, keeping
    the length at 1; each round shrinks every other direction by (sigma_i/sigma_1)²
    compared to v (Golub and Van Loan, section 8.2). [[3, 0], [4, 5]] gives
    sigma = √45 = 6.708, u = ±[1, 3]/√10 and v = ±[1, 1]/√2, with the same sign in both.

    Args:
        A: (m, n), any numbers.
        n_iter: the most rounds.
        tol: stop earlier when v moves by no more than this (Euclidean length).
        rng: draws the first v.

    Returns:
        sigma, a float; u, float64 (m,); v, float64 (n,). A v = sigma u, and u and v
        have length 1. A matrix of zeros gives 0.0 and any two unit vectors.

    Raises:
        ValueError: `A` is not a matrix, or `n_iter` is below 1.
    """
    raise NotImplementedError("task 1")


def spectral_normalize(
    W: np.ndarray, *, target: float = 1.0, rng: np.random.Generator
) -> np.ndarray:
    """W scaled so that its largest singular value is `target`.

    Then no input changes the output by more than `target` times its own change
    (Miyato et al. 2018). [[3, 0], [4, 5]] is divided by √45.

    Args:
        W: (m, n), not all zero.
        target: the largest singular value wanted, above 0, also when W has less.
        rng: for the power iteration.

    Returns:
        float64 (m, n), a new array.

    Raises:
        ValueError: `W` is not a matrix or is all zero, or `target` is not above 0.
    """
    raise NotImplementedError("task 1")


# --- Task 2 (2 points): best rank k ----------------------------------------------


def best_rank_k(A: np.ndarray, k: int) -> np.ndarray:
    """The matrix of rank k that is nearest to A.

    Cutting the SVD off behind its k largest singular values leaves the squared error
    sigma_{k+1}² + sigma_{k+2}² + ..., and nothing of rank k has less (Eckart and Young
    1936). [[3, 0], [4, 5]] with k = 1 gives [[1.5, 1.5], [4.5, 4.5]].
    `np.linalg.svd` may be used here.

    Args:
        A: (m, n).
        k: the rank to keep.

    Returns:
        float64 (m, n).

    Raises:
        ValueError: `A` is not a matrix, or `k` is outside 1..min(m, n).
    """
    raise NotImplementedError("task 2")


def rank_for_energy(s: Sequence[float], fraction: float) -> int:
    """How many singular values hold at least a fraction of the energy.

    The energy of the first k is their share of the sum of all squares, because that
    sum is the squared Frobenius norm. [4, 3] holds 16/25 = 0.64 with one value, so 0.6
    needs 1 and 0.9 needs 2.

    Args:
        s: singular values, (p,), from the largest down.
        fraction: above 0, at most 1.

    Returns:
        The smallest k, in 1..p.

    Raises:
        ValueError: `s` is not one-dimensional or holds nothing above 0, or `fraction`
            is not in (0, 1].
    """
    raise NotImplementedError("task 2")


def stable_rank(A: np.ndarray) -> float:
    """Squared Frobenius norm by squared largest singular value.

    It is at most the rank and does not jump when a tiny singular value appears
    (Rudelson and Vershynin 2007). [[3, 0], [4, 5]] has 50/45 = 1.111.

    Raises:
        ValueError: `A` is not a matrix, or is all zero.
    """
    raise NotImplementedError("task 2")


# --- Task 3 (2 points): randomized SVD -------------------------------------------


def randomized_svd(
    A: np.ndarray,
    k: int,
    *,
    oversample: int = 10,
    n_iter: int = 2,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The k largest singular values and their vectors, from a few random samples.

    A times k + oversample random vectors spans nearly what the first k singular vectors
    span; the SVD of A in that small basis is cheap (Halko, Martinsson, Tropp 2011,
    algorithms 4.4 and 5.1). Each of the `n_iter` passes multiplies by Aᵀ and by A
    again, which sharpens the samples. They are made orthonormal at least once a pass:
    otherwise all lean towards the first vector and the small values drown in rounding.

    Args:
        A: (m, n).
        k: how many singular values.
        oversample: extra samples; together no more than min(m, n) are drawn.
        n_iter: passes over Aᵀ and A after the first product.
        rng: draws the samples.

    Returns:
        U (m, k) and Vt (k, n) with orthonormal columns and rows, s (k,) from the
        largest down: A is nearly (U * s) @ Vt. All float64, and s as accurate as from
        `np.linalg.svd`: roots of eigenvalues would lose the small ones.

    Raises:
        ValueError: `A` is not a matrix, `k` is outside 1..min(m, n), `oversample` or
            `n_iter` is negative.
    """
    raise NotImplementedError("task 3")


# --- Task 4 (2 points): PCA ------------------------------------------------------


@dataclass(frozen=True)
class PCA:
    """The directions in which data spread most; all arrays float64."""

    mean: np.ndarray  # (d,)
    components: np.ndarray  # (k, d), orthonormal rows
    explained_variance: np.ndarray  # (k,), of the data along each component
    explained_variance_ratio: np.ndarray  # (k,), share of the variance of all d columns


def pca_fit(X: np.ndarray, k: int) -> PCA:
    """Fit the first k principal components.

    They are the right singular vectors of X minus its mean, and sigma²/(N - 1) is the
    sample variance along them (Jolliffe 2002). The sign of a component means nothing;
    ours makes its entry of largest magnitude positive (the first, if several are
    equal). The rows [[0, 0], [3, 4]] have the one component [0.6, 0.8] with variance
    12.5.

    Args:
        X: (N, d), one example per row, N at least 2, not all rows the same.
        k: how many components, in 1..min(N, d).

    Raises:
        ValueError: `X` is not a matrix, has one row or rows that are all the same, or
            `k` is out of range.
    """
    raise NotImplementedError("task 4")


def pca_transform(p: PCA, X: np.ndarray) -> np.ndarray:
    """Coordinates along the components: X (N, d) to Z (N, k), float64.

    Raises:
        ValueError: `X` is not a matrix with d columns.
    """
    raise NotImplementedError("task 4")


def pca_inverse(p: PCA, Z: np.ndarray) -> np.ndarray:
    """The points with these coordinates: Z (N, k) to X (N, d), float64.

    Raises:
        ValueError: `Z` is not a matrix with k columns.
    """
    raise NotImplementedError("task 4")


# --- Task 5 (1 point): initialisation --------------------------------------------


def init_std(fan_in: int, *, gain: float = 1.0) -> float:
    """Standard deviation of random weights that keeps the signal's size.

    A sum of fan_in terms of variance std² has fan_in times that variance, so std is
    gain/√fan_in (LeCun et al. 1998; gain √2 for ReLU: He et al. 2015). init_std(64)
    is 0.125.

    Raises:
        ValueError: `fan_in` is below 1, or `gain` is not above 0.
    """
    raise NotImplementedError("task 5")


def propagate_second_moment(
    x: np.ndarray,
    weights: Sequence[np.ndarray],
    activation: Callable[[np.ndarray], np.ndarray],
) -> list[float]:
    """The mean of x² before the first layer and behind each.

    A layer is activation(x @ W). The mean of x², not the variance, is what the next
    layer's sums are made of. x = [[1, 2]], W = [[1], [1]] and ReLU give [2.5, 9.0].

    Args:
        x: (N, d_0).
        weights: matrices (d_0, d_1), (d_1, d_2), ...
        activation: an array in, an array of the same shape out.

    Returns:
        One Python float more than there are weights.

    Raises:
        ValueError: `x` is not a matrix, or an entry of `weights` does not fit.
    """
    raise NotImplementedError("task 5")


# --- Task 6 (1 point): LoRA ------------------------------------------------------


def check_adapter(W: np.ndarray, A: np.ndarray, B: np.ndarray) -> None:
    """ValueError unless A is (d_in, r) and B is (r, d_out) for W (d_in, d_out)."""
    (d_in, d_out), r = np.shape(W), np.shape(A)[-1]
    if np.shape(A) != (d_in, r):
        raise ValueError(f"A must have {d_in} rows, got shape {np.shape(A)}")
    if np.shape(B) != (r, d_out):
        raise ValueError(f"B must have shape {(r, d_out)}, got {np.shape(B)}")


def lora_init(
    d_in: int, d_out: int, r: int, *, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A low-rank update that changes nothing yet and can learn (Hu et al. 2021).

    Args:
        d_in: rows of the frozen weight.
        d_out: columns of the frozen weight.
        r: the rank of the update.
        rng: draws A.

    Returns:
        A (d_in, r), normal with standard deviation 1/√d_in; B (r, d_out), all zero.
        Both float64.

    Raises:
        ValueError: `r` is outside 1..min(d_in, d_out).
    """
    raise NotImplementedError("task 6")


def lora_forward(
    x: np.ndarray, W: np.ndarray, A: np.ndarray, B: np.ndarray, alpha: float
) -> np.ndarray:
    """x W + (alpha/r) (x A) B: x (N, d_in) to float64 (N, d_out).

    W is (d_in, d_out), A (d_in, r) and B (r, d_out). With every entry of x, W, A and B
    equal to 1, d_in = 3, r = 2 and alpha = 4, each output is 3 + (4/2)·6 = 15.

    Raises:
        ValueError: the shapes of `A` or `B` do not fit `W`.
    """
    raise NotImplementedError("task 6")


def lora_merge(W: np.ndarray, A: np.ndarray, B: np.ndarray, alpha: float) -> np.ndarray:
    """One weight that does what W and its update do: W + (alpha/r) A B, (d_in, d_out).

    Raises:
        ValueError: the shapes of `A` or `B` do not fit `W`.
    """
    raise NotImplementedError("task 6")


def lora_param_count(d_in: int, d_out: int, r: int) -> int:
    """How many numbers A and B hold: 64, 128 and r = 2 give 384.

    Raises:
        ValueError: `r` is outside 1..min(d_in, d_out).
    """
    raise NotImplementedError("task 6")
