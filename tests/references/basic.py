"""Functions whose values are their operands'."""

import numpy as np

REFERENCES = {
    "astype": lambda x, dtype: x.astype(dtype),
    "clip": lambda x, low=None, high=None: np.clip(x, low, high),
    "clone": lambda x: x,
    "copy": lambda x1, x2: np.broadcast_to(x2, x1.shape),
    "detach": lambda x: x,
}
