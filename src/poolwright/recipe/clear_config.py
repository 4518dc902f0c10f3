"""Makes recipes from the JSON configurations of CLEAR's curation code (clear_10_config.json and the like).

https://github.com/linzhiqiu/continual-learning: keys by its README and prepare_concepts.py. The recipe is the shipped
one of CLEAR-10 with the values of the configuration; each notes the key it comes from.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

from poolwright.core.errors import RecipeError, did_you_mean
from poolwright.core.wording import some
from poolwright.recipe.shipped import shipped_text
from poolwright.recipe.source import Key, RecipeSource
from poolwright.recipe.validation import validate

MODELS = {
    **{name: f"open_clip:{name}/openai" for name in ("RN50", "RN101", "RN50x4", "RN50x16", "RN50x64")},
    **{name: f"open_clip:{name.replace('/', '-')}/openai" for name in ("ViT-B/32", "ViT-B/16", "ViT-L/14")},
    "ViT-L/14@336px": "open_clip:ViT-L-14-336/openai",
}
"""Encoders by the names that OpenAI's `clip.load` knows."""

_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
_RULES = re.compile(
    r"images(_minbyte_(?P<bytes>\d+))?(?P<valid>_valid_uploaded_date)?(_minedge_(?P<edge>\d+))?"
    r"(_maxratio_(?P<ratio>[\d.]+))?\Z"
)


_UNNAMED = "prompts without a short name"


