"""Run torch networks over images decoded ahead, in batches of one size, so that a vector depends on its image alone."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import numpy as np

from poolwright.core.encoder import EncoderSpec
from poolwright.core.errors import MissingExtra, RecipeError
from poolwright.core.images.image_files import Limits
from poolwright.core.runtime.threads import import_torch
from poolwright.kernels.similarity.unit_length import unit_rows
from poolwright.models.encoders.decode_ahead import Feed, Slot
from poolwright.models.encoders.prepare import Preparation, normalised
from poolwright.models.encoders.vectors import EVERYTHING

CPU_BATCH = 16  # more gives no speed on a CPU, and the last batch of a call is padded to it
AHEAD = {"cpu": 2, "cuda": 4}


class Network:
    """A forward pass over image files. May be called from several threads at once.

    Every pass takes the same number of images, the last one padded with black, so that the arithmetic of an image does
    not depend on the number of others.

    Attributes:
        device: 'cpu' or 'cuda'.
        batch: images per pass.
        half: whether the network takes float16.
    """

    def __init__(
        self,
        forward: Callable[[Any], Any],
        preparation: Preparation,
        width: int,
        device: str,
        batch: int,
        half: bool = False,
    ) -> None:
        self._forward, self._preparation, self.width = forward, preparation, width
        self.device, self.half = device, half
        self.batch = min(batch, CPU_BATCH) if device == "cpu" else batch
        self._feed = self._new_feed()

    def images(self, files: Sequence[bytes | None], limits: Limits = EVERYTHING) -> tuple[np.ndarray, list[str | None]]:
        """As `Encoder.images`, within limits."""
        torch = import_torch()

        reasons: list[str | None] = []
        parts = []
        with torch.inference_mode():
            for group in self._feed.groups(files, limits):
                reasons += group.reasons
                # Not waited for: a GPU continues while the next group is fetched.
                parts.append(self._forward(self._input(group.slot))[: len(group.reasons)])
            if not parts:
                return np.zeros((0, self.width), np.float32), []
            found = torch.cat(parts).float().cpu().numpy()
        vectors = unit_rows(found, zero=np.nan)
        vectors[[reason is not None for reason in reasons]] = np.nan
        return vectors, reasons

    def _input(self, slot: Slot) -> Any:
        """Return the pixels of a group as the model takes them. Bytes are copied to a GPU and become floats there."""
        torch = import_torch()

        if self.device == "cpu":
            return torch.from_numpy(normalised(slot.pixels, self._preparation))
        values = slot.owner.to(self.device, non_blocking=True).permute(0, 3, 1, 2).float().div_(255)
        values.sub_(self._mean).div_(self._std)
        return values.half() if self.half else values

    def _new_feed(self) -> Feed:
        shape = (self.batch, self._preparation.crop, self._preparation.crop, 3)
        if self.device == "cpu":
            return Feed(
                self._preparation,
                self.batch,
                lambda: Slot(np.zeros(shape, np.uint8)),
                ThreadPoolExecutor(2, "decode"),
                AHEAD["cpu"],
                grain=self.batch,
            )
        torch = import_torch()
        cores = os.cpu_count() or 1
        self._mean = torch.tensor(self._preparation.mean, device=self.device)[:, None, None]
        self._std = torch.tensor(self._preparation.std, device=self.device)[:, None, None]

        def pinned() -> Slot:
            # torch reuses the memory only after the copy from it has ended
            tensor = torch.zeros(shape, dtype=torch.uint8, pin_memory=True)
            return Slot(tensor.numpy(), tensor)

        return Feed(
            self._preparation,
            self.batch,
            pinned,
            ThreadPoolExecutor(cores, "decode"),
            ahead=max(AHEAD["cuda"], -(-2 * cores // self.batch)),
            grain=max(1, self.batch // cores),
        )


class NetworkEncoder:
    """An encoder of images only, by a network without its head; float32 throughout.

    Attributes:
        name, width, weights: as `Encoder`.
        preparation: from an image to the network's input.
    """

    def __init__(
        self, spec: EncoderSpec, name: str, width: int, weights: str, preparation: Preparation, model: Any
    ) -> None:
        torch = import_torch()

        self.name, self.width, self.weights, self.preparation = name, width, weights, preparation
        device = device_of(spec, torch)
        model = model.eval().requires_grad_(False).to(device)
        self._network = Network(model, preparation, width, device, spec.batch)

    def images(self, files: Sequence[bytes | None], limits: Limits = EVERYTHING) -> tuple[np.ndarray, list[str | None]]:
        """As `Encoder.images`, within limits."""
        return self._network.images(files, limits)

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Raise an error, as there is no text encoder."""
        raise RecipeError(f"model '{self.name}' has no text encoder")


