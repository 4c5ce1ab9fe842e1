"""The chart of the live view, as SVG: the score of each child by iteration.

matplotlib draws the other pictures, but not this one: its settings belong to the whole process, so that a thread that
draws would disturb the notebook's own plots.
"""

from __future__ import annotations

import html
from collections.abc import Callable

from matplotlib.ticker import MaxNLocator

from nbhelpers.results.live_state import ENDED, Child, Step
from nbhelpers.results.style import BLUE, INK, MUTED, ORANGE

#: Size of the chart in pixels: small, so that its text can still be read on a phone.
WIDTH, HEIGHT = 480, 280
#: Where the axes begin and end; scores go down to BOTTOM, and children without a score stand at FOOT.
LEFT, RIGHT, TOP, BOTTOM, FOOT = 68, 466, 46, 170, 190
GRID = "#e4e4e4"
#: The marker of each kind of child, around the point (0, 0), in the order of the legend.
MARKERS = {
    "score": f'<circle r="4" fill="{BLUE}"/>',
    "taken over": f'<circle r="3.5" fill="white" stroke="{BLUE}" stroke-width="1.5"/>',
    "best": f'<circle r="7.5" fill="none" stroke="{ORANGE}" stroke-width="2"/>',
    "best so far": f'<path d="M-9 0H9" stroke="{INK}" stroke-width="1.2"/>',
    "running": f'<circle r="3.5" fill="white" stroke="{MUTED}" stroke-width="1.5"/>',
    "failed": f'<path d="M-4 -4L4 4M-4 4L4 -4" stroke="{ORANGE}" stroke-width="2"/>',
    "without a score": f'<path d="M-4 -4L4 4M-4 4L4 -4" stroke="{MUTED}" stroke-width="2"/>',
}


def draw(step: Step, over: bool) -> str:
    """The chart of a step, with the best so far as a line; `over` if no more children will come."""
    scores = [child.score for child in step.scored] or [0.0]
    # Equal scores need an axis of some length, too.
    margin = 0.06 * (max(scores) - min(scores)) or 0.01 * abs(scores[0]) or 0.01
    low, high = min(scores) - margin, max(scores) + margin
    last = _last_iteration(step, over)

    def x(iteration: float) -> float:
        return round(LEFT + 10 + (RIGHT - LEFT - 20) * iteration / max(last, 1), 1)

    def y(score: float) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * (score - low) / (high - low), 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="system-ui, sans-serif" font-size="14" fill="{INK}">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="10" y="22">{html.escape(_title(step))}</text>',
    ]
    if step.scored:
        for tick in _ticks(low, high, 4):
            parts.append(f'<path d="M{LEFT} {y(tick)}H{RIGHT}" stroke="{GRID}"/>')
            parts.append(f'<text x="{LEFT - 8}" y="{y(tick) + 5}" text-anchor="end">{tick:g}</text>')
        parts.append(f'<path d="{_best_line(step, x, y)}" fill="none" stroke="{INK}" stroke-width="1.2"/>')
    parts.append(f'<path d="M{LEFT} {FOOT + 10}H{RIGHT}" stroke="{MUTED}"/>')
    for tick in _ticks(0, last, 6):
        parts.append(f'<text x="{x(tick)}" y="{FOOT + 28}" text-anchor="middle">{tick:g}</text>')
    for child in step.children:
        place = x(child.iteration), y(child.score) if child.has_score else FOOT
        parts += [_marker(kind, *place) for kind in _kinds(step, child)]
    return "".join([*parts, *_legend(step), "</svg>"])


def describe(step: Step) -> str:
    """What the chart shows, in words."""
    kinds = [_kinds(step, child)[0] for child in step.children]
    counts = [f"{kinds.count(kind)} {kind}" for kind in ("running", "failed", "without a score") if kind in kinds]
    text = f"Chart of {_title(step)}. Child runs: {', '.join([f'{len(step.scored)} with a score', *counts])}"
    if best := step.best:
        text += f"; the best is {best.score:.4f} of child {best.iteration}, {best.pipeline}"
    return f"{text}."


def _title(step: Step) -> str:
    return f"{step.metric} by iteration ({'higher' if step.higher_is_better else 'lower'} is better)"


def _kinds(step: Step, child: Child) -> list[str]:
    """The markers of a child."""
    if child.has_score:
        return ["taken over" if child.taken_over else "score"] + (["best"] if child is step.best else [])
    if child.status not in ENDED:
        return ["running"]
    return ["failed" if child.status == "Failed" else "without a score"]


def _last_iteration(step: Step, over: bool) -> int:
    """Where the axis ends: while children come, with so much room that it seldom changes."""
    newest = max((child.iteration for child in step.children), default=0)
    if over:
        return newest
    room = 25
    while room <= newest:
        room *= 2
    return max(newest, min(room, step.planned or room) - 1)


def _ticks(low: float, high: float, count: int) -> list[float]:
    ticks = MaxNLocator(count, steps=[1, 2, 5, 10], integer=low == 0).tick_values(low, high)
    return [tick for tick in map(float, ticks) if low <= tick <= high]


def _best_line(step: Step, x: Callable[[float], float], y: Callable[[float], float]) -> str:
    """The best score so far, in steps, up to the newest child."""
    pick = max if step.higher_is_better else min
    best = step.scored[0].score
    path = f"M{x(step.scored[0].iteration)} {y(best)}"
    for child in step.scored:
        best = pick(best, child.score)
        path += f"H{x(child.iteration)}V{y(best)}"
    return f"{path}H{x(step.children[-1].iteration)}"


def _marker(kind: str, x: float, y: float) -> str:
    return f'<g transform="translate({x} {y})">{MARKERS[kind]}</g>'


def _legend(step: Step) -> list[str]:
    """The kinds of markers that there are, in at most two rows at the foot."""
    found = {kind for child in step.children for kind in _kinds(step, child)}
    if step.scored:
        found.add("best so far")
    parts, x, y = [], LEFT - 40, FOOT + 56
    for kind in filter(found.__contains__, MARKERS):
        width = 34 + 8 * len(kind)  # the text is about that long
        if x + width > WIDTH:
            x, y = LEFT - 40, y + 22
        parts.append(_marker(kind, x, y) + f'<text x="{x + 14}" y="{y + 5}">{kind}</text>')
        x += width
    return parts
