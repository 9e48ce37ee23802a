"""One look for every plot, and the four kinds of plot the labs draw most.

Colours are the same everywhere and told apart by colour-blind readers. `figure` opens a
figure in this look, `save` writes it as a small PNG whose bytes depend on the drawing
alone. matplotlib loads inside the functions, and draws without a window (Agg) by itself
where there is no display. What a plot says is the lab's business.
"""

from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

# Okabe and Ito (2008), "Color Universal Design": blue, vermilion, green, purple,
# orange, sky blue, yellow, black. Yellow is late because it is faint on white.
PALETTE = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#F0E442",
    "#000000",
)
DPI = 150
MAX_BYTES = 150_000  # results/ is committed, so every picture stays small

_STYLE = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": "medium",
    "grid.alpha": 0.3,
    "grid.linewidth": 0.6,
}


def figure(
    rows: int = 1, cols: int = 1, *, size: tuple[float, float] = (7.0, 4.0)
) -> tuple["Figure", Any]:
    """Open a figure in the common look; `save` writes and closes it.

    Args:
        rows: number of plots below each other.
        cols: number of plots side by side.
        size: width and height of the whole figure in inches.

    Returns:
        The figure, and its axes: one Axes, or for several plots an array of them as
        `matplotlib.pyplot.subplots` gives it.
    """
    import matplotlib.pyplot as plt
    from cycler import cycler

    style = {**_STYLE, "axes.prop_cycle": cycler(color=PALETTE)}
    with plt.rc_context(style):
        return plt.subplots(rows, cols, figsize=size, dpi=DPI, layout="constrained")


def save(fig: "Figure", path: str | Path) -> Path:
    """Write `fig` as a PNG of at most 150 kB and close it.

    The folder is made where it is missing. The same drawing gives the same bytes on the
    same version of matplotlib: no time and no version goes into the file.

    Args:
        fig: a figure from `figure`.
        path: where to; it ends in .png.

    Returns:
        `path` as a Path.

    Raises:
        ValueError: `path` does not end in .png.
    """
    path = Path(path)
    if path.suffix != ".png":
        raise ValueError(f"path: expected a name that ends in .png, got {path.name!r}")
    import matplotlib.pyplot as plt

    png = BytesIO()
    fig.savefig(png, format="png", dpi=DPI, metadata={"Software": None})
    plt.close(fig)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_at_most(png.getvalue(), MAX_BYTES))
    return path


def loss_curve(
    ax: "Axes",
    curves: Mapping[str, Sequence[float]],
    *,
    steps: Sequence[float] | None = None,
    xlabel: str = "step",
    ylabel: str = "loss",
) -> None:
    """Draw one line per curve over the steps of a training run.

    Args:
        ax: where to draw.
        curves: what each line is called, with its values; all of the same length where
            `steps` is given.
        steps: the x of each value; None counts from 0.
        xlabel: what is counted along x.
        ylabel: what is measured, with its unit, such as "loss (nats)".

    Raises:
        ValueError: `curves` is empty, or a curve and `steps` differ in length.
    """
    if not curves:
        raise ValueError("curves: expected at least one curve, got none")
    for name, values in curves.items():
        x = range(len(values)) if steps is None else steps
        if len(x) != len(values):
            raise ValueError(
                f"steps: expected {len(values)} for curve {name!r}, got {len(x)}"
            )
        ax.plot(x, values, label=name)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.legend()


def decision_boundary(
    ax: "Axes",
    predict: Callable[["np.ndarray"], "np.ndarray"],
    X: "np.ndarray",
    y: "np.ndarray",
    *,
    resolution: int = 200,
) -> None:
    """Colour the plane by the predicted class and draw the points on top.

    Args:
        ax: where to draw.
        predict: maps points (M, 2) to integer classes (M,).
        X: points, (N, 2).
        y: their true classes from 0 on, integers (N,); class k has colour k.
        resolution: points of the grid along each axis.

    Raises:
        ValueError: X is not (N, 2), y is not (N,), or there are more classes than
            colours.
    """
    import numpy as np

    X, y = np.asarray(X), np.asarray(y)
    if X.ndim != 2 or X.shape[1] != 2:
        raise ValueError(f"X: expected shape (N, 2), got {X.shape}")
    if y.shape != (len(X),):
        raise ValueError(f"y: expected shape ({len(X)},), got {y.shape}")
    low, high = X.min(axis=0), X.max(axis=0)
    margin = 0.1 * (high - low) + 1e-9  # not zero, or one point would span no grid
    xs, ys = np.linspace(low - margin, high + margin, resolution).T
    grid = np.stack(np.meshgrid(xs, ys), axis=-1)  # (resolution, resolution, 2)
    regions = np.asarray(predict(grid.reshape(-1, 2))).reshape(grid.shape[:2])
    colours = _class_colours(int(max(regions.max(), y.max())) + 1)
    ax.pcolormesh(xs, ys, regions, alpha=0.25, shading="nearest", **colours)
    ax.scatter(*X.T, c=y, s=18, edgecolors="white", linewidths=0.5, **colours)
    ax.set(xlabel="first feature", ylabel="second feature")
    ax.grid(False)


