"""One class a kind of failure; each is also the builtin that callers of NumPy or PyTorch expect.

Every message says what was passed, what was expected and what to write instead.
"""

from __future__ import annotations

__all__ = [
    "PolyadError",
    "ArgumentError",
    "AutogradError",
    "BackendError",
    "BackendNotInstalledError",
    "DTypeError",
    "DeviceError",
    "IndexOutOfRangeError",
    "LibraryNotInstalledError",
    "LinAlgError",
    "MaskError",
    "OperandError",
    "PluginError",
    "PluginNotInstalledError",
    "ShapeError",
    "TransformError",
]


class PolyadError(Exception):
    """Base of all errors that polyad raises itself."""


class ArgumentError(PolyadError, ValueError):
    """A parameter has a value that the function cannot take."""


class OperandError(PolyadError, TypeError):
    """An operand is no tensor, number or array that the function can take."""


class ShapeError(PolyadError, ValueError):
    """Shapes or axes that do not fit each other."""


class DTypeError(PolyadError, TypeError):
    """A data type that the function or the backend does not take."""


class MaskError(ShapeError, IndexError):
    """A mask that does not have the shape of the dimensions it stands for."""


class LinAlgError(PolyadError, ValueError):
    """A matrix for which the result does not exist: singular, or not positive definite. Also ``linalg.LinAlgError``."""

    @classmethod
    def of(cls, function: str, position: int, shape: tuple[int, ...], problem: str) -> LinAlgError:
        """Name the matrix that has a problem: its position, in row-major order, in a stack of shape ``shape``."""
        which = "the matrix"
        if shape:
            index = []
            for n in reversed(shape):
                position, i = divmod(position, n)
                index.append(i)
            which = f"matrix {tuple(reversed(index))} of the stack of shape {shape}"
        return cls(f"{function}: {which} {problem}")


class IndexOutOfRangeError(PolyadError, IndexError):
    """An index or axis outside its valid range."""


class DeviceError(PolyadError, RuntimeError):
    """Tensors of different devices or backends met, or there is no such device."""


class BackendError(PolyadError, RuntimeError):
    """A backend is unknown, not installed, broken, or lacks what was asked of it."""


class PluginError(PolyadError, RuntimeError):
    """A plugin failed to load, or claims a name that is taken."""


class PluginNotInstalledError(PluginError):
    """The library that a plugin is for is not installed; the message gives the line that installs it."""


class LibraryNotInstalledError(PolyadError, ImportError):
    """A library that draws or the like is not installed; the message gives the line that installs it."""


class AutogradError(PolyadError, RuntimeError):
    """A gradient was asked for that the recorded graph cannot give."""


class TransformError(PolyadError, RuntimeError):
    """A transform such as vmap was used for what it cannot do."""


class BackendNotInstalledError(BackendError):
    """The array library of a backend is not installed."""
