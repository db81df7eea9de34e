"""polyad as an array API namespace, and exchange with other libraries through DLPack and type queries."""

import pickle
from typing import Any

import numpy as np
import pytest

import polyad as ad
from polyad.backend import Backend
from polyad.testing import assert_close

# The namespace ---------------------------------------------------------------------------------------------------


def test_namespace_of_a_tensor_on_the_default_device_is_polyad(backend: Backend) -> None:
    assert ad.ones(2).__array_namespace__() is ad
    assert ad.ones(2).__array_namespace__(api_version="2025.12") is ad
    assert ad.__array_api_version__ == "2025.12"
    with pytest.raises(ad.errors.ArgumentError, match=r"polyad follows version 2025.12 .*from 2021.12; got '2020.1'"):
        ad.ones(2).__array_namespace__(api_version="2020.1")


def test_namespace_of_another_device_creates_there(backend: Backend) -> None:
    x = ad.ones(2, requires_grad=True)
    elsewhere = ad.use_backend("numpy" if backend.name != "numpy" else "jax") if backend.name != "numpy" else None
    if elsewhere is None:
        pytest.skip("the default backend's own namespace is polyad: the test above")
    with elsewhere:
        xp = x.__array_namespace__()
        assert xp is ad.zeros(1, device=x.device).__array_namespace__()
        made = [xp.zeros(2), xp.asarray([1.0, 2.0]), xp.full((2,), 3.0), xp.linspace(0, 1, 2)]
        assert {m.device for m in made} == {x.device}
        assert ad.zeros(2).device is not x.device
        (xp.sum(xp.exp(x) * made[1])).backward()
        assert xp.__array_namespace_info__().default_device() is x.device
        assert xp.asarray(ad.zeros(1)).device is not x.device  # a tensor stays where it is
        assert xp.float32 is ad.float32
        assert xp.__name__ == "polyad"
        assert pickle.loads(pickle.dumps(xp)) is xp
        assert "zeros" in dir(xp)
        assert x.device.where in repr(xp)
    assert x.grad is not None
    assert_close(x.grad, np.exp(1, dtype=np.float32) * np.array([1, 2], np.float32))


def test_info(backend: Backend) -> None:
    info = ad.__array_namespace_info__()
    assert info.default_device() is ad.default_device()
    assert info.devices()[0] is ad.default_device()
    assert len(set(info.devices())) == len(info.devices())
    assert info.capabilities() == {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}
    assert info.default_dtypes() == {
        "real floating": ad.float32,
        "complex floating": ad.complex64,
        "integral": ad.int64,
        "indexing": ad.int64,
    }
    assert ad.zeros(1).dtype is info.default_dtypes()["real floating"]
    assert set(info.dtypes().values()) == set(backend.dtypes) - {ad.float16, ad.bfloat16}
    assert info.dtypes(kind="complex floating") == {"complex64": ad.complex64, "complex128": ad.complex128}
    assert set(info.dtypes(device="cpu", kind=("bool", ad.int8))) == {"bool", "int8"} or backend.name == "cupy"


# Types ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["float16", "float32", "float64"])
def test_finfo(name: str) -> None:
    ours, theirs = ad.finfo(getattr(ad, name)), np.finfo(name)
    for field in ("bits", "eps", "max", "min", "smallest_normal", "tiny"):
        assert getattr(ours, field) == float(getattr(theirs, field))
        assert isinstance(getattr(ours, field), (float, int))
    assert ours.dtype is getattr(ad, name)


def test_finfo_of_other_types() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    ours, theirs = ad.finfo(ad.bfloat16), ml_dtypes.finfo(ml_dtypes.bfloat16)
    for field in ("bits", "eps", "max", "min", "smallest_normal"):
        assert getattr(ours, field) == float(getattr(theirs, field))
    assert ad.finfo(ad.complex64) == ad.finfo(ad.float32)
    assert ad.finfo(ad.ones(2, dtype=ad.complex128)).dtype is ad.float64
    with pytest.raises(ad.errors.DTypeError, match="finfo takes floating-point types; got int8; write iinfo"):
        ad.finfo(ad.int8)
    with pytest.raises(ad.errors.DTypeError, match="iinfo takes integer types; got float32; write finfo"):
        ad.iinfo(ad.float32)
    with pytest.raises(
        ad.errors.DTypeError, match="finfo: expected a tensor or a type such as polyad.float32; got 'x'"
    ):
        ad.finfo("x")


@pytest.mark.parametrize("name", [f"{u}int{n}" for u in ("", "u") for n in (8, 16, 32, 64)])
def test_iinfo(name: str) -> None:
    ours, theirs = ad.iinfo(getattr(ad, name)), np.iinfo(name)
    assert (ours.bits, ours.max, ours.min) == (theirs.bits, theirs.max, theirs.min)
    assert ad.iinfo(np.ones(1, name)).dtype is getattr(ad, name)


