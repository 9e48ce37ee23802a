"""Lab 3.6's cells and layers beside torch.nn, float32, one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from common import labs
from common.device import one_torch_thread
from tests.benchmarks.table import Row, side_by_side

B, T, H = 32, 64, 256
WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def rows() -> Iterator[Row]:
    """A cell for one step and a layer for 64, forward and with the gradient."""
    import torch

    lab = labs.solution("3.6")
    torch.manual_seed(0)
    with one_torch_thread():
        for kind in ("LSTM", "GRU"):
            for backward in (False, True):
                yield _cell(lab, torch, kind, backward)
                yield _layer(lab, torch, kind, backward)


def _cell(lab, torch, kind: str, backward: bool) -> Row:
    peer = getattr(torch.nn, f"{kind}Cell")(H, H)
    weights = [getattr(peer, name) for name in WEIGHTS]
    x, h, c = torch.randn(3, B, H)
    if kind == "LSTM":
        ours = lambda: lab.lstm_step(x, h, c, *weights)[0]  # noqa: E731
        theirs = lambda: peer(x, (h, c))[0]  # noqa: E731
    else:
        ours = lambda: lab.gru_step(x, h, *weights)  # noqa: E731
        theirs = lambda: peer(x, h)  # noqa: E731
    what = f"3.6 {kind.lower()}_step, B 32, H 256"
    return _row(torch, what, ours, theirs, f"nn.{kind}Cell", backward, 20)


def _layer(lab, torch, kind: str, backward: bool) -> Row:
    peer = getattr(torch.nn, kind)(H, H, batch_first=True)
    layer = getattr(lab, kind)(H, H)
    layer.load_torch_(peer)
    x = torch.randn(B, T, H)
    wanted = "at least 0.25" if kind == "LSTM" and not backward else ""
    what = f"3.6 {kind} layer, B 32, T 64, H 256"
    return _row(
        torch,
        what,
        lambda: layer(x)[0],
        lambda: peer(x)[0],
        f"nn.{kind}",
        backward,
        1,
        wanted,
    )


def _row(
    torch,
    what: str,
    ours: Callable,
    theirs: Callable,
    name: str,
    backward: bool,
    calls: int,
    wanted: str = "",
) -> Row:
    def timed(run: Callable) -> Callable[[], None]:
        def work() -> None:
            for _ in range(calls):
                if backward:
                    run().sum().backward()
                else:
                    with torch.no_grad():
                        run()

        return work

    if calls > 1:
        what += f", {calls} times"
    what += ", with gradient" if backward else ", forward"
    return side_by_side(
        what, timed(ours), timed(theirs), name, wanted, rounds=5, repeats=2
    )
