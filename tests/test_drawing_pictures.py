"""Pictures of graphs: boxes and edges keep apart, texts fit and are escaped, with Graphviz and without."""

import itertools
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from drawings import Deep, everything, layered, leaf, titles, wild
from hypothesis import strategies as st

import polyad as ad
from polyad.autograd.drawing.layout import Box, arrange
from polyad.autograd.drawing.svg import scene, text_width
from polyad.autograd.drawing.texts import COLOURS, GREY, INK
from polyad.autograd.graph import draw
from polyad.backend import Backend
from polyad.errors import ArgumentError

# Layout -----------------------------------------------------------------------------------------------------------


@st.composite
def graphs(draws: Any) -> Any:
    count = draws(st.integers(1, 25))
    lanes = draws(st.integers(1, 3))
    sizes = st.floats(5, 200)
    boxes = [Box(draws(sizes), draws(sizes), draws(st.integers(0, lanes - 1))) for _ in range(count)]
    ends = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1))
    edges = sorted({(min(e), max(e)) for e in draws(st.lists(ends, max_size=40)) if e[0] != e[1]})
    return boxes, edges, [draws(st.floats(0, 300)) for _ in range(lanes)]


@hypothesis.settings(deadline=None, max_examples=150)
@hypothesis.given(graphs())
def test_layout(graph: Any) -> None:
    boxes, edges, lanes = graph
    found = arrange(boxes, edges, lanes)
    rectangles = [(b.x, b.y, b.x + b.width, b.y + b.height) for b in boxes]
    for i, a in enumerate(rectangles):
        assert not any(overlap(a, b) for b in rectangles[:i])
        left, right = found.lanes[boxes[i].lane]
        assert left - 0.01 <= a[0] and a[2] <= right + 0.01  # noqa: PT018
        assert a[1] >= -0.01 and a[3] <= found.height + 0.01  # noqa: PT018
    assert all(a[1] < b[0] for a, b in zip(found.lanes, found.lanes[1:], strict=False))
    assert found.lanes[-1][1] == pytest.approx(found.width)
    assert len(found.routes) == len(edges)
    for (a, b), route in zip(edges, found.routes, strict=True):
        (x, y, _), (last_x, _, last_y) = route[0], route[-1]
        assert y == pytest.approx(rectangles[a][3])
        assert rectangles[a][0] <= x <= rectangles[a][2]
        assert last_y == pytest.approx(rectangles[b][1])
        assert rectangles[b][0] <= last_x <= rectangles[b][2]
        assert all(low[2] <= high[1] + 0.01 for low, high in itertools.pairwise(route))
        for x, top, bottom in route:  # beside boxes an edge is straight; between layers there are none
            line = (x - 0.01, top + 0.01, x + 0.01, bottom - 0.01)
            assert not any(overlap(line, r) for i, r in enumerate(rectangles) if i not in (a, b))
        for (_, _, low), (_, high, _) in itertools.pairwise(route):
            assert not any(overlap((-1e6, low + 0.01, 1e6, high - 0.01), r) for r in rectangles)


def overlap(a: Sequence[float], b: Sequence[float]) -> bool:
    return a[0] < b[2] - 0.01 and b[0] < a[2] - 0.01 and a[1] < b[3] - 0.01 and b[1] < a[3] - 0.01


def test_a_line_of_operations_is_straight() -> None:
    x = leaf(3)
    drawing = draw((x.sin() * leaf(3)).exp().sum())
    boxes = {v.title: b for v, b in zip(drawing.vertices, scene(drawing.vertices).boxes, strict=True)}
    middles = [boxes[t].x + boxes[t].width / 2 for t in ("multiply", "exp", "sum", "result")]
    assert middles == pytest.approx([middles[0]] * 4)


def test_edges_cross_where_they_must_only() -> None:
    boxes = [Box(20, 10) for _ in range(8)]
    found = arrange(boxes, [(i, 7 - i) for i in range(4)])
    order = sorted(range(4), key=lambda i: boxes[i].x)
    assert [7 - i for i in order] == sorted(range(4, 8), key=lambda i: boxes[i].x)
    assert len(found.routes) == 4


