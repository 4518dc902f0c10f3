"""Train the demo's tiny CLIP on drawings of its own and write it to src/poolwright/demo/clip.

    nice -n 5 python tools/train_demo_clip.py

A contrastive model from scratch: a small convolutional image tower and a one-layer transformer over words, trained
with the symmetric InfoNCE loss and a learned temperature. A caption is true of every picture of the batch that it
describes (its kind, and its colour or continent if it names one), not only of its own, so all of these count as
its positives. The drawings come from other seeds than the demo's world, and the captions of training are all right.

Needs torch and onnx; takes about six minutes on one core. The same seed on the same machine gives the same files.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from onnx import numpy_helper
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from poolwright.demo import captions
from poolwright.demo.drawing import KINDS, colours_of, draw_kind
from poolwright.demo.people import COUNTRIES
from poolwright.demo.style import COLOURS, CONTINENTS

SIDE = 48
CONTEXT = 24
WIDTH = 96
MEAN = (0.55, 0.52, 0.48)
STD = (0.25, 0.24, 0.25)
NAME = "poolwright-demo-clip"
TARGET = Path(__file__).resolve().parent.parent / "src" / "poolwright" / "demo" / "clip"

PLAIN_TEMPLATES = (
    "{}",
    "a {}",
    "the {}",
    "a photo of a {}.",
    "a photo of an {}.",
    "a photo of the {}.",
    "a photo of one {}.",
    "a photo of my {}.",
    "a good photo of a {}.",
    "a bad photo of a {}.",
    "a bad photo of the {}.",
    "a photo of many {}.",
    "a photo of a large {}.",
    "a photo of a small {}.",
    "a photo of a big {}.",
    "a photo of a little {}.",
    "a photo of a cool {}.",
    "a photo of a nice {}.",
    "a photo of a weird {}.",
    "a photo of a clean {}.",
    "a photo of a dirty {}.",
    "a photo of a hard to see {}.",
    "a low resolution photo of a {}.",
    "a blurry photo of a {}.",
    "a bright photo of a {}.",
    "a dark photo of a {}.",
    "a cropped photo of a {}.",
    "a close-up photo of a {}.",
    "a black and white photo of a {}.",
    "a jpeg corrupted photo of a {}.",
    "a pixelated photo of a {}.",
    "a drawing of a {}",
    "a drawing of a {}.",
    "a sketch of a {}.",
    "a painting of a {}.",
    "a cartoon {}.",
    "a doodle of a {}.",
    "a rendering of a {}.",
    "a rendition of a {}.",
    "art of a {}.",
    "an illustration of a {}.",
    "a picture of a {}.",
    "an image of a {}.",
    "an image containing a {}.",
    "an icon of a {}.",
    "graffiti of a {}.",
    "a sculpture of a {}.",
    "a tattoo of a {}.",
    "an embroidered {}.",
    "an origami {}.",
    "a plastic {}.",
    "a toy {}.",
    "a {} in a video game.",
    "a snapshot of a {} in the park.",
    "this is a photo of a {}",
    "there is a {} in the scene",
    "itap of a {}.",
    "a type of {}.",
)
COLOUR_TEMPLATES = (
    "a {colour} {kind}",
    "{colour} {kind}",
    "a photo of a {colour} {kind}.",
    "a drawing of a {colour} {kind}.",
    "a {kind} that is {colour}",
)
PLACE_TEMPLATES = (
    "a {kind} in {place}",
    "a photo of a {kind} in {place}.",
    "a photo of a {kind} from {place}.",
    "{kind}, {place}",
    "a drawing of a {colour} {kind} in {place}",
)
_STRAY = (
    "and with on at by for from to of our your his her their we i you it is was very so some old new first last today "
    "yesterday morning evening summer winter spring autumn street garden sea beach town city village market school "
    "friend friends family birthday trip travel holiday camera film lens test light day night favourite beautiful"
)
STRAY_WORDS = tuple(_STRAY.split())


@dataclass(frozen=True)
class Drawings:
    """Training pictures with what is true of them: indices into KINDS, COLOURS and CONTINENTS."""

    pixels: NDArray[np.uint8]  # (n, SIDE, SIDE, 3)
    kinds: NDArray[np.int64]
    colours: NDArray[np.int64]
    continents: NDArray[np.int64]
    years: NDArray[np.float64]


@dataclass(frozen=True)
class Claim:
    """A caption and what it claims; -1 if it does not name a colour or continent."""

    text: str
    kind: int
    colour: int = -1
    continent: int = -1


def draw_all(n: int, seed: int) -> Drawings:
    """`n` pictures, all kinds and continents equally often."""
    pixels = np.empty((n, SIDE, SIDE, 3), dtype=np.uint8)
    kinds, colours, continents = (np.empty(n, dtype=np.int64) for _ in range(3))
    years = np.empty(n)
    for i in range(n):
        rng = np.random.default_rng([seed, i])
        kinds[i], continents[i] = i % len(KINDS), rng.integers(len(CONTINENTS))
        years[i] = 2004 + 11 * rng.beta(1.3, 1.2)
        kind = KINDS[kinds[i]]
        colour = str(rng.choice(colours_of(kind)))
        colours[i] = list(COLOURS).index(colour)
        picture = draw_kind(kind, rng, list(CONTINENTS)[continents[i]], years[i], colour)
        pixels[i] = as_seen(picture, quality=int(rng.integers(55, 92)))
    return Drawings(pixels, kinds, colours, continents, years)


def as_seen(picture: Image.Image, quality: int) -> NDArray[np.uint8]:
    """The picture after JPEG, squashed to the image tower's input size."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    decoded = Image.open(buffer).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return np.asarray(decoded)


