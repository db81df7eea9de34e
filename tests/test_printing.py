"""Tests of the printed form of tensors."""

import math
import random
from collections.abc import Iterator
from typing import Any

import pytest

from polyad.printing import PrintOptions, format_tensor, get_printoptions, set_printoptions

KINDS = {
    "bool": "bool",
    "int8": "integer",
    "uint8": "integer",
    "int32": "integer",
    "int64": "integer",
    "float16": "real floating",
    "bfloat16": "real floating",
    "float32": "real floating",
    "float64": "real floating",
    "complex64": "complex floating",
    "complex128": "complex floating",
}
UNNAMED = {"bool", "int64", "float32", "complex64"}


@pytest.fixture(autouse=True)
def default_printoptions() -> Iterator[None]:
    """Print each test with the default options, and leave them behind."""
    set_printoptions(profile="default")
    yield
    set_printoptions(profile="default")


def shape_of(nested: Any) -> tuple[int, ...]:
    return (len(nested), *shape_of(nested[0])) if isinstance(nested, list) else ()


def pick(nested: Any, index: tuple[Any, ...]) -> Any:
    """Index nested lists with slices the way an array is indexed."""
    return [pick(item, index[1:]) for item in nested[index[0]]] if index else nested


def printed(nested: Any, dtype: str, *suffixes: str) -> str:
    if dtype not in UNNAMED:
        suffixes = (f"dtype=torch.{dtype}", *suffixes)
    return format_tensor(shape_of(nested), KINDS[dtype], lambda index: pick(nested, index), suffixes=suffixes)


def no_fetch(index: tuple[Any, ...]) -> Any:
    pytest.fail(f"fetched {index}, which is not printed")


