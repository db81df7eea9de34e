"""Random programs of views, in-place writes and arithmetic: the same values, gradients and errors everywhere.

A program is a list of instructions over numbered variables. It is interpreted by polyad on NumPy, where writes go to
memory that views share, by polyad on JAX, whose arrays cannot be written, eagerly and under `jax.jit`, and, where it is
installed, by PyTorch. The shapes are few, so that JAX compiles most of what it needs once.
"""

import math
import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest

import polyad as ad
from polyad.errors import BackendError
from polyad.plugins import plugins

PROGRAMS = 2000
COMPILED = 60  # programs that run under jax.jit, too: each is compiled as a whole
LENGTH = 12
BATCH = 100  # programs a test, so that a failure names its seed and the rest still run

SHAPES = frozenset([(), (1,), (2,), (3,), (6,), (1, 3), (2, 2), (2, 3), (3, 2), (3, 3), (2, 1, 3)])


class Step(NamedTuple):
    """One instruction: what to do with which variables, and whether operations are recorded meanwhile."""

    kind: str
    target: int
    other: int
    argument: Any
    recorded: bool


# Writing programs ---------------------------------------------------------------------------------------------

Draw = random.Random
Shape = tuple[int, ...]


class Leaf(NamedTuple):
    """What a leaf is: of float64, or of complex128."""

    shape: Shape
    is_complex: bool


PARTS = ("real", "imag", "view_as_real", "view_as_complex")

VIEWS = (
    *("index", "index", "transpose", "reshape", "view", "unsqueeze", "squeeze"),
    *("expand", "diagonal", "unstack", "detach"),
    *PARTS,
)
WRITES = (
    *("add_", "mul_", "copy_", "fill_", "zero_", "tanh_", "sin_", "setitem", "setitem"),
    *("mask_setitem", "masked_fill_", "index_add_", "+=", "mul_number_"),
)
OF_TWO = ("add_", "mul_", "copy_", "+=", "setitem", "mask_setitem", "index_add_", "add", "mul")
VALUES = ("add", "mul", "tanh", "exp", "sum", "clone", "number", "masked", "contiguous")


def index_for(shape: Shape, draw: Draw) -> tuple[Any, ...]:
    """A random basic index."""
    index: list[Any] = []
    for n in shape[: draw.randint(0, len(shape))]:
        kind = draw.choice(["int", "slice", "all", "step"])
        if kind == "int":
            index.append(draw.randrange(-n, n))
        elif kind == "slice":
            start = draw.randrange(n)
            index.append(slice(start, draw.randint(start + 1, n)))
        elif kind == "step":
            index.append(draw.choice([slice(None, None, 2), slice(1, None, 2), slice(None, None, -1)]))
        else:
            index.append(slice(None))
    if draw.random() < 0.2:
        index.insert(draw.randint(0, len(index)), None)
    return tuple(index)


def mask_for(shape: Shape, draw: Draw) -> np.ndarray:
    return np.array([draw.random() < 0.5 for _ in range(math.prod(shape))]).reshape(shape)


def shape_for(size: int, draw: Draw) -> Shape:
    return draw.choice(sorted(s for s in SHAPES if math.prod(s) == size))


def argument_for(kind: str, x: np.ndarray, draw: Draw) -> Any:
    """A random argument, fitting an array; raises ValueError where there is none."""
    if kind in ("index", "setitem"):
        return index_for(x.shape, draw)
    if kind in ("masked", "mask_setitem", "masked_fill_"):
        return mask_for(x.shape, draw)
    if kind == "transpose":
        return tuple(draw.sample(range(x.ndim), x.ndim))
    if kind in ("reshape", "view"):
        return shape_for(x.size, draw)
    if kind == "unsqueeze":
        return draw.randint(0, x.ndim)
    if kind == "expand":
        fitting = sorted(s for s in SHAPES if _broadcasts(x.shape, s))
        return draw.choice(fitting)
    if kind == "diagonal":
        return draw.choice([-1, 0, 1])
    if kind == "unstack":
        dim = draw.randrange(x.ndim)
        return dim, draw.randrange(x.shape[dim])
    if kind == "index_add_":
        dim = draw.randrange(x.ndim)
        return dim, [draw.randrange(x.shape[dim]) for _ in range(draw.choice([2, 3]))]
    if kind == "sum":
        return draw.randrange(x.ndim) if x.ndim else ()
    return round(draw.uniform(-1.5, 1.5), 3)


def _broadcasts(shape: Shape, into: Shape) -> bool:
    return len(shape) <= len(into) and all(n in (1, m) for n, m in zip(reversed(shape), reversed(into), strict=False))


