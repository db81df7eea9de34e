"""Optimizers, as in ``torch.optim``: they change parameters in place, by the gradients that ``backward`` left."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import polyad as ad
from polyad.errors import ArgumentError, AutogradError, DTypeError, OperandError

__all__ = ["SGD", "Adam", "Optimizer"]

Group = dict[str, Any]


class Optimizer:
    """Base class: parameters in groups, each with its options; and what is kept for each parameter between steps.

    A subclass defines ``_update(parameter, gradient, state, group)``, which is called with recording off.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        Leaves; or groups, ``{"params": [...], "lr": 0.1}``, whose options come before the defaults.
    defaults : dict
        The options of groups that do not give them.

    Attributes
    ----------
    param_groups : list of dict
        May be changed between steps, for example ``optimizer.param_groups[0]["lr"] = 0.01``.
    state : dict
        ``parameter -> what is kept for it``.

    Raises
    ------
    ArgumentError
        If there are no parameters, one is given twice, or an option is out of range.
    OperandError
        If a parameter is no tensor.
    AutogradError
        If a parameter is no leaf.
    """

    param_groups: list[Group]
    state: dict[ad.Tensor, dict[str, Any]]

    def __init__(self, params: Any, defaults: Mapping[str, Any]) -> None:
        self.defaults = dict(defaults)
        self.param_groups, self.state = [], {}
        name = type(self).__name__
        if isinstance(params, ad.Tensor) or not isinstance(params, Iterable):
            what = "write [tensor]" if isinstance(params, ad.Tensor) else "write model.parameters()"
            raise OperandError(f"{name}: expected an iterable of parameters; got {type(params).__name__}; {what}")
        groups = list(params)
        if not groups:
            raise ArgumentError(f"{name}: got no parameters; model.parameters() can be gone through only once")
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Add a group of parameters: ``{"params": [...], "lr": 0.1}``.

        Parameters
        ----------
        param_group : mapping

        Raises
        ------
        ArgumentError, OperandError, AutogradError
            As for the class.
        """
        name = type(self).__name__
        if not isinstance(param_group, Mapping) or "params" not in param_group:
            raise OperandError(f"{name}: a group is a dict with the key 'params'; got {param_group!r:.80}")
        params = param_group["params"]
        params = [params] if isinstance(params, ad.Tensor) else list(params)
        unknown = sorted(set(param_group) - {"params", *self.defaults})
        if unknown:
            raise ArgumentError(
                f"{name}: there is no option {', '.join(unknown)}; the options are {', '.join(self.defaults)}"
            )
        held = {id(p) for group in self.param_groups for p in group["params"]}
        for p in params:
            if not isinstance(p, ad.Tensor):
                raise OperandError(f"{name}: parameters are tensors; got {type(p).__name__} {p!r:.60}")
            if not p.is_leaf:
                raise AutogradError(
                    f"{name}: a parameter of shape {p.shape} is the result of {p.grad_fn.name()}, not a leaf; only "
                    f"leaves are given gradients. Write x.detach().requires_grad_()"
                )
            if id(p) in held:
                raise ArgumentError(f"{name}: a parameter of shape {p.shape} is given twice")
            held.add(id(p))
        group = {"params": params, **self.defaults, **{k: v for k, v in param_group.items() if k != "params"}}
        self._check(group)
        self.param_groups.append(group)

    def _check(self, group: Group) -> None:
        """Raise if an option of a group is out of range."""

    def _not_negative(self, group: Group, *options: str) -> None:
        for option in options:
            if not group[option] >= 0:
                raise ArgumentError(f"{type(self).__name__}: {option} must not be negative; got {group[option]!r}")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients or, with ``set_to_none=False``, set them to 0."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p.grad = None
                elif p.grad is not None:
                    p.grad.zero_()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient.

        Parameters
        ----------
        closure : callable, optional
            Computes the loss and its gradients anew, and returns the loss.

        Returns
        -------
        object
            What ``closure`` returned, else None.
        """
        loss = None
        if closure is not None:
            with ad.enable_grad():
                loss = closure()
        with ad.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        self._update(p, p.grad, self.state.setdefault(p, {}), group)
        return loss

    def _update(self, p: ad.Tensor, g: ad.Tensor, state: dict[str, Any], group: Group) -> None:
        """Change one parameter in place."""
        raise NotImplementedError(f"{type(self).__name__} defines no _update(self, p, g, state, group)")

    def state_dict(self) -> dict[str, Any]:
        """Give options and state, with parameters numbered in order. Tensors are copied: it stays as it was taken."""
        numbers = {p: i for i, p in enumerate(p for group in self.param_groups for p in group["params"])}
        return {
            "state": {
                numbers[p]: {
                    key: value.clone() if isinstance(value, ad.Tensor) else value for key, value in kept.items()
                }
                for p, kept in self.state.items()
                if kept
            },
            "param_groups": [{**group, "params": [numbers[p] for p in group["params"]]} for group in self.param_groups],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a state that `state_dict` gave, for the same number of parameters.

        Parameters
        ----------
        state_dict : mapping
            Tensors in it are copied, to their parameters' devices.

        Raises
        ------
        ArgumentError
            If groups, shapes or options differ. Nothing is changed then.
        """
        name = type(self).__name__
        try:
            groups, states = state_dict["param_groups"], state_dict["state"]
            have, given = ([len(g["params"]) for g in gs] for gs in (self.param_groups, groups))
        except (KeyError, TypeError):
            raise ArgumentError(f"{name}.load_state_dict: expected what state_dict() gives") from None
        if have != given:
            raise ArgumentError(
                f"{name}.load_state_dict: the state is for groups of {given} parameters; this optimizer has {have}"
            )
        updated = []
        for group, other in zip(self.param_groups, groups, strict=True):
            if set(other) != set(group):
                differing = ", ".join(sorted(set(other) ^ set(group)))
                raise ArgumentError(
                    f"{name}.load_state_dict: the options differ in {differing}; is it another optimizer's?"
                )
            updated.append({**other, "params": group["params"]})
            self._check(updated[-1])
        params = [p for group in self.param_groups for p in group["params"]]
        numbers = [n for group in groups for n in group["params"]]
        state = {
            p: {key: _copied(value, p, f"{name}.load_state_dict: {key}") for key, value in states[n].items()}
            for p, n in zip(params, numbers, strict=True)
            if n in states
        }
        self.param_groups, self.state = updated, state

    def __repr__(self) -> str:
        lines = [
            f"  group {i}: {len(group['params'])} parameters, "
            + ", ".join(f"{k}={v!r}" for k, v in group.items() if k != "params")
            for i, group in enumerate(self.param_groups)
        ]
        return "\n".join([f"{type(self).__name__}(", *lines, ")"])


