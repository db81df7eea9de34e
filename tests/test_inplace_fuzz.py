"""Random programs of views, in-place writes and arithmetic: the same values, gradients and errors everywhere.

A program is a list of instructions over numbered variables. It is interpreted by polyad on NumPy, where writes go to
memory that views share, by polyad on JAX, whose arrays cannot be written, and, where it is installed, by PyTorch.
"""

import math
import random
from typing import Any, NamedTuple

import numpy as np
import pytest

import polyad as ad
from polyad.errors import BackendError
from polyad.plugins import plugins

PROGRAMS = 300
LENGTH = 12
BATCH = 25  # programs a test, so that a failure names its seed and the rest still run


class Step(NamedTuple):
    """One instruction: what to do with which variables, and whether operations are recorded meanwhile.

    ``apart`` says that what is written comes from memory of its own, and operands are in row-major order.
    """

    kind: str
    target: int
    other: int
    argument: Any
    recorded: bool
    apart: bool = False


# Writing programs ---------------------------------------------------------------------------------------------


def shapes_of(size: int, rank: int, draw: random.Random) -> tuple[int, ...]:
    """A random shape of ``size`` elements."""
    shape = []
    for _ in range(rank - 1):
        n = draw.choice([d for d in range(1, size + 1) if size % d == 0])
        shape.append(n)
        size //= n
    return (*shape, size)


def index_for(shape: tuple[int, ...], draw: random.Random) -> tuple[Any, ...]:
    """A random basic index; of positive steps, as PyTorch has no others."""
    index: list[Any] = []
    for n in shape[: draw.randint(0, len(shape))]:
        kind = draw.choice(["int", "slice", "all", "step"])
        if kind == "int" and n:
            index.append(draw.randrange(-n, n))
        elif kind == "slice":
            start = draw.randint(0, max(n - 1, 0))
            index.append(slice(start, draw.randint(start + 1, max(n, start + 1))))
        elif kind == "step":
            index.append(slice(None, None, 2))
        else:
            index.append(slice(None))
    if draw.random() < 0.2:
        index.insert(draw.randint(0, len(index)), None)
    return tuple(index)


VIEWS = ("index", "transpose", "reshape", "view", "unsqueeze", "squeeze", "expand", "detach")
WRITES = ("add_", "mul_", "copy_", "sub_", "fill_", "zero_", "tanh_", "sin_", "setitem", "mul_number_")
VALUES = ("add", "mul", "tanh", "exp", "sum", "clone", "number")


def write_program(seed: int) -> tuple[list[tuple[int, ...]], list[Step]]:
    """A random program: shapes of the leaves, and instructions. Shapes are followed on NumPy arrays."""
    draw = random.Random(seed)
    leaves = [draw.choice([(4,), (2, 3), (3, 4), (2, 3, 2)]) for _ in range(2)]
    shadows: list[np.ndarray] = [np.zeros(s) for s in leaves]
    steps: list[Step] = []
    # a part of an expanded tensor that shows nothing twice can be written in PyTorch, but not in polyad
    inside_expanded: set[int] = set()
    steps_made: dict[int, str] = {}
    # the first thing done to each leaf makes it writable
    for i in range(len(leaves)):
        steps.append(Step("number", i, i, 1.0, True))
        shadows.append(np.zeros(leaves[i]))
    while len(steps) < LENGTH:
        family = draw.choices([VIEWS, WRITES, VALUES], [4, 4, 3])[0]
        kind = draw.choice(family)
        # mostly variables that may be written; now and then a leaf, which may not
        target = draw.randrange(len(leaves), len(shadows)) if draw.random() < 0.9 else draw.randrange(len(leaves))
        x = shadows[target]
        fitting = [i for i, s in enumerate(shadows) if _broadcasts(s.shape, x.shape)]
        other = draw.choice(fitting)
        argument: Any = None
        if kind in ("index", "setitem"):
            argument = index_for(x.shape, draw)
            if kind == "setitem":
                region = x[argument].shape
                other = draw.choice([i for i, s in enumerate(shadows) if _broadcasts(s.shape, region)] or [-1])
        elif kind == "transpose":
            argument = tuple(draw.sample(range(x.ndim), x.ndim))
        elif kind in ("reshape", "view"):
            argument = shapes_of(x.size, draw.randint(1, 3), draw)
        elif kind == "unsqueeze":
            argument = draw.randint(0, x.ndim)
        elif kind == "expand":
            argument = (2, *(3 if n == 1 else n for n in x.shape))
        elif kind in ("fill_", "mul_number_", "number"):
            argument = round(draw.uniform(-1.5, 1.5), 3)
        elif kind == "sum":
            argument = draw.randrange(x.ndim) if x.ndim else ()
        if x.size == 0 or x.size > 40 or (kind in WRITES and target in inside_expanded):
            continue
        if kind in ("fill_", "zero_", "setitem") and steps_made.get(target) == "expand":
            continue  # PyTorch writes one number into elements that share a place
        steps.append(Step(kind, target, other, argument, draw.random() > 0.08))
        if kind in VIEWS and (target in inside_expanded or steps_made.get(target) == "expand"):
            inside_expanded.add(len(shadows))
        if kind not in WRITES:
            steps_made[len(shadows)] = kind
            shadows.append(_shadow(kind, x, shadows[other], argument))
    return leaves, steps


