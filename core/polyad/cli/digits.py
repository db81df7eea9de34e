"""Handwritten digits, and a network that learns to read them: what ``polyad demo`` runs, and an example to read.

The data are the 1,797 scans of 8 by 8 pixels that scikit-learn brings along. Everything random comes from Python's
own generator, so that every backend starts from the same weights and sees the same batches.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polyad as ad

from .console import import_extra

__all__ = ["Digits", "Epoch", "build_model", "count_parameters", "evaluate", "load_digits", "predict", "train"]

PIXELS, HIDDEN, CLASSES = 64, 256, 10
DARKEST: Final = 16  # pixels count from 0 to 16
CONTRAST: Final = 4.0  # pixels are scaled to 0 ... 4: larger inputs learn faster than 0 ... 1
SPLIT_SEED: Final = 0  # which fifth is held out never changes, so accuracies can be compared


@dataclass(frozen=True)
class Digits:
    """Scans and what they show: ``images`` of shape ``(n, 64)``, ``labels`` of shape ``(n,)``."""

    images: ad.Tensor
    labels: ad.Tensor

    def __len__(self) -> int:
        return int(self.labels.shape[0])


@dataclass(frozen=True)
class Epoch:
    """How the network did after one pass over the training part."""

    number: int
    train_loss: float
    train_accuracy: float
    test_loss: float
    test_accuracy: float


def load_digits() -> tuple[Digits, Digits]:
    """Load the scans, on the default backend: four fifths of each digit to learn from, one fifth held out."""
    data = import_extra("sklearn.datasets", package="scikit-learn", extra="demo").load_digits()
    train, test = split(data.target.tolist())
    return choose(data, train), choose(data, test)


def split(labels: Sequence[int]) -> tuple[list[int], list[int]]:
    """Hold out a random fifth of each class: the positions of the others, and of these."""
    rng = random.Random(SPLIT_SEED)
    train: list[int] = []
    test: list[int] = []
    for label in sorted(set(labels)):
        positions = [i for i, found in enumerate(labels) if found == label]
        rng.shuffle(positions)
        fifth = round(len(positions) / 5)
        test += positions[:fifth]
        train += positions[fifth:]
    rng.shuffle(test)
    return train, test


def choose(data: Any, positions: list[int]) -> Digits:
    """Bring some of the scans to the default backend."""
    images = ad.tensor(data.data[positions], dtype=ad.float32) * (CONTRAST / DARKEST)
    return Digits(images, ad.tensor(data.target[positions], dtype=ad.int64))


def build_model(seed: int) -> Any:
    """Make a network with one hidden layer, and draw its weights from Python's generator."""
    model = ad.nn.Sequential(ad.nn.Linear(PIXELS, HIDDEN), ad.nn.ReLU(), ad.nn.Linear(HIDDEN, CLASSES))
    rng = random.Random(seed)
    with ad.no_grad():
        for layer in model:
            for parameter in layer.parameters():
                bound = layer.in_features**-0.5  # the range in which Linear draws
                draws = [rng.uniform(-bound, bound) for _ in range(parameter.numel())]
                parameter.copy_(ad.tensor(draws).reshape(parameter.shape))
    return model


def count_parameters(model: Any) -> int:
    """Count the numbers that the network learns."""
    return sum(parameter.numel() for parameter in model.parameters())


def batches(count: int, size: int, rng: random.Random) -> Iterator[list[int]]:
    """Positions 0 to ``count - 1`` in random order, ``size`` at a time; what is left over waits for another epoch.

    All batches have one shape, so that a backend that compiles does it once.
    """
    order = list(range(count))
    rng.shuffle(order)
    for start in range(0, count - size + 1, size):
        yield order[start : start + size]


def train(
    model: Any,
    digits: Digits,
    held_out: Digits,
    *,
    epochs: int,
    batch_size: int,
    lr: float,
    seed: int,
    on_batch: Callable[[], object] = lambda: None,
) -> Iterator[Epoch]:
    """Train the network by Adam; after each epoch yield how it does. ``on_batch`` is called after every batch."""
    rng = random.Random(seed)
    optimizer = ad.optim.Adam(model.parameters(), lr=lr)
    for number in range(1, epochs + 1):
        for batch in batches(len(digits), batch_size, rng):
            chosen = ad.tensor(batch)
            loss = ad.nn.functional.cross_entropy(model(digits.images[chosen]), digits.labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            on_batch()
        yield Epoch(number, *evaluate(model, digits), *evaluate(model, held_out))


def evaluate(model: Any, digits: Digits) -> tuple[float, float]:
    """Mean loss and accuracy over some digits."""
    with ad.no_grad():
        logits = model(digits.images)
        loss = ad.nn.functional.cross_entropy(logits, digits.labels)
        accuracy = (logits.argmax(1) == digits.labels).float().mean()
    return loss.item(), accuracy.item()


def predict(model: Any, digits: Digits) -> list[int]:
    """Read some digits."""
    with ad.no_grad():
        found: list[int] = model(digits.images).argmax(1).tolist()
    return found