@pytest.mark.parametrize("kind", ["bool", "signed integer", "unsigned integer", "integral", "real floating", "numeric"])
def test_isdtype(kind: str) -> None:
    for name in ("bool", "int8", "uint64", "float32", "complex64"):
        assert ad.isdtype(getattr(ad, name), kind) == np.isdtype(np.dtype(name), kind)


def test_isdtype_of_types_and_tuples() -> None:
    assert ad.isdtype(ad.float32, ad.float32)
    assert not ad.isdtype(ad.float32, np.float64)
    assert ad.isdtype(ad.float16, ("integral", (ad.float16, ad.int8)))
    with pytest.raises(ad.errors.ArgumentError, match="there is no kind 'float'; the kinds are bool, signed integer"):
        ad.isdtype(ad.float32, "float")


def test_result_type(backend: Backend) -> None:
    x = ad.ones(2, dtype=ad.int8)
    assert ad.result_type(x) is ad.int8
    assert ad.result_type(x, ad.uint8) is ad.int16
    assert ad.result_type(x, 3) is ad.int8
    assert ad.result_type(1.0, x) is ad.float32
    assert ad.result_type(1, 2.0) is ad.float32
    assert ad.result_type(x, ad.float64, 1j) is ad.complex128
    assert ad.result_type(x, np.float16) is ad.float16
    with pytest.raises(ad.errors.OperandError, match="expected at least one tensor, type or number"):
        ad.result_type()
    with pytest.raises(ad.errors.DTypeError, match="the number 300 is outside int8's range"):
        ad.result_type(x, 300)


# DLPack -----------------------------------------------------------------------------------------------------------


def test_dlpack_round_trip(backend: Backend) -> None:
    x = ad.arange(6, dtype=ad.float32).reshape(2, 3)
    y = ad.from_dlpack(x.array)
    assert y.backend is backend
    assert_close(y, x)
    assert x.__dlpack_device__() == tuple(x.array.__dlpack_device__())
    for version in (None, (0, 0), (1, 0)):
        assert "dltensor" in repr(x.__dlpack__(max_version=version))
    assert_close(ad.from_dlpack(x.T.array), x.T)
    z = ad.from_dlpack(x, copy=True)
    z.add_(1)
    assert_close(z, x + 1)


def test_dlpack_of_a_tensor_that_requires_a_gradient(backend: Backend) -> None:
    x = ad.ones(2, requires_grad=True)
    with pytest.raises(ad.errors.AutogradError, match=r"__dlpack__: .* another library would lose; write x.detach\(\)"):
        x.__dlpack__()
    assert not ad.from_dlpack(x).requires_grad


def test_numpy_shares_memory_through_dlpack() -> None:
    x = ad.zeros(3, backend="numpy")
    host = np.from_dlpack(x)
    x += 1
    assert host.tolist() == [1, 1, 1]
    owner = np.zeros((2, 3))
    y = ad.from_dlpack(owner.T, copy=False)
    y[0] = 5
    assert owner[:, 0].tolist() == [5, 5]
    readonly = np.zeros(2)
    readonly.flags.writeable = False
    assert ad.from_dlpack(readonly).add_(1).tolist() == [1, 1]
    with pytest.raises(ad.errors.ArgumentError, match="cannot share .* read-only.*, and copy=False forbids a copy"):
        ad.from_dlpack(readonly, copy=False)


def test_dlpack_to_another_device(backend: Backend) -> None:
    host = np.arange(3.0)
    with ad.use_backend("numpy"):
        moved = ad.from_dlpack(host, device=backend.devices[0])
    assert moved.backend is backend
    assert_close(moved, host)
    if backend.name != "numpy":
        with pytest.raises(ad.errors.ArgumentError, match="needs a copy, and copy=False forbids one"):
            ad.from_dlpack(host, device=backend.devices[0], copy=False)


def test_dlpack_of_something_else() -> None:
    with pytest.raises(ad.errors.OperandError, match=r"list has no method __dlpack__; write polyad.asarray"):
        ad.from_dlpack([1.0])

    class Elsewhere:
        def __dlpack__(self, **kwargs: Any) -> Any:
            raise AssertionError

        def __dlpack_device__(self) -> tuple[int, int]:
            return (8, 3)

    with pytest.raises(ad.errors.DeviceError, match="a device of DLPack.s kind 8, number 3, which no loaded"):
        ad.from_dlpack(Elsewhere())


def test_torch_shares_memory_both_ways() -> None:
    torch = pytest.importorskip("torch")
    x = ad.zeros(3, backend="numpy")
    torch.from_dlpack(x).add_(2)
    assert x.tolist() == [2, 2, 2]
    t = torch.zeros(2, 3)
    y = ad.from_dlpack(t.T)
    y += 1
    assert t.tolist() == [[1, 1, 1], [1, 1, 1]]
