"""What recorded calls keep for their gradients: of every function the least, of a deep network no more than PyTorch.

An array is kept where a rule asks for it by name, so more is kept as soon as a rule names more. The tables say for
each function what its rules may name; the tests look into recorded calls.
"""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, combinations
from typing import Any, Final

import numpy as np
import pytest

import polyad as ad
from polyad.backend import Backend, Device
from polyad.function import FUNCTIONS, Function
from polyad.graph import Node, Output
from polyad.testing import Fails, Sample, call_sample, sample_arguments
from polyad.testing.samples import matrices
from polyad.views import raw

ad.plugins.load_all()
RECORDS: Final = [f for f in FUNCTIONS.values() if f.provider.partition(" ")[0] == "polyad" and f.differentiable]


def words(text: str) -> list[str]:
    """A list in words."""
    return text.split()


def lines(text: str) -> dict[str, dict[str, str]]:
    """A table of lines ``name | input: what is kept for its gradient | input: ...``."""
    found = {}
    for line in text.strip().splitlines():
        name, *kept = (part.strip() for part in line.split("|"))
        assert name not in found, f"{name} stands twice"
        found[name] = dict((part.strip() for part in entry.split(":")) for entry in kept)
    return found


NOTHING: Final = words("""
add subtract negative positive ceil floor trunc round frac conj real imag deg2rad rad2deg
reshape expand_dims squeeze permute_dims flip rot90 roll broadcast_to repeat tile slice_view concat stack
diagonal diag_embed diag block_diag tril triu sum mean _sum_from_end cumulative_sum trace
fft.fft fft.ifft fft.rfft fft.irfft fft.fftshift fft.ifftshift astype clone to_device copy
cumulative_trapezoid diagflat diff fft.fft2 fft.fftn fft.hfft fft.ifft2 fft.ifftn fft.ihfft fft.irfft2 fft.irfftn
fft.rfft2 fft.rfftn linalg.matrix_power pad trapezoid complex view_as_real view_as_complex unfold _fold
""")
"""Functions that keep no array, whatever requires gradients. The last two lines are bodies of such."""