# Pictures ---------------------------------------------------------------------------------------------------------

MODELS: dict[str, Any] = {
    "small": lambda: draw((leaf(3) * leaf(3)).sum(), layout="plain"),
    "repeated": lambda: draw(layered(leaf(3, 4), 64, 4, {}), layout="plain"),
    "modules": lambda: draw(Deep(4, 30), ad.randn(3, 2), limit=16, layout="plain"),
    "wild": lambda: draw(wild(100, 3), layout="plain", limit=None),
}


def rectangles_of(element: ET.Element) -> list[tuple[float, ...]]:
    return [
        (x, y, x + float(r.attrib["width"]), y + float(r.attrib["height"]))
        for r in element.iter("{http://www.w3.org/2000/svg}rect")
        if (x := float(r.attrib["x"])) >= 0 and (y := float(r.attrib["y"])) >= 0
    ]


@pytest.mark.parametrize("name", MODELS)
def test_boxes_of_a_picture_do_not_overlap(name: str) -> None:
    picture = ET.fromstring(MODELS[name]().svg)
    found = rectangles_of(picture)
    assert found
    for i, a in enumerate(found):
        for b in found[:i]:
            inside = b[0] < a[0] and b[1] < a[1] and a[2] < b[2] and a[3] < b[3]  # a frame's
            assert inside or not overlap(a, b)
    width, height = map(float, picture.attrib["viewBox"].split()[2:])
    assert all(r[2] < width and r[3] < height for r in found)


@pytest.mark.parametrize("name", MODELS)
def test_text_fits_its_box(name: str) -> None:
    """By the widths of a monospaced font's letters, as Matplotlib has them."""
    fonts = pytest.importorskip("matplotlib.font_manager")
    paths = pytest.importorskip("matplotlib.textpath")
    font = fonts.FontProperties(family="DejaVu Sans Mono", weight="bold")
    picture = ET.fromstring(MODELS[name]().svg)
    size = float(picture.attrib["font-size"])
    for group in picture.iter("{http://www.w3.org/2000/svg}g"):
        rectangle, texts = group.find("{*}rect"), group.findall("{*}text")
        assert rectangle is not None
        for text in texts:
            width = paths.TextPath((0, 0), text.text, size=size, prop=font).get_extents().width
            assert width < float(rectangle.attrib["width"]) - 6
            up = float(text.attrib["y"]) - float(rectangle.attrib["y"])
            assert 0.75 * size < up < float(rectangle.attrib["height"]) - 0.25 * size
        lines = [float(t.attrib["y"]) for t in texts if t in list(group)]
        assert all(b - a >= 1.2 * size for a, b in itertools.pairwise(lines))


def test_wide_letters_count_twice() -> None:
    assert text_width("層層") == text_width("abcd")


def test_long_names_are_cut_in_the_middle() -> None:
    name = "a" * 60 + "." + "z" * 60
    x = leaf(2)
    drawing = draw(x * 2, names={name: x}, layout="plain")
    assert len(titles(drawing)[0]) == 46
    assert titles(drawing)[0].startswith("aaa")
    assert titles(drawing)[0].endswith("zzz")
    assert name in drawing.svg  # where the mouse rests


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    dark, light = sorted([luminance(a), luminance(b)])
    return (light + 0.05) / (dark + 0.05)


def test_colours_are_readable_on_light_and_dark() -> None:
    """By the ratios of the Web Content Accessibility Guidelines: 4.5 for text."""
    assert min(contrast(GREY, "#ffffff"), contrast(GREY, "#000000")) > 4.5
    assert min(contrast(INK, fill) for kind, (fill, _) in COLOURS.items() if kind != "port") > 7
    assert min(contrast(*COLOURS[kind]) for kind in COLOURS if kind != "port") > 3


# Backends ---------------------------------------------------------------------------------------------------------