# What PyTorch 2.13 prints; `test_literals_are_pytorch` checks these against the PyTorch installed.
LITERALS = [
    pytest.param(
        3.14159265,
        "float32",
        "tensor(3.1416)",
        id="scalar",
    ),
    pytest.param(
        -2.0,
        "float32",
        "tensor(-2.)",
        id="whole-scalar",
    ),
    pytest.param(
        7,
        "int64",
        "tensor(7)",
        id="integer-scalar",
    ),
    pytest.param(
        True,
        "bool",
        "tensor(True)",
        id="bool-scalar",
    ),
    pytest.param(
        1 + 2j,
        "complex64",
        "tensor(1.+2.j)",
        id="complex-scalar",
    ),
    pytest.param(
        float("nan"),
        "float32",
        "tensor(nan)",
        id="nan-scalar",
    ),
    pytest.param(
        [1.0, -2.0, 30.0],
        "float32",
        "tensor([ 1., -2., 30.])",
        id="whole",
    ),
    pytest.param(
        [0.1, -2.5, 300.0],
        "float32",
        "tensor([ 1.0000e-01, -2.5000e+00,  3.0000e+02])",
        id="fixed",
    ),
    pytest.param(
        [0.0, -0.0],
        "float32",
        "tensor([0., -0.])",
        id="zeros",
    ),
    pytest.param(
        [0.5, 500.0],
        "float32",
        "tensor([  0.5000, 500.0000])",
        id="ratio-of-1000",
    ),
    pytest.param(
        [0.5, 501.0],
        "float32",
        "tensor([5.0000e-01, 5.0100e+02])",
        id="ratio-over-1000",
    ),
    pytest.param(
        [100000001.5, 200000000.0],
        "float64",
        "tensor([1.0000e+08, 2.0000e+08], dtype=torch.float64)",
        id="large",
    ),
    pytest.param(
        [1e8],
        "float32",
        "tensor([100000000.])",
        id="whole-of-1e8",
    ),
    pytest.param(
        [1e9],
        "float32",
        "tensor([1.0000e+09])",
        id="whole-over-1e8",
    ),
    pytest.param(
        [5e-5, 1e-4],
        "float64",
        "tensor([5.0000e-05, 1.0000e-04], dtype=torch.float64)",
        id="small",
    ),
    pytest.param(
        [1e-4, 2e-3],
        "float64",
        "tensor([0.0001, 0.0020], dtype=torch.float64)",
        id="not-yet-small",
    ),
    pytest.param(
        [1.0, 1001.0],
        "float32",
        "tensor([1.0000e+00, 1.0010e+03])",
        id="whole-ratio-over-1000",
    ),
    pytest.param(
        [1.0, float("inf"), float("-inf"), float("nan")],
        "float32",
        "tensor([1., inf, -inf, nan])",
        id="infinities",
    ),
    pytest.param(
        [0.5, float("inf"), float("nan")],
        "float32",
        "tensor([0.5000,    inf,    nan])",
        id="infinities-and-fraction",
    ),
    pytest.param(
        [1e-10, float("nan"), 0.0, -1.0],
        "float32",
        "tensor([ 1.0000e-10,         nan,  0.0000e+00, -1.0000e+00])",
        id="scientific-with-nan",
    ),
    pytest.param(
        [float("nan"), float("inf"), 0.0],
        "float32",
        "tensor([nan, inf, 0.])",
        id="no-finite-value",
    ),
    pytest.param(
        [1, -20, 300],
        "int64",
        "tensor([  1, -20, 300])",
        id="integers",
    ),
    pytest.param(
        [True, False, True],
        "bool",
        "tensor([ True, False,  True])",
        id="bools",
    ),
    pytest.param(
        [1 + 2j, -3 - 4j],
        "complex64",
        "tensor([ 1.+2.j, -3.-4.j])",
        id="complex-whole",
    ),
    pytest.param(
        [1.5 + 2j, -3 - 40j, 0j],
        "complex128",
        "tensor([ 1.5000+2.j, -3.0000-40.j,  0.0000+0.j], dtype=torch.complex128)",
        id="complex-mixed",
    ),
    pytest.param(
        [1e-6 + 1j, 1 - 1j],
        "complex128",
        "tensor([1.0000e-06+1.j, 1.0000e+00-1.j], dtype=torch.complex128)",
        id="complex-scientific",
    ),
    pytest.param(
        [complex(float("nan"), float("inf")), complex(1, -0.0)],
        "complex64",
        "tensor([nan+infj, 1.-0.j])",
        id="complex-nan",
    ),
    pytest.param(
        [[1, 2], [3, 40]],
        "int64",
        "tensor([[ 1,  2],\n        [ 3, 40]])",
        id="matrix",
    ),
    pytest.param(
        [[[1.0, 2.0]], [[3.0, 4.5]]],
        "float32",
        "tensor([[[1.0000, 2.0000]],\n\n        [[3.0000, 4.5000]]])",
        id="batch",
    ),
    pytest.param(
        [[[[1], [2]]], [[[3], [4]]]],
        "int64",
        "tensor([[[[1],\n          [2]]],\n\n\n        [[[3],\n          [4]]]])",
        id="four-dimensions",
    ),
    pytest.param(
        [n / 8 for n in range(12)],
        "float32",
        "tensor([0.0000, 0.1250, 0.2500, 0.3750, 0.5000, 0.6250, 0.7500, 0.8750, 1.0000,\n"
        "        1.1250, 1.2500, 1.3750])",
        id="wrapped",
    ),
    pytest.param(
        [list(range(1000, 1015)), list(range(15))],
        "int64",
        "tensor([[1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009, 1010, 1011,\n"
        "         1012, 1013, 1014],\n"
        "        [   0,    1,    2,    3,    4,    5,    6,    7,    8,    9,   10,   11,\n"
        "           12,   13,   14]])",
        id="wrapped-rows",
    ),
    pytest.param(
        [complex(n, -n) for n in range(12)],
        "complex64",
        "tensor([ 0.+0.j,  1.-1.j,  2.-2.j,  3.-3.j,  4.-4.j,  5.-5.j,  6.-6.j,\n"
        "         7.-7.j,  8.-8.j,  9.-9.j, 10.-10.j, 11.-11.j])",
        id="wrapped-complex",
    ),
    pytest.param(
        [[[True] * 2] * 2] * 3,
        "bool",
        "tensor([[[True, True],\n"
        "         [True, True]],\n"
        "\n"
        "        [[True, True],\n"
        "         [True, True]],\n"
        "\n"
        "        [[True, True],\n"
        "         [True, True]]])",
        id="at-threshold-bools",
    ),
    pytest.param(
        [float(n) for n in range(1001)],
        "float32",
        "tensor([   0.,    1.,    2.,  ...,  998.,  999., 1000.])",
        id="summarised",
    ),
    pytest.param(
        [[row * col for col in range(40)] for row in range(40)],
        "int64",
        "tensor([[   0,    0,    0,  ...,    0,    0,    0],\n"
        "        [   0,    1,    2,  ...,   37,   38,   39],\n"
        "        [   0,    2,    4,  ...,   74,   76,   78],\n"
        "        ...,\n"
        "        [   0,   37,   74,  ..., 1369, 1406, 1443],\n"
        "        [   0,   38,   76,  ..., 1406, 1444, 1482],\n"
        "        [   0,   39,   78,  ..., 1443, 1482, 1521]])",
        id="summarised-matrix",
    ),
    pytest.param(
        [0.5, 1.5] * 300 + [123456.0] + [0.5, 1.5] * 300,
        "float32",
        "tensor([0.5000, 1.5000, 0.5000,  ..., 1.5000, 0.5000, 1.5000])",
        id="summarised-width",
    ),
    pytest.param(
        [[n, -n] for n in range(600)],
        "int64",
        "tensor([[   0,    0],\n"
        "        [   1,   -1],\n"
        "        [   2,   -2],\n"
        "        ...,\n"
        "        [ 597, -597],\n"
        "        [ 598, -598],\n"
        "        [ 599, -599]])",
        id="summarised-rows-only",
    ),
    pytest.param(
        [list(range(600)), list(range(600))],
        "int64",
        "tensor([[  0,   1,   2,  ..., 597, 598, 599],\n        [  0,   1,   2,  ..., 597, 598, 599]])",
        id="summarised-columns-only",
    ),
    pytest.param(
        [[[c - a for c in range(10)] for b in range(2)] for a in range(60)],
        "int64",
        "tensor([[[  0,   1,   2,  ...,   7,   8,   9],\n"
        "         [  0,   1,   2,  ...,   7,   8,   9]],\n"
        "\n"
        "        [[ -1,   0,   1,  ...,   6,   7,   8],\n"
        "         [ -1,   0,   1,  ...,   6,   7,   8]],\n"
        "\n"
        "        [[ -2,  -1,   0,  ...,   5,   6,   7],\n"
        "         [ -2,  -1,   0,  ...,   5,   6,   7]],\n"
        "\n"
        "        ...,\n"
        "\n"
        "        [[-57, -56, -55,  ..., -50, -49, -48],\n"
        "         [-57, -56, -55,  ..., -50, -49, -48]],\n"
        "\n"
        "        [[-58, -57, -56,  ..., -51, -50, -49],\n"
        "         [-58, -57, -56,  ..., -51, -50, -49]],\n"
        "\n"
        "        [[-59, -58, -57,  ..., -52, -51, -50],\n"
        "         [-59, -58, -57,  ..., -52, -51, -50]]])",
        id="summarised-batch",
    ),
]


