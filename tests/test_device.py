"""Devices: picked, named and timed; a GPU that is not here is played by a stand-in."""

import subprocess
import sys

import pytest
import torch

from common import device


class Clock:
    """A clock that only moves when something is said to take time."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def take(clock, seconds):
    """Return a function whose calls take these seconds, one after the other."""
    left = iter(seconds)

    def work():
        clock.now += next(left)

    return work


@pytest.fixture
def machine(monkeypatch):
    """Return a function that sets which GPUs torch reports."""

    def has(*gpus):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in gpus)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in gpus)

    return has


@pytest.mark.parametrize(
    ("gpus", "best"),
    [((), "cpu"), (("mps",), "mps"), (("cuda",), "cuda"), (("cuda", "mps"), "cuda")],
)
def test_pick_takes_the_fastest(machine, gpus, best):
    machine(*gpus)
    assert device.pick() == best
    assert device.pick("cpu") == "cpu"
    assert [device.pick(gpu) for gpu in gpus] == list(gpus)


@pytest.mark.parametrize("prefer", ["cuda", "mps"])
def test_pick_names_the_device_that_is_not_there(machine, prefer):
    machine()
    with pytest.raises(ValueError, match=f"^prefer: .* no '{prefer}'"):
        device.pick(prefer)


@pytest.mark.parametrize("prefer", ["gpu", "", "cuda:1"])
def test_pick_refuses_other_names(prefer):
    with pytest.raises(ValueError, match=f"^prefer: .*got '{prefer}'"):
        device.pick(prefer)


@pytest.mark.parametrize(
    "call",
    [device.synchronize, device.describe, lambda d: device.timeit(int, device=d)],
)
def test_an_unknown_device_is_named(call):
    with pytest.raises(ValueError, match=r"^device: .*got 'tpu'"):
        call("tpu")


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_synchronize_waits_for_the_gpu_asked_for(monkeypatch, name):
    waited = []
    for gpu in ("cuda", "mps"):
        note = lambda gpu=gpu: waited.append(gpu)  # noqa: E731
        monkeypatch.setattr(getattr(torch, gpu), "synchronize", note)
    device.synchronize("cpu")
    assert waited == []
    device.synchronize(name)
    assert waited == [name]


@pytest.mark.parametrize(("cores", "words"), [(1, "cpu, 1 core"), (2, "cpu, 2 cores")])
def test_describe_counts_the_cores_it_may_use(monkeypatch, cores, words):
    allowed = lambda pid: set(range(cores))  # noqa: E731
    monkeypatch.setattr("os.sched_getaffinity", allowed, raising=False)
    assert device.describe("cpu") == words


def test_describe_counts_cores_where_the_system_has_no_affinity(monkeypatch):
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 6)
    assert device.describe("cpu") == "cpu, 6 cores"


def test_describe_names_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "H100")
    assert device.describe("cuda") == "cuda, H100"
    assert device.describe("mps") == "mps, Apple GPU"


def test_timeit_returns_the_best_call_after_the_warm_up():
    clock = Clock()
    work = take(clock, [0.5, 9.0, 4.0, 3.0, 7.0, 1.0])
    # 0.5 is the warm-up and 1.0 is never called
    assert device.timeit(work, repeats=4, warmup=1, clock=clock) == 3.0
    assert device.timeit(take(clock, [2.0]), repeats=1, warmup=0, clock=clock) == 2.0


def test_timeit_counts_what_a_gpu_still_has_to_do(monkeypatch):
    clock, queue = Clock(), []

    def wait():
        clock.now += sum(queue)
        queue.clear()

    monkeypatch.setattr(torch.cuda, "synchronize", wait)
    work = lambda: queue.append(2.0)  # noqa: E731
    # three warm-up calls queue 6 seconds that must not be counted
    best = device.timeit(work, device="cuda", repeats=1, warmup=3, clock=clock)
    assert best == 2.0


def test_timeit_measures_real_seconds():
    assert 0.0 < device.timeit(lambda: sum(range(1000))) < 1.0


@pytest.mark.parametrize(("name", "bad"), [("repeats", 0), ("warmup", -1)])
def test_timeit_bad_counts_are_named(name, bad):
    with pytest.raises(ValueError, match=f"^{name}: "):
        device.timeit(int, **{name: bad})


def test_the_cpu_needs_no_torch():
    code = (
        "import sys; from common import device\n"
        "device.pick('cpu'); device.synchronize('cpu'); device.describe('cpu')\n"
        "device.timeit(int, device='cpu'); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.split() == [b"False"]


def test_one_torch_thread_puts_the_number_back():
    import torch

    torch.set_num_threads(2)
    with pytest.raises(KeyError), device.one_torch_thread():
        assert torch.get_num_threads() == 1
        raise KeyError
    assert torch.get_num_threads() == 2
