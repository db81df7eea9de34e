"""The record of one differentiable function, and the registry of them all. Knows no Tensor.

A rule is the derivative with respect to one input: a plain function whose first parameter is the gradient of
the output and whose other parameter names say what the forward call keeps for it:

=================  =========================================================================
``g``              the gradient of the output (first parameter; any name). Nothing is kept
``<input>``        that input's array (a tuple of arrays for ``*input``)
``out``            the output's array
``<output>``       of several outputs with names, that one's array
``<input>_shape``  the shape of that input: a tuple of ints; the array is not kept
``<input>_dtype``  its data type; the array is not kept
``<parameter>``    the value of that parameter of the function
``xp``             the namespace of array functions to compute with
=================  =========================================================================

An input written ``*arrays``, or a sequence of arrays, stands for any number of them. Its one rule serves each:
``position`` is which one, ``arrays_shapes`` the shapes of all.

Rules are linear in ``g`` and written without complex conjugation: the engine carries the conjugate of PyTorch's
gradient, for which the derivative of a holomorphic function is the same formula as for a real one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final, Protocol, TypeVar

from .dtypes import BY_NAME
from .errors import PluginError

__all__ = ["FUNCTIONS", "TENSORS", "XP", "Call", "Fails", "Function", "Registry", "Sample", "result_class"]

Rule = Callable[..., Any]
Result = TypeVar("Result", covariant=True)

# What one parameter of a rule stands for: a kind, and which input or parameter.
ARRAY, ARRAYS, OUT, ONE_OF, SHAPE, DTYPE, PARAMETER, NAMESPACE, POSITION, SHAPES = range(10)


class XP:
    """The array functions that a body or rule computes with, by the standard's names: its parameter ``xp``.

    With raw arrays it is a backend's namespace, with tensors polyad's own.

    Examples
    --------
    >>> import polyad as ad
    >>> @ad.function()
    ... def squared_norm(xp: ad.XP, x, /):
    ...     return xp.sum(x * x)
    >>> squared_norm(ad.tensor([3.0, 4.0]))
    tensor(25.)
    """

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


class Sample:
    """A call of a function for the tests: the shapes of its arrays and its parameters.

    The tests fill the arrays, once for each backend and data type, and check the value, both derivatives, the
    data type and that the inputs are unchanged.

    Parameters
    ----------
    *arrays : tuple of int, or nested list
        A shape, to be filled with random numbers from ``domain``; or literal values in a list; or a number.
    domain : (float, float) or "integers" or "bools"
        Where random numbers are drawn from. ``"integers"`` are small and distinct from zero.
    name : str, optional
        How the case is shown.
    grad : bool
        False where the derivative is not checked at this point: it is on an edge.
    **params
        The function's parameters.

    Examples
    --------
    >>> from polyad.testing import Sample
    >>> Sample((2, 3), (3,), domain=(0.5, 2.0))
    Sample((2, 3), (3,))
    """

    __slots__ = ("arrays", "domain", "name", "grad", "params")

    def __init__(
        self,
        *arrays: Any,
        domain: tuple[float, float] | str | None = None,
        name: str | None = None,
        grad: bool = True,
        **params: Any,
    ) -> None:
        self.arrays, self.domain, self.name, self.grad, self.params = arrays, domain, name, grad, params

    def __repr__(self) -> str:
        shown = [repr(a) for a in self.arrays] + [f"{k}={v!r}" for k, v in self.params.items()]
        return self.name or f"{type(self).__name__}({', '.join(shown)})"


class Fails(Sample):
    """A call that must fail, with the class of the error and a pattern its message matches.

    Parameters
    ----------
    *arrays, domain, name, **params
        As for `Sample`.
    error : type
        The class expected.
    match : str
        A regular expression found in the message.

    Examples
    --------
    >>> from polyad.testing import Fails
    >>> Fails((2, 3), axis=2, error=IndexError, match="axis 2 is out of range")
    Fails((2, 3), axis=2)
    """

    __slots__ = ("error", "match")

    def __init__(self, *arrays: Any, error: type[BaseException], match: str, **kwargs: Any) -> None:
        super().__init__(*arrays, **kwargs)
        self.error, self.match = error, match


_KEPT: Final = {
    ARRAY: "values[{0}]",
    ARRAYS: "tuple(values[{0}:])",
    OUT: "out",
    ONE_OF: "out[{0}]",
    SHAPE: "values[{0}].shape",
    DTYPE: "values[{0}].dtype",
    PARAMETER: "params[{0!r}]",
    NAMESPACE: "device.xp",
    POSITION: "position - {0}",
    SHAPES: "tuple(v.shape for v in values[{0}:])",
}


class Spec:
    """What a rule keeps, read from its parameter names.

    Attributes
    ----------
    items : tuple of (int, key)
        For each parameter after the gradient a kind and which input or parameter it is.
    arrays : tuple of int
        The inputs whose arrays are kept.
    rest : int or None
        From this input on, all are kept.
    out : bool
        Whether the output is kept; of several, all.
    outputs : tuple of int
        Those of several outputs that are kept by themselves.
    keep : callable
        ``keep(device, values, params, out, position)`` gives what the rule is to get after the gradient. Compiled
        when first used, since it runs in every recorded call.
    """

    __slots__ = ("items", "arrays", "rest", "out", "outputs", "keep")

    def __init__(self, items: Iterable[tuple[int, Any]]) -> None:
        self.items = tuple(items)
        self.arrays = tuple(sorted({key for kind, key in self.items if kind == ARRAY}))
        self.rest: int | None = next((key for kind, key in self.items if kind == ARRAYS), None)
        self.out = any(kind == OUT for kind, _ in self.items)
        self.outputs = tuple(key for kind, key in self.items if kind == ONE_OF)
        self.keep: Callable[..., tuple[Any, ...]] = self._compile

    def _compile(self, *args: Any) -> tuple[Any, ...]:
        kept = "".join(_KEPT[kind].format(key) + ", " for kind, key in self.items)
        self.keep = eval(f"lambda device, values, params, out, position: ({kept})")
        return self.keep(*args)


def result_class(name: str, fields: Sequence[str]) -> Any:
    """Make the class of a result of several arrays with names: a tuple, as `collections.namedtuple` makes them.

    Not with that function itself, which compiles source code: a millisecond for every three of these at import.

    Examples
    --------
    >>> from polyad.function import result_class
    >>> pair = result_class("Pair", ["first", "second"])(1, 2)
    >>> pair, pair.first, tuple(pair)
    (Pair(first=1, second=2), 1, (1, 2))
    """

    def new(cls: Any, *values: Any) -> Any:
        return tuple.__new__(cls, values)

    def show(self: Any) -> str:
        return f"{name}({', '.join(f'{f}={v!r}' for f, v in zip(fields, self, strict=True))})"

    body = {"__slots__": (), "_fields": tuple(fields), "__new__": new, "__repr__": show, "__getnewargs__": tuple}
    body |= {field: property(itemgetter(i)) for i, field in enumerate(fields)}
    return type(name, (tuple,), body)


def _camel(name: str) -> str:
    """A function's name as part of a class's: ``"linalg.matrix_norm"`` gives ``"MatrixNorm"``."""
    return "".join(p[:1].upper() + p[1:] for p in name.rpartition(".")[2].strip("_").split("_"))


class Function:
    """A function of arrays that polyad can differentiate: its name, inputs, parameters and rules.

    Made by `polyad.function`; plugins hand theirs to polyad through the hook ``polyad_functions``.

    Attributes
    ----------
    name : str
        The name users call it by; dotted inside a sub-namespace, ``"linalg.eigh"``.
    inputs : tuple of str
        Its arrays, in order.
    variadic : bool
        Whether the last input stands for any number of arrays.
    sequence : bool
        Whether they are passed as one sequence, as to ``concat``.
    accumulates : bool
        Whether it has a parameter ``dtype`` of the type to compute in, by default 64 bits for integers.
    params : dict
        Its parameters and their defaults.
    rules : tuple of (callable or None)
        The derivative for each input.
    body : callable or None
        ``body(xp, *arrays, **params)``: the function in terms of others, for backends without a kernel; and its
        derivative, where it has no rules.
    check : callable or None
        ``check(*shapes, **params) -> params``: brings parameters to their one form, or raises.
    outputs : int
        How many arrays it returns; above one it returns a tuple; 0 for a tuple of any length.
    fields : tuple of str
        The names of several outputs, if they have names.
    results : callable
        ``results(*tensors)`` makes what it returns of several outputs: a tuple, or a class with names.
    takes : str
        The data types it takes, a key of `polyad.dtypes.CATEGORIES`.
    gives : str or tuple of str
        The data type of the result, or of each: ``"same"``, ``"bool"``, ``"int64"``, ``"real"`` (of a complex one),
        ``"complex"`` (of a real one) or ``"given"`` (the parameter ``dtype``).
    wide : bool
        Whether float16 and bfloat16 are computed in float32, and rounded once at the end: for functions that add up
        many numbers, and those that libraries lack in half precision.
    promotes : tuple of int
        The inputs whose types are brought to one.
    broadcasts : bool
        Whether inputs are broadcast against each other, and their gradients are summed back.
    elementwise : bool
        Whether each element of the result depends on the elements at its place alone. Then a rule, a factor for each
        element, is the derivative in forward mode too, and an axis more changes nothing.
    jvp : callable or str or None
        The derivative in forward mode: ``"linear"`` for a function that is linear in the arrays with rules together,
        ``"multilinear"`` for one that is in each; ``"transposed"`` for an elementwise function that is not holomorphic,
        so that its rules are not factors of complex numbers; ``"body"`` for one whose rules are slower than to
        differentiate its body; or ``jvp(xp, tangents, out, *arrays, **params)``. Without it the rules are factors, if
        it is elementwise, and otherwise transposed, or the body is differentiated.
    batching : callable or None
        How it is computed for many examples at once, by `vmap`; see `polyad.batching`. Without it the body is.
    differentiable : bool
        False for functions whose derivative is zero or undefined everywhere.
    provider : str
        The distribution it comes from.
    plain : bool
        Whether it has one output, and of arrays as many as it has inputs.
    joint : callable or None
        In place of rules: ``joint(node, g, args, tensors, history)`` gives the gradients of all inputs, None for none:
        as Tensors or raw arrays, as ``g`` is, and with a history or without.
    owns : bool
        Whether it hands raw gradients on to users, who may write to them and keep them: then nobody else has their
        memory.

    Examples
    --------
    >>> import polyad as ad
    >>> record = ad.FUNCTIONS["clip"]
    >>> record.inputs, record.required, record.node_name
    (('x', 'min', 'max'), 1, 'ClipBackward')
    """

    __slots__ = (
        *("name", "inputs", "variadic", "params", "required", "rules", "specs", "body", "check", "outputs"),
        *("takes", "gives", "promotes", "broadcasts", "differentiable", "standard", "prepare", "provider"),
        *("samples", "call", "doc", "signature", "usage", "view", "keeps_out", "sequence", "accumulates"),
        *("keeps_outputs", "wide", "results", "fields", "joint", "elementwise", "jvp", "batching", "plain"),
        "owns",
    )

    def __init__(
        self,
        definition: Callable[..., Any],
        *,
        name: str | None = None,
        rules: Mapping[str, Rule],
        check: Callable[..., dict[str, Any]] | None = None,
        outputs: int | Sequence[str] = 1,
        takes: str = "any",
        gives: str | tuple[str, ...] = "same",
        promotes: Sequence[int] | None = None,
        broadcasts: bool = False,
        elementwise: bool = False,
        jvp: Callable[..., Any] | str | None = None,
        batching: Callable[..., Any] | None = None,
        differentiable: bool = True,
        standard: bool = False,
        prepare: bool = True,
        sequence: bool = False,
        accumulates: bool = False,
        wide: bool = False,
        samples: Iterable[Sample] = (),
    ) -> None:
        # "from __future__ import annotations" leaves annotations as text: nothing is evaluated here
        signature = inspect.signature(definition)
        parameters = list(signature.parameters.values())
        self.name = name or definition.__name__
        self.body = None
        if parameters and parameters[0].name == "xp":
            self.body = definition
            parameters = parameters[1:]
        arrays = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.VAR_POSITIONAL)]
        others = [p for p in parameters if p not in arrays]
        self.inputs = tuple(p.name for p in arrays)
        self.sequence, self.accumulates = sequence, accumulates
        self.variadic = sequence or (bool(arrays) and arrays[-1].kind is inspect.Parameter.VAR_POSITIONAL)
        self.required = sum(p.default is p.empty and p.kind is p.POSITIONAL_ONLY for p in arrays)
        self.params = {p.name: p.default for p in others}
        self.signature = signature.replace(parameters=parameters)
        plain = [p.replace(annotation=p.empty) for p in parameters]
        self.usage = f"{self.name}{signature.replace(parameters=plain, return_annotation=signature.empty)}"
        self.doc = inspect.cleandoc(definition.__doc__ or "")
        unknown = set(rules) - set(self.inputs)
        if unknown:
            raise PluginError(
                f"{self.name}: rules for {sorted(unknown)}, which are no inputs; its inputs are {list(self.inputs)} "
                f"(positional-only, before '/')"
            )
        self.fields = () if isinstance(outputs, int) else tuple(outputs)
        self.rules = tuple(rules.get(i) for i in self.inputs)
        self.specs = tuple(None if r is None else self._read(r) for r in self.rules)
        self.keeps_out = any(s is not None and s.out for s in self.specs)
        self.keeps_outputs = tuple(sorted({i for s in self.specs if s is not None for i in s.outputs}))
        self.check, self.takes, self.gives, self.wide = check, takes, gives, wide
        self.results: Callable[..., Any] = _as_tuple
        if isinstance(outputs, int):
            self.outputs = outputs
        else:
            self.outputs, self.results = len(outputs), result_class(f"{_camel(self.name)}Result", outputs)
        self.plain = self.outputs == 1 and not self.variadic
        self.promotes = tuple(range(len(self.inputs))) if promotes is None else tuple(promotes)
        self.broadcasts = broadcasts or (elementwise and len(arrays) > 1)
        self.elementwise, self.jvp, self.batching = elementwise, jvp, batching
        self.differentiable = differentiable
        self.standard, self.prepare, self.samples = standard, prepare, tuple(samples)
        self.provider = "polyad"
        self.view: Any = None
        self.call: Any = None
        self.joint: Any = None
        self.owns = False

    def _read(self, rule: Rule) -> Spec:
        """Turn a rule's parameter names into what is to be kept for it."""
        items: list[tuple[int, Any]] = []
        for name in list(inspect.signature(rule).parameters)[1:]:
            if name in self.inputs:
                kind = ARRAYS if self.variadic and name == self.inputs[-1] else ARRAY
                items.append((kind, self.inputs.index(name)))
            elif name == "out":
                items.append((OUT, None))
            elif name in self.fields:
                items.append((ONE_OF, self.fields.index(name)))
            elif name == "xp":
                items.append((NAMESPACE, None))
            elif name in self.params:
                items.append((PARAMETER, name))
            elif self.variadic and name == "position":
                items.append((POSITION, len(self.inputs) - 1))
            elif self.variadic and name == f"{self.inputs[-1]}_shapes":
                items.append((SHAPES, len(self.inputs) - 1))
            elif name.endswith("_shape") and name[:-6] in self.inputs:
                items.append((SHAPE, self.inputs.index(name[:-6])))
            elif name.endswith("_dtype") and name[:-6] in self.inputs:
                items.append((DTYPE, self.inputs.index(name[:-6])))
            else:
                raise PluginError(
                    f"{self.name}: a rule asks for {name!r}; a rule may ask for its inputs {list(self.inputs)}, "
                    f"'<input>_shape', '<input>_dtype', 'out', {''.join(f'{o!r}, ' for o in self.fields)}'xp' and its "
                    f"parameters {list(self.params)}"
                )
        return Spec(items)

    @property
    def has_rules(self) -> bool:
        """Whether the derivative is written as rules (otherwise it follows from the body)."""
        return any(self.rules)

    @property
    def node_name(self) -> str:
        """How its node in the graph is shown: ``"MultiplyBackward"``."""
        return f"{_camel(self.name)}Backward"

    @property
    def origin(self) -> str:
        """Whose it is, for messages: the distribution and its version."""
        from importlib import metadata

        try:
            return f"{self.provider} {metadata.version(self.provider)}"
        except metadata.PackageNotFoundError:
            return self.provider

    def __repr__(self) -> str:
        return f"<polyad function {self.name!r} of {self.provider}>"


