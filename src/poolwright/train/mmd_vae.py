"""Train an MMD-VAE."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from poolwright.core.images.image_files import Limits
from poolwright.core.runtime.threads import import_torch
from poolwright.models.encoders.networks.mmd_vae import autoencoder, set_scale, unscaled
from poolwright.train.loop import Images, cosine
from poolwright.train.options import MmdVaeOptions
from poolwright.train.pictures import Pictures

RECONSTRUCTION, DISCREPANCY = "reconstruction error", "discrepancy"


class MmdVaeTask:
    """An MMD-VAE and its optimiser.

    Attributes:
        shown: uint8 (n, size, size, 3) images whose reconstructions are kept.
        reconstructions: reconstructions of `shown`, by number of epochs.
    """

    def __init__(self, options: MmdVaeOptions, shown: Images) -> None:
        self.options, self.shown = options, shown
        self.preparation = options.architecture.preparation
        self.reconstructions: dict[int, Images] = {}

    def build(self, device: str, steps: int) -> None:
        torch = import_torch()
        self.device, self.steps = device, steps
        self.network = autoencoder(self.options.architecture).to(device)
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=self.options.learning_rate)

    def view(self, data: bytes, key: int) -> Any:
        edge = self.options.size
        pixels = np.zeros((edge, edge, 3), np.uint8)
        reason = self.preparation.decode(data, Limits(), pixels)
        if reason:  # it could be decoded before the training began
            raise OSError(f"an image changed during the training: {reason}")
        return import_torch().from_numpy(pixels)

    def step(self, batch: Any, number: int) -> Mapping[str, Any]:
        torch = import_torch()
        images = self._varied(self._input(batch))
        for group in self.optimiser.param_groups:
            group["lr"] = cosine(self.options.learning_rate, number, self.steps)
        codes = self.network["encoder"](images)
        error = torch.nn.functional.mse_loss(self.network["decoder"](codes), images)
        prior = torch.randn(codes.shape).to(self.device)  # drawn on the CPU: the same numbers on every device
        apart = discrepancy(codes, prior, self.options.bandwidth or self.options.latent)
        self.optimiser.zero_grad()
        (error + self.options.mmd_weight * apart).backward()
        self.optimiser.step()
        return {RECONSTRUCTION: error.detach(), DISCREPANCY: apart.detach()}

    def state(self) -> dict[str, Any]:
        torch = import_torch()
        kept = {epoch: torch.from_numpy(images) for epoch, images in self.reconstructions.items()}
        return {"network": self.network.state_dict(), "optimiser": self.optimiser.state_dict(), "kept": kept}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.reconstructions = {epoch: images.numpy() for epoch, images in state["kept"].items()}

    def epoch_done(self, epoch: int) -> None:
        """Keep the current reconstructions: after the first epoch, half of the epochs, and all."""
        if epoch in (1, self.options.epochs // 2, self.options.epochs) and len(self.shown):
            torch = import_torch()
            with torch.inference_mode():
                found = self.network["decoder"](self.network["encoder"](self._input(torch.from_numpy(self.shown))))
            pixels = found.mul(127.5).add(127.5).round().clamp(0, 255).permute(0, 2, 3, 1)
            self.reconstructions[epoch] = pixels.to(torch.uint8).cpu().numpy()

    def done(self, pictures: Pictures) -> None:
        """Standardise vectors by their means and variances over all images, without augmentation."""
        torch = import_torch()
        total, squares = torch.zeros((2, self.options.architecture.width), dtype=torch.float64)
        for first in range(0, len(pictures), self.options.batch):
            batch_rows = range(first, min(first + self.options.batch, len(pictures)))
            batch = self._input(torch.stack([self.view(pictures.read(row), 0) for row in batch_rows]))
            with torch.inference_mode():
                vectors = unscaled(self.network, self.options.architecture, batch).double().cpu()
            total += vectors.sum(0)
            squares += vectors.square().sum(0)
        mean = total / len(pictures)
        set_scale(self.network, mean, (squares / len(pictures) - mean.square()).clamp(min=0))

    def _input(self, batch: Any) -> Any:
        """Convert uint8 (n, h, w, 3) to the input of the network: values -1 to 1."""
        return batch.to(self.device).permute(0, 3, 1, 2).float().div(127.5).sub(1)

    def _varied(self, images: Any) -> Any:
        """Mirror and shift images at random. Pixels beyond an edge are mirrored there."""
        torch = import_torch()
        count, _, edge, _ = images.shape
        if self.options.flip:
            turned = (torch.rand(count) < 0.5).to(images.device)[:, None, None, None]
            images = torch.where(turned, images.flip(3), images)
        most = min(round(self.options.shift * edge), edge - 1)
        if not most:
            return images
        offsets = torch.randint(-most, most + 1, (2, count, 1))
        rows, columns = (_mirrored(torch.arange(edge) + one, edge).to(images.device) for one in offsets)
        numbers = torch.arange(count, device=images.device)[:, None, None]
        moved = images.permute(0, 2, 3, 1)[numbers, rows[:, :, None], columns[:, None, :]]
        return moved.permute(0, 3, 1, 2).contiguous()


def _mirrored(positions: Any, edge: int) -> Any:
    """Fold positions from -edge + 1 to 2 edge - 2 into 0 .. edge - 1 at both ends."""
    positions = positions.abs()
    return positions.where(positions < edge, 2 * (edge - 1) - positions)


def discrepancy(codes: Any, prior: Any, variance: float) -> Any:
    """Compute the maximum mean discrepancy of two samples (n, d) and (m, d).

    The kernel is exp(-|x - y|^2 / (2 variance)).

    The biased estimate of Gretton et al. 2012 (eq. 5), squared: 0 or more. With a variance of d, two draws of a
    standard normal have a kernel of about 1/e.
    """
    return (
        _kernel(codes, codes, variance).mean()
        + _kernel(prior, prior, variance).mean()
        - 2 * _kernel(codes, prior, variance).mean()
    )


def _kernel(one: Any, other: Any, variance: float) -> Any:
    # By a product and not by torch.cdist, whose backward pass on a GPU is not deterministic.
    squares = one.square().sum(1)[:, None] + other.square().sum(1)[None, :] - 2 * one @ other.T
    return squares.clamp(min=0).div(-2 * variance).exp()
