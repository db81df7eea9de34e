"""What all tests share: the backend they run on.

``POLYAD_TEST_BACKENDS="numpy,jax"`` restricts the tests that run on every backend to those named.
"""

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Compiling takes most of JAX's time here. Code need not be fast that runs once, and what was compiled is kept from run
# to run. All this is read when JAX is imported. XLA ends the process over a flag that it does not know. Level 0 beside
# the last flag compiles products of complex numbers wrongly.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=1 --xla_llvm_disable_expensive_passes=true --xla_cpu_use_fusion_emitters=false",
)
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parent.parent / ".pytest_cache" / "jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

# SciPy and scikit-learn look at it when they are imported: whether they take other arrays than NumPy's
os.environ.setdefault("SCIPY_ARRAY_API", "1")

import pytest

import polyad as ad
from polyad.backend import Backend
from polyad.errors import BackendError, DTypeError
from polyad.plugins import plugins

ALL = ("numpy", "jax", "cupy", "strict")
STRICT = "strict"  # a backend that lives here, and needs array-api-strict
NOT_STANDARD = re.compile(rf"backend '{STRICT}' has no (b?float16|kernel)")


def chosen_backends() -> list[str]:
    """The backends that the environment names, or all."""
    named = os.environ.get("POLYAD_TEST_BACKENDS")
    names = list(ALL) if named is None else [n.strip() for n in named.split(",") if n.strip()]
    known = [*plugins.backend_names(), STRICT]
    for name in names:
        if name not in known:
            raise pytest.UsageError(f"POLYAD_TEST_BACKENDS names {name!r}; there are {', '.join(known)}")
    return names


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, where backends are named and NumPy is not, the tests that have nothing to do with a backend.

    They run beside NumPy's, once for each Python, and not once more for each backend.
    """
    names = chosen_backends()
    if "numpy" in names:
        return
    kept = [i for i in items if "loaded_backend" in getattr(i, "fixturenames", ()) or any(n in i.nodeid for n in names)]
    taken = set(kept)
    config.hook.pytest_deselected(items=[i for i in items if i not in taken])
    items[:] = kept


@pytest.fixture(scope="session", params=chosen_backends())
def loaded_backend(request: pytest.FixtureRequest) -> Backend:
    """Each backend in turn; the test is skipped, with the reason, where one cannot be had."""
    if request.param == STRICT and STRICT not in plugins.backend_names():
        pytest.importorskip("array_api_strict", reason="backend 'strict' needs array-api-strict")
        from strict_backend import StrictBackend

        plugins.add_backend(StrictBackend())
    try:
        return plugins.backend(request.param)
    except BackendError as error:
        pytest.skip(str(error))


@pytest.fixture
def backend(loaded_backend: Backend, request: pytest.FixtureRequest) -> Iterator[Backend]:
    """Each backend in turn, as the one that new tensors are made on."""
    record = getattr(getattr(request.node, "callspec", None), "params", {}).get("record")
    if loaded_backend.name == STRICT and record is not None:
        try:
            loaded_backend.resolve(record, loaded_backend.devices[0])
        except BackendError:
            pytest.skip("the function has kernels for particular libraries only, and no body")
    with ad.use_backend(loaded_backend.name):
        yield loaded_backend


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Any:
    """Skip, over the standard alone, what is about types or functions that the standard has not."""
    try:
        return (yield)
    except Exception as error:
        for reason in (error, error.__cause__):
            if isinstance(reason, (DTypeError, BackendError)) and NOT_STANDARD.match(str(reason)):
                pytest.skip("the standard has neither float16 nor bfloat16, nor special functions")
            if type(reason).__module__ == "numpy.linalg" and STRICT in pyfuncitem.name:
                pytest.skip("the library says itself which matrix is singular")
        raise


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say once for each reason how many tests were skipped for it; pytest would say it once for each test."""
    reasons = Counter(
        report.longrepr[2].removeprefix("Skipped: ")
        for report in terminalreporter.stats.get("skipped", ())
        if isinstance(report.longrepr, tuple)
    )
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"SKIPPED [{count}] {reason}")