def device_of(spec: EncoderSpec, torch: Any) -> str:
    """Return 'cuda' if there is a GPU and the spec allows it, else 'cpu'.

    Raises:
        RecipeError: the spec asks for 'cuda', but there is no GPU.
    """
    there = bool(torch.cuda.is_available())
    if spec.device == "cuda" and not there:
        raise RecipeError(f"{spec.model}: device 'cuda', but torch finds no GPU; set 'device: auto' or 'cpu'")
    return "cuda" if there and spec.device != "cpu" else "cpu"


def resized(preparation: Preparation, spec: EncoderSpec) -> Preparation:
    """Return a preparation with the spec's `resize` and `crop`. If only the crop is given, the resize scales with it.

    Raises:
        RecipeError: the square to crop is larger than the resized image.
    """
    from dataclasses import replace

    crop = spec.crop or preparation.crop
    resize = spec.resize or preparation.resize * crop // preparation.crop
    if resize < crop:
        raise RecipeError(
            f"{spec.model}: images are resized to {resize} pixels, too few to crop {crop}; set 'resize' and 'crop'"
        )
    return replace(preparation, resize=resize, crop=crop)


def check_installed(names: Sequence[str], purpose: str) -> None:
    """Check that libraries are installed, without importing them.

    Builds that do not fit for another reason than their release show when they are imported.

    Raises:
        MissingExtra: one is not installed.
        RecipeError: torchvision was built for another release of torch.
    """
    from importlib.util import find_spec

    for name in names:
        # One that is imported may have no spec, and one that is set to None cannot be imported.
        if sys.modules.get(name, name) is None or (name not in sys.modules and find_spec(name) is None):
            raise MissingExtra(name, purpose)
    wanted, found = _torch_of_torchvision(), _versions().get("torch", "").partition("+")[0]
    if "torchvision" in names and wanted and found and wanted != found:
        raise RecipeError(f"{purpose}: torchvision is built for torch {wanted}\n{_fitting_installs()}")


def _torch_of_torchvision() -> str | None:
    """Return the release of torch that the installed torchvision requires; None if it names no single one."""
    from importlib.metadata import PackageNotFoundError, requires

    with suppress(PackageNotFoundError):
        for requirement in requires("torchvision") or ():
            if found := re.match(r"torch\s*\(?==([\w.]+)\)?$", requirement):
                return found[1]
    return None


def _versions() -> dict[str, str]:
    """Return the installed versions of torch and torchvision, of those that are installed."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for package in ("torch", "torchvision"):
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def import_library(name: str, purpose: str) -> Any:
    """Import a library that uses torch: open_clip, timm, torchvision.

    Raises:
        MissingExtra: it is not installed.
        RecipeError: it is installed, but not compatible with torch or torchvision.
    """
    from importlib import import_module

    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        missing = (error.name or name).partition(".")[0]
        raise MissingExtra(missing if missing in ("torch", "torchvision") else name, purpose) from None
    except (ImportError, RuntimeError) as error:
        raise RecipeError(
            f"{purpose}: {name} is installed but cannot be imported: {error}\n{_fitting_installs()}"
        ) from None


def _fitting_installs() -> str:
    """Return how to install builds of torch and torchvision that fit together.

    A release of torchvision is built for one release of torch, 0.(15 + n) for 2.n (its README, 'Installation'); and its
    operators are missing if one of the two was built for CPUs and the other for CUDA.
    """
    found = _versions()
    numbers = re.match(r"2\.(\d+)\.(\d+)", found.get("torch", ""))
    pair = f"torch=={numbers[0]} torchvision==0.{int(numbers[1]) + 15}.{numbers[2]}" if numbers else "torch torchvision"
    named = " and ".join(f"{package} {number}" for package, number in found.items())
    return (
        f"Installed: {named}. The two must be of one release and of one build; install both from one index:\n"
        f"  for CPUs: pip install --force-reinstall {pair} --index-url https://download.pytorch.org/whl/cpu\n"
        f"  for CUDA: pip install --force-reinstall {pair}"
    )