@pytest.mark.parametrize(("nested", "dtype", "expected"), LITERALS)
def test_literals(nested: Any, dtype: str, expected: str) -> None:
    assert printed(nested, dtype) == expected


@pytest.mark.parametrize(("nested", "dtype", "expected"), LITERALS)
def test_literals_are_pytorch(nested: Any, dtype: str, expected: str) -> None:
    torch = pytest.importorskip("torch")
    assert str(torch.tensor(nested, dtype=getattr(torch, dtype))) == expected


@pytest.mark.parametrize(
    ("shape", "suffixes", "expected"),
    [
        ((0,), [], "tensor([])"),
        ((0,), ["dtype=torch.int64"], "tensor([], dtype=torch.int64)"),
        ((2, 0), [], "tensor([], size=(2, 0))"),
        (
            (0, 3),
            ["dtype=torch.float64", "requires_grad=True"],
            "tensor([], size=(0, 3), dtype=torch.float64, requires_grad=True)",
        ),
        ((0, 3), ["device='cuda:0'"], "tensor([], device='cuda:0', size=(0, 3))"),
    ],
)
def test_empty(shape: tuple[int, ...], suffixes: list[str], expected: str) -> None:
    assert format_tensor(shape, "real floating", no_fetch, suffixes=suffixes) == expected


def test_suffixes_follow_the_data_where_they_fit() -> None:
    assert printed([1.0], "float32", "requires_grad=True") == "tensor([1.], requires_grad=True)"
    assert printed(2.5, "float64", "grad_fn=<Mul>") == "tensor(2.5000, dtype=torch.float64, grad_fn=<Mul>)"
    matrix = "tensor([[1.],\n        [2.]], requires_grad=True)"
    assert printed([[1.0], [2.0]], "float32", "requires_grad=True") == matrix


def test_suffixes_that_do_not_fit_start_a_line() -> None:
    data = "tensor([0.5000, 0.5000, 0.5000, 0.5000, 0.5000, 0.5000]"
    assert len(data) == 55
    last_to_fit = "grad_fn=<Abcdefghijk>"
    assert printed([0.5] * 6, "float32", last_to_fit) == f"{data}, {last_to_fit})"
    first_not_to_fit = "grad_fn=<Abcdefghijkl>"
    assert printed([0.5] * 6, "float32", first_not_to_fit) == f"{data},\n       {first_not_to_fit})"
    assert printed([0.5] * 6, "float32", first_not_to_fit, "names=x") == (
        f"{data},\n       {first_not_to_fit}, names=x)"
    )


