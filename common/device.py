"""Where tensors live and how long work takes there.

Everything about "cpu" works without importing torch, so labs that use only NumPy can
time themselves here. Moving tensors is left to the labs.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator

DEVICES = ("cuda", "mps", "cpu")  # in the order of preference


def pick(prefer: str | None = None) -> str:
    """Return the device to use: the one asked for, or else the fastest one here.

    Args:
        prefer: "cuda", "mps" or "cpu"; None takes the first of them that is there.

    Raises:
        ValueError: `prefer` is not a known device, or this machine has none.
    """
    if prefer is None:
        return next(device for device in DEVICES if _present(device))
    if prefer not in DEVICES:
        raise ValueError(f"prefer: expected one of {DEVICES}, got {prefer!r}")
    if not _present(prefer):
        raise ValueError(f"prefer: this machine has no {prefer!r} that torch can use")
    return prefer


def synchronize(device: str) -> None:
    """Wait until the work queued on `device` is done.

    A GPU call returns when the work is queued, so a clock read without waiting
    measures the queueing. On "cpu" there is nothing to wait for.

    Raises:
        ValueError: `device` is not a known device.
    """
    _check(device)
    if device != "cpu":
        import torch

        getattr(torch, device).synchronize()


def describe(device: str) -> str:
    """Return the device in words for a report, such as "cpu, 2 cores".

    Raises:
        ValueError: `device` is not a known device.
    """
    _check(device)
    if device == "cpu":
        cores = _cores()
        return f"cpu, {cores} core{'s' * (cores != 1)}"
    if device == "mps":
        return "mps, Apple GPU"
    import torch

    return f"cuda, {torch.cuda.get_device_name()}"


def timeit(
    fn: Callable[[], object],
    *,
    device: str = "cpu",
    repeats: int = 5,
    warmup: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Return the seconds of the fastest of several calls of `fn`.

    The fastest, not the mean: other programs can only make a call slower.

    Args:
        fn: called without arguments; its result is dropped.
        device: where `fn` computes; each call is waited for.
        repeats: timed calls, at least 1.
        warmup: calls before them that are not timed.
        clock: returns seconds; `time.process_time` counts this process alone.

    Raises:
        ValueError: `device` is not known, `repeats` is below 1 or `warmup` below 0.
    """
    _check(device)
    if repeats < 1:
        raise ValueError(f"repeats: expected at least 1, got {repeats}")
    if warmup < 0:
        raise ValueError(f"warmup: expected 0 or more, got {warmup}")
    for _ in range(warmup):
        fn()
    synchronize(device)
    seconds = []
    for _ in range(repeats):
        start = clock()
        fn()
        synchronize(device)
        seconds.append(clock() - start)
    return min(seconds)


def _present(device: str) -> bool:
    if device == "cpu":
        return True
    import torch

    if device == "cuda":
        return torch.cuda.is_available()
    return torch.backends.mps.is_available()


def _cores() -> int:
    """Return the cores this process may use, which a container may limit."""
    if hasattr(os, "sched_getaffinity"):  # Linux only
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _check(device: str) -> None:
    if device not in DEVICES:
        raise ValueError(f"device: expected one of {DEVICES}, got {device!r}")


@contextlib.contextmanager
def one_torch_thread() -> Iterator[None]:
    """Let torch use one CPU thread inside the block; afterwards as many as before.

    Small matrices are fastest that way, and handing work to others is not timed.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