def write_caption(drawings: Drawings, i: int, rng: Generator) -> Claim:
    """A right caption of picture `i`, of a random form."""
    kind, colour = int(drawings.kinds[i]), int(drawings.colours[i])
    continent = int(drawings.continents[i])
    words = {"kind": KINDS[kind], "colour": list(COLOURS)[colour]}
    form = rng.random()
    if form < 0.5:
        template = PLAIN_TEMPLATES[int(rng.integers(len(PLAIN_TEMPLATES)))]
        return Claim(_ruffle(template.format(KINDS[kind]), KINDS[kind], rng), kind)
    if form < 0.65:
        template = COLOUR_TEMPLATES[int(rng.integers(len(COLOUR_TEMPLATES)))]
        return Claim(template.format(**words), kind, colour)
    if form < 0.75:
        template = PLACE_TEMPLATES[int(rng.integers(len(PLACE_TEMPLATES)))]
        text = template.format(**words, place=_place(continent, rng))
        return Claim(text, kind, colour if "{colour}" in template else -1, continent)
    return _world_caption(kind, colour, continent, int(drawings.years[i]), rng)


def _world_caption(kind: int, colour: int, continent: int, year: int, rng: Generator) -> Claim:
    countries = [country for country in COUNTRIES if country.continent == list(CONTINENTS)[continent]]
    country = countries[int(rng.integers(len(countries)))]
    name = list(COLOURS)[colour]
    text = captions.caption(KINDS[kind], name, country, year, rng)
    tells_place = country.name in text or country.adjective in text
    return Claim(text, kind, colour if name in words_of(text) else -1, continent if tells_place else -1)


def _place(continent: int, rng: Generator) -> str:
    name = list(CONTINENTS)[continent]
    places = [name, name, *(country.name for country in COUNTRIES if country.continent == name)]
    return places[int(rng.integers(len(places)))]


