"""Fill class names into templates, the sentences that are encoded."""

from __future__ import annotations

from collections.abc import Sequence
from string import Formatter
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from poolwright.core.errors import RecipeError, did_you_mean
from poolwright.models.texts.package_files import clip_metadata
from poolwright.models.texts.vocabulary import Class

TEMPLATE_SETS = {"openai80": "OPENAI_IMAGENET_TEMPLATES", "simple7": "SIMPLE_IMAGENET_TEMPLATES"}
"""Sets of templates by name: OpenAI's 80 for ImageNet, and the 7 of its prompt engineering notebook."""

NAME_FIELDS = ("", "name")


def _check(value: Any) -> Any:
    if isinstance(value, str) and value in TEMPLATE_SETS:
        return value
    texts = [value] if isinstance(value, str) else value
    if not texts:
        raise ValueError('no template; write one such as "a photo of a {}."')
    for text in texts:
        try:
            fields = placeholders(text)
        except RecipeError as error:
            raise ValueError(str(error)) from None
        if not fields:
            hint = "" if " " in text else f"; {did_you_mean(text, TEMPLATE_SETS)}"
            raise ValueError(f"template '{text}' has no {{}} for the class name{hint}")
    return value


TemplateSource = Annotated[
    str | list[str],
    AfterValidator(_check),
    Field(description="text with {} for the class name, a list of them (averaged), openai80 or simple7"),
]
"""Templates as a recipe names them."""


def read_templates(source: str | Sequence[str]) -> tuple[str, ...]:
    """Return the templates of a set's name, one text, or a list of texts.

    Raises:
        MissingExtra: open_clip, which has the named sets, is not installed.
    """
    if not isinstance(source, str):
        return tuple(source)
    if source not in TEMPLATE_SETS:
        return (source,)
    functions = getattr(clip_metadata(f"the templates '{source}'"), TEMPLATE_SETS[source])
    return tuple(function("{}") for function in functions)


def placeholders(template: str) -> list[str]:
    """Return the fields of a template: '' or 'name' is the class name, others are its texts such as 'definition'.

    Raises:
        RecipeError: braces that do not match, or formatting that templates do not support.
    """
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise RecipeError(f"template '{template}': {error}; write {{{{ and }}}} for braces in the text") from None
    fields = []
    for _, name, form, conversion in parts:
        if name is None:
            continue
        if form or conversion or (name and not name.isidentifier()):
            raise RecipeError(f"template '{template}': use {{}} or a plain name such as {{definition}}")
        fields.append(name)
    return fields


def check_fields(templates: Sequence[str], classes: Sequence[Class]) -> None:
    """Check that every class has the texts that the templates use.

    Raises:
        RecipeError: a class lacks a text; names the template, the class and its texts.
    """
    asked = {key: template for template in templates for key in placeholders(template) if key not in NAME_FIELDS}
    for key, template in asked.items():
        for one in classes:
            if not one.prompts and key not in one.about:
                known = did_you_mean(key, ("name", *one.about))
                raise RecipeError(f"template '{template}': class '{one.name}' has no '{key}'; {known}")


def prompts_of(one: Class, templates: Sequence[str], synonyms: bool = True) -> list[str]:
    """Return all texts that stand for a class: its own prompts, or every template with its name and every synonym.

    Args:
        synonyms: whether the templates are filled with the synonyms too.
    """
    if one.prompts:
        return list(one.prompts)
    names = (one.name, *one.synonyms) if synonyms else (one.name,)
    return [_fill(template, name, one) for name in names for template in templates]


def _fill(template: str, name: str, one: Class) -> str:
    # Not str.format: it would follow attributes of its arguments.
    text = ""
    for literal, key, _, _ in Formatter().parse(template):
        text += literal
        if key is not None:
            text += name if key in NAME_FIELDS else one.about[key]
    return text
