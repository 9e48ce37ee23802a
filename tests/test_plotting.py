"""Plots: one look, small files, the same bytes every time, errors that name."""

import subprocess
import sys

import matplotlib

matplotlib.use("Agg")  # the tests draw without a display wherever they run

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from common import plotting


@pytest.fixture
def ax():
    fig, ax = plotting.figure()
    yield ax
    plt.close(fig)


def linear(colour):
    """Return the colour as linear light, (3,)."""
    srgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def perceived(light):
    """Return linear light (3,) as L*a*b* (3,), where distance is visible difference."""
    xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    ) @ light.clip(0, 1)
    fx, fy, fz = np.cbrt(xyz / [0.9505, 1.0, 1.089])
    return np.array([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)])


# Machado, Oliveira and Fernandes (2009): what linear light becomes for the two common
# kinds of colour blindness at full strength.
PROTAN = np.array(
    [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ]
)
DEUTAN = np.array(
    [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ]
)


@pytest.mark.parametrize("eye", [np.eye(3), PROTAN, DEUTAN])
def test_colours_differ_for_every_eye(eye):
    seen = [perceived(eye @ linear(colour)) for colour in plotting.PALETTE]
    apart = [np.linalg.norm(a - b) for i, a in enumerate(seen) for b in seen[i + 1 :]]
    # 2.3 is just noticeable; ours stay above 17, matplotlib's default comes down to 4.6
    assert min(apart) > 10


# --- figure ---


def test_the_common_look(ax):
    assert ax.figure.get_size_inches().tolist() == [7.0, 4.0]
    assert not ax.spines["top"].get_visible() and not ax.spines["right"].get_visible()
    assert ax.spines["left"].get_visible()
    assert ax.xaxis.get_gridlines()[0].get_visible()
    colours = [ax.plot([0, 1], [k, k])[0].get_color() for k in range(9)]
    assert colours == [*plotting.PALETTE, plotting.PALETTE[0]]


def test_the_look_is_not_forced_on_others(ax):
    fig, other = plt.subplots()
    assert other.spines["top"].get_visible()
    plt.close(fig)


def test_a_figure_of_several_plots():
    fig, axes = plotting.figure(2, 3, size=(9, 5))
    assert axes.shape == (2, 3) and fig.get_size_inches().tolist() == [9, 5]
    plt.close(fig)


# --- save ---


def drawn(points=50):
    fig, ax = plotting.figure()
    plotting.loss_curve(ax, {"train": np.cos(np.arange(points))})
    return fig


def test_save_makes_the_folder_and_closes_the_figure(tmp_path):
    fig = drawn()
    path = plotting.save(fig, str(tmp_path / "a" / "b" / "loss.png"))
    assert path == tmp_path / "a" / "b" / "loss.png"
    assert not plt.fignum_exists(fig.number)
    with Image.open(path) as image:
        assert image.size == (1050, 600)
        assert [round(dpi) for dpi in image.info["dpi"]] == [150, 150]
        assert set(image.info) == {"dpi"}


def test_the_same_drawing_gives_the_same_bytes(tmp_path):
    first, again = (plotting.save(drawn(), tmp_path / f"{k}.png") for k in "ab")
    other = plotting.save(drawn(51), tmp_path / "c.png")
    assert first.read_bytes() == again.read_bytes() != other.read_bytes()


@pytest.mark.parametrize(
    ("name", "size"), [("smooth", (1050, 600)), ("noise", (525, 300))]
)
def test_a_picture_stays_under_the_limit(tmp_path, name, size):
    rng = np.random.default_rng(0)
    noise = rng.random((600, 1050, 3)) * (1.0 if name == "noise" else 0.02)
    ramp = np.linspace(0, 0.9, 1050)[None, :, None] * (name == "smooth")
    pictures = []
    for _ in range(2):
        fig, ax = plotting.figure()
        ax.set_axis_off()
        ax.imshow(noise + ramp, aspect="auto", interpolation="nearest")
        raw = tmp_path / "raw.png"
        fig.savefig(raw, dpi=plotting.DPI)
        assert raw.stat().st_size > plotting.MAX_BYTES  # or nothing would be tested
        pictures.append(plotting.save(fig, tmp_path / f"{len(pictures)}.png"))
    first, again = pictures
    assert first.stat().st_size <= plotting.MAX_BYTES
    assert first.read_bytes() == again.read_bytes()
    with Image.open(first) as image:
        assert image.size == size


def test_only_png_is_written(tmp_path):
    fig = drawn()
    with pytest.raises(ValueError, match=r"^path: .*'loss\.pdf'"):
        plotting.save(fig, tmp_path / "loss.pdf")
    plt.close(fig)


# --- The four kinds ---


