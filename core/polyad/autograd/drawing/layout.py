"""A plain layered layout of a directed graph without cycles: where boxes stand, and how edges run between them.

The steps are those of Sugiyama's method. Each box gets a layer, and edges over several layers pass through points in
the layers between, those of one box through the same. Boxes of a layer are ordered by the mean place of their
neighbours, again and again, and the order with the fewest crossings is kept. Then each box goes as near to its
neighbours as the order and its width allow. Edges bend between layers only, where no boxes are, so none runs over a
box. Boxes may be kept in lanes side by side.
"""

from __future__ import annotations

from bisect import bisect, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

__all__ = ["Arrangement", "Box", "arrange"]

BETWEEN: Final = 18.0  # boxes of a layer
BETWEEN_LAYERS: Final = 30.0
BETWEEN_LANES: Final = 40.0
_SWEEPS: Final = 12
_MANY: Final = 20_000  # pieces of edges; of more, the order is improved less often
_POINT: Final = 6.0  # the width of a point that an edge passes through


@dataclass(slots=True)
class Box:
    """What is to be placed.

    Attributes
    ----------
    width, height : float
    lane : int
    weight : float
        How strongly it, and its neighbours on its account, stand by each other.
    port_in, port_out : float or None
        Where edges end and begin, from its left; None for the middle.
    x, y : float
        Found: its left and upper border.
    """

    width: float
    height: float
    lane: int = 0
    weight: float = 1.0
    port_in: float | None = None
    port_out: float | None = None
    x: float = 0.0
    y: float = 0.0


@dataclass(slots=True)
class Arrangement:
    """What was found.

    Attributes
    ----------
    width, height : float
    routes : list of list of (float, float, float)
        For each edge the vertical lines ``(x, top, bottom)`` that it follows; between them it bends.
    lanes : list of (float, float)
        Left and right border of each lane.
    """

    width: float = 0.0
    height: float = 0.0
    routes: list[list[tuple[float, float, float]]] = field(default_factory=list)
    lanes: list[tuple[float, float]] = field(default_factory=list)


def arrange(boxes: Sequence[Box], edges: Sequence[tuple[int, int]], lanes: Sequence[float] = (0.0,)) -> Arrangement:
    """Place boxes, each of which stands behind those that edges lead to it from.

    Parameters
    ----------
    boxes : sequence of Box
        Their ``x`` and ``y`` are set.
    edges : sequence of (int, int)
        From the first box to the second, which has the higher number.
    lanes : sequence of float
        For each lane how wide it has to be at least.
    """
    work = _Layers(boxes, edges)
    work.order()
    return work.finish(work.centres(len(lanes)), lanes)


