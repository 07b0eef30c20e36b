"""Pictures of a report, as SVG within a page: no file, no network, in the page's own colours."""

import io
import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from shoal.contracts.drift import OF_THE_FLEET
from shoal.kernels.gaussians import Mixture

Array = NDArray[np.float64]
_INK, _FAINT, _ACCENT, _ALARM = "#010203", "#040506", "#070809", "#0a0b0c"
_CLASSES = {_INK: "var(--ink)", _FAINT: "var(--faint)", _ACCENT: "var(--accent)",
            _ALARM: "var(--alarm)"}  # fmt: skip
"""Colours that stand for those of the page, light or dark, and are replaced by them."""
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none", "svg.hashsalt": "shoal", "font.family": "sans-serif", "font.size": 9,
    "text.color": _INK, "axes.edgecolor": _FAINT, "axes.labelcolor": _INK, "xtick.color": _INK,
    "ytick.color": _INK, "axes.spines.top": False, "axes.spines.right": False,
    "text.parse_math": False,
}  # fmt: skip
_GRID = 120
_LEVELS = (0.5, 0.9, 0.99)
"""Share of the mixture that a contour encloses."""
_FLOWS_SHOWN = 60


def shoal_map(
    points: Array,
    strays: Mapping[int, tuple[float, float]],
    weights: Array,
    means: Array,
    covariances: Array,
) -> str:
    """Entities on two axes, the contours of their mixture, and the strays by rank.

    Parameters
    ----------
    points : ``(n_points, 2)``
    strays : rank → place
    weights, means, covariances : ``(n_components, …)`` of the mixture on these axes
    """
    marked = np.asarray(list(strays.values()), dtype=np.float64).reshape(-1, 2)
    low, high = _window(np.vstack([points, marked]))
    x, y = (np.linspace(low[axis], high[axis], _GRID) for axis in (0, 1))
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    density = np.exp(Mixture(weights, means, covariances, "full").log_density(grid))
    with mpl.rc_context(_STYLE):
        figure, axes = _figure(6.4, 4.2)
        levels = _enclosing(density)
        if len(levels):
            axes.contour(
                x, y, density.reshape(_GRID, _GRID), levels=levels, colors=_ACCENT, linewidths=0.8
            )
        axes.plot(*points.T, ".", color=_FAINT, markersize=2.5)
        axes.plot(*marked.T, "o", color=_ALARM, markersize=5, markerfacecolor="none")
        for rank, place in strays.items():
            axes.annotate(
                str(rank), place, xytext=(4, 3), textcoords="offset points", color=_ALARM,
                fontsize=8, annotation_clip=True,
            )  # fmt: skip
        axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
        axes.set(xlabel="first axis, standard units", ylabel="second axis")
        return _svg(figure, "map of the shoals: the numbers are ranks on the list")