def test_loss_curve(ax):
    plotting.loss_curve(
        ax, {"train": [3, 2], "valid": [4, 3]}, steps=[10, 20], ylabel="loss (nats)"
    )
    assert [line.get_xydata().tolist() for line in ax.lines] == [
        [[10, 3], [20, 2]],
        [[10, 4], [20, 3]],
    ]
    assert [text.get_text() for text in ax.get_legend().texts] == ["train", "valid"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("step", "loss (nats)")


def test_loss_curve_counts_steps_from_zero(ax):
    plotting.loss_curve(ax, {"a": [5, 6, 7], "b": [1]})
    assert ax.lines[0].get_xdata().tolist() == [0, 1, 2]
    assert ax.lines[1].get_xdata().tolist() == [0]


def test_decision_boundary(ax):
    X = np.array([[0.0, 0.0], [10.0, 1.0], [0.0, 1.0]])
    y = np.array([0, 2, 1])

    def predict(points):
        assert points.shape == (900, 2)
        return (points[:, 0] > 5).astype(int) * 2  # never class 1

    plotting.decision_boundary(ax, predict, X, y, resolution=30)
    mesh, points = ax.collections
    regions = mesh.get_array().reshape(30, 30)  # rows go up in the second feature
    assert (regions[:, :15] == 0).all() and (regions[:, 15:] == 2).all()
    assert points.get_offsets().tolist() == X.tolist()
    ax.figure.canvas.draw()
    colours = [matplotlib.colors.to_hex(c).upper() for c in points.get_facecolors()]
    assert colours == [plotting.PALETTE[k] for k in y]
    left, right = ax.get_xlim()
    assert left < 0 and right > 10


@pytest.mark.parametrize(
    ("shape", "labels", "name"),
    [((4, 3), 4, "X"), ((4,), 4, "X"), ((4, 2), 3, "y")],
)
def test_decision_boundary_bad_shapes_are_named(ax, shape, labels, name):
    with pytest.raises(ValueError, match=f"^{name}: "):
        plotting.decision_boundary(
            ax, lambda z: z[:, 0], np.zeros(shape), np.zeros(labels, int)
        )


def test_decision_boundary_has_eight_colours(ax):
    X, y = np.zeros((1, 2)), np.array([8])
    with pytest.raises(ValueError, match=r"^y: at most 8 classes"):
        plotting.decision_boundary(ax, lambda z: np.zeros(len(z), int), X, y)


def test_histogram(ax):
    plotting.histogram(ax, [0, 1, 1, 4], bins=4, label="a", xlabel="length (words)")
    assert [bar.get_height() for bar in ax.patches] == [1, 2, 0, 1]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("length (words)", "count")
    assert [text.get_text() for text in ax.get_legend().texts] == ["a"]


@pytest.mark.parametrize(
    ("values", "says"),
    [([], "at least one"), ([1.0, np.nan], "1 of 2"), ([np.inf], "1 of 1")],
)
def test_histogram_bad_values_are_named(ax, values, says):
    with pytest.raises(ValueError, match=f"^values: .*{says}"):
        plotting.histogram(ax, values)


def test_heat_map(ax):
    matrix = np.array([[0.0, 0.25, 0.5], [0.75, 1.0, 0.1]])
    rows, cols = ["the", "cat"], ["a", "b", "c"]
    image = plotting.heat_map(ax, matrix, rows, cols, label="weight", form=".2f")
    assert image.get_array().tolist() == matrix.tolist()
    assert [label.get_text() for label in ax.get_yticklabels()] == rows
    assert [label.get_text() for label in ax.get_xticklabels()] == cols
    written = {text.get_position(): text.get_text() for text in ax.texts}
    assert written[(1, 0)] == "0.25" and written[(0, 1)] == "0.75"
    inks = {text.get_text(): text.get_color() for text in ax.texts}
    assert (inks["0.00"], inks["1.00"]) == ("white", "black")
    assert ax.figure.axes[1].get_ylabel() == "weight"
    top, bottom = ax.get_ylim()[1], ax.get_ylim()[0]
    assert top < bottom  # row 0 is at the top


def test_heat_map_limits(ax):
    image = plotting.heat_map(ax, np.eye(2), limits=(-1.0, 2.0))
    assert image.get_clim() == (-1.0, 2.0)
    assert len(ax.get_xticks()) == len(ax.get_yticks()) == len(ax.texts) == 0


@pytest.mark.parametrize(
    ("shape", "rows", "cols", "name"),
    [
        ((3,), None, None, "matrix"),
        ((2, 3), ["a"], None, "row_labels"),
        ((2, 3), None, ["a", "b"], "col_labels"),
    ],
)
def test_heat_map_bad_arguments_are_named(ax, shape, rows, cols, name):
    with pytest.raises(ValueError, match=f"^{name}: "):
        plotting.heat_map(ax, np.zeros(shape), rows, cols)


# --- What loads when ---


def test_importing_plotting_loads_no_matplotlib_and_a_figure_takes_agg(monkeypatch):
    for variable in ("DISPLAY", "WAYLAND_DISPLAY", "MPLBACKEND"):
        monkeypatch.delenv(variable, raising=False)
    code = (
        "import sys; from common import plotting\n"
        "print('matplotlib' in sys.modules, 'numpy' in sys.modules)\n"
        "plotting.figure()\n"
        "import matplotlib; print(matplotlib.get_backend().lower())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    imports, backend = done.stdout.decode().splitlines()
    assert imports == "False False"
    if sys.platform == "linux":
        assert backend == "agg"
