"""Train MoCo v2 (Chen, Fan, Girshick and He 2020), with the loss, head and augmentations of lightly."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np

from poolwright.core.errors import RecipeError
from poolwright.core.images.image import open_image
from poolwright.core.images.image_files import Limits
from poolwright.core.runtime.quiet import silence
from poolwright.core.runtime.threads import import_torch
from poolwright.models.encoders.networks.moco import PREPARATION, backbone
from poolwright.models.encoders.networks.network import import_library
from poolwright.train.loop import Images, cosine
from poolwright.train.options import MocoOptions
from poolwright.train.pictures import Pictures

LOSS, TOLD_APART = "contrastive loss", "told apart"
QUEUE = 65_536

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_PURPOSE = "training of moco"


def check_moco(options: MocoOptions) -> None:
    """Check libraries and architecture, before any image is read.

    Raises:
        MissingExtra: a library is not installed.
        RecipeError: the architecture is not a ResNet of timm.
    """
    silence()
    import_library("lightly.loss", _PURPOSE)
    import_library("lightly.transforms", _PURPOSE)
    torch, resnet = import_torch(), import_library("timm.models.resnet", _PURPOSE)
    with torch.device("meta"):
        if not isinstance(backbone(options.architecture, _PURPOSE), resnet.ResNet):
            raise RecipeError(f"{_PURPOSE}: '{options.architecture}' is not a ResNet of timm, such as resnet50")


class MocoTask:
    """Two encoders, the memory bank and the optimiser."""

    def __init__(self, options: MocoOptions, images: int) -> None:
        self.options = options
        # If the bank held an image's own earlier codes, they would count as other images.
        self.queue = options.queue or max(2, min(QUEUE, images // 2))
        if self.queue > images:
            raise RecipeError(
                f"{_PURPOSE}: a queue of {self.queue:,} codes is more than the {images:,} images, so an image would be "
                f"contrasted with itself; set queue={max(2, images // 2)}, or leave it out"
            )
        transforms = import_library("lightly.transforms", _PURPOSE)
        self.transform = transforms.MoCoV2Transform(
            input_size=options.size,
            cj_strength=options.jitter,
            gaussian_blur=options.blur,
            normalize={"mean": list(_MEAN), "std": list(_STD)},
        )

    def build(self, device: str, steps: int) -> None:
        torch, options = import_torch(), self.options
        heads = import_library("lightly.models.modules.heads", _PURPOSE)
        losses = import_library("lightly.loss", _PURPOSE)
        self.device, self.steps = device, steps
        encoder = backbone(options.architecture, _PURPOSE)
        width = encoder.num_features
        head = heads.MoCoProjectionHead(width, width, options.projection)
        self.query = torch.nn.Sequential(encoder, head).to(device)
        self.key = copy.deepcopy(self.query).requires_grad_(False)
        bank = (self.queue, options.projection)
        self.loss = losses.NTXentLoss(temperature=options.temperature, memory_bank_size=bank).to(device)
        self.optimiser = torch.optim.SGD(
            self.query.parameters(), options.learning_rate, options.momentum, weight_decay=options.weight_decay
        )

    def view(self, data: bytes, key: int) -> Any:
        image = open_image(data, Limits(), wanted=2 * self.options.size)
        if isinstance(image, str):  # it could be decoded before the training began
            raise OSError(f"an image changed during the training: {image}")
        return self.transform(image)

    def step(self, batch: Any, number: int) -> Mapping[str, Any]:
        torch = import_torch()
        update_momentum = import_library("lightly.models.utils", _PURPOSE).update_momentum
        for group in self.optimiser.param_groups:
            group["lr"] = cosine(self.options.learning_rate, number, self.steps)
        update_momentum(self.query, self.key, m=self.options.encoder_momentum)
        one, other = (views.to(self.device) for views in batch)
        queries = self._by_groups(self.query, one)
        with torch.no_grad():
            # Keys are normalised among other images than queries: otherwise batch statistics leak which match.
            shuffled = torch.randperm(len(other))
            keys = self._by_groups(self.key, other[shuffled.to(self.device)])[shuffled.argsort().to(self.device)]
            right = self._told_apart(queries, keys)
        loss = self.loss(queries, keys)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return {LOSS: loss.detach(), TOLD_APART: right}

    def state(self) -> dict[str, Any]:
        bank = self.loss.memory_bank
        return {
            "query": self.query.state_dict(),
            "key": self.key.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "bank": bank.bank,
            "place": bank.bank_ptr,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.query.load_state_dict(state["query"])
        self.key.load_state_dict(state["key"])
        self.optimiser.load_state_dict(state["optimiser"])
        bank = self.loss.memory_bank
        bank.bank, bank.bank_ptr = state["bank"].to(self.device), state["place"].to(self.device)

    def epoch_done(self, epoch: int) -> None:
        return

    def done(self, pictures: Pictures) -> None:
        return

    def _by_groups(self, network: Any, images: Any) -> Any:
        """Compute codes with batch normalisation per group of images, as on several GPUs."""
        torch = import_torch()
        groups = max(1, len(images) // self.options.norm_group)
        return torch.cat([network(group) for group in images.tensor_split(groups)])

    def _told_apart(self, queries: Any, keys: Any) -> Any:
        """Compute the share of queries whose own key is nearer than all codes in the bank."""
        normalize = import_torch().nn.functional.normalize
        queries, keys = normalize(queries), normalize(keys)
        others = queries @ self.loss.memory_bank.bank.T
        return ((queries * keys).sum(dim=1) > others.max(dim=1).values).float().mean()

    def checkpoint(self) -> dict[str, Any]:
        """Return the trained tensors under the names of the public code of MoCo v2, and the preparation of images."""
        tensors: dict[str, Any] = {}
        for name, network in (("encoder_q", self.query), ("encoder_k", self.key)):
            for part, front in ((network[0], ""), (network[1].layers, "fc.")):
                for key, value in part.state_dict().items():
                    tensors[f"module.{name}.{front}{key}"] = value.detach().cpu().contiguous()
        bank = self.loss.memory_bank
        tensors["module.queue"] = bank.bank.T.detach().cpu().contiguous()
        tensors["module.queue_ptr"] = bank.bank_ptr.detach().cpu().clone()
        size = self.options.size
        prepared = {"resize": round(size * 256 / 224), "crop": size}
        return {
            "epoch": self.options.epochs,
            "arch": self.options.architecture,
            "state_dict": tensors,
            PREPARATION: prepared,
        }


def shown_views(views: list[Any]) -> dict[str, Images]:
    """Return pairs of views as pixels, to show them."""
    mean, std = (np.array(values, np.float32)[:, None, None] for values in (_MEAN, _STD))
    rows = zip(*views, strict=True)
    return {
        title: np.stack([_pixels(view.numpy() * std + mean) for view in row])
        for title, row in zip(("one view", "other view"), rows, strict=False)
    }


def _pixels(values: np.ndarray) -> np.ndarray:
    return np.asarray((values.clip(0, 1) * 255).round().astype(np.uint8).transpose(1, 2, 0))
