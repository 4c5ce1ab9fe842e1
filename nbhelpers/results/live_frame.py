"""One frame of the live view of a run, as a fragment of a web page and as plain text.

The fragment shows in JupyterLab (also where the notebook is not trusted), in exported pages and in the report of a
batch: no script, no style sheet, nothing fetched. The chart is an embedded picture with a white page of its own, since
those places remove inline SVG.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from datetime import timedelta

from nbhelpers.results import live_chart
from nbhelpers.results.live_state import ENDED, State, Step

#: How many of the children are listed.
LISTED = 5


def verdict(state: State) -> str:
    """The state in one line: for how long, how many children, the best one."""
    return " · ".join(filter(None, (_progress(state), _best(state))))


def as_text(state: State) -> str:
    """A frame as plain text: the verdict, the run, its steps and the last children."""
    lines = [verdict(state), _note(state)]
    for name, *facts, count in _step_rows(state):
        lines.append(f"Step {name}: {', '.join([*filter(None, facts), f'{count} child runs'])}")
    for iteration, *facts in _child_rows(state):
        lines.append(f"Child run {iteration}: {', '.join(filter(None, facts))}")
    return "\n".join(lines)


def as_html(state: State) -> str:
    """A frame as HTML; it keeps its height until the run is over."""
    parts = [
        # Lines of their own, which seldom wrap: else the height would change with the length of a name.
        f"<p><b>{html.escape(_progress(state))}</b>"
        f"<br>{html.escape(_best(state) or 'no score yet')}<br>{html.escape(_note(state))}</p>",
        _table(("Step", "Status", "Reused", "Child runs"), _step_rows(state)),
    ]
    step, rows = state.shown_step, _child_rows(state)
    if step and (rows or not state.over):
        if not state.over:
            rows += [("\u00a0",) * 5] * (LISTED - len(rows))
        picture = base64.b64encode(live_chart.draw(step, state.over).encode()).decode()
        parts += [
            f'<p><img src="data:image/svg+xml;base64,{picture}" alt="{html.escape(live_chart.describe(step))}" '
            f'width="{live_chart.WIDTH}" height="{live_chart.HEIGHT}" style="max-width:100%;height:auto"></p>',
            _table(("Iteration", "Pipeline", "Score", "Status", "Duration"), rows),
        ]
    return f"<div>{''.join(parts)}</div>"


def _progress(state: State) -> str:
    step, time = state.shown_step, _time(state)
    if not step:
        return time
    count = _count(step, state.over)
    failed = sum(child.status == "Failed" for child in step.children)
    return f"{time} · {count} child run{'' if count == '1' else 's'}" + (f", {failed} failed" if failed else "")


def _time(state: State) -> str:
    reused = next((step.reused for step in state.steps if step.reused), None)
    if not state.status:
        return "Reading the run"
    if state.status in ENDED and reused:
        return f"{state.status}, taken over from run {reused}"
    if state.started is None:
        return state.status if state.status in ENDED else "Waiting to start"
    duration = _clock((state.ended or state.time) - state.started)
    if state.status in ENDED:
        return f"{state.status} after {duration}"
    queued = any(step.status == "Queued" for step in state.steps)
    return f"{state.status} for {duration}" + (f", {_waiting(state)}" if queued else "")


def _waiting(state: State) -> str:
    return f"waiting for run {state.waits_for}" if state.waits_for else "waiting for a slot"


def _best(state: State) -> str:
    step = state.shown_step
    if not step or not (best := step.best):
        return ""
    return f"best {step.metric} {best.score:.4f} (child {best.iteration}, {best.algorithm})"


def _note(state: State) -> str:
    """Which run it is, and what is to be said of it besides: trouble, or why it failed, or where it began."""
    if problem := state.trouble or state.reason:
        return f"{state.title}: {problem}"
    return state.title + (f", which continues run {state.continues}" if state.continues else "")


def _step_rows(state: State) -> list[tuple[str, ...]]:
    return [
        (
            step.name,
            f"Queued, {_waiting(state)}" if step.status == "Queued" else step.status,
            "reused" if step.reused else "",
            _count(step, step.status in ENDED),
        )
        for step in state.steps
    ]


def _child_rows(state: State) -> list[tuple[str, ...]]:
    children = state.shown_step.children if state.shown_step else ()
    return [
        (
            str(child.iteration),
            child.pipeline,
            f"{child.score:.4f}" if child.has_score else "",
            f"{child.status}, taken over" if child.taken_over else child.status,
            "" if child.taken_over or not child.started else _seconds((child.ended or state.time) - child.started),
        )
        for child in children[-LISTED:]
    ]


def _count(step: Step, over: bool) -> str:
    """How many children have ended and, while more may come, of how many."""
    return str(step.ended) if over or step.planned is None else f"{step.ended} of {step.planned}"


def _clock(duration: timedelta) -> str:
    """As 0:34 or 1:02:03."""
    minutes, seconds = divmod(max(0, round(duration.total_seconds())), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _seconds(duration: timedelta) -> str:
    """As 0.4 s; longer ones as `_clock`."""
    seconds = max(0.0, duration.total_seconds())
    return f"{seconds:.1f} s" if seconds < 60 else _clock(duration)


def _table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    def cells(tag: str, texts: Sequence[str]) -> str:
        return "".join(
            f'<{tag} style="text-align:left;white-space:nowrap">{html.escape(text)}</{tag}>' for text in texts
        )

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f"<table><thead><tr>{cells('th', headers)}</tr></thead><tbody>{body}</tbody></table>"
