"""Two real sources become one dataset, in two layouts, published, fetched again and compared with its next version."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest
from PIL import Image

import poolwright
from tests.calling import call
from tests.hub.conftest import hub  # noqa: F401
from tests.hub.hub_server import HubServer
from tests.hub.test_push import ADDRESS, contents

EXAMPLE = Path(__file__).resolve().parent.parent.parent / "examples" / "two_sources.yaml"
PER_CLASS = 4
COPIES = 5
KINDS = {
    "n02504013": "elephant",
    "n02504458": "elephant",
    "n02389026": "horse",
    "n02676566": "guitar",
    "n03272010": "guitar",
}


def kind_of(name: str) -> str | None:
    """Return the PACS class of an ImageNet photograph, by its synset."""
    synset = name.split("_")[0]
    return "dog" if "n02085620" <= synset <= "n02113978" else KINDS.get(synset)


def write_pictures(real_data: Path, to: Path) -> dict[str, str]:
    """Copy a few pictures per class, and some of them once more, encoded anew; the labels by uid."""
    labels: dict[str, str] = {}
    copied: list[Path] = []
    for folder in sorted(path for path in (real_data / "pacs").glob("*/*") if path.is_dir()):
        for picture in sorted(folder.iterdir())[:PER_CLASS]:
            place = to / "pacs" / picture.relative_to(real_data / "pacs")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(picture, place)
            labels[f"pacs/{place.relative_to(to / 'pacs')}"] = folder.name
            copied.append(place)
    (to / "imagenet_photos").mkdir()
    for picture in sorted((real_data / "imagenet_photos").iterdir()):
        shutil.copy(picture, to / "imagenet_photos")
        if kind := kind_of(picture.name):
            labels[f"photographs/{picture.name}"] = kind
    photos = [path for path in copied if "photo" in path.parts]
    for picture in photos[:COPIES]:
        place = to / "imagenet_photos" / f"n00000000_{picture.parent.name}_{picture.stem}.JPEG"
        Image.open(picture).convert("RGB").save(place, quality=80)
        labels[f"photographs/{place.name}"] = picture.parent.name
    return labels


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.usefixtures("embedded_once")
def test_united_joined_deduplicated_published_and_compared(
    real_data: Path,
    tmp_path: Path,
    hub: HubServer,  # noqa: F811
) -> None:
    labels = write_pictures(real_data, tmp_path / "data")
    (tmp_path / "data" / "photo_encoder").symlink_to(real_data / "photo_encoder")
    with (tmp_path / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["uid", "label", "animal"])
        writer.writerows(
            [uid, label, label in ("dog", "elephant", "giraffe", "horse")] for uid, label in labels.items()
        )
    shutil.copy(EXAMPLE, tmp_path / "two.yaml")
    made = call("run", "two.yaml", "--set", f"variables.data={tmp_path / 'data'}", folder=tmp_path)
    assert made.code == 0, made.err
    run = tmp_path / "runs" / "two-sources"

    unmatched = 250 + COPIES + 28 * PER_CLASS - len(labels)
    (dropped,) = poolwright.ledger(run, "all").summary.dropped
    assert (dropped.verb, dropped.reason, dropped.rows) == ("join", "no_match", unmatched)
    twins = poolwright.ledger(run, "chosen", step="near_duplicates").to_arrow().column("uid").to_pylist()
    assert len(twins) == COPIES
    assert all(uid.startswith("photographs/n00000000_") for uid in twins)

    assert poolwright.verify(tmp_path / "out" / "two-sources-tars").ok
    release = tmp_path / "out" / "two-sources"
    pushed = call("push", release, ADDRESS)
    assert pushed.code == 0, pushed.err
    pulled = call("pull", ADDRESS, tmp_path / "pulled")
    assert pulled.code == 0, pulled.err
    assert contents(tmp_path / "pulled") == contents(release)

    gone = poolwright.show(run)[-1].read(["uid"]).column("uid").to_pylist()[::11][:10]
    text = (tmp_path / "two.yaml").read_text().replace("out/", "second/")
    listed = ", ".join(f'"{uid}"' for uid in gone)
    text = text.replace("      - drop_small", f"      - remove: {{ids: [{listed}]}}\n      - drop_small")
    (tmp_path / "two.yaml").write_text(text)
    again = call("run", "two.yaml", "--run", "again", "--set", f"variables.data={tmp_path / 'data'}", folder=tmp_path)
    assert again.code == 0, again.err
    changes = poolwright.diff(tmp_path / "pulled", tmp_path / "again" / "chosen")
    assert (changes.added, changes.removed, changes.relabelled, changes.changed) == (0, 10, 0, 0)
    assert [(one.verb, one.rows) for one in changes.removed_because] == [("remove", 10)]
    assert changes.moved <= 10  # rows that take the places of removed ones in their split
