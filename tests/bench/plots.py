"""A picture of each benchmark: the medians of the peers, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.core import Outcome, Series


def draw(outcomes: list[Outcome], folder: Path) -> list[str]:
    """Write `<benchmark>.png` files into a folder; return what there is to tell about them."""
    try:
        import matplotlib as mpl
    except ImportError:
        return ["no pictures: matplotlib is not installed (--install)"]
    mpl.use("agg")
    from matplotlib import pyplot

    told = []
    for outcome in outcomes:
        things: dict[tuple[str, str], list[Series]] = {}
        for series in outcome.series.values():
            things.setdefault((series.what, series.unit), []).append(series)
        if not things:
            continue
        heights = [max(len(peers), 1) + 1 for peers in things.values()]
        figure, axes = pyplot.subplots(
            len(things), 1, figsize=(8, 0.28 * sum(heights) + 0.5), layout="constrained",
            squeeze=False, gridspec_kw={"height_ratios": heights})
        for axis, ((what, unit), peers) in zip(axes[:, 0], things.items(), strict=True):
            bars(axis, f"{what} [{unit}]", peers)
        path = folder / f"{outcome.name}.png"
        figure.savefig(path, dpi=100)
        pyplot.close(figure)
        told.append(f"drew {path.name}")
    return told


def bars(axis: Any, title: str, peers: list[Series]) -> None:
    """Draw one thing: a bar a peer, from its least to its most a line."""
    middles = [series.median for series in peers]
    spread = [[max(middle - min(series.values), 0)
               for middle, series in zip(middles, peers, strict=True)],
              [max(max(series.values) - middle, 0)
               for middle, series in zip(middles, peers, strict=True)]]
    colours = ["tab:blue" if "aerostore" in series.peer else "tab:gray" for series in peers]
    axis.barh([series.peer for series in peers], middles, xerr=spread, color=colours, height=0.7)
    axis.set_title(title, fontsize=8, loc="left")
    axis.tick_params(labelsize=7)
    axis.invert_yaxis()
