"""The speeds as a picture, where matplotlib is there."""

from pathlib import Path

from .report import Results


def draw(results: Results, path: Path) -> str:
    """Returns why there is no picture, or nothing."""
    try:
        import matplotlib as mpl
    except ImportError:
        return "matplotlib is not installed"
    mpl.use("Agg")
    from matplotlib import pyplot

    measured = [series for series in results.speed if series.samples][::-1]
    if not measured:
        return "no speed was measured"
    figure, axes = pyplot.subplots(figsize=(9, 0.5 * len(measured) + 1.5), layout="constrained")
    colours = ["#c2410c" if series.contender.key.startswith("ours") else "#94a3b8" for series in measured]
    bars = axes.barh([series.contender.title for series in measured], [series.rate / 1e9 for series in measured],
                     color=colours)  # fmt: skip
    axes.bar_label(bars, fmt="%.2f", label_type="center")
    for row, series in enumerate(measured):
        rates = [sample.rate / 1e9 for sample in series.samples]
        axes.plot(rates, [row] * len(rates), "k|", markersize=8)
    if results.reference:
        axes.axvline(results.reference / 1e9, color="black", linewidth=0.8, linestyle=":")
    axes.set_xlabel(f"GB/s, median and every round; {results.size / 1024**2:.0f} MiB, {results.started:%Y-%m-%d}")
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.1)
    figure.savefig(path, dpi=120)
    return ""
