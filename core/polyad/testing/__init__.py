"""What polyad is tested with, shipped so that authors of functions, plugins and backends can use it too.

`check_function` runs a function's samples through everything that polyad promises of a function; `gradcheck` and
`gradgradcheck` compare any differentiable code with finite differences; `assert_close` compares tensors.

Examples
--------
>>> import polyad as ad
>>> from polyad.testing import Sample, check_function
>>> @ad.function(x=lambda g, x: 3 * g * x**2, takes="floating", samples=[Sample((2, 3))])
... def cube(xp, x, /):
...     return x * x * x
>>> check_function(cube)
"""

from __future__ import annotations

from ..function import Fails, Sample
from .comparison import assert_close
from .conformance import call_sample, check_function, expected_dtype
from .crosscheck import crosscheck
from .differences import CrossCheck, Difference
from .explain import Explanation, Step, explain
from .gradients import GradcheckError, gradcheck, gradgradcheck
from .replay import replay
from .samples import sample_arguments

__all__ = [
    "CrossCheck",
    "Difference",
    "Explanation",
    "Fails",
    "GradcheckError",
    "Sample",
    "Step",
    "assert_close",
    "call_sample",
    "check_function",
    "crosscheck",
    "expected_dtype",
    "explain",
    "gradcheck",
    "gradgradcheck",
    "replay",
    "sample_arguments",
]