SAVES: Final = lines("""
multiply | x1: x2 | x2: x1
divide | x1: x2 | x2: x1 x2
remainder | x2: x1 x2
fmod | x2: x1 x2
power | x1: x1 x2 | x2: x1 out
abs | x: x
sign | x: x
copysign | x1: x1 out
square | x: x
sqrt | x: out
rsqrt | x: out
cbrt | x: out
reciprocal | x: out
hypot | x1: x1 out | x2: x2 out
lerp | start: weight | end: weight | weight: start end
addcmul | x1: x2 value | x2: x1 value | value: x1 x2
addcdiv | x1: x2 value | x2: x1 x2 value | value: x1 x2
angle | x: x
polar | abs: angle | angle: out
exp | x: out
exp2 | x: out
expm1 | x: out
log | x: x
log1p | x: x
log2 | x: x
log10 | x: x
_logistic | x: out
logaddexp | x1: x1 x2 | x2: x1 x2
logaddexp2 | x1: x1 x2 | x2: x1 x2
xlogy | x1: x1 x2 | x2: x1 x2
sin | x: x
cos | x: x
tan | x: out
asin | x: x
acos | x: x
atan | x: x
atan2 | x1: x1 x2 | x2: x1 x2
sinc | x: x
sinh | x: x
cosh | x: x
tanh | x: out
asinh | x: x
acosh | x: x
atanh | x: x
maximum | x1: x1 x2 | x2: x1 x2
minimum | x1: x1 x2 | x2: x1 x2
fmax | x1: x1 x2 | x2: x1 x2
fmin | x1: x1 x2 | x2: x1 x2
clip | x: x min max | min: x min | max: x max
where | x1: condition | x2: condition
masked_fill | x: mask | value: mask
nan_to_num | x: x
getitem | x: indices
index_scatter | g: indices
setitem | x: indices | value: indices
take | x: indices
_add_along_axis | g: indices
take_along_axis | x: indices
_put_along_axis | x: indices | values: indices
_extreme_along_axis | x: x source indices out | source: x source indices out
_index_add | source: indices
prod | x: x
var | x: x
std | x: x out
max | x: x out
min | x: x out
matmul | x1: x2 | x2: x1
logsumexp | x: x out
nansum | x: x
nanprod | x: x
nanmean | x: x
cumulative_prod | x: x
logcumsumexp | x: x out
cummax | x: indices
cummin | x: indices
sort | x: x
topk | x: indices
kthvalue | x: indices
convolve | a: v | v: a
einsum_pair | x1: x2 | x2: x1
tensordot | x1: x2 | x2: x1
inner | x1: x2 | x2: x1
outer | x1: x2 | x2: x1
kron | x1: x2 | x2: x1
vecdot | x1: x2 | x2: x1
cross | x1: x2 | x2: x1
addmm | x1: x2 | x2: x1
addmv | x1: x2 | x2: x1
baddbmm | x1: x2 | x2: x1
addbmm | x1: x2 | x2: x1
linalg.cholesky | x: out
linalg.eigh | x: out
linalg.eig | x: out
linalg._tall_qr | x: out
linalg._thin_svd | x: out
linalg.lu | x: out
linalg.adjugate | x: x
linalg.det | x: x
linalg.slogdet | x: x sign
linalg.inv | x: out
linalg.solve | x1: x1 out | x2: x1
linalg.solve_triangular | x1: x1 out | x2: x1
linalg.matrix_exp | x: x
linalg.vector_norm | x: x out
linalg.pinv | x: x out
random.log_gamma | alpha: alpha out
nn._where_positive | x: gate
nn.relu | x: out
nn.sigmoid | x: out
nn.softmax | x: out
nn.log_softmax | x: out
nn.mse_loss | input: input target | target: input target
nn.cross_entropy | input: input target weight | target: input weight | weight: input target weight out
nn.linear | input: weight | weight: input
special.erf | x: x
special.erfc | x: x
special.erfcx | x: x out
special.erfinv | x: out
special.erfcinv | x: out
special.ndtr | x: x
special.log_ndtr | x: x out
special.ndtri | x: out
special.gammaln | x: x
special.gamma | x: x out
special.digamma | x: x
special.polygamma | x: x
special.multigammaln | a: a
special.betaln | a: a b | b: a b
special.beta | a: a b out | b: a b out
special.gammainc | a: a x | x: a x
special.gammaincc | a: a x | x: a x
special.betainc | x: a b x
special.zeta | q: x q
special.i0 | x: x
special.i1 | x: x out
special.i0e | x: x out
special.i1e | x: x out
special.entr | x: x
special.rel_entr | x: x y | y: x y
special.kl_div | x: x y | y: x y
special.xlog1py | x: x y | y: x y
special.expit | x: out
special.log_expit | x: x
special.logit | x: x
special.softmax | x: out
special.log_softmax | x: out
""")

BODIES: Final = dict(
    line.split(": ")
    for line in """
_masked_scatter: mask +1
_multiply_along_axis: x +13
_ranked: +1
aminmax: out x
cholesky_solve: factor out +1
einsum: operands
interp: +9
linalg.eigvals: out +1
linalg.eigvalsh: out +1
linalg.lstsq: out x1 x2 +4
linalg.matrix_norm: out x
linalg.multi_dot: arrays
linalg.norm: out x
linalg.qr: out
linalg.svd: out +2
linalg.svdvals: out +2
logdet: x +2
median: +2
msort: x
nanmax: +4
nanmin: +4
nanstd: +9
nanvar: +6
norm: out x
ptp: x +2
quantile: +2
random.gamma_slope: +217
vander: x +3
""".strip().splitlines()
)
"""Functions whose derivative is that of their parts: what these keep at the first sample, views counted as what they
show, and how many arrays beside those that the user has."""


def working_samples(record: Function) -> list[Sample]:
    return [s for s in record.samples if not isinstance(s, Fails)]


def arrays_in(device: Device, kept: Any) -> Iterator[Any]:
    """The arrays that something refers to, containers opened."""
    if isinstance(kept, (tuple, list, dict)):
        for part in gc.get_referents(kept):
            yield from arrays_in(device, part)
    elif isinstance(kept, device.array):
        yield kept