def _layers(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """The layer of each box: as low as what follows it allows, with ends at the longest path that leads to them."""
    above: list[list[int]] = [[] for _ in range(count)]
    below: list[list[int]] = [[] for _ in range(count)]
    for a, b in edges:
        above[b].append(a)
        below[a].append(b)
    layer = [0] * count
    for i in range(count):
        layer[i] = max((layer[a] + 1 for a in above[i]), default=0)
    for i in reversed(range(count)):
        if below[i]:
            layer[i] = min(layer[b] for b in below[i]) - 1
    return layer


class _Layers:
    """Boxes and the points that edges pass through, by layers. Points have the numbers behind those of the boxes."""

    def __init__(self, boxes: Sequence[Box], edges: Sequence[tuple[int, int]]) -> None:
        self.boxes, self.edges = boxes, edges
        self.layer = _layers(len(boxes), edges)
        self.width = [b.width for b in boxes]
        self.weight = [b.weight for b in boxes]
        self.lane = [b.lane for b in boxes]
        self.above: list[list[int]] = [[] for _ in boxes]
        self.below: list[list[int]] = [[] for _ in boxes]
        self.paths = self._paths()
        self.rows: list[list[int]] = [[] for _ in range(max(self.layer, default=-1) + 1)]
        for i in sorted(range(len(self.layer)), key=lambda i: self.lane[i]):
            self.rows[self.layer[i]].append(i)

    def _paths(self) -> list[list[int]]:
        """For each edge all that it goes through."""
        points: dict[tuple[int, int], int] = {}
        linked = set()
        paths = []
        for a, b in self.edges:
            path = [a]
            for layer in range(self.layer[a] + 1, self.layer[b]):
                point = points.get((a, layer))
                if point is None:
                    point = points[a, layer] = len(self.layer)
                    self.layer.append(layer)
                    self.width.append(_POINT)
                    self.weight.append(2.0 * self.weight[a])
                    self.lane.append(self.lane[a])
                    self.above.append([])
                    self.below.append([])
                path.append(point)
            path.append(b)
            for upper, lower in pairwise(path):
                if (upper, lower) not in linked:
                    linked.add((upper, lower))
                    self.below[upper].append(lower)
                    self.above[lower].append(upper)
            paths.append(path)
        return paths

    # Order ------------------------------------------------------------------------------------------------------

    def order(self) -> None:
        """Order the rows so that few edges cross."""
        place = [0] * len(self.layer)
        for row in self.rows:
            for i, item in enumerate(row):
                place[item] = i
        best, fewest = [list(row) for row in self.rows], self._crossings(place)
        sweeps = _SWEEPS if sum(map(len, self.below)) < _MANY else 2
        for sweep in range(sweeps):
            if not fewest:
                break
            down = sweep % 2 == 0
            neighbours = self.above if down else self.below
            for row in self.rows if down else reversed(self.rows):
                keys = {i: (self.lane[i], _mean([place[n] for n in neighbours[i]], place[i])) for i in row}
                row.sort(key=keys.__getitem__)
                for i, item in enumerate(row):
                    place[item] = i
            crossings = self._crossings(place)
            if crossings < fewest:
                best, fewest = [list(row) for row in self.rows], crossings
        self.rows = best

    def _crossings(self, place: Sequence[int]) -> int:
        """How often edges cross."""
        count = 0
        for row in self.rows:
            ends: list[int] = []  # of the edges that begin further left, in order
            for item in row:
                targets = sorted(place[b] for b in self.below[item])
                count += sum(len(ends) - bisect(ends, t) for t in targets)
                for t in targets:
                    insort(ends, t)
        return count

    # Coordinates ------------------------------------------------------------------------------------------------

    def centres(self, lanes: int) -> list[float]:
        """Find the middle of each box and point, counted from the left of its lane."""
        centre = [0.0] * len(self.layer)
        runs = [[i for i in row if self.lane[i] == lane] for row in self.rows for lane in range(lanes)]
        for run in runs:
            _spread(run, [0.0] * len(run), [1.0] * len(run), self.width, centre)
        for sweep in reversed(range(_SWEEPS)):  # the last one goes down, so that lines of operations are straight
            neighbours = self.below if sweep % 2 else self.above
            for run in reversed(runs) if sweep % 2 else runs:
                wanted, pull = [], []
                for i in run:
                    near = [n for n in neighbours[i] if self.lane[n] == self.lane[i]]
                    weights = [self.weight[n] for n in near]
                    wanted.append(_mean([centre[n] for n in near], centre[i], weights))
                    pull.append(self.weight[i] if near else 0.1 * self.weight[i])
                _spread(run, wanted, pull, self.width, centre)
        return centre

    def finish(self, centre: list[float], lanes: Sequence[float]) -> Arrangement:
        """Set the boxes' coordinates, and find the edges' lines."""
        found = Arrangement()
        left = 0.0
        for lane, least in enumerate(lanes):
            members = [i for i in range(len(self.layer)) if self.lane[i] == lane]
            low = min((centre[i] - self.width[i] / 2 for i in members), default=0.0)
            high = max((centre[i] + self.width[i] / 2 for i in members), default=0.0)
            width = max(high - low, least)
            for i in members:
                centre[i] += left - low + (width - high + low) / 2
            found.lanes.append((left, left + width))
            left += width + BETWEEN_LANES
        found.width = max(left - BETWEEN_LANES, 0.0)
        tops, bottoms = self._bands(centre)
        found.height = bottoms[-1] if bottoms else 0.0
        for i, box in enumerate(self.boxes):
            box.x, box.y = centre[i] - box.width / 2, tops[self.layer[i]]
            if not self.above[i]:  # a leaf, near to where it is used
                box.y = bottoms[self.layer[i]] - box.height
        arrivals = self._arrivals(centre)
        for path in self.paths:
            a, b = path[0], path[-1]
            first, last = self.boxes[a], self.boxes[b]
            begin = first.x + (first.width / 2 if first.port_out is None else first.port_out)
            route = [(begin, first.y + first.height, bottoms[self.layer[a]])]
            route += [(centre[i], tops[self.layer[i]], bottoms[self.layer[i]]) for i in path[1:-1]]
            route.append((arrivals[path[-2], b], tops[self.layer[b]], last.y))
            found.routes.append(route)
        return found

    def _bands(self, centre: Sequence[float]) -> tuple[list[float], list[float]]:
        """Top and bottom of each layer, further apart where edges go far to the side."""
        tops, bottoms = [], []
        top = 0.0
        for row in self.rows:
            height = max((self.boxes[i].height for i in row if i < len(self.boxes)), default=0.0)
            tops.append(top)
            bottoms.append(top + height)
            far = max((abs(centre[i] - centre[b]) for i in row for b in self.below[i]), default=0.0)
            top += height + BETWEEN_LAYERS + min(0.08 * far, 2 * BETWEEN_LAYERS)
        return tops, bottoms

    def _arrivals(self, centre: Sequence[float]) -> dict[tuple[int, int], float]:
        """Where edges arrive on the upper border of a box: side by side, in the order of where they come from."""
        found = {}
        for b, box in enumerate(self.boxes):
            sources = sorted(self.above[b], key=centre.__getitem__)
            step = min(14.0, box.width / (len(sources) + 1))
            for i, source in enumerate(sources):
                at = box.width / 2 + (i - (len(sources) - 1) / 2) * step if box.port_in is None else box.port_in
                found[source, b] = box.x + at
        return found


def _mean(values: Sequence[float], otherwise: float, weights: Sequence[float] | None = None) -> float:
    if not values:
        return otherwise
    if weights is None:
        return sum(values) / len(values)
    return sum(v * w for v, w in zip(values, weights, strict=True)) / sum(weights)


def _spread(
    row: Sequence[int], wanted: Iterable[float], weights: Iterable[float], width: Sequence[float], centre: list[float]
) -> None:
    """Put a row's centres as near to where they want to be as their widths allow, in their order.

    That is the least sum of squared distances: an isotonic regression, found by pooling those that are in each other's
    way.
    """
    offsets = [0.0]
    for a, b in pairwise(row):
        offsets.append(offsets[-1] + (width[a] + width[b]) / 2 + BETWEEN)
    pools: list[tuple[float, float, int]] = []  # (place, weight, how many)
    for want, own, offset in zip(wanted, weights, offsets, strict=False):
        place, weight, size = want - offset, own, 1
        while pools and pools[-1][0] > place:
            other, more, count = pools.pop()
            place = (place * weight + other * more) / (weight + more)
            weight, size = weight + more, size + count
        pools.append((place, weight, size))
    places = [place for place, _, count in pools for _ in range(count)]
    for i, place, offset in zip(row, places, offsets, strict=False):
        centre[i] = place + offset
