"""Writes core/polyad/_methods.pyi: what `polyad.methods` binds to Tensor, declared for type checkers and editors.

Run ``python tests/method_stubs.py`` after a change to the table of methods; a test compares the file with it.
"""

import inspect
import re
from pathlib import Path
from typing import Any

from polyad.tensor import Methods, Tensor

FILE = Path(__file__).parent.parent / "core" / "polyad" / "_methods.pyi"

HEADER = '''\
"""What `polyad.methods` binds to Tensor from its table, for type checkers. Written by tests/method_stubs.py."""

import builtins
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import ModuleType
from typing import Any

from .backend import Backend, Device
from .dtypes import DTypeLike
from .graph import Handle
from .ops.arguments import Axis, Shape
from .ops.elementwise import Operand
from .ops.generators import Generator
from .ops.placement import DeviceLike
from .tensor import Tensor

class Methods:
'''

_SHADOWED = re.compile(r"\b(bool|int|float)\b")  # methods of these names hide the types inside the class
_PYTORCH = {"axis": "dim", "keepdims": "keepdim"}


def _bound() -> dict[str, Any]:
    """What is bound to Tensor from outside its class statement, and is not of the class itself."""
    own = set(re.findall(r"^    def (\w+)", inspect.getsource(Tensor), re.MULTILINE))
    own |= set(re.findall(r"^    (\w+)(?: =|:)", inspect.getsource(Tensor), re.MULTILINE))
    return {
        name: value
        for name, value in vars(Tensor).items()
        if name not in own and (callable(value) or isinstance(value, property)) and name not in vars(Methods)
    }


def _unshadowed(annotation: str) -> str:
    return _SHADOWED.sub(r"builtins.\1", annotation)


def _parameter(parameter: inspect.Parameter) -> str:
    stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
    return f"{stars}{parameter.name}: {_unshadowed(str(parameter.annotation))}{default}"


def _optional(parameter: inspect.Parameter) -> inspect.Parameter:
    """A parameter that may be left out."""
    kind = str(parameter.annotation)
    allows = kind in ("Any", "Axis") or "None" in kind
    return parameter.replace(default=None, annotation=kind if allows else f"{kind} | None")


def _method(name: str, call: Any) -> str:
    """Declare one method. Registered functions take every parameter by position too, and PyTorch's names."""
    signature = inspect.signature(call)
    _, *rest = signature.parameters.values()
    result = "Tensor" if str(signature.return_annotation) == "Any" else str(signature.return_annotation)
    shown = ["self"]
    if name.startswith("__i") and name != "__invert__":
        shown.append("other: Any")
    elif name.startswith("__") and len(rest) == 1 and name != "__getitem__":
        shown.append("other: object" if name in ("__eq__", "__ne__") else "other: Any")
    elif hasattr(call, "function"):
        positional = [p for p in rest if p.kind is p.POSITIONAL_ONLY]
        shown += [*(_parameter(p) for p in positional), "/"] if positional else []
        others = [p for p in rest if p not in positional]
        renamed = [_optional(p).replace(name=_PYTORCH[p.name]) for p in others if p.name in _PYTORCH]
        if renamed:
            first = min(i for i, p in enumerate(others) if p.name in _PYTORCH)
            others = [_optional(p) if i >= first and p.default is p.empty else p for i, p in enumerate(others)]
            others = [p.replace(default=False) if p.name == "keepdims" else p for p in others]
            renamed = [p.replace(default=False) if p.name == "keepdim" else p for p in renamed]
        shown += [_parameter(p) for p in others]
        if renamed:
            shown += ["*", *(_parameter(p) for p in renamed)]
    else:
        kinds = [p.kind for p in rest]
        for i, p in enumerate(rest):
            if p.kind is p.KEYWORD_ONLY and p.VAR_POSITIONAL not in kinds and kinds.index(p.KEYWORD_ONLY) == i:
                shown.append("*")
            shown.append(_parameter(p))
            if p.kind is p.POSITIONAL_ONLY and p.POSITIONAL_ONLY not in kinds[i + 1 :]:
                shown.append("/")
    ignore = "  # type: ignore[override]" if name in ("__eq__", "__ne__") else ""
    return f"    def {name}({', '.join(shown)}) -> {_unshadowed(result)}: ...{ignore}\n"


def stubs() -> str:
    """The text of the file."""
    lines = [HEADER]
    for name, value in sorted(_bound().items()):
        if isinstance(value, property):
            lines.append(f"    @property\n    def {name}(self) -> Tensor: ...\n")
        else:
            lines.append(_method(name, value))
    return "".join(lines)


if __name__ == "__main__":
    FILE.write_text(stubs())
