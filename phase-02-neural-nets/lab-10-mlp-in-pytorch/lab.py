"""The network of lab 2.5 as a small, complete PyTorch training program.

You build its parts: a configuration, the model, loaders, the loop, and checkpoints from
which a run goes on as if it had never stopped, to the last bit. `fit` joins the parts.

1 Config (1)                 2 MLP (1)               3 make_loaders (1)
4 train_epoch, evaluate (2)  5 parameter_groups (1)  6 load_numpy_weights (1)
7 checkpoint and exact resume (3)

N is the number of examples, D of inputs, K of classes; a batch has n examples.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler
from torch.utils.data import DataLoader, TensorDataset

from common import labs
from common.device import pick

train_val_split = labs.solution("1.5").train_val_split
History = labs.solution("2.5").History  # train_loss, val_loss, val_accuracy by epoch
VAL_FRACTION = 0.2


# --- Task 1 (1 point): Config ----------------------------------------------------


def read_sizes(text: str) -> tuple[int, ...]:
    """Given: "128,64" as (128, 64), "" as (). ValueError: not whole numbers."""
    return tuple(int(size) for size in text.split(",") if text)


READERS = {int: int, float: float, str: str, tuple: read_sizes}  # by the kind of field


@dataclass(frozen=True)
class Config:
    """All that decides a run, besides the data. It cannot be changed, only replaced."""

    hidden: tuple[int, ...] = (128, 64)
    dropout: float = 0.1
    lr: float = 1e-3
    weight_decay: float = 0.01
    batch_size: int = 32
    epochs: int = 20
    seed: int = 0
    device: str = "auto"

    @classmethod
    def from_args(cls, argv: Sequence[str]) -> Config:
        """The defaults, changed by words such as "lr=0.01" or "hidden=128,64".

        `READERS` has what reads a value, by the type of the field's default. Of a field
        given twice the last value counts.

        ValueError: no field has that name, a word has no "=" ("hidden=" has one and an
        empty value), or its value cannot be read. The message has the name.
        """
        raise NotImplementedError("task 1")

    def to_json(self) -> str:
        """A JSON object with all fields; `hidden` is a list in it."""
        raise NotImplementedError("task 1")

    @classmethod
    def from_json(cls, text: str) -> Config:
        """The config whose `to_json` this is; fields that are missing get the default.

        ValueError: keys that are no fields; the message names each of them. What is no
        JSON object, or has values of other types than the fields, is not graded.
        """
        raise NotImplementedError("task 1")


# --- Task 2 (1 point): the model -------------------------------------------------


class MLP(nn.Module):
    """Linear, ReLU and Dropout for every hidden layer, and a Linear at the end.

    They stand in this order in `self.layers`, an nn.Sequential, as PyTorch initialises
    them; a Dropout of 0 has its place too. For cfg.hidden = (32, 16) there are 7, with
    parameters layers.0.weight (32, d_in), layers.0.bias (32,), layers.3.weight and on.
    """

    def __init__(self, d_in: int, n_classes: int, cfg: Config) -> None:
        """Uses `cfg.hidden`, which may be (), and `cfg.dropout` of the config."""
        raise NotImplementedError("task 2")

    def forward(self, x: Tensor) -> Tensor:
        """x (n, d_in) -> logits (n, n_classes): any numbers, not yet probabilities."""
        raise NotImplementedError("task 2")


# --- Task 3 (1 point): loaders ---------------------------------------------------


def make_loaders(
    X: np.ndarray, y: np.ndarray, cfg: Config, *, generator: torch.Generator
) -> tuple[DataLoader, DataLoader]:
    """Loaders of the training and of the validation part of X (N, D) and y (N,).

    Lab 1.5's `train_val_split` draws the parts: stratified by y, with VAL_FRACTION and
    rng=np.random.default_rng(cfg.seed). So they depend on the seed alone, and a resumed
    run has the same. Batches are pairs (xb, yb), float32 (n, D) and int64 (n,), with
    n = cfg.batch_size and fewer in the last one of an epoch; no row is ever left out.

    Returns:
        train: each epoch in a new order, drawn from `generator` and nothing else.
        val: always in the order in which the split names the rows.
    """
    raise NotImplementedError("task 3")


# --- Task 4 (2 points): one epoch, and how good it is ----------------------------
# Loss: the cross-entropy of logits and classes, in nats. A loader gives pairs (xb, yb);
# model and batches are brought together on `device`, where the model is already.


def train_epoch(
    model: nn.Module, loader: DataLoader, optimizer: Optimizer, device: str
) -> float:
    """One optimizer step per batch, in training mode, where the model then stays.

    A step uses the gradient of its batch alone, whatever was in .grad before. Returns
    the mean over all examples of the loss each had just before the step of its batch.
    """
    raise NotImplementedError("task 4")


@torch.no_grad()
def evaluate(model: nn.Module, loader: DataLoader, device: str) -> tuple[float, float]:
    """The mean loss over all examples, and the share whose largest logit is at yb.

    Runs in evaluation mode and without a graph; .grad stays as it is. Afterwards the
    model is in the mode in which it came, training or evaluation.
    """
    raise NotImplementedError("task 4")


# --- Task 5 (1 point): what decays -----------------------------------------------


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Two groups for an optimizer, {"params": [...], "weight_decay": ...}.

    The first has the parameters with two axes or more and `weight_decay`, the second
    all others (biases, gains of norm layers) and 0.0. Both in the order of
    model.parameters(); a group may be empty.
    """
    raise NotImplementedError("task 5")