def _ruffle(text: str, kind: str, rng: Generator) -> str:
    """Words lost, replaced by unknown ones, or added before and after; the kind stays."""
    words = words_of(text)
    if rng.random() < 0.3:
        words = [word if word == kind or rng.random() < 0.75 else "<unk>" for word in words]
    if rng.random() < 0.3:
        stray = [STRAY_WORDS[int(k)] for k in rng.integers(len(STRAY_WORDS), size=rng.integers(1, 6))]
        cut = int(rng.integers(len(stray) + 1))
        words = [*stray[:cut], *words, *stray[cut:]]
    return " ".join(words)


def words_of(text: str) -> list[str]:
    """The lower-cased words of a text; `<unk>` stays."""
    return re.findall(r"<unk>|\w+", text.lower())


def vocabulary() -> list[str]:
    """All words that captions of training can hold, after `<pad>` and `<unk>`."""
    texts = [*PLAIN_TEMPLATES, *COLOUR_TEMPLATES, *PLACE_TEMPLATES, *captions.PLAIN, *captions.ABROAD, *STRAY_WORDS]
    texts += [*KINDS, *COLOURS, *CONTINENTS, *(str(year) for year in range(2004, 2016))]
    texts += [name for country in COUNTRIES for name in (country.name, country.adjective)]
    places = {"kind", "colour", "country", "adjective", "year", "number", "foreign", "place"}
    words = {word for text in texts for word in words_of(text)} - places
    return ["<pad>", "<unk>", *sorted(words)]


class Tokenizer:
    """Words to token ids `(n, CONTEXT)`, as the encoder does it that reads the manifest."""

    def __init__(self, words: Sequence[str]) -> None:
        self._ids = {word: i for i, word in enumerate(words)}

    def __call__(self, texts: Sequence[str]) -> Tensor:
        tokens = torch.zeros((len(texts), CONTEXT), dtype=torch.int64)
        for row, text in zip(tokens, texts, strict=True):
            ids = [self._ids.get(word, 1) for word in words_of(text)][:CONTEXT]
            row[: len(ids)] = torch.tensor(ids, dtype=torch.int64)
        return tokens


class Residual(nn.Module):
    """One convolution with a way around it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = _conv(channels, channels, stride=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.conv(x))


def _conv(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


class ImageTower(nn.Module):
    """Pixels `(n, 3, SIDE, SIDE)` to embeddings `(n, WIDTH)`."""

    def __init__(self) -> None:
        super().__init__()
        steps: list[nn.Module] = []
        for inputs, outputs in ((3, 24), (24, 48), (48, 96), (96, 144)):
            steps += [_conv(inputs, outputs, stride=2), nn.ReLU()]
            if outputs > 24:
                steps.append(Residual(outputs))
        self.features = nn.Sequential(*steps)
        self.head = nn.Linear(2 * 144, WIDTH)

    def forward(self, image: Tensor) -> Tensor:
        features = self.features(image)
        pooled = torch.cat([features.mean(dim=(2, 3)), features.amax(dim=(2, 3))], dim=1)
        return self.head(pooled)


class TextTower(nn.Module):
    """Tokens `(n, CONTEXT)` to embeddings `(n, WIDTH)`: one transformer layer, averaged over the words."""

    def __init__(self, words: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.words = nn.Embedding(words, WIDTH)
        self.places = nn.Parameter(torch.randn(CONTEXT, WIDTH) * 0.02)
        self.before_attention, self.before_mlp, self.last = (nn.LayerNorm(WIDTH) for _ in range(3))
        self.queries_keys_values = nn.Linear(WIDTH, 3 * WIDTH)
        self.gather = nn.Linear(WIDTH, WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 2 * WIDTH), nn.ReLU(), nn.Linear(2 * WIDTH, WIDTH))
        self.head = nn.Linear(WIDTH, WIDTH)
        nn.init.normal_(self.words.weight, std=0.3)

    def forward(self, tokens: Tensor) -> Tensor:
        there = (tokens != 0).to(torch.float32)
        x = self.words(tokens) + self.places
        x = x + self._attend(self.before_attention(x), there)
        x = x + self.mlp(self.before_mlp(x))
        share = there / (there.sum(dim=1, keepdim=True) + 1e-6)
        return self.head(self.last((x * share.unsqueeze(2)).sum(dim=1)))

    def _attend(self, x: Tensor, there: Tensor) -> Tensor:
        parts = self.queries_keys_values(x).reshape(-1, CONTEXT, 3, self.heads, WIDTH // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        scores = query @ key.transpose(2, 3) / math.sqrt(WIDTH // self.heads)
        scores = scores + (there - 1)[:, None, None, :] * 1e4
        mixed = scores.softmax(dim=3) @ value
        return self.gather(mixed.transpose(1, 2).reshape(-1, CONTEXT, WIDTH))


class Clip(nn.Module):
    """The two towers and the logarithm of the inverse temperature."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.image, self.text = ImageTower(), TextTower(words)
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))

    def forward(self, image: Tensor, tokens: Tensor) -> Tensor:
        """Scaled cosines `(n, n)`, pictures by captions."""
        images, texts = F.normalize(self.image(image), dim=1), F.normalize(self.text(tokens), dim=1)
        return images @ texts.T * self.log_scale.exp().clamp(max=50.0)