def test_prefix_sets_the_indent() -> None:
    text = format_tensor((2, 1), "integer", lambda index: pick([[1], [2]], index), prefix="polyad(")
    assert text == "polyad([[1],\n        [2]])"
    text = format_tensor((2, 1), "integer", lambda index: pick([[1], [2]], index), prefix="t(")
    assert text == "t([[1],\n   [2]])"


def test_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown kind of elements: 'text'"):
        format_tensor((2,), "text", no_fetch)


def test_only_what_is_printed_is_fetched() -> None:
    count = 0

    def fetch(index: tuple[Any, ...]) -> Any:
        nonlocal count
        planes, rows, columns = (range(1000)[part] for part in index)
        count += len(planes) * len(rows) * len(columns)
        assert count <= 6**3
        return [[[10**6 * p + 1000 * r + c for c in columns] for r in rows] for p in planes]

    text = format_tensor((1000, 1000, 1000), "integer", fetch)
    assert count == 6**3
    lines = text.split("\n")
    assert lines[0] == ("tensor([[[        0,         1,         2,  ...,       997,       998,")
    assert lines[-1] == "          999999999]]])"


def test_large_vector() -> None:
    def fetch(index: tuple[Any, ...]) -> Any:
        (part,) = index
        assert len(range(10**9)[part]) == 3
        return [float(n % 10) for n in range(10**9)[part]]

    assert format_tensor((10**9,), "real floating", fetch) == "tensor([0., 1., 2.,  ..., 7., 8., 9.])"


@pytest.mark.parametrize(
    ("options", "nested", "dtype", "expected"),
    [
        ({"precision": 2}, [0.126, 1.0], "float32", "tensor([0.13, 1.00])"),
        ({"precision": 0}, [0.6, 1.0], "float32", "tensor([1, 1])"),
        ({"sci_mode": True}, [1.0, 2.0], "float32", "tensor([1.0000e+00, 2.0000e+00])"),
        ({"sci_mode": True}, [0.0, -0.0], "float32", "tensor([0., -0.])"),
        ({"sci_mode": False}, [1e-6, 1.0], "float64", "tensor([0.0000, 1.0000], dtype=torch.float64)"),
        ({"sci_mode": False}, [1.0, 1e9], "float32", "tensor([         1., 1000000000.])"),
        ({"linewidth": 20}, [1, 2, 3, 4, 5], "int64", "tensor([1, 2, 3, 4,\n        5])"),
        ({"linewidth": 5}, [10, 20], "int64", "tensor([10,\n        20])"),
        ({"threshold": 4, "edgeitems": 1}, [1, 2, 3, 4, 50], "int64", "tensor([ 1,  ..., 50])"),
        ({"threshold": 5, "edgeitems": 1}, [1, 2, 3, 4, 50], "int64", "tensor([ 1,  2,  3,  4, 50])"),
        ({"threshold": 3, "edgeitems": 1}, [[1, 2], [3, 4]], "int64", "tensor([[1, 2],\n        [3, 4]])"),
        ({"threshold": 0}, 5, "int64", "tensor(5)"),
        ({"threshold": 0, "edgeitems": 0}, [1, 2], "int64", "tensor([...], size=(2,))"),
        ({"threshold": 0, "edgeitems": 0}, [[1], [2]], "int64", "tensor([...], size=(2, 1))"),
        ({"edgeitems": 0}, [1, 2], "int64", "tensor([1, 2], size=(2,))"),
        (
            {"profile": "short"},
            [0.125] * 1001,
            "float64",
            "tensor([0.12, 0.12,  ..., 0.12, 0.12], dtype=torch.float64)",
        ),
    ],
)
def test_options(options: dict[str, Any], nested: Any, dtype: str, expected: str) -> None:
    set_printoptions(**options)
    assert printed(nested, dtype) == expected


def test_full_profile_prints_everything() -> None:
    set_printoptions(profile="full")
    text = printed([0] * 5000, "int64")
    assert "..." not in text
    assert text.count("0") == 5000