# --- Task 6 (1 point): the weights of the NumPy network --------------------------


@torch.no_grad()
def load_numpy_weights(model: nn.Module, numpy_model: Any) -> None:
    """Copy the parameters of a lab 2.5 `Sequential` into `model`, an `MLP`, in place.

    Both list weight and bias of each Linear in turn: model.parameters() has PyTorch's,
    numpy_model.parameters() has arrays in `.data`. Lab 2.5 computes x @ W with W (d_in,
    d_out), nn.Linear x @ W.T with W (d_out, d_in). Afterwards the two share no memory,
    and `model` has kept its dtype.

    ValueError that names `numpy_model`, before anything is copied: shapes do not fit.
    """
    raise NotImplementedError("task 6")


# --- Task 7 (3 points): checkpoint and exact resume ------------------------------


@dataclass
class Run:
    """Given: what changes during a run; `generator` shuffles."""

    model: nn.Module
    optimizer: Optimizer
    scheduler: LRScheduler
    generator: torch.Generator


def save_checkpoint(
    path: str | Path, run: Run, *, epoch: int, config: Config, history: History
) -> None:
    """Write all that the rest of a run depends on into one file.

    That is the state of the four parts of `run` and of torch's global generator, from
    which dropout draws (on a GPU from another, torch.cuda.get_rng_state_all; graded is
    the CPU), and the other arguments; `epoch` counts what is done. Layout is up to you,
    but torch.load(path, weights_only=True) must read the file (tensors, numbers, text,
    lists, tuples, dicts). If writing fails, even in the middle, the error comes out and
    `path` is as it was before: write a file beside it, then rename that to `path`.
    """
    raise NotImplementedError("task 7")


def load_checkpoint(path: str | Path, run: Run) -> dict[str, Any]:
    """Bring everything into the state in which `save_checkpoint` found it.

    Except for mode and .grad, which an epoch sets anew.
    The parts of `run` are built as the saved ones were, and are changed in place like
    torch's global generator. Use weights_only=True: other pickles could run code.

    Returns {"epoch": int, "config": Config, "history": History}, as they were saved.
    """
    raise NotImplementedError("task 7")


# --- Given: the program ----------------------------------------------------------


def fit(
    cfg: Config,
    X: np.ndarray,
    y: np.ndarray,
    *,
    resume_from: str | Path | None = None,
    checkpoint_path: str | Path | None = None,
    stop_after: int | None = None,
) -> tuple[nn.Module, History]:
    """Train an MLP on X (N, D), y (N,) with AdamW and a cosine learning rate.

    A checkpoint is written after every epoch if there is a path for it. `stop_after`
    ends the run after so many epochs in all, as a power cut would; the schedule is that
    of cfg.epochs. ValueError: `resume_from` is of a run with another `cfg`.
    """
    device = pick(None if cfg.device == "auto" else cfg.device)
    torch.manual_seed(cfg.seed)  # first the weights, then dropout
    model = MLP(X.shape[1], int(y.max()) + 1, cfg).to(device)
    optimizer = AdamW(parameter_groups(model, cfg.weight_decay), lr=cfg.lr)
    scheduler = CosineAnnealingLR(optimizer, T_max=cfg.epochs)
    run = Run(model, optimizer, scheduler, torch.Generator().manual_seed(cfg.seed))
    train, val = make_loaders(X, y, cfg, generator=run.generator)
    done, history = 0, History()
    if resume_from is not None:
        found = load_checkpoint(resume_from, run)
        if found["config"] != cfg:
            raise ValueError(f"cfg must be the checkpoint's, {found['config']}")
        done, history = found["epoch"], found["history"]
    last = cfg.epochs if stop_after is None else stop_after
    for epoch in range(done + 1, last + 1):
        history.train_loss.append(train_epoch(model, train, optimizer, device))
        loss, accuracy = evaluate(model, val, device)
        history.val_loss.append(loss)
        history.val_accuracy.append(accuracy)
        scheduler.step()
        if checkpoint_path is not None:
            more = {"epoch": epoch, "config": cfg, "history": history}
            save_checkpoint(checkpoint_path, run, **more)
    return model, history
