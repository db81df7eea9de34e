"""Tables of kernels, and what is called in their place while a watch is on."""

from collections.abc import Callable
from typing import Any

import pytest

import polyad as ad
from polyad.backend import Backend, Device
from polyad.function import Function
from polyad.kernels import Kernel, KernelWatch, watching_kernels


class Counting(KernelWatch):
    def __init__(self, name: str, log: list[str]) -> None:
        self.name, self.log = name, log

    def kernel(self, function: Function, device: Device, kernel: Kernel) -> Kernel:
        def counted(*args: Any, **params: Any) -> Any:
            self.log.append(f"{self.name} {function.name}")
            return kernel(*args, **params)

        return counted

    def pull(self, device: Device, pull: Callable[..., Any]) -> Callable[..., Any] | None:
        return None


def called_once(backend: Backend) -> None:
    if backend.name == "strict":  # its types are new objects each time, so fast calls leave all to the careful one
        pytest.skip("kernels run twice there")


def test_a_watch_sees_every_kernel_while_it_is_on(backend: Backend) -> None:
    called_once(backend)
    device = backend.devices[0]
    x = ad.tensor([0.5, 1.0], requires_grad=True, device=device)
    before = ad.exp(x)  # its rule has the namespace that is watched later
    table, pull = dict(device.kernels), device.pull
    log: list[str] = []
    with watching_kernels(Counting("outer", log)):
        y = ad.sum(ad.exp(x) * x)
        with watching_kernels(Counting("inner", log)):
            ad.exp(x)
        del log[3:]
        y.backward()
    assert log[:3] == ["outer exp", "outer multiply", "outer sum"]
    assert "outer broadcast_to" in log  # within a rule
    count = len(log)
    (before * ad.exp(x)).sum().backward()
    assert len(log) == count
    assert all(device.kernels[f] is kernel for f, kernel in table.items())
    assert device.pull == pull


def test_watches_nest(backend: Backend) -> None:
    called_once(backend)
    device = backend.devices[0]
    x = ad.tensor([0.5, 1.0], device=device)
    log: list[str] = []
    with watching_kernels(Counting("outer", log)), watching_kernels(Counting("inner", log)):
        ad.exp(x)
    assert log == ["inner exp", "outer exp"]


def test_a_watch_ends_with_its_block(backend: Backend) -> None:
    device = backend.devices[0]
    x = ad.tensor([0.5, 1.0], device=device)
    log: list[str] = []
    try:
        with watching_kernels(Counting("outer", log)):
            raise KeyError
    except KeyError:
        pass
    ad.exp(x)
    assert not log


def test_a_watch_sees_kernels_that_write_in_place_and_transfers(backend: Backend) -> None:
    class Writing(Counting):
        def inplace(self, name: str, device: Device, kernel: Kernel) -> Kernel:
            return self.kernel(ad.FUNCTIONS[name], device, kernel)

    device = backend.devices[0]
    x, y = ad.ones(3, device=device), ad.ones(3, device=device)
    tables, log = device.inplace, list[str]()
    with watching_kernels(Writing("seen", log)):
        x.add_(y)
        x[1] = 5.0
        x.to(backend="numpy")
    expected = ["seen add", "seen setitem", "seen to_device"]
    seen = list(dict.fromkeys(entry for entry in log if entry in expected))  # an unusual call runs its kernel twice
    assert seen == expected[: 2 if backend.name == "numpy" else 3]
    assert device.inplace is tables
    assert x.tolist() == [2, 5, 2]
