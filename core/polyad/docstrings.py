"""The sections of a function's documentation that its record determines, so that they never disagree with the checks.

A definition's docstring says what is computed and gives an example. What it takes, returns, raises and keeps is read
off the record here. A docstring with a Parameters section of its own is left as it is.
"""

from __future__ import annotations

from typing import Any, Final

from .function import ARRAY, ARRAYS, ONE_OF, OUT, Function, Spec

__all__ = ["complete"]

_TAKES: Final = {
    "any": "any type",
    "numeric": "any type but bool",
    "real": "an integer or real floating type",
    "real or bool": "any type but a complex one",
    "floating": "a floating type; integers and bools become float32",
    "real floating": "a real floating type; integers and bools become float32",
    "float32 or float64": "float32 or float64",
    "complex": "a complex type",
    "integer": "an integer type",
    "integer or bool": "an integer type, or bool",
    "bool": "bool",
}
_REFUSES: Final = {
    "numeric": "For bools.",
    "real": "For bools and complex numbers.",
    "real or bool": "For complex numbers.",
    "real floating": "For complex numbers.",
    "float32 or float64": "For any other type.",
    "complex": "For any other type.",
    "integer": "For any other type.",
    "integer or bool": "For any other type.",
    "bool": "For any other type.",
}
_ANNOTATIONS: Final = {
    "Axis": "int or tuple of int",
    "Shape": "int or tuple of int",
    "DTypeLike": "DType",
    "int | None": "int",
    "Sequence[int]": "sequence of int",
    "tuple[int, ...]": "tuple of int",
    "Key": "tuple",
    "Any": "",
}
_PARAMETERS: Final = {
    "axis": "Which dimension; negative ones count from the last.",
    "axes": "An order of all dimensions; negative ones count from the last.",
    "keepdims": "Whether dimensions taken together stay, with length 1.",
    "correction": "What is subtracted from the number of elements.",
    "dtype": "The type of the result.",
    "shape": "Lengths of the result's dimensions.",
    "key": "Which elements: see `polyad.keys`.",
}


def complete(made: Function) -> str:
    """Insert the sections Parameters, Returns, Raises and Notes before a docstring's examples.

    Parameters
    ----------
    made : Function

    Returns
    -------
    str
        The docstring, without indentation.

    Examples
    --------
    >>> import polyad as ad
    >>> "Differentiable in ``x`` (keeps the result)." in ad.tanh.__doc__
    True
    """
    doc = made.doc
    if "Parameters\n----------\n" in doc:
        return doc
    summary, mark, examples = doc.partition("Examples\n--------\n")
    sections = [
        summary.rstrip(),
        f"Parameters\n----------\n{_parameters(made)}",
        f"Returns\n-------\n{_returns(made)}",
        f"Raises\n------\n{_raises(made)}",
        f"Notes\n-----\n{_gradient(made)}",
    ]
    if mark:
        sections.append(mark + examples)
    return "\n\n".join(sections)


def _takes_numbers(made: Function) -> bool:
    """Whether operands may be numbers: where arrays meet by broadcasting alone."""
    return len(made.promotes) > 1 and made.broadcasts and made.check is None


def _parameters(made: Function) -> str:
    entries: list[tuple[str, str]] = []  # (type, text), with the names that share both
    names: list[list[str]] = []
    for position, name in enumerate(made.inputs):
        entry = _input(made, position)
        if entries and entries[-1] == entry:
            names[-1].append(name)
        else:
            entries.append(entry)
            names.append([f"*{name}" if _starred(made, position) else name])
    for name, default in made.params.items():
        entries.append(_parameter(made, name, default))
        names.append([name])
    return "\n".join(
        f"{', '.join(group)} : {kind}" + (f"\n    {text}" if text else "")
        for group, (kind, text) in zip(names, entries, strict=True)
    )


def _starred(made: Function, position: int) -> bool:
    return made.variadic and not made.sequence and position == len(made.inputs) - 1


def _input(made: Function, position: int) -> tuple[str, str]:
    """Kind and description of one array."""
    joined = position in made.promotes
    kind = "sequence of Tensor" if made.sequence else "Tensor"
    if joined and _takes_numbers(made):
        kind = "Tensor or number"
    if position >= made.required and not _starred(made, position) and not made.sequence:
        kind += ", optional"
    shape = ""
    if made.broadcasts and len(made.inputs) > 1 and made.check is None:
        shape = "shapes that broadcast" if joined else "a shape that broadcasts with the others"
    elif made.check is None or made.params:
        shape = "any shape"
    if made.sequence:
        shape = ""
    type_ = _TAKES[made.takes] if joined else ""
    text = " and ".join(part for part in (shape, type_) if part)
    numbers = " At least one operand is a tensor." if joined and _takes_numbers(made) else ""
    return kind, f"Of {text}.{numbers}" if text else ""