def shadow(kind: str, x: np.ndarray, a: Any) -> np.ndarray:
    """An array of the shape that an instruction's result has, or, of a write, of the shape that is written."""
    made: dict[str, Callable[[], np.ndarray]] = {
        "index": lambda: x[a],
        "setitem": lambda: x[a],
        "masked": lambda: x[a],
        "mask_setitem": lambda: x[a],
        "index_add_": lambda: x.take(a[1], a[0]),
        "transpose": lambda: x.transpose(a),
        "reshape": lambda: x.reshape(a),
        "view": lambda: x.reshape(a),
        "unsqueeze": lambda: np.expand_dims(x, a),
        "squeeze": lambda: x.squeeze(),
        "expand": lambda: np.broadcast_to(x, a),
        "diagonal": lambda: x.diagonal(a),
        "unstack": lambda: x.take(a[1], a[0]),
        "sum": lambda: x.sum(a),
        "real": lambda: x.real,
        "imag": lambda: x.imag,
        "view_as_real": lambda: np.stack((x.real, x.imag), -1),
        "view_as_complex": lambda: x[..., 0] + 1j * x[..., 1],
    }
    if kind in PARTS and np.iscomplexobj(x) != (kind != "view_as_complex"):
        raise ValueError("there are no such parts")
    return np.asarray(made.get(kind, lambda: x)())


def write_program(seed: int) -> tuple[list[Leaf], list[Step]]:
    """A random program: the leaves, and instructions. Shapes and types are followed on NumPy arrays."""
    draw = Draw(seed)
    leaves = [Leaf(draw.choice([(6,), (2, 3), (3,), (3, 2)]), draw.random() < 0.3) for _ in range(2)]
    # what is done first to each leaf makes it writable
    steps = [Step("number", i, i, 1.0, True) for i in range(len(leaves))]
    shadows = [np.zeros(leaf.shape, complex if leaf.is_complex else float) for leaf in leaves * 2]
    while len(steps) < LENGTH:
        kind = draw.choice(draw.choices([VIEWS, WRITES, VALUES], [4, 4, 3])[0])
        # mostly variables that may be written; now and then a leaf, which may not
        target = draw.randrange(len(leaves), len(shadows)) if draw.random() < 0.9 else draw.randrange(len(leaves))
        x = shadows[target]
        try:
            argument = argument_for(kind, x, draw)
            result = shadow(kind, x, argument)
        except (ValueError, IndexError):
            continue  # such as a diagonal of a vector
        fitting = [target]
        if kind in OF_TWO:
            fits = (lambda s, t: s == t) if kind == "index_add_" else _broadcasts
            # Of two types only where PyTorch can: it writes one type by index, loses the parts of complex numbers that
            # are written to real ones, and of a product keeps what came in, polyad what that was converted to
            one_type = kind not in ("add", "add_", "+=", "copy_")
            types = {x.dtype} if one_type else {x.dtype, np.dtype(float if kind in WRITES else complex)}
            fitting = [i for i, s in enumerate(shadows) if fits(s.shape, result.shape) and s.dtype in types]
        if result.shape not in SHAPES or not fitting:
            continue
        other = draw.choice(fitting)
        steps.append(Step(kind, target, other, argument, draw.random() > 0.08))
        if kind not in WRITES:
            shadows.append(result.astype(np.result_type(result, shadows[other])) if kind == "add" else result)
    return leaves, steps


# Running them -------------------------------------------------------------------------------------------------


def run_step(step: Step, x: Any, other: Any, library: Any) -> Any:
    """Carry out one instruction; gives the new variable, or None where one was written."""
    a = step.argument
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
        case "diagonal":
            return x.diagonal(a)
        case "unstack":
            return x.unbind(a[0])[a[1]]
        case "detach":
            return x.detach()
        case "real":
            return x.real
        case "imag":
            return x.imag
        case "view_as_real" | "view_as_complex":
            return getattr(library.functions, step.kind)(x)
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
        case "masked":
            return x[library.constant(a)]
        case "contiguous":
            return x.contiguous()
        case "add_":
            x.add_(other)
        case "+=":
            x += other
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
        case "tanh_":
            x.tanh_()
        case "sin_":
            x.sin_()
        case "setitem":
            x[a] = other
        case "mask_setitem":
            x[library.constant(a)] = other
        case "masked_fill_":
            x.masked_fill_(library.constant(a), 0.5)
        case "index_add_":
            x.index_add_(a[0], library.constant(a[1]), other)
        case _:
            raise AssertionError(step.kind)
    return None