def for_torch(steps: list[Step]) -> list[Step]:
    """The program without what PyTorch leaves undefined or forbids.

    Those are writes from memory that overlaps what is written, and writes through views made under ``no_grad``. And
    PyTorch's results take over the order of transposed operands, while polyad's are in row-major order.
    """
    return [s._replace(apart=True, recorded=s.recorded or s.kind in VIEWS) for s in steps]


def _broadcasts(shape: tuple[int, ...], into: tuple[int, ...]) -> bool:
    return len(shape) <= len(into) and all(n in (1, m) for n, m in zip(reversed(shape), reversed(into), strict=False))


def _shadow(kind: str, x: np.ndarray, other: np.ndarray, argument: Any) -> np.ndarray:
    """An array of the shape that an instruction's result has."""
    if kind == "index":
        return x[argument]
    if kind == "transpose":
        return x.transpose(argument)
    if kind in ("reshape", "view"):
        return x.reshape(argument)
    if kind == "unsqueeze":
        return np.expand_dims(x, argument)
    if kind == "squeeze":
        return x.squeeze()
    if kind == "expand":
        return np.broadcast_to(x, argument)
    return x.sum(argument) if kind == "sum" else x


# Running them -------------------------------------------------------------------------------------------------


def run_step(step: Step, variables: list[Any], library: Any) -> Any:
    """Carry out one instruction; gives the new variable, or None where one was written."""
    x, other, a = variables[step.target], variables[step.other], step.argument
    if step.apart and step.kind in WRITES:
        other = other.clone()
    elif step.apart and step.kind in VALUES:
        x, other = x.contiguous(), other.contiguous()
    match step.kind:
        case "index":
            return x[a]
        case "transpose":
            return x.permute(a)
        case "reshape":
            return x.reshape(a)
        case "view":
            return x.view(a)
        case "unsqueeze":
            return x.unsqueeze(a)
        case "squeeze":
            return x.squeeze()
        case "expand":
            return x.expand(a)
        case "detach":
            return x.detach()
        case "add":
            return x + other
        case "mul":
            return x * other
        case "tanh":
            return x.tanh()
        case "exp":
            return (x * 0.25).exp()
        case "sum":
            return x.sum() if a == () else x.sum(a)
        case "clone":
            return x.clone()
        case "number":
            return x * a
        case "add_":
            x.add_(other)
        case "sub_":
            x.sub_(other)
        case "mul_":
            x.mul_(other)
        case "mul_number_":
            x.mul_(a)
        case "copy_":
            x.copy_(other)
        case "fill_":
            x.fill_(a)
        case "zero_":
            x.zero_()
        case "tanh_" if library.name == "torch":
            x.copy_(x.tanh())  # tanh_ would keep the memory it writes for its gradient; polyad's keeps a copy
        case "tanh_":
            x.tanh_()
        case "sin_":
            x.sin_()
        case "setitem":
            x[a] = other if step.other >= 0 else 0.5
    return None


class Polyad:
    """The library under test, on one backend."""

    errors = (ad.errors.PolyadError,)

    def __init__(self, name: str) -> None:
        self.name = name
        self.no_grad, self.where = ad.no_grad, plugins.backend(name).name

    def leaf(self, values: np.ndarray) -> Any:
        return ad.tensor(values.tolist(), dtype=ad.float64, backend=self.where, requires_grad=True)

    @staticmethod
    def gradients(total: Any, leaves: list[Any]) -> list[Any]:
        return list(ad.autograd.grad(total, leaves, allow_unused=True))


