"""Misuse that PyTorch reports: polyad's and PyTorch's words, as docs/coming-from-pytorch.md has them side by side."""

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import polyad as ad
from polyad.autograd.function import once_differentiable

PAGE = Path(__file__).parent.parent / "docs" / "coming-from-pytorch.md"


def leaf(lib: Any) -> Any:
    return lib.tensor([1.0, 2.0], requires_grad=True)


def twice(lib: Any) -> None:
    x = leaf(lib)
    y = (x * x).sum()
    y.backward()
    y.backward()


def unused(lib: Any) -> None:
    lib.autograd.grad(leaf(lib).sum(), leaf(lib))


def stale(lib: Any) -> None:
    x = leaf(lib)
    a = x * 1
    y = a * a
    a.add_(1)
    y.sum().backward()


def write_to_a_leaf(lib: Any) -> None:
    leaf(lib)[0] = 3.0


def view_without_grad(lib: Any) -> None:
    x = leaf(lib) * 1
    with lib.no_grad():
        v = x[0:1]
    v.mul_(leaf(lib)[0:1])


def hook_of_another_shape(lib: Any) -> None:
    x = leaf(lib)
    y = x * 2
    y.register_hook(lambda g: lib.ones(5))
    y.sum().backward()


def custom(forward: Any, backward: Any) -> Callable[[Any], None]:
    def run(lib: Any) -> None:
        body = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
        type("Mine", (lib.autograd.Function,), body).apply(leaf(lib) * 1).sum().backward()

    return run


def save_a_number(ctx: Any, x: Any) -> Any:
    ctx.save_for_backward(3)
    return x * 2


def mark_what_was_not_written(ctx: Any, x: Any) -> Any:
    ctx.mark_dirty(x)
    return x


def second_derivative(lib: Any) -> None:
    once = once_differentiable if lib is ad else lib.autograd.function.once_differentiable
    body = {"forward": staticmethod(lambda ctx, x: x**2), "backward": staticmethod(once(lambda ctx, g: g * 2))}
    x = leaf(lib)
    (g,) = lib.autograd.grad(type("Mine", (lib.autograd.Function,), body).apply(x).sum(), x, create_graph=True)
    g.sum().backward()


def anomaly(lib: Any) -> None:
    x = lib.tensor([0.0], requires_grad=True)
    with lib.autograd.detect_anomaly():
        (x.sqrt() * 0).sum().backward()


def own_gradient(lib: Any) -> None:
    x = leaf(lib)
    x.grad = x


def fill_none(lib: Any) -> None:
    y = leaf(lib) * 2
    y.grad_fn.register_hook(lambda inputs, outputs: (inputs[0], outputs[0]))
    y.sum().backward()


PROGRAMS: dict[str, Callable[[Any], Any]] = {
    "`backward` twice": twice,
    "`grad` of an input that was not used": unused,
    "`backward` from more than one element": lambda lib: (leaf(lib) * 2).backward(),
    "`backward` without history": lambda lib: lib.tensor([1.0]).sum().backward(),
    "`backward` with a gradient of another shape": lambda lib: (leaf(lib) * 2).backward(lib.ones(3)),
    "a kept value overwritten": stale,
    "`x[0] = 3.0` to a leaf": write_to_a_leaf,
    "`x.add_(1)` to a leaf": lambda lib: leaf(lib).add_(1),
    "`x.add_(1)` to an expanded view": lambda lib: lib.zeros(1).expand(3).add_(1),
    "a write with history to a view made in `no_grad`": view_without_grad,
    "a hook that returns another shape": hook_of_another_shape,
    "a hook of a tensor without gradient": lambda lib: lib.tensor([1.0]).register_hook(print),
    "`requires_grad_(False)` of a result": lambda lib: (leaf(lib) * 2).requires_grad_(False),
    "`requires_grad_()` of integers": lambda lib: lib.tensor([1, 2]).requires_grad_(),
    "`retain_grad` without gradient": lambda lib: lib.tensor([1.0]).retain_grad(),
    "`x.numpy()` with gradient": lambda lib: leaf(lib).numpy(),
    "`Function.backward` that returns too few": custom(lambda ctx, x: x * 2, lambda ctx, g: ()),
    "`Function.backward` that returns another shape": custom(
        lambda ctx, x: x * 2, lambda ctx, g: ad_or_torch(g).ones(5)
    ),
    "`save_for_backward(3)`": custom(save_a_number, lambda ctx, g: g),
    "`mark_dirty` without a write": custom(mark_what_was_not_written, lambda ctx, g: g),
    "a second derivative through `once_differentiable`": second_derivative,
    "`backward` from a complex number": lambda lib: (leaf(lib) * 1j).sum().backward(),
    "`backward(inputs=[])`": lambda lib: leaf(lib).sum().backward(inputs=[]),
    "`grad(y, [])`": lambda lib: lib.autograd.grad(leaf(lib).sum(), []),
    "`x.grad = x`": own_gradient,
    '`requires_grad_("no")`': lambda lib: leaf(lib).requires_grad_("no"),
    "`x.requires_grad = 1.5`": lambda lib: setattr(leaf(lib), "requires_grad", 1.5),
    "`x.data = y` of integers": lambda lib: setattr(leaf(lib), "data", lib.tensor([1, 2])),
    "`detach_()` of a view": lambda lib: (leaf(lib) * 1)[0:1].detach_(),
    "`gradcheck` of an expanded input": lambda lib: lib.autograd.gradcheck(
        lambda x: x * 2, lib.ones(1, dtype=lib.float64).expand(3).requires_grad_()
    ),
    "a hook of a node that puts a gradient where there is None": fill_none,
    "NaN inside `detect_anomaly`": anomaly,
}


def ad_or_torch(g: Any) -> Any:
    return ad if isinstance(g, ad.Tensor) else pytest.importorskip("torch")


def rows() -> dict[str, SimpleNamespace]:
    section = PAGE.read_text().partition("## Errors of autograd, side by side")[2].partition("\n## ")[0]
    found = {}
    for line in section.splitlines():
        cells = [c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == 3 and not set(cells[0]) <= {"-"} and cells[1] != "PyTorch":
            found[cells[0]] = SimpleNamespace(torch=cells[1], polyad=cells[2])
    return found


def says(text: str, lib: Any, program: Callable[[Any], Any]) -> None:
    if text == "nothing":
        program(lib)
        return
    pattern = ".*".join(re.escape(part) for part in text.split("..."))
    with pytest.raises((RuntimeError, TypeError, ad.errors.PolyadError), match=f"(?s)^{pattern}"):
        program(lib)


def test_the_table_has_every_program() -> None:
    assert list(rows()) == list(PROGRAMS)


@pytest.mark.parametrize("label", PROGRAMS)
def test_polyads_words(label: str) -> None:
    says(rows()[label].polyad, ad, PROGRAMS[label])


@pytest.mark.parametrize("label", PROGRAMS)
@pytest.mark.filterwarnings("ignore")
def test_pytorchs_words(label: str) -> None:
    says(rows()[label].torch, pytest.importorskip("torch"), PROGRAMS[label])