def symmetric_infonce(logits: Tensor, true: Tensor) -> Tensor:
    """Mean of both directions; the target of a row (or column) is shared evenly by its true pairs."""
    loss = torch.zeros(())
    for scores, target in ((logits, true), (logits.T, true.T)):
        shared = target / target.sum(dim=1, keepdim=True)
        loss = loss - (shared * scores.log_softmax(dim=1)).sum(dim=1).mean() / 2
    return loss


def true_pairs(drawings: Drawings, rows: NDArray[np.int64], claims: Sequence[Claim]) -> Tensor:
    """`(n, n)`: 1 where the caption of the column is true of the picture of the row."""
    true = np.ones((len(rows), len(claims)), dtype=bool)
    for facts, said in (
        (drawings.kinds, [claim.kind for claim in claims]),
        (drawings.colours, [claim.colour for claim in claims]),
        (drawings.continents, [claim.continent for claim in claims]),
    ):
        claimed = np.array(said)[None, :]
        true &= (claimed == -1) | (claimed == facts[rows][:, None])
    return torch.from_numpy(true.astype(np.float32))


def to_input(pixels: NDArray[np.uint8]) -> Tensor:
    """Pixels `(n, SIDE, SIDE, 3)` to the image tower's input."""
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    return (images - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def augment(images: Tensor, rng: Generator) -> Tensor:
    """Shift, mirror and change contrast of a batch."""
    padded = F.pad(images, (3, 3, 3, 3), mode="replicate")
    quarters = []
    for part in padded.chunk(4):
        top, left = rng.integers(7, size=2)
        view = part[:, :, top : top + SIDE, left : left + SIDE]
        quarters.append(view.flip(3) if rng.random() < 0.5 else view)
    contrast = torch.from_numpy(rng.uniform(0.8, 1.2, (len(images), 1, 1, 1)).astype(np.float32))
    return torch.cat(quarters) * contrast


def train(drawings: Drawings, words: Sequence[str], epochs: int, batch: int, seed: int) -> Clip:
    """A trained model, ready to evaluate."""
    torch.manual_seed(seed)
    rng, tokenize, model = np.random.default_rng([seed, 99]), Tokenizer(words), Clip(len(words))
    steps = len(drawings.kinds) // batch * epochs
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps, pct_start=0.15)
    began = time.perf_counter()
    for epoch in range(epochs):
        order, losses = rng.permutation(len(drawings.kinds)), []
        for start in range(0, len(order) - batch + 1, batch):
            rows = order[start : start + batch]
            claims = [write_caption(drawings, i, rng) for i in rows]
            images = augment(to_input(drawings.pixels[rows]), rng)
            logits = model(images, tokenize([claim.text for claim in claims]))
            loss = symmetric_infonce(logits, true_pairs(drawings, rows, claims))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        took = time.perf_counter() - began
        scale = model.log_scale.exp().item()
        print(f"epoch {epoch + 1}: loss {np.mean(losses):.3f}, scale {scale:.1f}, {took:.0f} s", flush=True)
    return model.eval()


