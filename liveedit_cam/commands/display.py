"""What ``run`` and ``process`` show: drawn on a terminal, plain or nothing elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import typer
from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from liveedit_cam.commands.lines import rows, summary
from liveedit_cam.commands.serving import Display
from liveedit_cam.control.client import ControlClient
from liveedit_cam.control.state import DaemonAddress
from liveedit_cam.control.wire import status_to_json
from liveedit_cam.errors import ControlError
from liveedit_cam.types import Status

PLAIN_EVERY_S = 5.0
WATCH_EVERY_S = 0.5


class QuietDisplay:
    """Says nothing; for ``start``, which prints the address itself."""

    def started(self, address: DaemonAddress, status: Status) -> None:
        """Say nothing."""

    def show(self, status: Status) -> None:
        """Say nothing."""


class PlainDisplay:
    """One line every few seconds, for logs and pipes."""

    def __init__(
        self,
        write: Callable[[str], None] = typer.echo,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """``write`` takes one line; ``now`` gives seconds."""
        self._write = write
        self._now = now
        self._due = now()

    def started(self, address: DaemonAddress, status: Status) -> None:
        """Print the page's address and where the picture goes."""
        self._write(f"page: {address.page_url}")
        self._write(f"source: {status.source}")
        for sink in status.sinks:
            self._write(f"sink: {sink}")

    def show(self, status: Status) -> None:
        """Print the status if the last line is old enough."""
        if self._now() >= self._due:
            self._due = self._now() + PLAIN_EVERY_S
            self._write(summary(status))


class LiveDisplay:
    """A table that is drawn over again in place."""

    def __init__(self, live: Live) -> None:
        """Draw on ``live``, which the caller starts and stops."""
        self._live = live
        self._page_url = ""

    def started(self, address: DaemonAddress, status: Status) -> None:
        """Remember the page's address and draw the first table."""
        self._page_url = address.page_url
        self.show(status)

    def show(self, status: Status) -> None:
        """Draw the table."""
        self._live.update(status_table(status, self._page_url), refresh=True)


def status_table(status: Status, page_url: str, last: str = "Ctrl-C ends it") -> Table:
    """The status for a terminal, the page's address first and ``last`` at the end."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    styles = {"notice": "yellow", "last error": "red", "instruction": "bold"}
    table.add_row("page", page_url, style="cyan")
    for label, text in rows(status):
        table.add_row(label, Text(text), style=styles.get(label))  # Text: "[red]" is no markup
    table.add_row("", last, style="dim")
    return table


def watch(
    client: ControlClient,
    *,
    is_json: bool = False,
    write: Callable[[str], None] = typer.echo,
    pause: Callable[[float], object] = time.sleep,
) -> str:
    """Show the status of a running camera until Ctrl-C, or until it ends; returns the last word.

    On a terminal a table in place, elsewhere a line for each look; with ``is_json`` a JSON object.
    Raises ControlError where no camera runs.
    """
    status = client.status()
    is_drawn = sys.stdout.isatty() and not is_json
    with Live(auto_refresh=False) if is_drawn else nullcontext() as live:
        try:
            while True:
                if live is not None:
                    last = "Ctrl-C ends the watching, not the camera"
                    table = status_table(status, client.address.page_url, last)
                    live.update(table, refresh=True)
                else:
                    write(status_to_json(status) if is_json else summary(status))
                pause(WATCH_EVERY_S)
                status = client.status()
        except ControlError:
            return "" if is_json else "liveedit-cam has ended"
        except KeyboardInterrupt:
            return ""


@contextmanager
def choose_display(*, quiet: bool) -> Iterator[Display]:
    """The display that fits the place where stdout goes."""
    if quiet:
        yield QuietDisplay()
    elif not sys.stdout.isatty():
        yield PlainDisplay()
    else:
        with Live(auto_refresh=False) as live:
            live.update("starting ...", refresh=True)
            yield LiveDisplay(live)


@contextmanager
def choose_progress(console: Console | None = None) -> Iterator[Callable[[int, int | None], None]]:
    """Takes frames done and frames in all (None = not known); a bar on a terminal, else nothing."""
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield lambda done, total: None
        return
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("frames"), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