def test_set_printoptions() -> None:
    assert get_printoptions() == PrintOptions()
    set_printoptions(precision=6, sci_mode=True)
    assert get_printoptions() == PrintOptions(precision=6, sci_mode=True)
    set_printoptions(linewidth=100)
    assert get_printoptions() == PrintOptions(precision=6, linewidth=100)
    set_printoptions(profile="no such profile")
    assert get_printoptions() == PrintOptions(precision=6, linewidth=100)
    set_printoptions(edgeitems=5, profile="short")
    assert get_printoptions() == PrintOptions(precision=2, edgeitems=5)
    set_printoptions(profile="full")
    assert get_printoptions() == PrintOptions(threshold=math.inf)
    set_printoptions(profile="default")
    assert get_printoptions() == PrintOptions()


# -- Random tensors, compared with PyTorch ---------------------------------------------------------------


def random_shape(rng: random.Random) -> tuple[int, ...]:
    while True:
        sizes = (rng.choice([0, 1, 2, 6, 7, 30, 130, 1100, rng.randint(1, 9)]) for _ in range(rng.randint(0, 4)))
        shape = tuple(sizes)
        if math.prod(shape) <= 100_000 and (0 not in shape or rng.random() < 0.3):
            return shape


def random_reals(torch: Any, rng: random.Random, shape: tuple[int, ...]) -> Any:
    """Reals of many magnitudes, whole or not, some of them special."""
    values = torch.randn(shape, dtype=torch.float64)
    manner = rng.choice(["plain", "scaled", "spread", "whole", "large whole", "steps", "zero"])
    if manner == "scaled":
        values *= 10.0 ** rng.randint(-40, 40)
    elif manner == "spread":
        values *= 10.0 ** torch.randint(-9, 9, shape)
    elif manner == "whole":
        values = (values * 3).round()
    elif manner == "large whole":
        values = (values * 10.0 ** rng.randint(0, 12)).round()
    elif manner == "steps":
        values = (values * 3).round() * rng.choice([0.5, 0.1, 2e-5])
    elif manner == "zero":
        values *= 0
    if rng.random() < 0.35:
        for special in rng.sample([math.nan, math.inf, -math.inf, 0.0, -0.0], 2):
            values[torch.rand(shape) < rng.choice([0.01, 0.3, 1.0])] = special
    return values


def random_tensor(torch: Any, rng: random.Random, name: str) -> Any:
    shape = random_shape(rng)
    dtype = getattr(torch, name)
    if name == "bool":
        return torch.rand(shape) < rng.choice([0.01, 0.5, 1.0])
    if KINDS[name] == "integer":
        info, size = torch.iinfo(dtype), rng.choice([1, 10, 127, 10**5, 10**18])
        return torch.randint(max(info.min, -size), min(info.max, size), shape, dtype=dtype)
    if KINDS[name] == "complex floating":
        parts = random_reals(torch, rng, shape), random_reals(torch, rng, shape)
        return torch.complex(*parts).to(dtype)
    return random_reals(torch, rng, shape).to(dtype)


def random_options(rng: random.Random) -> dict[str, Any]:
    if rng.random() < 0.6:
        return {}
    return {
        "precision": rng.choice([None, 0, 2, 6]),
        "threshold": rng.choice([None, 0, 5, 50]),
        "edgeitems": rng.choice([None, 1, 2, 5]),
        "linewidth": rng.choice([None, 5, 40, 120]),
        "profile": rng.choice([None, "short"]),
        "sci_mode": rng.choice([None, True, False]),
    }


@pytest.mark.parametrize("name", KINDS)
def test_random_tensors_print_as_in_pytorch(name: str) -> None:
    torch = pytest.importorskip("torch")
    rng = random.Random(f"printing {name}")
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(rng.randrange(2**32))
            for _ in range(80):
                check_against_torch(torch, rng, name)
    finally:
        torch.set_printoptions(profile="default")


def check_against_torch(torch: Any, rng: random.Random, name: str) -> None:
    values = random_tensor(torch, rng, name)
    tensor, suffixes = values, []
    if name not in UNNAMED or (values.numel() == 0 and name != "float32"):
        suffixes.append(f"dtype=torch.{name}")
    if KINDS[name].endswith("floating") and rng.random() < 0.4:
        tensor = values.clone().requires_grad_()
        if rng.random() < 0.5:
            tensor = tensor.clone()
            suffixes.append("grad_fn=<CloneBackward0>")
        else:
            suffixes.append("requires_grad=True")
    options = random_options(rng)
    set_printoptions(profile="default")
    torch.set_printoptions(profile="default")
    set_printoptions(**options)
    torch.set_printoptions(**options)
    text = format_tensor(tuple(values.shape), KINDS[name], lambda index: values[index].tolist(), suffixes=suffixes)
    assert text == str(tensor), (options, tuple(values.shape))