def _parameter(made: Function, name: str, default: Any) -> tuple[str, str]:
    """Kind and description of one parameter."""
    given = made.signature.parameters[name]
    required = default is given.empty
    annotation = given.annotation if isinstance(given.annotation, str) else ""
    kind = _ANNOTATIONS.get(annotation, annotation)
    if name == "dtype":
        kind = "DType"
    if default is None:
        kind = f"{kind}, optional" if kind else "optional"
    elif not required:
        kind = f"{kind}, default {default!r}" if kind else f"default {default!r}"
    text = _PARAMETERS.get(name, "")
    if name == "axis" and "tuple" in kind:
        text = text.replace("dimension", "dimension or dimensions", 1)
    if name == "axis" and default is None:
        text += " All without it."
    if name == "dtype" and made.accumulates:
        text = "The type to compute in. Without it integers and bools are taken in 64 bits."
    return kind or "see above", text


def _returns(made: Function) -> str:
    if made.outputs > 1:
        names = getattr(made.results, "_fields", None)
        return f"tuple of Tensor\n    {_listed([f'``{n}``' for n in names]) if names else made.outputs}."
    if made.outputs == 0:
        return "tuple of Tensor"
    first = f"``{made.inputs[0]}``" if made.inputs else ""
    several = len(made.promotes) > 1 or made.sequence
    shape = type_ = ""
    if "keepdims" in made.params:
        shape = f"the shape of {first} without the dimensions taken together"
    elif "shape" in made.params:
        shape = "shape ``shape``"
    elif made.broadcasts and made.check is None:
        shape = "the shape that the operands broadcast to"
    elif made.standard and made.check is None and not made.params:
        shape = f"the shape of {first}"
    if made.gives in ("bool", "int64"):
        type_ = f"type {made.gives}"
    elif made.gives == "real":
        type_ = f"the type of {first}, or of its parts if it is complex"
    elif made.gives == "complex":
        type_ = f"the complex type of {first}'s precision"
    elif made.gives == "same" and made.inputs and not made.accumulates:
        type_ = "the common type" if several else f"the type of {first}"
    text = f"Of {' and '.join(part for part in (shape, type_) if part)}." if shape or type_ else ""
    text = text.replace(f"the shape of {first} and the type of", "the shape and type of")
    if made.view is not None:
        text += f"{' ' if text else ''}Shares the memory of {first}, unless that takes a copy."
    return f"Tensor\n    {text}" if text else "Tensor"


def _raises(made: Function) -> str:
    found = ["OperandError\n    If an operand is missing, or is something other than described."]
    several = len(made.inputs) > 1 or made.variadic
    if made.check is not None:
        found.append("ShapeError\n    If the shape does not fit the function or its parameters.")
    elif made.broadcasts and several:
        found.append("ShapeError\n    If shapes do not broadcast.")
    if "axis" in made.params or "axes" in made.params:
        found.append("IndexOutOfRangeError\n    If there is no such dimension.")
    refused = _REFUSES.get(made.takes, "")
    if len(made.promotes) > 1 or made.sequence:
        refused += f"{' ' if refused else ''}If the types have no common one."
    if refused:
        found.append(f"DTypeError\n    {refused}")
    if several:
        found.append("DeviceError\n    If tensors are on different devices or backends.")
    return "\n".join(found)


def _gradient(made: Function) -> str:
    if not made.differentiable:
        return "Not differentiable: nothing is recorded."
    if not made.has_rules:
        return "Differentiable through the functions that it is made of." if made.body else "There is no derivative."
    parts = [
        f"``{name}`` (keeps {_kept(made, spec)})"
        for name, spec in zip(made.inputs, made.specs, strict=True)
        if spec is not None
    ]
    return f"Differentiable in {_listed(parts)}."


def _kept(made: Function, spec: Spec) -> str:
    """Name the arrays that one rule has the forward call keep."""
    found = [
        "the result" if kind == OUT else f"``{made.fields[key] if kind == ONE_OF else made.inputs[key]}``"
        for kind, key in spec.items
        if kind in (ARRAY, ARRAYS, OUT, ONE_OF)
    ]
    return _listed(found) or "no array"


def _listed(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