class Polyad:
    """The library under test, on one backend."""

    errors = (ad.errors.PolyadError,)
    run_step = staticmethod(run_step)

    def __init__(self, name: str) -> None:
        self.name = name
        self.functions, self.no_grad, self.where = ad, ad.no_grad, plugins.backend(name).name

    def leaf(self, values: np.ndarray) -> Any:
        return ad.tensor(values.tolist(), dtype=values.dtype, backend=self.where, requires_grad=True)

    def constant(self, values: Any) -> Any:
        return values if isinstance(values, ad.Tensor) else ad.tensor(values, backend=self.where)

    @staticmethod
    def gradients(total: Any, leaves: Sequence[Any]) -> list[Any]:
        return list(ad.autograd.grad(total, leaves, allow_unused=True))


class Torch:
    """The reference, with what it does otherwise, step by step."""

    name = "torch"
    errors = (RuntimeError,)

    def __init__(self) -> None:
        self.functions = self.torch = pytest.importorskip("torch")
        self.no_grad = self.torch.no_grad

    def leaf(self, values: np.ndarray) -> Any:
        return self.torch.tensor(values, requires_grad=True)

    def constant(self, values: Any) -> Any:
        return self.torch.tensor(values)

    def gradients(self, total: Any, leaves: Sequence[Any]) -> list[Any]:
        found = self.torch.autograd.grad(total, leaves, allow_unused=True)
        return [None if g is None else g.resolve_conj() for g in found]

    def run_step(self, step: Step, x: Any, other: Any, library: Any) -> Any:
        """Carry out one instruction so that what follows may be compared."""
        if step.kind in WRITES:
            _ = x.grad_fn  # until it is read, PyTorch takes a view whose base gained a history for a leaf
            if step.kind != "setitem" and repeats(x):
                # PyTorch raises for most of these writes, but lets some through, such as fill_
                raise RuntimeError("several elements are one place in memory")
            if other.untyped_storage().data_ptr() == x.untyped_storage().data_ptr():
                # PyTorch refuses writes from memory that overlaps, or loses the gradient of x.mul_(x); polyad takes
                # what is written as it was before
                other = other.clone()
            elif step.kind == "index_add_":
                other = other.clone()  # PyTorch keeps the source, of which it needs only the shape
        if step.kind == "tanh_":
            # tanh_ keeps the memory that it writes for its gradient, which a later write makes stale; polyad's keeps
            # a result of its own, as this does
            x.copy_(x.tanh())
            return None
        if step.kind == "unstack":
            # the same views, which PyTorch lets nobody write where unbind gave them
            return x.select(*step.argument)
        if step.kind in ("tanh", "exp"):
            return run_step(step, x.contiguous(), other, library)
        result = run_step(step, x, other, library)
        # PyTorch's results take over the order of transposed operands; polyad's are in row-major order
        return result.contiguous() if step.kind in VALUES else result


def repeats(x: Any) -> bool:
    """Whether several elements of a PyTorch tensor are one place in memory."""
    return any(n > 1 and s == 0 for n, s in zip(x.shape, x.stride(), strict=True))


def for_torch(steps: list[Step]) -> list[Step]:
    """The program without what PyTorch does not have, slices backwards, and without views made under ``no_grad``.

    It forbids to use such a view once its base was written; polyad forbids only to write it.
    """
    return [
        s._replace(argument=forwards(s.argument), recorded=s.recorded or s.kind in (*VIEWS, "contiguous"))
        for s in steps
    ]


def forwards(argument: Any) -> Any:
    backwards = slice(None, None, -1)
    return tuple(slice(None) if e == backwards else e for e in argument) if isinstance(argument, tuple) else argument


class Outcome(NamedTuple):
    """What a program did: its values and gradients, what tensors are, and which steps raised."""

    values: list[np.ndarray | None]
    tensors: list[Any]
    raised: list[int]
    gradients: list[np.ndarray | None] | str


def starts(leaves: list[Leaf]) -> list[np.ndarray]:
    """The numbers that leaves begin with."""
    numbers = Draw(0)

    def drawn(leaf: Leaf) -> np.ndarray:
        return np.array([numbers.uniform(-1, 1) for _ in range(math.prod(leaf.shape))]).reshape(leaf.shape)

    return [drawn(leaf) + 1j * drawn(leaf) if leaf.is_complex else drawn(leaf) for leaf in leaves]


