"""Write the report of a training: losses, reconstructions, and images that the encoder finds similar."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from poolwright.core.files import write_text
from poolwright.core.wording import counted
from poolwright.models.encoders.networks.training_record import TrainingRecord
from poolwright.report.charts.charts import Markup, Tick, nice_top, tick_values, trace
from poolwright.report.charts.words import cut, short, written
from poolwright.report.figures import Plot
from poolwright.report.images.thumbnails import Thumbnail, thumbnail
from poolwright.report.page import resource, template

_MOST_BYTES = 6_000
_MEANINGS = {
    "reconstruction error": "Mean squared difference between values of the image, -1 to 1, and of its reconstruction.",
    "discrepancy": "Squared maximum mean discrepancy between the codes of a batch and a standard normal distribution.",
    "contrastive loss": "Cross-entropy of identifying the other view of an image among the codes of earlier images.",
    "told apart": "Share of images whose other view is nearer than the codes of all earlier images.",
}


@dataclass(frozen=True)
class Alike:
    """An image file and those that the encoder finds nearest, with their cosines."""

    image: bytes
    nearest: Sequence[tuple[bytes, float]]


@dataclass(frozen=True)
class _Row:
    """A row of pictures with a title and a short text under each picture."""

    title: str
    pictures: list[tuple[Thumbnail, str]]


def write_training_report(
    record: TrainingRecord,
    strips: Mapping[str, npt.NDArray[np.uint8]],
    alike: Sequence[Alike],
    seconds: float | None,
    path: Path,
) -> Path:
    """Write one self-contained HTML file.

    Args:
        record: record of the training.
        strips: rows of images (n, h, w, 3) by their titles, one below the other.
        alike: some images with their nearest images.
        seconds: duration of the training, if known.
        path: path of the file.

    Raises:
        MissingExtra: jinja2 is not installed.
    """
    html = template("training.html.j2").render(
        record=record,
        title=cut(record.name, 120),
        facts=_facts(record, seconds),
        plots=[_plot(record, name) for name in record.curves],
        strips=[_Row(title, [(_of_pixels(one), "") for one in images]) for title, images in strips.items()],
        alike=[row for row in map(_alike, alike) if row.pictures],
        settings=[
            (name.replace("_", " "), "default" if value is None else written(value))
            for name, value in record.settings.items()
        ],
        style=Markup(resource("style.css")),
    )
    write_text(path, html)
    return path


def _facts(record: TrainingRecord, seconds: float | None) -> list[tuple[str, str, str]]:
    """Return (name, figure, more) of the headline."""
    left_out = sum(record.left_out.values())
    more = f"{counted(left_out, 'row')} left out" if left_out else ""
    facts = [("images", f"{record.images:,}", more)]
    facts.append(("epochs", f"{record.settings['epochs']:,}", f"{counted(record.epoch_steps, 'step')} each"))
    for name, means in record.epochs.items():
        facts.append((name, short(float(f"{means[-1]:.3g}")), f"first epoch {short(float(f'{means[0]:.3g}'))}"))
    if seconds is not None:
        facts.append(("time", _duration(seconds), ""))
    return facts


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _plot(record: TrainingRecord, name: str) -> Plot:
    values, epochs = record.curves[name], len(record.epochs[name])
    top = nice_top(max(values)) if max(values) > 0 else 1.0
    ends = record.ends()[name]
    facts = f"{ends['first epoch']:.4g} in the first epoch, {ends['last epoch']:.4g} in the last"
    ticks = [value for value in tick_values(0, epochs, 5) if value == int(value)]
    return Plot(
        title=name,
        meaning=_MEANINGS.get(name, ""),
        facts=facts,
        svg=trace(values, top, f"{name} over {counted(epochs, 'epoch')}: {facts}"),
        across=tuple(Tick(round(100 * value / epochs, 2), f"{value:g}") for value in ticks),
        up=tuple(Tick(round(100 * value / top, 2), short(value)) for value in tick_values(0, top, 4)),
    )


def _alike(found: Alike) -> _Row:
    pictures = [(thumbnail(found.image, _MOST_BYTES), "image")]
    pictures += [(thumbnail(data, _MOST_BYTES), f"{cosine:.2f}") for data, cosine in found.nearest]
    return _Row("", [(picture, words) for picture, words in pictures if isinstance(picture, Thumbnail)])


def _of_pixels(pixels: npt.NDArray[np.uint8]) -> Thumbnail:
    """Return a picture of a few pixels, unscaled."""
    import base64

    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    text = base64.b64encode(out.getvalue()).decode("ascii")
    return Thumbnail(f"data:image/png;base64,{text}", pixels.shape[1], pixels.shape[0])