def histogram(
    ax: "Axes",
    values: Sequence[float],
    *,
    bins: int = 40,
    label: str | None = None,
    xlabel: str = "value",
    ylabel: str = "count",
) -> None:
    """Draw how often values fall into bins of equal width.

    Args:
        ax: where to draw; a second call draws into the same plot, half transparent.
        values: finite numbers, at least one.
        bins: number of bins.
        label: name in the legend; None for no legend.
        xlabel: what the values are, with their unit.
        ylabel: what is counted.

    Raises:
        ValueError: `values` is empty or holds NaN or infinity.
    """
    import numpy as np

    values = np.asarray(values, dtype=np.float64).ravel()
    if values.size == 0:
        raise ValueError("values: expected at least one number, got none")
    if not np.isfinite(values).all():
        bad = values.size - np.isfinite(values).sum()
        raise ValueError(f"values: {bad} of {values.size} are NaN or infinite")
    ax.hist(values, bins=bins, label=label, alpha=0.7)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if label is not None:
        ax.legend()


def heat_map(
    ax: "Axes",
    matrix: "np.ndarray",
    row_labels: Sequence[str] | None = None,
    col_labels: Sequence[str] | None = None,
    *,
    label: str = "value",
    form: str | None = None,
    limits: tuple[float, float] | None = None,
) -> "AxesImage":
    """Draw a matrix as coloured cells with a colour bar.

    Args:
        ax: where to draw.
        matrix: numbers, (R, C); row 0 is at the top.
        row_labels: R names, or None for none.
        col_labels: C names, or None for none.
        label: what the colours mean, with the unit.
        form: format such as ".2f" in which to write each number into its cell; None
            writes none.
        limits: values of the darkest and the lightest colour; None takes the
            smallest and the largest of the matrix.

    Returns:
        The drawn image.

    Raises:
        ValueError: `matrix` is not two-dimensional, or a label is missing.
    """
    import numpy as np

    matrix = np.asarray(matrix)
    if matrix.ndim != 2:
        raise ValueError(f"matrix: expected shape (R, C), got {matrix.shape}")
    low, high = limits or (None, None)
    image = ax.imshow(matrix, cmap="viridis", aspect="auto", vmin=low, vmax=high)
    ax.figure.colorbar(image, ax=ax, label=label)
    ax.grid(False)
    _name_ticks(ax.yaxis, "row_labels", row_labels, matrix.shape[0])
    _name_ticks(ax.xaxis, "col_labels", col_labels, matrix.shape[1])
    if col_labels is not None:
        ax.tick_params(axis="x", rotation=45)
    if form is not None:
        _write_numbers(ax, image, matrix, form)
    return image


def _name_ticks(axis: Any, name: str, labels: Sequence[str] | None, count: int) -> None:
    """Put one label at each of `count` cells; no ticks where none are given."""
    if labels is None:
        axis.set_ticks([])
        return
    if len(labels) != count:
        raise ValueError(f"{name}: expected {count} labels, got {len(labels)}")
    axis.set_ticks(range(count), labels=[str(label) for label in labels])


def _write_numbers(
    ax: "Axes", image: "AxesImage", matrix: "np.ndarray", form: str
) -> None:
    """Write each number into its cell, in the shade that can be read there."""
    for row, values in enumerate(matrix):
        for col, value in enumerate(values):
            light = image.norm(value) > 0.6  # viridis ends in yellow
            ink = "black" if light else "white"
            ax.text(col, row, format(value, form), ha="center", va="center", color=ink)


def _class_colours(classes: int) -> dict[str, Any]:
    """Return the arguments that make matplotlib draw class k in colour k."""
    from matplotlib.colors import ListedColormap

    if classes > len(PALETTE):
        raise ValueError(
            f"y: at most {len(PALETTE)} classes have a colour of their own"
        )
    return {
        "cmap": ListedColormap(PALETTE[:classes]),
        "vmin": -0.5,
        "vmax": classes - 0.5,
    }


def _at_most(png: bytes, limit: int) -> bytes:
    """Return the picture in at most `limit` bytes: fewer colours, then fewer pixels."""
    if len(png) <= limit:
        return png
    from PIL import Image

    image = Image.open(BytesIO(png)).convert("RGB")
    for colours in (256, 64, 16):
        png = _palette_png(image, colours)
        if len(png) <= limit:
            return png
    while len(png) > limit:  # only noise in large figures comes here
        image = image.reduce(2)
        png = _palette_png(image, colours)
    return png


def _palette_png(image: Any, colours: int) -> bytes:
    out = BytesIO()
    image.quantize(colours).save(out, format="PNG", optimize=True)
    return out.getvalue()
