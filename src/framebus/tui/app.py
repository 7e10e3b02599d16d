"""The dashboard itself: tabs, keys, and a look at shared memory at every tick."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from typing import Any, ClassVar, Literal

from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container

from framebus.cli.text import safe
from framebus.errors import FramebusError
from framebus.tui import unit_acts
from framebus.tui.bars import KeyBar, TabBar, TitleBar
from framebus.tui.events import EventLog
from framebus.tui.graph_pane import GraphPane
from framebus.tui.looks import Snapshot, UnitLook
from framebus.tui.messages_pane import MessagesPane
from framebus.tui.pane import Pane
from framebus.tui.params_pane import ParamsPane
from framebus.tui.prompt import Prompt
from framebus.tui.screens import HelpScreen, LogScreen
from framebus.tui.sequences_pane import SequencesPane
from framebus.tui.streams_pane import StreamsPane
from framebus.tui.units_pane import UnitsPane
from framebus.tui.watching import EVERYTHING, Watcher

__all__ = ["RATE_HZ", "TABS", "Dashboard"]

TABS = ("streams", "units", "parameters", "graph", "sequences", "messages")
RATE_HZ = 5.0
_KEYS = (("/", "filter"), ("s", "sort"), ("f", "trouble"), ("Space", "freeze"))
_WHOLE_HZ = 1.0
"""How often to look at what is not in sight."""


class Dashboard(App[None]):
    """``framebus top``.

    Args:
        rate_hz: looks per second.
        tab: the one that is open first.
    """

    CSS = """
    Screen { background: #16171a; color: #d0d4d9; layout: vertical; }
    #panes { height: 1fr; }
    ToastRack { margin-bottom: 1; }
    Screen.asking ToastRack { margin-bottom: 2; }
    Toast { background: #2f3136; color: #ffffff; width: auto; max-width: 100%; padding: 0 1; margin-top: 0; }
    """
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(str(n), f"open('{tab}')", show=False) for n, tab in enumerate(TABS, 1)),
        Binding("tab", "next_tab(1)", show=False, priority=False),
        Binding("shift+tab", "next_tab(-1)", show=False),
        Binding("q", "quit", show=False),
        Binding("question_mark,f1", "help", show=False),
        Binding("slash", "filter", show=False),
        Binding("escape", "show_all", show=False),
        Binding("s", "sort", show=False),
        Binding("S", "reverse", show=False),
        Binding("f", "trouble", show=False),
        Binding("space", "freeze", show=False),
        Binding("t", "on_streams('trace')", show=False),
        Binding("c", "on_streams('colours')", show=False),
        *(
            Binding(key, f"unit('{act}')", show=False)
            for key, act in (("r", "run"), ("p", "pause"), ("n", "step"))
        ),
        Binding("x", "ask_unit('stop')", show=False),
        Binding("R", "ask_unit('restart')", show=False),
        Binding("u", "replace", show=False),
        Binding("l", "logs", show=False),
        Binding("a", "attach", show=False),
        Binding("left", "fold(True)", show=False),
        Binding("right", "fold(False)", show=False),
        Binding("d", "default", show=False),
    ]

    def __init__(
        self,
        *,
        rate_hz: float = RATE_HZ,
        tab: str = TABS[0],
    ) -> None:
        super().__init__(ansi_color=True)
        self.watcher = Watcher()
        self.log_of_events = EventLog()
        self.frozen = False
        self._rate_hz = rate_hz
        self._tab = tab
        self._told: set[str] = set()
        self._ticks = 0
        self.streams, self.units = StreamsPane(self.watcher), UnitsPane()
        self.parameters, self.graph = ParamsPane(self.watcher), GraphPane(self.watcher)
        self.graph.sheet.opened = self._open_target
        self.sequences, self.messages = SequencesPane(), MessagesPane(self.log_of_events)
        panes: tuple[Pane, ...] = (
            *(self.streams, self.units, self.parameters),
            *(self.graph, self.sequences, self.messages),
        )
        self._panes = {pane.NAME: pane for pane in panes}
        self.title_bar, self.tab_bar, self.key_bar = TitleBar(), TabBar(TABS), KeyBar()
        self.prompt = Prompt(self.focus_pane)
        self.snapshot = Snapshot(0, {}, {}, {})
        self._newest = self.snapshot

    def compose(self) -> ComposeResult:
        """Textual's: what it consists of."""
        yield self.title_bar
        yield self.tab_bar
        yield Container(*self._panes.values(), id="panes")
        yield self.prompt
        yield self.key_bar

    def on_mount(self) -> None:
        """Begin to look."""
        for name, pane in self._panes.items():
            pane.display = name == self._tab
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        self.tick()
        self.action_open(self._tab)
        self.set_interval(1.0 / self._rate_hz, self.tick)

    def on_unmount(self) -> None:
        """Give all handles back."""
        self.parameters.close()
        self.watcher.close()

    def on_resize(self) -> None:
        """All lines have another width."""
        self.call_after_refresh(self._show)

    # ---- looking ---------------------------------------------------------------------------------------------------

    @property
    def pane(self) -> Pane:
        """The tab that is open."""
        return self._panes[self._tab]

    def tick(self) -> None:
        """Look at everything, and show what changed."""
        try:
            self._ticks += 1
            whole = self._ticks % max(1, round(self._rate_hz / _WHOLE_HZ)) == 1 or self._rate_hz <= _WHOLE_HZ
            streams, units = (EVERYTHING, EVERYTHING) if whole else self.pane.in_sight()
            self._newest = self.watcher.look(streams=streams, units=units)
            self.log_of_events.add(self._newest)
            if not self.frozen:
                self.snapshot = self._newest
            self._show()
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one thing, the rest must stay in sight
            self.tell_once(error)

    def _show(self) -> None:
        if len(self.screen_stack) > 1:
            return  # the help or a log is laid over it
        if not self.frozen or self._tab == "messages":
            self.pane.show(self.snapshot)
        self._show_bars()

    def _show_bars(self) -> None:
        self.title_bar.tell(self.snapshot, str(self.watcher.folder.path), self.frozen)
        self.tab_bar.tell(self._tab, self._wrong())

    def _wrong(self) -> dict[str, int]:
        return {
            "streams": self.snapshot.wrong_streams,
            "units": self.snapshot.wrong_units,
            "sequences": self.snapshot.wrong_sequences,
            "messages": self.messages.unseen if self._tab != "messages" else 0,
        }

    def tell_once(self, error: Exception) -> None:
        """A notice, the first time that this goes wrong."""
        said = f"{type(error).__name__}: {error}"
        if said not in self._told:
            self._told.add(said)
            self.tell(said, "error")

    def tell(self, text: str, severity: Literal["information", "warning", "error"] = "information") -> None:
        """Show a notice for some seconds, in place of the one before: what it is about is to be seen, too."""
        self.clear_notifications()
        self.notify(
            safe(" ".join(text.split())),
            severity=severity,
            markup=False,
            timeout=6 if severity == "error" else 2.5,
        )

    def guarded(self, act: Callable[[], str | None]) -> None:
        """Do what a key asks for; what goes wrong, or what was done, becomes a notice."""
        try:
            said = act()
        except (FramebusError, OSError, ValueError) as error:
            self.tell(str(error), "error")
            return
        if said:
            self.tell(said)

    async def run_action(self, *args: Any, **kwargs: Any) -> bool:
        """Textual's: what a key does. An error that nobody expected becomes a notice, too."""
        try:
            return await super().run_action(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - the dashboard stays on the screen
            self.tell_once(error)
            return True

    async def on_event(self, event: events.Event) -> None:
        """Textual's: what comes in, of which keys are obeyed at once.

        Textual queues a key for the widget that has the focus when it comes in. Of keys that come in one burst (typed
        ahead, or by a script) the later ones would then mean what they meant before the first was obeyed: the digits of
        a value would open tabs.
        """
        if isinstance(event, events.Key) and not event.is_forwarded and self.screen_stack:
            binding = self.screen.active_bindings.get(event.key)
            if binding is None or not binding.binding.priority:
                if len(self.screen_stack) == 1 and self._taken(event):
                    return
                if binding is not None:
                    await self.run_action(binding.binding.action, binding.node)
                    return
        await super().on_event(event)

    def _taken(self, event: events.Key) -> bool:
        """Whether the key was the prompt's, or the open tab's."""
        try:
            return self.prompt.take(event) or self.pane.sheet.take(event)
        except Exception as error:  # noqa: BLE001 - as in ``run_action``
            self.tell_once(error)
            return True

    # ---- tabs ------------------------------------------------------------------------------------------------------

    def action_open(self, tab: str) -> None:
        """Open a tab."""
        self._tab = tab
        for name, pane in self._panes.items():
            pane.display = name == tab
        self._tell_keys()
        self.focus_pane()
        # Shown once it has its size; a frozen one keeps to the snapshot that was frozen.
        self.call_after_refresh(self._show_opened)

    def _show_opened(self) -> None:
        try:
            self.pane.show(self.snapshot)
        except Exception as error:  # noqa: BLE001 - as in ``tick``
            self.tell_once(error)
        self._show_bars()

    def on_pane_keys_changed(self) -> None:
        """While a value is edited, other keys count."""
        self._tell_keys()

    def _tell_keys(self) -> None:
        pane = self.pane
        if pane.sheet.editing is not None:
            self.key_bar.tell((("Enter", "sets it"), ("Esc", "leaves it"), ("Ctrl-U", "clears")))
            return
        first = [("Esc", "show all")] if pane.filter or pane.trouble else []
        rest = [key for key in _KEYS if (key[0] != "s" or pane.SORTABLE) and (key[0] != "f" or pane.TROUBLE)]
        self.key_bar.tell([*first, *pane.KEYS, *rest])

    def focus_pane(self) -> None:
        """Let the keys go to the tab that is open."""
        sheet = self.pane.sheet
        sheet.screen.set_focus(sheet)  # now, not later: keys may be waiting

    def action_next_tab(self, step: int) -> None:
        """Open the next tab, or the one before."""
        self.action_open(TABS[(TABS.index(self._tab) + step) % len(TABS)])

    def on_tab_bar_chosen(self, event: TabBar.Chosen) -> None:
        """A tab was clicked."""
        self.action_open(event.tab)

    def _open_target(self) -> None:
        """Enter on the graph goes to what it shows."""
        target = self.graph.target()
        if target is not None:
            tab, row = target
            self.action_open(tab)
            self._show_opened()  # at once: a key that follows is about this row
            if not self.pane.passes(row):
                self.action_show_all()
            self.pane.sheet.pick(row)

    # ---- keys of all tabs ------------------------------------------------------------------------------------------

    def action_filter(self) -> None:
        """Ask what to look for; the rows follow what is typed."""
        before = self.pane.filter
        self.prompt.ask(
            "show rows with",
            before,
            self._filter,
            changed=self._filter,
            cancelled=lambda: self._filter(""),
        )

    def _filter(self, text: str) -> None:
        self.pane.filter = text
        self.pane.show(self.snapshot)
        if text:
            self.pane.filtered()
        self._tell_keys()

    def action_show_all(self) -> None:
        """No filter any more."""
        self.pane.trouble = False
        self._filter("")

    def action_trouble(self) -> None:
        """Only what is in trouble, or all again."""
        if self.pane.TROUBLE:
            self.pane.trouble = not self.pane.trouble
            self._filter(self.pane.filter)

    def action_sort(self) -> None:
        """Sort by the next column."""
        self.pane.sort_next()

    def action_reverse(self) -> None:
        """Sort the other way round."""
        self.pane.reverse()

    def action_freeze(self) -> None:
        """Freeze the screen, or go on."""
        self.frozen = not self.frozen
        if not self.frozen:
            self.snapshot = self._newest
        self._show()

    def action_help(self) -> None:
        """The help."""
        self.push_screen(HelpScreen())

    # ---- keys of single tabs ---------------------------------------------------------------------------------------

    def action_on_streams(self, what: str) -> None:
        """Trace or picture; its colours."""
        if self._tab != "streams":
            return
        if what == "trace":
            self.streams.toggle_trace()
        else:
            self.tell(f"colours: {self.streams.next_palette()}")

    def action_fold(self, folded: bool) -> None:
        """Fold or unfold what the cursor is on."""
        if self._tab == "parameters":
            self.parameters.fold(folded)

    def action_default(self) -> None:
        """Put a parameter's default into its editor."""
        if self._tab == "parameters":
            self.parameters.to_default()

    def _chosen(self) -> UnitLook | None:
        return self.units.chosen if self._tab == "units" else None

    def action_unit(self, act: str) -> None:
        """Run, pause or step the unit."""
        if (unit := self._chosen()) is not None:
            acts = {"run": unit_acts.run, "pause": unit_acts.pause, "step": unit_acts.step}
            self.guarded(lambda: acts[act](unit))

    def action_ask_unit(self, act: str) -> None:
        """Stop it or restart it, once that is confirmed."""
        if (unit := self._chosen()) is None:
            return
        if act == "stop":
            self.prompt.confirm(
                f"stop unit {safe(unit.key)}?", lambda: self.guarded(lambda: unit_acts.stop(unit))
            )
        else:
            others = [
                each.unit
                for each in self.snapshot.units.values()
                if each.pid == unit.pid and each.pid and each.key != unit.key
            ]
            along = f" (and {safe(', '.join(others))}, of the same process)" if others else ""
            self.prompt.confirm(
                f"restart unit {safe(unit.key)}{along}?",
                lambda: self._in_background(f"restarting {unit.key} …", lambda: unit_acts.restart(unit)),
            )

    def action_replace(self) -> None:
        """Ask for other code, and put it in the unit's place."""
        if (unit := self._chosen()) is not None:
            self.prompt.ask(
                f"put in place of {safe(unit.unit)}: CODE [NAME=VALUE ...]",
                unit.use,
                lambda text: self._in_background(
                    f"replacing {unit.key} …", lambda: unit_acts.replace(unit, text)
                ),
            )

    def action_logs(self) -> None:
        """The log of the unit's process."""
        if (unit := self._chosen()) is None:
            return
        if unit.log:
            self.push_screen(LogScreen(f"log of {safe(unit.key)}", unit.log))
        else:
            self.tell(f"unit '{unit.unit}' belongs to no pipeline, and so has no log", "warning")

    def action_attach(self) -> None:
        """Show the unit's window of tmux in this terminal; detaching from it comes back here."""
        if (unit := self._chosen()) is not None:
            self.guarded(lambda: self._attach_tmux(unit))

    def _attach_tmux(self, unit: UnitLook) -> None:
        command = unit_acts.attach_command(unit)
        if command[1] == "switch-client":
            subprocess.run(command, check=False, capture_output=True)
            return
        with self.suspend():
            subprocess.run(command, check=False)
        self.refresh(layout=True)

    # ---- what takes its time ---------------------------------------------------------------------------------------

    def _in_background(self, begin: str, act: Callable[[], str]) -> None:
        """Do something that waits for a supervisor; the screen goes on meanwhile, and a notice tells the end."""
        self.tell(begin)

        def run() -> None:
            try:
                said = act()
            except (FramebusError, OSError, ValueError) as error:
                reason = str(error)
                self._from_background(lambda: self.tell(reason, "error"))
            else:
                self._from_background(lambda: self.tell(said))

        # A daemon: quitting must not wait for it, and the supervisor goes on without it.
        threading.Thread(target=run, name="top errand", daemon=True).start()

    def _from_background(self, act: Callable[[], None]) -> None:
        try:
            self.call_from_thread(act)
        except RuntimeError:  # the dashboard was closed meanwhile
            return