def held(node: Any) -> list[Any]:
    """All arrays that a node refers to, each once; not those of the nodes that its gradients go to."""
    slots = [getattr(node, slot, None) for slot in Node.__slots__ if slot != "edges"]
    return list({id(a): a for a in arrays_in(node.device, slots)}.values())


def graph(roots: Iterable[Any]) -> list[Any]:
    """All nodes from roots on, each once; without leaves."""
    found: dict[Any, None] = {}
    stack = list(roots)
    while stack:
        edge = stack.pop()
        node = edge.node if type(edge) is Output else edge
        if type(node) is Node and node not in found:
            found[node] = None
            stack.extend(node.edges)
    return list(found)


def patterns(arguments: Sequence[Any]) -> Iterator[tuple[int, ...]]:
    """Every choice of at least one argument that may require a gradient."""
    able = [i for i, a in enumerate(arguments) if isinstance(a, ad.Tensor) and a.dtype.is_differentiable]
    return chain.from_iterable(combinations(able, n) for n in range(1, len(able) + 1))


def recorded(record: Function, sample: Sample, pattern: tuple[int, ...]) -> tuple[list[Any], list[Any]]:
    """A sample's arguments, of which those of a pattern require gradients, and the results of the call."""
    plain = Sample(*sample.arrays, name=repr(sample), **sample.params)  # matrices of a domain are made before
    arguments = [a.detach() if isinstance(a, ad.Tensor) else a for a in matrices(sample, sample_arguments(sample))]
    for i in pattern:
        arguments[i].requires_grad_()
    result = call_sample(record, plain, arguments)
    return arguments, list(result) if isinstance(result, (tuple, list)) else [result]


def names_of(record: Function, arguments: Sequence[Any], results: Sequence[Any]) -> list[tuple[str, Any]]:
    """The arrays that a user has, with inputs' names and ``out``, or the names of several outputs."""
    last = len(record.inputs) - 1
    fields = record.fields if any(s is not None and s.outputs for s in record.specs) else ("out",) * len(results)
    given = [(record.inputs[min(i, last)], x) for i, x in enumerate(arguments) if isinstance(x, ad.Tensor)]
    return [(name, raw(x)) for name, x in [*given, *zip(fields, results, strict=True)]]


def stated(record: Function) -> dict[str, str]:
    """What a function's rules may keep, by the tables."""
    if record.name in NOTHING:
        return {}
    assert record.name in SAVES, (
        f"state what {record.name} keeps: add it to NOTHING, or to SAVES a line such as "
        f"'{record.name} | {record.inputs[0]}: {record.inputs[0]} out'"
    )
    return SAVES[record.name]


def test_no_function_is_stated_twice_or_in_vain() -> None:
    names = [*NOTHING, *SAVES, *BODIES]
    assert sorted(names) == sorted(set(names))
    assert set(names) <= {r.name for r in RECORDS}


@pytest.mark.parametrize("record", [r for r in RECORDS if r.has_rules], ids=lambda f: f.name)
def test_a_call_keeps_what_is_stated_and_no_more(record: Function, backend: Backend) -> None:
    table, last = stated(record), len(record.inputs) - 1
    samples = working_samples(record)
    for sample in samples if backend.name == "numpy" else samples[:1]:
        for pattern in patterns(matrices(sample, sample_arguments(sample))):
            arguments, results = recorded(record, sample, pattern)
            had = names_of(record, arguments, results)
            allowed = {w for i in pattern for w in table.get(record.inputs[min(i, last)], "").split()}
            # `real` of a real tensor is that tensor, and keeps nothing
            for node in {y.grad_fn for y in results if y.requires_grad and y.grad_fn is not None}:
                assert node.function is record
                # JAX may give an argument's array as the result, so that one array has several names
                found = [{name for name, b in had if a is b} or {of_number(a, arguments)} for a in held(node)]
                assert all(names & {*allowed, "a number"} for names in found), (sample, pattern, found)
                assert allowed & {name for name, _ in had} <= set().union(*found), (sample, pattern, found)


def test_of_several_results_only_those_that_are_kept_must_stay(backend: Backend) -> None:
    x = ad.tensor([3.0, 1.0, 2.0], requires_grad=True)
    values, indices = ad.topk(x, 2)
    loss = values.sum()
    with ad.no_grad():
        values.zero_()
    loss.backward(retain_graph=True)
    assert x.grad.tolist() == [1, 0, 1]
    indices.zero_()
    with pytest.raises(ad.errors.AutogradError, match=r"TopkBackward kept for its gradient was overwritten .*zero_"):
        loss.backward()


