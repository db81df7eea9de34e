"""``polyad info``: versions, the backends and plugins that were found, and what state each is in."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import re
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from typing import Any

import click
from rich.console import Group, RenderableType
from rich.text import Text

from .. import __version__
from ..errors import BackendNotInstalledError, PluginError, PolyadError
from ..function import FUNCTIONS
from ..plugins import BACKENDS, PLUGINS, default_device, plugins
from .console import console, grid, state_style

__all__ = ["BackendState", "PluginState", "Report", "command", "gather", "render"]

READY, BROKEN, NOT_INSTALLED, LEFT_OUT = "ready", "broken", "not installed", "left out"


@dataclass(frozen=True)
class BackendState:
    """A discovered backend: ``details`` is what it says of itself, ``reason`` why it is not ready."""

    name: str
    state: str
    provider: str
    devices: list[str] = field(default_factory=list)
    details: dict[str, str] = field(default_factory=dict)
    reason: str | None = None


@dataclass(frozen=True)
class PluginState:
    """A discovered op plugin: ``functions`` is what it brings, ``reason`` why it is not ready."""

    name: str
    state: str
    provider: str
    functions: list[str] = field(default_factory=list)
    reason: str | None = None


@dataclass(frozen=True)
class Report:
    """All that ``polyad info`` says. ``default`` names where new tensors are made, ``why`` what decided it."""

    polyad: str
    python: str
    platform: str
    memory: dict[str, int]
    default: str | None
    why: str
    backends: list[BackendState]
    plugins: list[PluginState]


# Finding out ----------------------------------------------------------------------------------------------


def gather() -> Report:
    """Find out the state of everything. Loads every backend and plugin."""
    default, why = default_place()
    return Report(
        polyad=__version__,
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        memory=memory(),
        default=default,
        why=why,
        backends=[backend_state(name) for name in plugins.backend_names()],
        plugins=plugin_states(),
    )


def backend_state(name: str) -> BackendState:
    """Load a backend and describe it, or say why it does not load."""
    provider = provider_of(plugins.entries(BACKENDS).get(name, []))
    try:
        backend = plugins.backend(name)
    except BackendNotInstalledError as error:
        return BackendState(name, NOT_INSTALLED, provider, reason=install_line(str(error)))
    except PolyadError as error:
        return BackendState(name, BROKEN, provider, reason=reason_of(error))
    devices = [str(d) for d in backend.devices]
    return BackendState(name, READY, provider, devices, backend.describe())


def plugin_states() -> list[PluginState]:
    """Load every op plugin that may load, and describe them all."""
    found = plugins.entries(PLUGINS)
    try:
        allowed, trouble = plugins.plugin_names(), []
    except PluginError as error:  # POLYAD_PLUGINS names one that is not there
        allowed, trouble = [], [PluginState("POLYAD_PLUGINS", BROKEN, "the environment", reason=str(error))]
    return trouble + [
        plugin_state(name, claims) if name in allowed else left_out(name, claims) for name, claims in found.items()
    ]


def plugin_state(name: str, claims: list[EntryPoint]) -> PluginState:
    """Load an op plugin and describe it, or say why it does not load."""
    provider = provider_of(claims)
    try:
        plugins.load(name)
    except PluginError as error:
        return PluginState(name, BROKEN, provider, reason=reason_of(error))
    return PluginState(name, READY, provider, [f.name for f in FUNCTIONS.values() if f.provider == provider])


def left_out(name: str, claims: list[EntryPoint]) -> PluginState:
    """Describe an op plugin that the environment keeps from loading."""
    return PluginState(name, LEFT_OUT, provider_of(claims), reason="POLYAD_PLUGINS does not list it")


def provider_of(claims: list[EntryPoint]) -> str:
    """Name and version of the distributions that bring a plugin: one, unless two claim its name."""
    return ", ".join(f"{e.dist.name} {e.dist.version}" for e in claims if e.dist is not None) or "this process"


def install_line(message: str) -> str:
    """Shorten a backend's message to the line that installs what is missing, where it has one."""
    found = re.search(r"pip install \S.*", message)
    return found.group() if found else message