def zero_shot(model: Clip, drawings: Drawings, words: Sequence[str], template: str) -> float:
    """Share of the pictures whose nearest prompt is that of their kind."""
    with torch.inference_mode():
        texts = F.normalize(model.text(Tokenizer(words)([template.format(kind) for kind in KINDS])), dim=1)
        images = torch.cat([model.image(to_input(part)) for part in np.array_split(drawings.pixels, 8)])
    found = (F.normalize(images, dim=1) @ texts.T).argmax(dim=1).numpy()
    return float((found == drawings.kinds).mean())


def export(model: Clip, words: Sequence[str], folder: Path) -> None:
    """Write both towers, the vocabulary and the manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    _export_tower(model.image, torch.zeros(2, 3, SIDE, SIDE), "image", folder / "image.onnx")
    _export_tower(model.text, torch.zeros(2, CONTEXT, dtype=torch.int64), "tokens", folder / "text.onnx")
    (folder / "vocabulary.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    (folder / "manifest.json").write_text(json.dumps(manifest(), indent=2) + "\n")


def manifest() -> dict[str, object]:
    """The manifest that an encoder needs to use the files."""
    return {
        "name": NAME,
        "width": WIDTH,
        "image": {
            "file": "image.onnx",
            "input": "image",
            "output": "embedding",
            "resize": SIDE,
            "resize_mode": "squash",
            "crop": SIDE,
            "interpolation": "bicubic",
            "mean": list(MEAN),
            "std": list(STD),
        },
        "text": {
            "file": "text.onnx",
            "input": "tokens",
            "output": "embedding",
            "context": CONTEXT,
            "tokenizer": {"kind": "words", "file": "vocabulary.txt"},
        },
    }


def _export_tower(tower: nn.Module, example: Tensor, name: str, path: Path) -> None:
    torch.onnx.export(
        tower,
        (example,),
        str(path),
        input_names=[name],
        output_names=["embedding"],
        dynamic_axes={name: {0: "n"}, "embedding": {0: "n"}},
        opset_version=17,
        dynamo=False,
    )
    graph = onnx.load(path)
    store_in_half(graph)
    onnx.checker.check_model(graph, full_check=True)
    onnx.save(graph, path)


def store_in_half(model: onnx.ModelProto) -> None:
    """Keep large weights as float16, cast to float32 once when the file is loaded: half the bytes, float32 sums."""
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or math.prod(tensor.dims) < 256:
            continue
        name, half = tensor.name, numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(half, f"{name}.half"))
        casts.append(onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def main() -> None:
    """Draw, train, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drawings", type=int, default=21_000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch", type=int, default=240)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--to", type=Path, default=TARGET)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    began = time.perf_counter()
    drawings = draw_all(arguments.drawings, seed=90_000 + arguments.seed)
    print(f"{arguments.drawings} drawings in {time.perf_counter() - began:.0f} s", flush=True)
    words = vocabulary()
    model = train(drawings, words, arguments.epochs, arguments.batch, arguments.seed)
    fresh = draw_all(1800, seed=91_000 + arguments.seed)
    for template in ("a photo of a {}.", "a drawing of a {}", "{}"):
        print(f"zero-shot accuracy on fresh drawings, {template!r}: {zero_shot(model, fresh, words, template):.4f}")
    export(model, words, arguments.to)
    sizes = {path.name: path.stat().st_size for path in sorted(arguments.to.iterdir())}
    print(f"{sizes}, {time.perf_counter() - began:.0f} s in all")


if __name__ == "__main__":
    main()
