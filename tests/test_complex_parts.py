"""Complex numbers made of parts, and parts as views: the same memory on every backend, and the right gradients."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import polyad as ad
from polyad.backend import Backend
from polyad.errors import AutogradError, DTypeError, ShapeError
from polyad.testing import assert_close, gradcheck, gradgradcheck

Parts = Callable[[ad.Tensor], ad.Tensor]

# Of a complex tensor, or of what is read from it: the view, and the same of a NumPy array.
VIEWS: dict[str, tuple[Parts, Callable[[Any], Any]]] = {
    "real": (lambda z: z.real, lambda z: z.real),
    "imag": (lambda z: ad.imag(z), lambda z: z.imag),
    "pairs": (ad.view_as_real, lambda z: np.stack((z.real, z.imag), -1)),
    "imaginary parts of a column": (lambda z: z[:, 1].imag, lambda z: z[:, 1].imag),
    "column of imaginary parts": (lambda z: z.imag[:, 1], lambda z: z.imag[:, 1]),
    "turned": (lambda z: z.mT.real, lambda z: z.T.real),
    "backwards": (lambda z: z[::-1].imag, lambda z: z[::-1].imag),
    "diagonal": (lambda z: z.imag.diagonal(1), lambda z: z.imag.diagonal(1)),
    "there and back": (lambda z: ad.view_as_complex(ad.view_as_real(z)), lambda z: z),
    "one number": (lambda z: z[1, 2].imag, lambda z: z[1, 2].imag),
    "real parts of pairs": (lambda z: ad.view_as_real(z)[..., 0], lambda z: z.real),
    "the real part of a real part": (lambda z: z.real.real, lambda z: z.real),
    "one of a repeated row": (lambda z: z[:1].expand(4, 3)[2].imag, lambda z: z[0].imag),
    "one of a repeated part": (lambda z: z.real[:1].expand(4, 3)[2], lambda z: z[0].real),
    "pairs of a repeated row": (
        lambda z: ad.view_as_real(z[1].expand(2, 3)[1]),
        lambda z: np.stack((z[1].real, z[1].imag), -1),
    ),
}
every_view = pytest.mark.parametrize("name", VIEWS)


def numbers() -> np.ndarray:
    return (np.arange(6.0) - 1j * np.arange(2.0, 8.0)).reshape(2, 3)


def tensor(**options: Any) -> ad.Tensor:
    return ad.tensor(numbers().tolist(), dtype=ad.complex128, **options)


@every_view
def test_a_write_to_the_base_shows_in_a_part(backend: Backend, name: str) -> None:
    make, of = VIEWS[name]
    z = tensor()
    part = make(z)
    assert_close(part, of(numbers()))
    z.mul_(2 - 1j)
    assert_close(part, of(numbers() * (2 - 1j)))
    assert part._base is z
    assert part._version == z._version == 1


@every_view
def test_a_write_to_a_part_shows_in_the_base_and_other_parts(backend: Backend, name: str) -> None:
    make, of = VIEWS[name]
    z = tensor()
    others = {n: view(z) for n, (view, _) in VIEWS.items()}
    part = make(z)
    shape = part.shape
    new = np.arange(100.0, 100 + math.prod(shape)).reshape(shape)
    part.copy_(ad.tensor(new.tolist(), dtype=ad.float64))
    # which real numbers of the base a part is, found by their places
    places = np.arange(0.0, 12, 2).reshape(2, 3) + 1j * np.arange(1.0, 12, 2).reshape(2, 3)
    flat, where = numbers().reshape(-1).view(float).copy(), of(places)
    if np.iscomplexobj(where):
        flat[where.real.astype(int)], flat[where.imag.astype(int)] = new, 0
    else:
        flat[where.astype(int)] = new
    expected = flat.view(complex).reshape(2, 3)
    assert_close(z, expected)
    for n, other in others.items():
        assert_close(other, VIEWS[n][1](expected), msg=n)


@every_view
def test_gradients_go_through_a_part(backend: Backend, name: str) -> None:
    make, _ = VIEWS[name]
    fast = backend.name != "numpy"

    def read(z: ad.Tensor) -> ad.Tensor:
        part = make(z)
        return part * part + 2 * part

    assert gradcheck(read, tensor(requires_grad=True), fast_mode=fast)
    assert gradgradcheck(read, tensor(requires_grad=True), fast_mode=fast)


@every_view
def test_gradients_go_through_a_write_to_a_part(backend: Backend, name: str) -> None:
    make, of = VIEWS[name]
    fast = backend.name != "numpy"
    shape = of(numbers()).shape
    value = ad.tensor(np.linspace(0.5, 2, math.prod(shape)).reshape(shape).tolist(), dtype=ad.float64)

    def written(z: ad.Tensor, y: ad.Tensor) -> ad.Tensor:
        w = z * (1 + 2j)
        part = make(w)
        part.mul_(y)
        return w * w + part.sum()

    assert gradcheck(written, (tensor(requires_grad=True), value.requires_grad_()), fast_mode=fast)
    assert gradgradcheck(written, (tensor(requires_grad=True), value), fast_mode=fast)


@every_view
def test_layouts_are_those_of_pytorch(backend: Backend, name: str) -> None:
    torch = pytest.importorskip("torch")
    if name == "backwards":
        pytest.skip("PyTorch has no slices backwards")
    z = torch.tensor(numbers())
    shown = {"real": torch.real, "imag": torch.imag, "pairs": torch.view_as_real}
    theirs = {
        **{n: f(z) for n, f in shown.items()},
        "imaginary parts of a column": z[:, 1].imag,
        "column of imaginary parts": z.imag[:, 1],
        "turned": z.mT.real,
        "diagonal": z.imag.diagonal(1),
        "there and back": torch.view_as_complex(torch.view_as_real(z)),
        "one number": z[1, 2].imag,
        "real parts of pairs": torch.view_as_real(z)[..., 0],
        "the real part of a real part": z.real.real,
        "one of a repeated row": z[:1].expand(4, 3)[2].imag,
        "one of a repeated part": z.real[:1].expand(4, 3)[2],
        "pairs of a repeated row": torch.view_as_real(z[1].expand(2, 3)[1]),
    }[name]
    ours = VIEWS[name][0](tensor())
    assert (ours.shape, ours.stride(), ours.storage_offset()) == (
        theirs.shape,
        theirs.stride(),
        theirs.storage_offset(),
    )
    assert ours.is_contiguous() == theirs.is_contiguous()


# Real tensors ---------------------------------------------------------------------------------------------------


def test_the_real_part_of_a_real_tensor_is_itself(backend: Backend) -> None:
    for x in (ad.ones(2, requires_grad=True), ad.arange(3)):
        assert x.real is x
        assert ad.real(x) is x


def test_the_imaginary_part_of_a_real_tensor_is_zero_and_no_view(backend: Backend) -> None:
    x = ad.tensor([1.0, math.inf, math.nan], requires_grad=True)
    y = x.imag
    y.sum().backward()
    assert (y.tolist(), x.grad.tolist()) == ([0, 0, 0], [0, 0, 0])
    with ad.no_grad():
        y.add_(5)
    assert x[0].item() == 1


# Writing parts --------------------------------------------------------------------------------------------------


def test_parts_are_assigned(backend: Backend) -> None:
    z = tensor()
    z.real = 7
    z.imag = ad.tensor([1.0, 2.0, 3.0])
    z[0].imag = z[1].real
    assert z.tolist() == [[7 + 7j, 7 + 7j, 7 + 7j], [7 + 1j, 7 + 2j, 7 + 3j]]
    x = ad.zeros(2)
    x.real = 3.0
    assert x.tolist() == [3, 3]


@pytest.mark.parametrize(
    ("write", "error", "match"),
    [
        (
            lambda z, x: setattr(x, "imag", 1.0),
            DTypeError,
            r"x.imag = y: a tensor of float32 has no imaginary part to wr",
        ),
        (lambda z, x: setattr(z, "real", 1j), DTypeError, r"x.real = y: a tensor of float64 cannot hold .*complex"),
        (lambda z, x: setattr(z, "imag", z), DTypeError, r"x.imag = y: a tensor of float64 cannot hold complex128"),
        (
            lambda z, x: setattr(z, "imag", ad.zeros(5)),
            ShapeError,
            r"x.imag = y: .*\(5,\) does not broadcast.*\(2, 3\)",
        ),
        (
            lambda z, x: setattr(z.requires_grad_(), "real", 1.0),
            AutogradError,
            "x.real = y: a view of a leaf tensor that",
        ),
        (lambda z, x: ad.view_as_real(x), DTypeError, "view_as_real takes complex arrays; got float32"),
        (lambda z, x: ad.view_as_complex(x), ShapeError, r"must have length 2, .*; got shape \(2, 4\)"),
        (
            lambda z, x: ad.view_as_complex(x[:, 1:3]),
            ShapeError,
            r"even; got strides \(4, 1\) and offset 1. Write view_as",
        ),
        (lambda z, x: ad.view_as_complex(x.mT), ShapeError, r"pairs in memory.*strides \(1, 4\)"),
        (lambda z, x: ad.view_as_complex(ad.zeros((3, 3))[:, :2]), ShapeError, r"strides \(3, 1\) and offset 0"),
        (lambda z, x: ad.view_as_complex(x.long()[:, :2]), DTypeError, "takes float32 or float64 arrays; got int64"),
        (lambda z, x: ad.real(x > 0), DTypeError, "real takes numeric arrays; got bool"),
        (lambda z, x: ad.imag(x > 0), DTypeError, "imag takes numeric arrays; got bool"),
        (lambda z, x: ad.complex(z, x), DTypeError, "complex takes real floating arrays; got complex128"),
    ],
)
def test_mistakes_are_named(
    backend: Backend, write: Callable[[Any, Any], Any], error: type[Exception], match: str
) -> None:
    z, x = tensor(), ad.zeros((2, 4))
    with pytest.raises(error, match=match):
        write(z, x)
    assert_close(z.detach(), numbers())
    assert x.tolist() == [[0] * 4] * 2


def test_what_is_not_pairs_becomes_so(backend: Backend) -> None:
    x = ad.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert ad.view_as_complex(x.mT.contiguous()).tolist() == [1 + 3j, 2 + 4j]
    assert ad.view_as_complex(ad.zeros((4, 2, 3))[..., :2][1:1]).shape == (0, 2)


def test_a_part_that_a_rule_keeps_must_not_be_overwritten(backend: Backend) -> None:
    z = tensor(requires_grad=True) * 1
    loss = (z.real * z.real).sum()
    z.imag.zero_()  # the same memory's version, as in PyTorch
    with pytest.raises(AutogradError, match=r"MultiplyBackward kept .* overwritten by an in-place operation \(zero_\)"):
        loss.backward()


# Made of parts --------------------------------------------------------------------------------------------------

EDGES = [0.0, -0.0, 1.5, -1.5, math.inf, -math.inf, math.nan]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_parts_are_exactly_as_given(loaded_backend: Backend, dtype: str) -> None:
    with ad.use_backend(loaded_backend.name):
        pairs = list(itertools.product(EDGES, EDGES))
        real, imag = (ad.tensor([p[i] for p in pairs], dtype=dtype) for i in (0, 1))
        made = ad.complex(real, imag)
        for got, (a, b) in zip(made.tolist(), pairs, strict=True):
            for x, y in ((got.real, a), (got.imag, b)):
                assert math.copysign(1, x) == math.copysign(1, y) or math.isnan(y)
                assert x == y or (math.isnan(x) and math.isnan(y))
        assert_close(made.real, real, equal_nan=True)
        assert_close(ad.view_as_complex(ad.view_as_real(made)), made, equal_nan=True)


def test_numbers_and_types(backend: Backend) -> None:
    half = [d for d in (ad.float16, ad.bfloat16) if d in backend.dtypes]
    for dtype in (*half, ad.float32, ad.int64):
        made = ad.complex(ad.ones(2, dtype=dtype), 2.0)
        assert (made.dtype, made.tolist()) == (ad.complex64, [1 + 2j] * 2)
    assert ad.complex(1.0, ad.zeros(2, dtype=ad.float64)).dtype is ad.complex128
    assert ad.complex(ad.ones(3, 1), ad.ones(2)).shape == (3, 2)
    for dtype in half:
        x = ad.ones(2, dtype=dtype, requires_grad=True)
        ad.complex(x, x).imag.sum().backward()
        assert (x.grad.dtype, x.grad.tolist()) == (dtype, [1, 1])


def test_infinite_parts_have_gradients(backend: Backend) -> None:
    x = ad.tensor([1.0, 2.0], requires_grad=True)
    z = ad.complex(x, ad.tensor([math.inf, 1.0]))
    (z.real * ad.tensor([3.0, math.inf])).sum().backward()
    assert x.grad.tolist() == [3, math.inf]
    w = tensor(requires_grad=True)
    (g,) = ad.autograd.grad(w.imag, w, ad.full((2, 3), math.inf, dtype=ad.float64))
    assert g.tolist() == [[complex(0, math.inf)] * 3] * 2


def test_polar(backend: Backend) -> None:
    sizes, angles = [0.0, 1.0, 2.0], [0.5, -math.pi / 2, math.pi]
    z = ad.polar(ad.tensor(sizes, dtype=ad.float64), ad.tensor(angles, dtype=ad.float64))
    assert_close(z, np.array(sizes) * np.exp(1j * np.array(angles)), atol=1e-12)
    assert_close(abs(z), np.array(sizes), atol=1e-12)
    # PyTorch's gradient has another sign where the size is negative
    negative = ad.tensor([-1.0, 2.0], dtype=ad.float64, requires_grad=True)
    assert gradcheck(lambda size: ad.polar(size, 0.5), negative, fast_mode=backend.name != "numpy")