def _copied(value: Any, p: ad.Tensor, name: str) -> Any:
    """A piece of state for a parameter: a tensor of its own, where the parameter is."""
    if not isinstance(value, ad.Tensor):
        return value
    if value.shape != p.shape:
        raise ArgumentError(f"{name} has shape {value.shape}; the parameter has {p.shape}")
    return value.detach().to(p.dtype, device=p.device, copy=True)


class SGD(Optimizer):
    """Gradient descent, with momentum if asked for, as in ``torch.optim.SGD``.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        See `Optimizer`.
    lr : float
        Step size.
    momentum : float
        What is kept of the last step's direction.
    dampening : float
        What is left out of the gradient where there is momentum.
    weight_decay : float
        How strongly parameters are drawn to 0.
    nesterov : bool
        Whether the gradient is that after the momentum's step; for momentum without dampening.

    Raises
    ------
    ArgumentError
        If an option is out of range.

    Examples
    --------
    >>> import polyad as ad
    >>> x = ad.tensor(3.0, requires_grad=True)
    >>> optimizer = ad.optim.SGD([x], lr=0.1, momentum=0.9)
    >>> (x * x).backward()
    >>> optimizer.step()
    >>> x
    tensor(2.4000, requires_grad=True)
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
            },
        )

    def _check(self, group: Group) -> None:
        self._not_negative(group, "lr", "momentum", "weight_decay")
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ArgumentError(
                f"SGD: nesterov needs momentum above 0 and dampening 0; got momentum={group['momentum']!r}, "
                f"dampening={group['dampening']!r}"
            )

    def _update(self, p: ad.Tensor, g: ad.Tensor, state: dict[str, Any], group: Group) -> None:
        momentum = group["momentum"]
        if group["weight_decay"]:
            g = g + p * group["weight_decay"]
        if momentum:
            direction = state.get("momentum_buffer")
            if direction is None:
                direction = state["momentum_buffer"] = g.clone()
            else:
                direction.mul_(momentum).add_(g if not group["dampening"] else g * (1 - group["dampening"]))
            g = g + direction * momentum if group["nesterov"] else direction
        p.sub_(g * group["lr"])


@ad.function(name="nn.adam_step", takes="real floating", outputs=3, differentiable=False)
def _adam_step(
    xp: ad.XP,
    g: ad.Tensor,
    mean: ad.Tensor,
    square: ad.Tensor,
    rate: float,
    spread: float,
    /,
    *,
    beta1: float,
    beta2: float,
    eps: float,
) -> tuple[ad.Tensor, ad.Tensor, ad.Tensor]:
    """One step of Adam: what to subtract from a parameter, and the new running means.

    One function, so that it is one call of a compiler. What changes from step to step, ``rate`` and ``spread``, are
    operands: parameters are compiled in. In-place operators are used on temporary arrays only; NumPy's kernel
    writes the running means in place, which are nobody else's.
    """
    mean = mean * beta1
    mean += g * (1 - beta1)
    squared = g * g
    squared *= 1 - beta2
    square = square * beta2
    square += squared
    divisor: Any = xp.sqrt(square)
    divisor /= spread
    divisor += eps
    change = mean / divisor
    change *= rate
    return change, mean, square


class Adam(Optimizer):
    """Adam, as in ``torch.optim.Adam``: steps scaled by running means of the gradient and its square.

    Kingma and Ba (2015), "Adam: a method for stochastic optimization", algorithm 1.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        See `Optimizer`.
    lr : float
        Step size.
    betas : (float, float)
        What is kept of the running means in each step, from 0 to below 1.
    eps : float
        Added to the divisor.
    weight_decay : float
        How strongly parameters are drawn to 0, through the gradient.

    Raises
    ------
    ArgumentError
        If an option is out of range.
    DTypeError
        If a parameter is complex.

    Examples
    --------
    >>> import polyad as ad
    >>> x = ad.tensor(3.0, requires_grad=True)
    >>> optimizer = ad.optim.Adam([x], lr=0.1)
    >>> (x * x).backward()
    >>> optimizer.step()
    >>> x
    tensor(2.9000, requires_grad=True)
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    def _check(self, group: Group) -> None:
        self._not_negative(group, "lr", "eps", "weight_decay")
        betas = group["betas"]
        if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
            raise ArgumentError(f"Adam: betas must be two numbers from 0 to below 1; got {betas!r}")
        for p in group["params"]:
            if p.is_complex():
                raise DTypeError(f"Adam: a parameter of shape {p.shape} is {p.dtype.name}; expected real parameters")

    def _update(self, p: ad.Tensor, g: ad.Tensor, state: dict[str, Any], group: Group) -> None:
        if group["weight_decay"]:
            g = g + p * group["weight_decay"]
        if not state:
            state.update(step=0, exp_avg=ad.zeros_like(p), exp_avg_sq=ad.zeros_like(p))
        state["step"] += 1
        beta1, beta2 = group["betas"]
        # both means start at 0, which is undone by dividing by what of the weights has come in so far
        rate = group["lr"] / (1 - beta1 ** state["step"])
        spread = math.sqrt(1 - beta2 ** state["step"])
        change, state["exp_avg"], state["exp_avg_sq"] = _adam_step(
            g, state["exp_avg"], state["exp_avg_sq"], rate, spread, beta1=beta1, beta2=beta2, eps=group["eps"]
        )
        p.sub_(change)