def _as_tuple(*outputs: Any) -> tuple[Any, ...]:
    return outputs


class Call(Protocol[Result]):
    """What users call: a function of tensors. Parameters go by position or name, also PyTorch's names.

    Attributes
    ----------
    function : Function
        Its record.
    """

    function: Function

    def __call__(self, *args: Any, **params: Any) -> Result:
        """Run it, recorded where an operand requires a gradient."""


class Registry(dict[str, Function]):
    """The functions users reach by name, ``name -> Function``.

    Attributes
    ----------
    namespaces : set of str
        What stands before a dot in a name.
    """

    def __init__(self) -> None:
        super().__init__()
        self.namespaces: set[str] = set()

    def add(self, functions: Iterable[Function], provider: str) -> None:
        """Add a provider's functions, all or, if one's name is taken, none.

        Raises
        ------
        PluginError
            If a name is taken; it names both providers.
        """
        new = {f.name: f for f in functions}
        for name in new:
            if name in self and self[name] is not new[name]:
                raise PluginError(
                    f"two providers claim the function {name!r}: {self[name].provider} has it, and {provider} "
                    f"brings it again; uninstall one, or leave one out of POLYAD_PLUGINS"
                )
        for name, function in new.items():
            function.provider = provider
            self[name] = function
            self.namespaces.update(name[:i] for i, c in enumerate(name) if c == ".")


FUNCTIONS: Final = Registry()


class TensorNamespace(XP):
    """polyad's functions on Tensors as bodies and rules see them: ``xp`` where gradients are recorded."""

    def __init__(self, prefix: str = "") -> None:
        self.__prefix = prefix

    def __getattr__(self, name: str) -> Any:
        full = self.__prefix + name
        function = FUNCTIONS.get(full)
        found: Any
        if function is not None:
            found = function.call
        elif full in FUNCTIONS.namespaces:
            found = TensorNamespace(full + ".")
        elif full in BY_NAME:  # a type: xp.float64
            found = BY_NAME[full]
        else:
            raise AttributeError(f"{full!r} is no polyad function, so a body or rule cannot call it")
        setattr(self, name, found)
        return found


TENSORS: Final = TensorNamespace()