def alert_rates(rates: Sequence[Mapping[str, Any]]) -> str:
    """Share of entities over the threshold by night, beside what is expected."""
    nights = np.arange(len(rates))
    step = max(1, len(rates) // 7)
    with mpl.rc_context(_STYLE):
        figure, axes = _figure(6.4, 1.9)
        expected = _numbers([row["expected_rate"] for row in rates])
        axes.plot(nights, expected, color=_FAINT, linewidth=1, linestyle="--")
        found = _numbers([row["alert_rate"] for row in rates])
        axes.plot(nights, found, color=_ACCENT, marker=".")
        for night, row in enumerate(rates):
            if row["verdict"] in OF_THE_FLEET:
                axes.axvline(night, color=_ALARM, linewidth=0.8)
        axes.set_ylim(bottom=0)
        axes.set_xticks(nights[::step], [f"{row['event_date']:%d %b}" for row in rates[::step]])
        axes.set_ylabel("p ≤ 0.05")
        return _svg(figure, "share of entities with p of 0.05 and less by night; dashed: expected")


def migration(pairs: Sequence[Mapping[str, Any]]) -> str:
    """From which cluster of the night before entities came to which of tonight."""
    flows = _flows(pairs)
    if not flows:
        return ""
    sums = _totals(flows, 0), _totals(flows, 1)
    left, right = (_stack(side) for side in sums)
    total = sum(n for _, _, n in flows)
    with mpl.rc_context(_STYLE):
        figure, axes = _figure(6.4, 3.6)
        used_left, used_right = dict(left), dict(right)
        bend = np.linspace(0.0, 1.0, 30)
        ease = bend**2 * (3.0 - 2.0 * bend)
        for before, now, n in flows:
            share = n / total
            low = used_left[before] + (used_right[now] - used_left[before]) * ease
            colour = _ACCENT if before == now else _FAINT
            axes.fill_between(bend, low, low + share, color=colour, alpha=0.45, linewidth=0)
            used_left[before] += share
            used_right[now] += share
        for at, align, stack, own in (
            (-0.02, "right", left, sums[0]),
            (1.02, "left", right, sums[1]),
        ):
            for name, start in stack.items():
                axes.text(
                    at, start + own[name] / total / 2, f"{name} ({own[name]:,})", ha=align,
                    va="center", fontsize=8,
                )  # fmt: skip
        axes.set(xlim=(-0.25, 1.25))
        axes.axis("off")
        return _svg(figure, "clusters of the night before, left, and of tonight, right")


def selection_curve(candidates: Sequence[Mapping[str, Any]]) -> str:
    """BIC of the mixtures that were tried, by components and covariance; the chosen one marked."""
    own = [row for row in candidates if row["kind"] == "mixture" and row["bic"] is not None]
    if not own:
        return ""
    with mpl.rc_context(_STYLE):
        figure, axes = _figure(6.4, 2.6)
        kinds = sorted({str(row["covariance_type"]) for row in own})
        for style, kind in zip(("-", "--", "-.", ":"), kinds, strict=False):
            of_kind = sorted(
                (row["n_components"], row["bic"]) for row in own if row["covariance_type"] == kind
            )
            axes.plot(*zip(*of_kind, strict=True), style, color=_ACCENT, label=kind, marker=".")
        for row in own:
            if row["is_chosen"]:
                axes.plot(row["n_components"], row["bic"], "o", color=_ALARM, markersize=9,
                          markerfacecolor="none")  # fmt: skip
        axes.set(xlabel="components", ylabel="BIC, lower is better")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(frameon=False, fontsize=8)
        return _svg(figure, "BIC by components and covariance; the chosen one is ringed")


def sparkline(points: Sequence[tuple[date, float]], first: date, last: date, whole: float) -> str:
    """Scores by night as bars, a hundred and forty units wide."""
    days = (last - first).days + 1
    width = 140.0 / max(days, 1)
    bars = []
    for day, score in points:
        height = 22.0 * min(max(score / whole, 0.02), 1.0)
        left = (day - first).days * width
        bars.append(
            f'<rect x="{left:.1f}" y="{22 - height:.1f}" width="{max(width - 1, 0.5):.1f}" '
            f'height="{height:.1f}"/>'
        )
    label = (
        f"scores of {len(points)} nights, the largest {max((s for _, s in points), default=0):.2f}"
    )
    return (
        '<svg class="spark" viewBox="0 0 140 22" preserveAspectRatio="xMinYMid" role="img" '
        f'aria-label="{label}">'
        f"{''.join(bars)}</svg>"
    )


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.patch.set_alpha(0.0)
    axes = figure.add_subplot()
    axes.patch.set_alpha(0.0)
    return figure, axes


def _svg(figure: Figure, label: str) -> str:
    """The figure as an element of a page; ``label`` is for who can't see it."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    for colour, variable in _CLASSES.items():
        text = text.replace(colour, variable)
    return text.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)


def _window(points: Array) -> tuple[Array, Array]:
    """What is shown: all of the points, and a twentieth of that around them."""
    low, high = points.min(axis=0), points.max(axis=0)
    margin = np.maximum((high - low) * 0.05, 0.5)
    return low - margin, high + margin


def _enclosing(density: Array) -> Array:
    """Densities, ascending, above which the shares of `_LEVELS` lie of what is in the window."""
    ordered = np.sort(density)[::-1]
    shares = np.cumsum(ordered) / ordered.sum() if ordered.sum() > 0 else np.zeros(len(ordered))
    levels = [
        ordered[min(int(np.searchsorted(shares, share)), len(ordered) - 1)] for share in _LEVELS
    ]
    return np.unique([level for level in levels if level > 0.0])


def _flows(pairs: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, int]]:
    """``(cluster before, cluster now, entities)``; matched clusters have one name."""
    found: dict[tuple[str, str], int] = {}
    for row in pairs:
        now = row["analysis_cluster_id"]
        if now is None or now < 0:
            continue
        if (row["common_size"] or 0) > 0:
            found[f"c{row['reference_cluster_id']}", f"c{now}"] = int(row["common_size"])
        for move in row["came_from"] or []:
            found[f"c{move['cluster_id']}", f"c{now}"] = int(move["entities"])
    flows = [(before, now, n) for (before, now), n in found.items()]
    return sorted(sorted(flows, key=lambda flow: -flow[2])[:_FLOWS_SHOWN])


def _totals(flows: Sequence[tuple[str, str, int]], side: int) -> dict[str, int]:
    sums: dict[str, int] = {}
    for flow in flows:
        name = str(flow[side])
        sums[name] = sums.get(name, 0) + flow[2]
    return sums


def _stack(sums: Mapping[str, int]) -> dict[str, float]:
    """Where each cluster's bar begins, from 0 to 1."""
    total, at, found = sum(sums.values()), 0.0, {}
    for name in sorted(sums):
        found[name] = at
        at += sums[name] / total
    return found


def _numbers(values: Sequence[float | None]) -> Array:
    return np.asarray([np.nan if value is None else value for value in values], dtype=float)