def interpret(library: Any, leaves: Sequence[Any], steps: list[Step]) -> tuple[list[Any], list[int], Any]:
    """Variables, steps that raised, and gradients. A step that raises leaves a hole for its variable."""
    variables = list(leaves)
    raised = []
    for number, step in enumerate(steps):
        result, x, other = None, variables[step.target], variables[step.other]
        if x is not None and other is not None:
            try:
                if step.recorded:
                    result = library.run_step(step, x, other, library)
                else:
                    with library.no_grad():
                        result = library.run_step(step, x, other, library)
            except library.errors:
                raised.append(number)
        if step.kind not in WRITES:
            variables.append(result)
    alive = [v for v in variables if v is not None]
    total = sum(((v * v).sum().real * (i + 1) for i, v in enumerate(alive)), 0.0)
    try:
        found: Any = library.gradients(total, leaves)
    except library.errors:
        found = "stale"
    return variables, raised, found


def array(x: Any) -> np.ndarray | None:
    return None if x is None else np.array(x.detach().numpy())


def run(library: Any, leaves: list[Leaf], steps: list[Step]) -> Outcome:
    """Run a program."""
    variables, raised, found = interpret(library, [library.leaf(v) for v in starts(leaves)], steps)
    gradients = found if isinstance(found, str) else [array(g) for g in found]
    tensors = [None if v is None else describe(v, variables) for v in variables]
    return Outcome([array(v) for v in variables], tensors, raised, gradients)


def describe(x: Any, variables: list[Any]) -> dict[str, Any]:
    """What a tensor is beside its values, in what polyad and PyTorch have in common."""
    # a dimension of length 1 has no stride that means anything, and where there are no elements none has
    strides = [s if n > 1 else None for n, s in zip(x.shape, x.stride(), strict=True)]
    return {
        "requires_grad": x.requires_grad,
        "is_leaf": x.is_leaf,
        "is a view of": None if x._base is None else [i for i, v in enumerate(variables) if v is x._base],
        "version": x._version,
        "strides": strides,
        "offset": x.storage_offset(),
        "is_contiguous": x.is_contiguous(),
    }


def compare(seed: int, program: Any, a: Outcome, b: Outcome, names: str) -> None:
    """Raise with the program if two interpreters differ."""
    try:
        assert a.raised == b.raised, f"steps that raised: {a.raised} and {b.raised}"
        for i, (x, y) in enumerate(zip(a.tensors, b.tensors, strict=True)):
            assert x == y, f"variable {i}: {x} and {y}"
        compare_arrays("variable", a.values, b.values)
        if isinstance(a.gradients, str) or isinstance(b.gradients, str):
            assert a.gradients == b.gradients, f"gradients {a.gradients} and {b.gradients}"
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
    return loaded(request.param)


def loaded(name: str) -> Polyad:
    try:
        return Polyad(name)
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


def run_compiled(library: Polyad, leaves: list[Leaf], steps: list[Step]) -> Outcome:
    """Run a program inside `jax.jit`: what is known while it is traced comes out beside the values."""
    import jax

    known: dict[str, Any] = {}
    # what a mask made inside selects is not known while the function is traced
    steps = [s._replace(argument=library.constant(s.argument)) if "mask" in s.kind else s for s in steps]

    def program(starts: list[Any]) -> Any:
        variables, known["raised"], found = interpret(library, starts, steps)
        known["tensors"] = [None if v is None else describe(v, variables) for v in variables]
        known["stale"] = isinstance(found, str)
        return [None if v is None else v.detach() for v in variables], [] if isinstance(found, str) else found

    variables, found = jax.jit(program)([library.leaf(v) for v in starts(leaves)])
    gradients = "stale" if known["stale"] else [array(g) for g in found]
    return Outcome([array(v) for v in variables], known["tensors"], known["raised"], gradients)


@pytest.mark.parametrize("first", range(0, COMPILED, BATCH // 10))
def test_programs_agree_under_jit(first: int) -> None:
    here, compiled = Polyad("numpy"), loaded("jax")
    for seed in range(first, first + BATCH // 10):
        program = write_program(seed)
        compare(seed, program, run(here, *program), run_compiled(compiled, *program), "numpy and jax.jit")


def test_programs_do_what_they_are_for() -> None:
    """Most programs have gradients; some end in a stale value, and some steps are refused."""
    programs = [write_program(seed) for seed in range(PROGRAMS)]
    outcomes = [run(Polyad("numpy"), *program) for program in programs]
    stale = sum(isinstance(o.gradients, str) for o in outcomes)
    refused = sum(bool(o.raised) for o in outcomes)
    assert 0.02 * PROGRAMS < stale < 0.5 * PROGRAMS
    assert 0.1 * PROGRAMS < refused < 0.8 * PROGRAMS
    done = {s.kind for _, steps in programs for s in steps}
    assert done == {*VIEWS, *WRITES, *VALUES}
