"""Lab 2.10 by another route: argparse, own datasets, one pass for all logits."""

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


def read_sizes(text: str) -> tuple[int, ...]:
    return tuple(int(size) for size in text.split(",") if text)


READERS = {int: int, float: float, str: str, tuple: read_sizes}  # by the kind of field


@dataclass(frozen=True)
class Config:
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
        import argparse

        class Quiet(argparse.ArgumentParser):
            def error(self, message):
                raise ValueError(message)

        parser = Quiet(add_help=False, allow_abbrev=False, argument_default=None)
        for field in fields(cls):
            read = READERS[type(field.default)]
            parser.add_argument(f"--{field.name}", type=read, default=field.default)
        for word in argv:
            name = word.split("=")[0]
            if name not in vars(parser.parse_args([])):
                raise ValueError(f"no such field: {name}")
        return cls(**vars(parser.parse_args([f"--{word}" for word in argv])))

    def to_json(self) -> str:
        values = dict(vars(self))
        values["hidden"] = list(self.hidden)
        return json.dumps(values, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Config:
        known = list(cls.__dataclass_fields__)
        values = {}
        for key, value in json.loads(text).items():
            values[key] = value if not isinstance(value, list) else tuple(value)
        strange = [key for key in values if key not in known]
        if strange:
            raise ValueError("not in Config: " + " ".join(strange))
        return cls(**values)


class MLP(nn.Module):
    def __init__(self, d_in: int, n_classes: int, cfg: Config) -> None:
        super().__init__()
        self.layers = nn.Sequential()
        sizes = [d_in, *cfg.hidden, n_classes]
        for i in range(len(sizes) - 1):
            if i:
                self.layers.append(nn.ReLU())
                self.layers.append(nn.Dropout(p=cfg.dropout))
            self.layers.append(nn.Linear(sizes[i], sizes[i + 1]))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


def make_loaders(
    X: np.ndarray, y: np.ndarray, cfg: Config, *, generator: torch.Generator
) -> tuple[DataLoader, DataLoader]:

    class Rows(torch.utils.data.Dataset):
        def __init__(self, rows):
            self.rows = rows

        def __len__(self):
            return len(self.rows)

        def __getitem__(self, i):
            row = self.rows[i]
            return np.asarray(X[row], dtype=np.float32), int(y[row])

    train, val = train_val_split(
        len(X), val_fraction=0.2, rng=np.random.default_rng(cfg.seed), stratify=y
    )
    sampler = torch.utils.data.RandomSampler(Rows(train), generator=generator)
    n = cfg.batch_size
    first = DataLoader(Rows(train), n, sampler=sampler, generator=generator)
    return first, DataLoader(Rows(val), n, shuffle=False)


def train_epoch(
    model: nn.Module, loader: DataLoader, optimizer: Optimizer, device: str
) -> float:
    losses = []
    model.train(True)
    for inputs, classes in loader:
        for p in model.parameters():
            p.grad = None
        log_p = torch.log_softmax(model(inputs.to(device)), dim=1)
        each = -log_p.gather(1, classes.to(device)[:, None])[:, 0]
        each.mean().backward()
        optimizer.step()
        losses += each.detach().tolist()
    return sum(losses) / len(losses)


@torch.no_grad()
def evaluate(model: nn.Module, loader: DataLoader, device: str) -> tuple[float, float]:
    before = model.training
    model.train(False)
    try:
        pairs = [(model(xb.to(device)), yb.to(device)) for xb, yb in loader]
    finally:
        model.train(before)
    logits = torch.cat([a for a, _ in pairs])
    classes = torch.cat([b for _, b in pairs])
    right = logits.max(dim=1).indices.eq(classes).double().mean()
    return float(cross_entropy(logits, classes)), float(right)


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    groups = [
        {"weight_decay": weight_decay, "params": []},
        {"weight_decay": 0.0, "params": []},
    ]
    for p in model.parameters():
        groups[0 if len(p.shape) > 1 else 1]["params"].append(p)
    return groups


@torch.no_grad()
def load_numpy_weights(model: nn.Module, numpy_model: Any) -> None:
    linear = [m for m in model.modules() if isinstance(m, nn.Linear)]
    theirs = [layer for layer in numpy_model.layers if hasattr(layer, "weight")]
    sizes = [(m.in_features, m.out_features) for m in linear]
    if sizes != [layer.weight.data.shape for layer in theirs]:
        raise ValueError(f"numpy_model does not have the layers {sizes}")
    for m, layer in zip(linear, theirs, strict=True):
        m.weight.data[:] = torch.tensor(layer.weight.data).t()
        m.bias.data[:] = torch.tensor(layer.bias.data)


@dataclass
class Run:
    model: nn.Module
    optimizer: Optimizer
    scheduler: LRScheduler
    generator: torch.Generator


def save_checkpoint(
    path: str | Path, run: Run, *, epoch: int, config: Config, history: History
) -> None:
    import io

    parts = run.model, run.optimizer, run.scheduler
    states = [part.state_dict() for part in parts]
    generators = [run.generator.get_state(), torch.random.get_rng_state()]
    lists = [history.train_loss, history.val_loss, history.val_accuracy]
    buffer = io.BytesIO()
    torch.save((states, generators, epoch, config.to_json(), lists), buffer)
    new = Path(path).with_name("new-" + Path(path).name)
    new.write_bytes(buffer.getvalue())
    new.replace(path)


def load_checkpoint(path: str | Path, run: Run) -> dict[str, Any]:
    with open(path, "rb") as file:
        states, generators, epoch, text, lists = torch.load(file, weights_only=True)
    parts = run.model, run.optimizer, run.scheduler
    for part, state in zip(parts, states, strict=True):
        part.load_state_dict(state)
    run.generator.set_state(generators[0])
    torch.random.set_rng_state(generators[1])
    return {
        "epoch": epoch,
        "config": Config.from_json(text),
        "history": History(*lists),
    }


def fit(
    cfg: Config,
    X: np.ndarray,
    y: np.ndarray,
    *,
    resume_from: str | Path | None = None,
    checkpoint_path: str | Path | None = None,
    stop_after: int | None = None,
) -> tuple[nn.Module, History]:
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
            raise ValueError(f"cfg is not that of {resume_from}: {found['config']}")
        done, history = found["epoch"], found["history"]
    for epoch in range(done + 1, (stop_after or cfg.epochs) + 1):
        history.train_loss.append(train_epoch(model, train, optimizer, device))
        loss, accuracy = evaluate(model, val, device)
        history.val_loss.append(loss)
        history.val_accuracy.append(accuracy)
        scheduler.step()
        if checkpoint_path is not None:
            more = {"epoch": epoch, "config": cfg, "history": history}
            save_checkpoint(checkpoint_path, run, **more)
    return model, history