class ClearConfig(BaseModel):
    """One configuration, by its keys."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    NAME: Annotated[str, Field(min_length=1)]
    PREFIX: str = ""
    ALLOW_OVERLAP: bool = False
    BUCKET_DICT_PATH: str = ""
    CLIP_MODEL: str
    NUM_OF_IMAGES_PER_CLASS_PER_BUCKET: Annotated[int, Field(ge=1)]
    NUM_OF_IMAGES_PER_CLASS_PER_BUCKET_TO_QUERY: Annotated[int, Field(ge=1)]
    BACKGROUND: bool = False
    NEGATIVE_RATIO: Annotated[float, Field(ge=0, le=1)] = 0.1
    SAVE_PATH: str = ""
    GROUP: Annotated[list[str], Field(min_length=1)]


def recipe_of_config(path: Path, label_map: Path | None = None, times: Path | None = None) -> tuple[str, str]:
    """Make a recipe from a configuration.

    Args:
        path: the JSON file.
        label_map: JSON of short names by prompt, as CLEAR's `--label_map_dict` takes it.
        times: JSON list of {start, end}, as its `--split_by_time` takes it.

    Returns:
        The name of the recipe, and its text.

    Raises:
        RecipeError: a file cannot be read, a key is unknown or missing, or a value has no counterpart.
    """
    source = _source(path)
    config = validate(ClearConfig, source.data, (), source, {})
    if config.CLIP_MODEL not in MODELS:
        raise source.error(
            ("CLIP_MODEL",), f"no encoder '{config.CLIP_MODEL}'; {did_you_mean(config.CLIP_MODEL, MODELS)}"
        )
    short = _json(label_map) if label_map else {}
    names = _names(config.GROUP, short, source)
    edges = _edges(times) if times else None
    name = re.sub(r"[^a-z0-9._-]+", "-", config.NAME.lower()).strip("-._") or "clear"
    return name, _text(path.name, name, config, names, short, edges)


def _text(
    file: str,
    name: str,
    config: ClearConfig,
    names: Sequence[str],
    short: Mapping[str, str],
    edges: Sequence[str] | None,
) -> str:
    text = shipped_text("clear10")
    text = f"# {config.NAME}: made from {file} by `poolwright import-clear`.\n" + text[text.index("recipe: 1\n") :]
    where, rules = _rules(config.BUCKET_DICT_PATH)
    changes = {
        r"  out: out": f"  out: {_scalar(config.SAVE_PATH or 'out')} # SAVE_PATH",
        r"  title: CLEAR-10": f"  title: {_scalar(config.NAME)} # NAME",
        r"  clip: open_clip:RN101/openai": f"  clip: {MODELS[config.CLIP_MODEL]} # CLIP_MODEL {config.CLIP_MODEL}",
        r"      - where: media = 'photo' and .*": f"      - where: {where}",
        r"      - where: bytes > 10 and .*": rules,
        r"      # Equally many photos(.|\n)*?      - bucket: .*": f"      - bucket: {_bucket(config, edges)}",
        r"          prompts: \[laptop, .*": _prompts(config.GROUP, names, short),
        r"          prefix: \"\"": f"          prefix: {_scalar(config.PREFIX)} # PREFIX",
        r"          query: .*": _query(config),
        r"          # 600 by README .*\n          n: 600": f"          n: {config.NUM_OF_IMAGES_PER_CLASS_PER_BUCKET} "
        "# NUM_OF_IMAGES_PER_CLASS_PER_BUCKET",
        r"          background: 10%": f"          background: {_background(config)}",
    }
    for pattern, replacement in changes.items():
        text, count = re.subn(pattern, lambda _, new=replacement: new, text, count=1)  # type: ignore[misc]
        if not count:
            raise AssertionError(f"the shipped recipe clear10 has no line like {pattern!r}")
    return text.replace("clear10", name)


def without_short_name(text: str) -> str:
    """Return which prompts of a recipe that was made here have no short name, as its text says; '' if all have."""
    found = re.search(rf" # GROUP; {_UNNAMED}: (.*)", text)
    return f"{_UNNAMED}: {found[1]}" if found else ""


def _prompts(group: Sequence[str], names: Sequence[str], short: Mapping[str, str]) -> str:
    without = [f"'{prompt}'" for prompt in group if prompt not in short] if short else []
    said = f"; {_UNNAMED}: {some(without)}" if without else ""
    lines = [f"          prompts: # GROUP{said}"]
    for prompt, name in zip(group, names, strict=True):
        lines.append(f"            - {_scalar(prompt if prompt == name else {'name': name, 'prompts': [prompt]})}")
    return "\n".join(lines)


def _query(config: ClearConfig) -> str:
    query = config.NUM_OF_IMAGES_PER_CLASS_PER_BUCKET_TO_QUERY
    if config.ALLOW_OVERLAP:
        return "          overlap: true # ALLOW_OVERLAP; NUM_OF_IMAGES_PER_CLASS_PER_BUCKET_TO_QUERY has no effect then"
    return f"          query: {query} # NUM_OF_IMAGES_PER_CLASS_PER_BUCKET_TO_QUERY; ALLOW_OVERLAP 0"


def _background(config: ClearConfig) -> str:
    if not config.BACKGROUND:
        return f"0% # BACKGROUND 0; NEGATIVE_RATIO {config.NEGATIVE_RATIO:g} has no effect then"
    return f"{config.NEGATIVE_RATIO:g} # BACKGROUND 1, NEGATIVE_RATIO"


def _rules(path: str) -> tuple[str, str]:
    """Return the rules for a photo that the folder of the buckets implies: for its times, and for its file."""
    folder = Path(path).parent.name
    found = _RULES.match(folder)
    if not found:
        shown = f"BUCKET_DICT_PATH {path!r} implies no rules" if path else "no BUCKET_DICT_PATH"
        rules = f"      # {shown}: these are CLEAR's.\n"
        rules += "      - where: bytes > 10 and width >= 120 and height >= 120 and aspect <= 2"
        return "media = 'photo' and taken_at < uploaded_at", rules
    tests = [f"bytes > {found['bytes'] or 0}"]
    if found["edge"]:
        tests += [f"width >= {found['edge']}", f"height >= {found['edge']}"]
    if found["ratio"]:
        tests.append(f"aspect <= {float(found['ratio']):g}")
    rules = f"      # BUCKET_DICT_PATH: {folder}\n      - where: {' and '.join(tests)}"
    return "media = 'photo'" + (" and taken_at < uploaded_at" if found["valid"] else ""), rules


def _bucket(config: ClearConfig, edges: Sequence[str] | None) -> str:
    """Return the parameters of the bucket step."""
    name = Path(config.BUCKET_DICT_PATH).stem
    if edges:
        listed = ", ".join(edges)
        return f"{{by: uploaded_at, edges: [{listed}]}} # start of each bucket, end of the last"
    if name == "bucket_by_year":
        return "{by: uploaded_at, unit: year} # BUCKET_DICT_PATH: bucket_by_year"
    number = re.fullmatch(r"bucket_(\d+)", name)
    if number:
        return f"{{by: uploaded_at, n: {number[1]}}} # BUCKET_DICT_PATH: {name}"
    if name:
        raise RecipeError(
            f"BUCKET_DICT_PATH: the buckets '{name}' were cut by times; name their file: "
            f"--times {name.removeprefix('bucket_')}.json"
        )
    return "{by: uploaded_at, n: 11} # no BUCKET_DICT_PATH: as in CLEAR"


def _names(group: Sequence[str], short: Any, source: RecipeSource) -> list[str]:
    if not isinstance(short, Mapping) or not all(isinstance(name, str) for name in short.values()):
        raise RecipeError("the label map is not a JSON object of short names by prompt")
    strange = [f"'{prompt}'" for prompt in short if prompt not in group]
    if strange:
        without = [f"'{prompt}'" for prompt in group if prompt not in short]
        raise source.error(
            ("GROUP",),
            f"{len(strange)} of {len(short)} keys of the label map are no prompts: {some(strange)}; prompts without a "
            f"short name: {some(without) or 'none'}; correct or remove these keys",
        )
    names = [short.get(prompt, prompt) for prompt in group]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise source.error(("GROUP",), f"two prompts have the name '{twice}'")
    return names


def _edges(path: Path) -> list[str]:
    spans = _json(path)
    if not isinstance(spans, list) or not all(
        isinstance(span, dict) and {"start", "end"} <= span.keys() for span in spans
    ):
        raise RecipeError(f"{path}: not a JSON list of {{start, end}}")
    edges = [*(str(span["start"]) for span in spans), *(str(span["end"]) for span in spans[-1:])]
    found = [match[0] for edge in edges if (match := _TIME.match(edge))]
    if len(found) < len(edges) or not found:
        raise RecipeError(f"{path}: write times as 2004-01-01 11:52:13.0")
    return found


def _source(path: Path) -> RecipeSource:
    """Read the configuration with the line of each key, for errors."""
    data = _json(path)
    if not isinstance(data, dict):
        raise RecipeError(f"{path}: not a JSON object, so not a configuration of CLEAR")
    text = path.read_text(encoding="utf-8")
    lines: dict[Key, int] = {}
    for match in re.finditer(r'"([^"\n]+)"\s*:', text):
        lines.setdefault((match[1],), text.count("\n", 0, match.start()) + 1)
    return RecipeSource(path.name, path.resolve().parent, text, data, lines)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecipeError(f"{path}: no such file") from None
    except json.JSONDecodeError as error:
        raise RecipeError(f"{path}:{error.lineno}: not valid JSON: {error.msg}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: cannot be read as UTF-8 text: {error}") from None


def _scalar(value: Any) -> str:
    """Format a value on one line of YAML, within a block."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**6).strip()
    return text.removesuffix("\n...").strip()