def of_number(array: Any, arguments: Sequence[Any]) -> str:
    """What an array is that the user does not have: one made of a number is allowed beside the table."""
    return "a number" if array.shape == () and any(type(a) is float for a in arguments) else "another array"


@pytest.mark.parametrize("record", [r for r in RECORDS if not r.has_rules], ids=lambda f: f.name)
def test_the_parts_of_a_body_keep_what_is_stated_and_no_more(record: Function) -> None:
    sample = working_samples(record)[0]
    with ad.use_backend("numpy"):
        pattern = max(patterns(matrices(sample, sample_arguments(sample))), key=len)
        arguments, results = recorded(record, sample, pattern)
    had = names_of(record, arguments, results)
    arrays = {id(a): a for node in graph(y._node for y in results) for a in held(node)}.values()
    names = [next((name for name, b in had if np.shares_memory(a, b)), "") for a in arrays]
    found = " ".join([*sorted(set(names) - {""}), *([f"+{names.count('')}"] if "" in names else [])]) or "nothing"
    assert {**BODIES, **dict.fromkeys(NOTHING, "nothing")}.get(record.name) == found, (
        f"state what {record.name} keeps: add to BODIES the line '{record.name}: {found}', or it to NOTHING"
    )


# A deep network's step ------------------------------------------------------------------------------------------

DEPTH, BATCH, WIDTH = 12, 512, 256
SMALL: Final = 1 << 16
"""Bytes that are not looked at: buffers of NumPy's loops, which have 2**15, and Python's objects, of which not every
program has the same. An array of activations has 2**19."""


class Step:
    """A training step of a deep classifier, the same for polyad and PyTorch: ``lib`` is the library."""

    def __init__(self, lib: Any, activation: str, batch: int, width: int, classes: int, residual: bool = False) -> None:
        make, self.residual = getattr(lib.nn, activation), residual
        self.blocks = [lib.nn.Sequential(lib.nn.Linear(width, width), make()) for _ in range(DEPTH)]
        self.last = lib.nn.Linear(width, classes)
        self.parameters = [p for module in (*self.blocks, self.last) for p in module.parameters()]
        self.loss_of = lib.nn.functional.cross_entropy
        self.optimizer = lib.optim.Adam(self.parameters)
        self.x, self.target = lib.ones(batch, width), lib.zeros(batch, dtype=lib.int64)
        self.run()  # what the optimizer keeps from step to step is made in the first
        self.optimizer.zero_grad()

    def logits(self) -> Any:
        x = self.x
        for block in self.blocks:
            x = x + block(x) if self.residual else block(x)
        return self.last(x)

    def run(self) -> None:
        self.optimizer.zero_grad()
        self.loss_of(self.logits(), self.target).backward()
        self.optimizer.step()


def peak(run: Callable[[], object]) -> int:
    """The most bytes that a call has beside what there was before; NumPy reports its arrays to tracemalloc."""
    gc.collect()
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    run()
    return tracemalloc.get_traced_memory()[1] - before


@contextmanager
def traced() -> Iterator[None]:
    """Count memory, of programs on NumPy."""
    tracemalloc.start()
    try:
        with ad.use_backend("numpy"):
            yield
    finally:
        tracemalloc.stop()


@traced()
def peak_of_step(activation: str, batch: int, width: int, classes: int, residual: bool = False) -> int:
    """The peak of polyad's step in arrays. The objects of tensors and nodes are those of a step of arrays of one."""
    objects = peak(Step(ad, activation, 1, 1, 2, residual).run)
    return peak(Step(ad, activation, batch, width, classes, residual).run) - objects


def peak_of_pytorchs(activation: str, batch: int, width: int, classes: int, residual: bool = False) -> int:
    """The peak of PyTorch's step: of the sizes of the tensors that its functions have given and that still live."""
    step = Step(pytest.importorskip("torch"), activation, batch, width, classes, residual)
    state = [t for s in step.optimizer.state.values() for t in s.values()]
    return peak_in_pytorch(step.run, [*step.parameters, step.x, step.target, *state])