class Torch:
    """The reference."""

    name = "torch"
    errors = (RuntimeError,)

    def __init__(self) -> None:
        self.torch = pytest.importorskip("torch")
        self.no_grad = self.torch.no_grad

    def leaf(self, values: np.ndarray) -> Any:
        return self.torch.tensor(values, dtype=self.torch.float64, requires_grad=True)

    def gradients(self, total: Any, leaves: list[Any]) -> list[Any]:
        return list(self.torch.autograd.grad(total, leaves, allow_unused=True))


class Outcome(NamedTuple):
    """What a program did: its values and gradients, who required a gradient, and which steps raised."""

    values: list[np.ndarray | None]
    required: list[bool]
    raised: list[int]
    gradients: list[np.ndarray | None] | str


def run(library: Any, leaves: list[tuple[int, ...]], steps: list[Step]) -> Outcome:
    """Interpret a program. A step that raises leaves everything as it was, and a hole for its variable."""
    numbers = random.Random(0)
    made = [np.array([numbers.uniform(-1, 1) for _ in range(math.prod(s))]).reshape(s) for s in leaves]
    variables = [library.leaf(v) for v in made]
    starts = list(variables)
    raised = []
    for number, step in enumerate(steps):
        if variables[step.target] is None or variables[step.other] is None:
            if step.kind not in WRITES:
                variables.append(None)
            continue
        result = None
        try:
            if step.recorded:
                result = run_step(step, variables, library)
            else:
                with library.no_grad():
                    result = run_step(step, variables, library)
        except library.errors:
            raised.append(number)
        if step.kind not in WRITES:
            variables.append(result)
    alive = [v for v in variables if v is not None]
    total = sum(((v * v).sum() * (i + 1) for i, v in enumerate(alive)), 0.0)
    try:
        found: Any = [None if g is None else np.asarray(g.detach().numpy()) for g in library.gradients(total, starts)]
    except library.errors:
        found = "stale"
    values = [None if v is None else np.array(v.detach().numpy()) for v in variables]
    return Outcome(values, [v is not None and v.requires_grad for v in variables], raised, found)


def compare(seed: int, program: Any, a: Outcome, b: Outcome, names: str) -> None:
    """Raise with the program if two interpreters differ."""
    try:
        assert a.raised == b.raised, f"steps that raised: {a.raised} and {b.raised}"
        assert a.required == b.required, f"requires_grad: {a.required} and {b.required}"
        compare_arrays("variable", a.values, b.values)
        if isinstance(a.gradients, str) or isinstance(b.gradients, str):
            assert a.gradients == b.gradients
        else:
            compare_arrays("gradient", a.gradients, b.gradients)
    except AssertionError as error:
        leaves, steps = program
        listed = "\n".join(f"  {i}: {s}" for i, s in enumerate(steps))
        raise AssertionError(f"program {seed}, {names}: {error}\nleaves {leaves}\n{listed}") from None


def compare_arrays(what: str, xs: list[Any], ys: list[Any]) -> None:
    for i, (x, y) in enumerate(zip(xs, ys, strict=True)):
        assert (x is None) == (y is None), f"{what} {i}: {x} and {y}"
        if x is not None:
            np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-10, err_msg=f"{what} {i}")


@pytest.fixture(scope="module")
def other(request: pytest.FixtureRequest) -> Any:
    """What NumPy is compared with."""
    if request.param == "torch":
        return Torch()
    try:
        return Polyad(request.param)
    except BackendError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("other", ["jax", "torch", "cupy"], indirect=True)
@pytest.mark.parametrize("first", range(0, PROGRAMS, BATCH))
def test_programs_agree_with_numpy(other: Any, first: int) -> None:
    here = Polyad("numpy")
    for seed in range(first, first + BATCH):
        leaves, steps = write_program(seed)
        program = leaves, for_torch(steps) if other.name == "torch" else steps
        compare(seed, program, run(here, *program), run(other, *program), f"numpy and {other.name}")


def test_programs_do_what_they_are_for() -> None:
    """Most programs have gradients; some end in a stale value, and some steps are refused."""
    outcomes = [run(Polyad("numpy"), *write_program(seed)) for seed in range(PROGRAMS)]
    stale = sum(isinstance(o.gradients, str) for o in outcomes)
    refused = sum(bool(o.raised) for o in outcomes)
    assert 0.1 * PROGRAMS < stale < 0.5 * PROGRAMS
    assert 0.2 * PROGRAMS < refused < 0.8 * PROGRAMS