def reason_of(error: PolyadError) -> str:
    """Say why something failed to load: the cause, since what failed stands beside it."""
    cause = error.__cause__
    if cause is None or isinstance(cause, PolyadError):
        return str(cause or error)
    return f"{type(cause).__name__}: {cause}"


def default_place() -> tuple[str | None, str]:
    """Find where new tensors are made, and what decided that."""
    chosen = [f"{v}={os.environ[v]}" for v in ("POLYAD_BACKEND", "POLYAD_DEVICE") if os.environ.get(v)]
    why = ", ".join(chosen) or "POLYAD_BACKEND is not set"
    try:
        device = default_device()
    except PolyadError as error:
        return None, f"{why}: {reason_of(error)}"
    return f"{device.backend.name} on {device}", why


def memory() -> dict[str, int]:
    """Give the machine's memory in bytes, as far as the system tells: ``total`` and ``available``."""
    found = {}
    for key, pages in (("total", "SC_PHYS_PAGES"), ("available", "SC_AVPHYS_PAGES")):
        try:
            found[key] = os.sysconf(pages) * os.sysconf("SC_PAGE_SIZE")
        except (AttributeError, ValueError, OSError):  # Windows has no sysconf, macOS not every name
            pass
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:  # counts caches, which are given back when needed
            kib = dict(line.split(":", 1) for line in lines)
            found["available"] = int(kib["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError):
        pass
    return found


# Showing --------------------------------------------------------------------------------------------------


def render(report: Report) -> RenderableType:
    """Show a report to a person."""
    facts = grid("bold", "")
    facts.add_row("", "Python", f"{report.python} on {report.platform}")
    if report.memory:
        facts.add_row("", "memory", describe_memory(report.memory))
    default = Text(report.default or "none", style="" if report.default else "red")
    facts.add_row("", "default", default + Text(f"  ({report.why})", style="dim" if report.default else "red"))

    backends = grid("bold", "", "", "")
    for b in sorted(report.backends, key=lambda b: b.state != READY):
        backends.add_row("", b.name, Text(b.state, style=state_style(b.state)), b.provider, describe_backend(b))
    return Group(
        Text(f"polyad {report.polyad}", style="bold"),
        facts,
        Text("\nBackends", style="bold"),
        backends,
        Text("\nPlugins", style="bold"),
        render_plugins(report.plugins),
    )


def render_plugins(states: list[PluginState]) -> RenderableType:
    """Show the op plugins."""
    if not states:
        return Text("  none installed", style="dim")
    table = grid("bold", "", "", "")
    for p in states:
        detail = p.reason or f"{len(p.functions)} function{'s' * (len(p.functions) != 1)}"
        table.add_row("", p.name, Text(p.state, style=state_style(p.state)), p.provider, detail)
    return table


def describe_backend(backend: BackendState) -> str:
    """Say in words where a backend computes and with what, or why it does not."""
    if backend.reason is not None:
        return backend.reason
    words = [", ".join(backend.devices), *(f"{key} {value}" for key, value in backend.details.items())]
    return "; ".join(words)


def describe_memory(memory: dict[str, int]) -> str:
    """Say in words how much memory there is."""
    total, available = (f"{memory[k] / 2**30:.1f} GiB" if k in memory else None for k in ("total", "available"))
    return f"{available} of {total} available" if total and available else f"{total or available}"


@click.command("info")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON, for programs.")
def command(as_json: bool) -> None:
    """Show versions, backends and plugins, and what state each is in.

    A backend is ready; or not installed, with the line that installs it; or broken, with the reason.
    """
    report = gather()
    if as_json:
        shown: dict[str, Any] = dataclasses.asdict(report)
        click.echo(json.dumps(shown, indent=2))
    else:
        console().print(render(report))