def peak_in_pytorch(run: Callable[[], object], known_tensors: Iterable[Any]) -> int:
    """The most bytes of the tensors that PyTorch's functions have given in a call, without those of tensors known."""
    import torch
    from torch.utils import _python_dispatch, _pytree

    live: dict[int, int] = {}
    known = {t.untyped_storage().data_ptr() for t in known_tensors}
    most = 0

    class Watch(_python_dispatch.TorchDispatchMode):  # type: ignore[misc]
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            nonlocal most
            result = func(*args, **(kwargs or {}))
            for t in _pytree.tree_leaves(result):
                if isinstance(t, torch.Tensor) and t.untyped_storage().data_ptr() not in known | live.keys():
                    storage = t.untyped_storage()
                    live[storage.data_ptr()] = storage.nbytes()
                    weakref.finalize(storage, live.pop, storage.data_ptr())
            most = max(most, sum(live.values()))
            return result

    with Watch():
        run()
    return most


STEPS: Final = {  # batch, width, classes; and what most of the memory at the peak is of
    "activations": (BATCH, WIDTH, 10),
    "parameters": (BATCH // 2, 2 * WIDTH, 10),
    "logits": (BATCH, WIDTH, 4000),
}


@pytest.mark.parametrize("shape", STEPS.values(), ids=STEPS)
@pytest.mark.parametrize("activation", ["ReLU", "Sigmoid", "Tanh"])
def test_the_peak_of_a_step_is_at_most_pytorchs(activation: str, shape: tuple[int, int, int]) -> None:
    theirs = peak_of_pytorchs(activation, *shape)
    assert peak_of_step(activation, *shape) <= theirs + SMALL


@pytest.mark.parametrize("activation", ["ReLU", "Sigmoid", "Tanh"])
def test_the_peak_of_a_residual_networks_step_is_at_most_pytorchs(activation: str) -> None:
    # where gradients meet, they are added in memory that is there
    theirs = peak_of_pytorchs(activation, BATCH, WIDTH, 10, residual=True)
    assert peak_of_step(activation, BATCH, WIDTH, 10, residual=True) <= theirs + SMALL


@pytest.mark.parametrize("activation", ["ReLU", "Sigmoid", "Tanh"])
def test_the_peak_of_a_step_is_one_activation_a_layer(activation: str) -> None:
    classes = 10
    one, logits, gradient = 4 * BATCH * WIDTH, 4 * BATCH * classes, 4 * (WIDTH + 1) * classes
    # when the last hidden layer passes its gradient on, there are both, and the gradients of the last parameters
    assert peak_of_step(activation, BATCH, WIDTH, classes) <= (DEPTH + 2) * one + logits + gradient + SMALL


@traced()
def test_without_a_graph_nothing_is_kept() -> None:
    step = Step(ad, "ReLU", BATCH, WIDTH, 10)
    with ad.no_grad():
        assert peak(step.logits) <= 3 * 4 * BATCH * WIDTH + SMALL  # a block's input, and both of its results


def chain_of(length: int) -> tuple[ad.Tensor, list[ad.Tensor]]:
    """A leaf and what is computed of it, each by a function that keeps its result."""
    x = ad.full((1000,), 0.5, requires_grad=True)
    results = [x]
    for _ in range(length):
        results.append(ad.tanh(results[-1]))
    return x, results[1:]


@pytest.mark.parametrize("retain", [False, True])
def test_backward_frees_as_it_goes(backend: Backend, retain: bool) -> None:
    _, results = chain_of(8)
    references = [weakref.ref(raw(y)) for y in results]
    alive: list[int] = []
    for y in results:
        y.register_hook(lambda g: alive.append(sum(r() is not None for r in references)))
    end = results.pop().sum()
    del y
    results.clear()
    assert all(r() is not None for r in references)
    end.backward(retain_graph=retain)
    # what the node before kept may still be at hand when the next one's hook runs
    expected = [8] * 8 if retain else [8, 8, 7, 6, 5, 4, 3, 2]
    assert all(a <= b for a, b in zip(alive, expected, strict=True))
    assert sum(r() is not None for r in references) == (8 if retain else 0)
