"""Products, where NumPy has them otherwise or not at all."""

import numpy as np


def _added(product):
    return lambda x, a, b, beta=1, alpha=1: (beta * x if beta else 0) + alpha * product(a, b)


REFERENCES = {
    "addbmm": _added(lambda a, b: (a @ b).sum(0)),
    "addmm": _added(np.matmul),
    "addmv": _added(np.matmul),
    "baddbmm": _added(np.matmul),
    "einsum": lambda *operands, subscripts, optimize=True: np.einsum(subscripts, *operands),
    "einsum_pair": lambda a, b, subscripts: np.einsum(subscripts, a, b),
}