def two_backends() -> tuple[Any, Any, Any]:
    pytest.importorskip("jax")
    a = ad.ones(2, 2, requires_grad=True, device=ad.plugins.backend("numpy").devices[0])
    b = (a * 2).to(backend="jax")
    return a, b, (b @ b).to(backend="numpy") + a


def test_borders_of_backends() -> None:
    a, _, y = two_backends()
    drawing = draw(y, names={"a": a}, layout="plain")
    assert {v.title: v.place for v in drawing.vertices} == {
        **dict.fromkeys(["leaf", "multiply", "add", "result"], "numpy, cpu"),
        "matmul": "jax, cpu",
        "to_device": "numpy, cpu",
    }
    assert Counter(v.place for v in drawing.vertices if v.title == "to_device") == {"numpy, cpu": 1, "jax, cpu": 1}
    assert drawing.mermaid.count("subgraph") == 2
    assert 'subgraph g0 ["numpy, cpu"]' in drawing.mermaid
    assert drawing.dot.count("subgraph cluster_") == 2
    picture = ET.fromstring(drawing.svg)
    lanes = [r for r in picture.iter("{http://www.w3.org/2000/svg}rect") if r.attrib.get("class") == "lane"]
    assert len(lanes) == 2
    (ax, aw), (bx, bw) = ((float(r.attrib["x"]), float(r.attrib["width"])) for r in lanes)
    assert ax + aw < bx
    inside = {"numpy": (ax, ax + aw), "jax": (bx, bx + bw)}
    for group, vertex in zip(picture.iter("{http://www.w3.org/2000/svg}g"), drawing.vertices, strict=True):
        rectangle = group.find("{*}rect")
        assert rectangle is not None
        left, right = inside[vertex.place.partition(",")[0]]
        x = float(rectangle.attrib["x"])
        assert left < x < x + float(rectangle.attrib["width"]) < right


def test_a_graph_on_one_backend_has_no_border(backend: Backend) -> None:
    drawing = draw(leaf(3).sum(), layout="plain")
    assert "subgraph" not in drawing.mermaid
    assert "lane" not in drawing.svg


# Texts ------------------------------------------------------------------------------------------------------------

NAMES = [
    *('say "hello"', "a<b>&c", "#35; #quot;", "`code`", "**bold** _it_ __init__", "1. first", "- item", "end"),
    *("a|b{c}[d](e)", "back\\slash\\n", "new\nline\ttab", "%%{init}%%", "层 é ×", "bell\x07\x00", "$x$ ~y~ !z"),
]


def unescaped(label: str) -> list[str]:
    return [re.sub(r"#(\d+);", lambda m: chr(int(m[1])), line) for line in label.split("<br>")]


def check_mermaid(text: str) -> dict[str, list[str]]:
    """Check a flowchart by its grammar, as far as drawings use it. Gives the labels by the names of nodes."""
    lines = text.splitlines()
    assert lines[0] == "flowchart TD"
    label = r'"(?P<label>[^"`<]*(?:<br>[^"`<]*)*)"'
    node = re.compile(rf"(?P<name>n\d+)(?:\[{label}\]|\(\[{label.replace('label', 'round')}\]\)|\(\(\" \"\)\)):::(\w+)")
    labels: dict[str, list[str]] = {}
    groups, classes, used, linked = 0, set(), set(), set()
    names = set()
    for line in map(str.strip, lines[1:]):
        if found := node.fullmatch(line):
            assert found["name"] not in labels
            labels[found["name"]] = unescaped(found["label"] or found["round"] or "")
            used.add(line.rpartition(":::")[2])
        elif found := re.fullmatch(r"(n\d+) --> (n\d+)", line):
            linked.update(found.groups())
        elif found := re.fullmatch(r'subgraph (g\d+) \["([^"`<]+)"\]', line):
            assert found[1] not in names
            names.add(found[1])
            groups += 1
        elif line == "end":
            groups -= 1
            assert groups >= 0
        elif found := re.fullmatch(r"classDef (\w+) [\w:#,-]+(?: \d)?[\w:#,-]*", line):
            classes.add(found[1])
        else:
            found = re.fullmatch(r"class ([\w,]+) group", line)
            assert found, line
            assert set(found[1].split(",")) == names
    assert groups == 0
    assert linked <= set(labels)
    assert used <= classes
    return labels


@pytest.mark.parametrize("name", MODELS)
def test_mermaid_is_well_formed(name: str) -> None:
    drawing = MODELS[name]()
    labels = check_mermaid(drawing.mermaid)
    assert list(labels.values()) == [
        v.text if v.kind != "port" else [""] for v in everything(drawing.vertices) if v.kind != "frame"
    ]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_escaped(name: str) -> None:
    x = leaf(2)
    drawing = draw(x * 2, names={name: x}, layout="plain")
    shown = " ".join(name.split())
    assert check_mermaid(drawing.mermaid)["n0"][0] == shown
    for mark in ("1. ", "- "):
        assert f'"{mark}' not in drawing.mermaid  # Markdown's lists
    text = ET.fromstring(drawing.svg).find(".//{*}text")
    assert text is not None
    assert text.text == "".join(c if c >= " " else "\ufffd" for c in shown)
    quoted = shown.replace("\\", "\\\\").replace('"', '\\"')
    assert f'label="{quoted}\\nfloat32[2]"' in drawing.dot.replace("\x00", "\ufffd") or "\x00" in name


def test_frames_are_groups_that_edges_enter_by_a_port() -> None:
    drawing = MODELS["repeated"]()
    text = drawing.mermaid
    assert text.count("subgraph") == text.count("\n    end") == 1
    assert text.count('((" ")):::port') == 2
    assert drawing.dot.count("{") == drawing.dot.count("}")


def test_mermaid_by_its_own_program(tmp_path: Path) -> None:
    program = shutil.which("mmdc")
    if program is None:
        pytest.skip("Mermaid's program mmdc is not installed")
    for name, make in MODELS.items():
        make().save(tmp_path / f"{name}.mmd")
        subprocess.run([program, "-i", tmp_path / f"{name}.mmd", "-o", tmp_path / f"{name}.svg"], check=True)


# Graphviz ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["small", "repeated"])
def test_graphviz_takes_the_text(name: str) -> None:
    if shutil.which("dot") is None:
        pytest.skip("Graphviz is not installed")
    drawing = MODELS[name]()
    drawing._layout = "dot"
    picture = ET.fromstring(drawing.svg)
    shown = {t.text for t in picture.iter("{http://www.w3.org/2000/svg}text")}
    assert {line for v in everything(drawing.vertices) if v.kind != "port" for line in v.text} <= shown


def program(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """Have a program ``dot`` that does what is said here."""
    file = folder / "dot"
    file.write_text(f"#!{sys.executable}\nimport sys\n{body}\n")
    file.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


needs_scripts = pytest.mark.skipif(sys.platform == "win32", reason="scripts are programs on POSIX alone")


@needs_scripts
def test_graphviz_is_used_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = "assert sys.argv[1] == '-Tsvg'; text = sys.stdin.read(); assert text.startswith('digraph {')"
    program(tmp_path, monkeypatch, f"{body}\nprint('<?xml?><!DOCTYPE svg><svg>PICTURE</svg>')")
    y = leaf(3).sum()
    assert draw(y).svg == draw(y, layout="dot").svg == "<svg>PICTURE</svg>\n"
    assert "PICTURE" not in draw(y, layout="plain").svg


@needs_scripts
def test_graphviz_that_fails_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, monkeypatch, "sys.exit(1)")
    y = leaf(3).sum()
    assert draw(y).svg == draw(y, layout="plain").svg
    with pytest.raises(ArgumentError, match="the program 'dot' made no picture of this graph; write layout='plain'"):
        _ = draw(y, layout="dot").svg


def test_without_graphviz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    y = leaf(3).sum()
    assert draw(y).svg == draw(y, layout="plain").svg
    with pytest.raises(ArgumentError, match="layout='dot' needs the program 'dot'; install Graphviz"):
        draw(y, layout="dot")
