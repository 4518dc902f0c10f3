"""Write titles and captions for the pictures of the demo, in many forms and some languages."""

from __future__ import annotations

from numpy.random import Generator

from poolwright.demo.people import Country

PLAIN = (
    "a photo of a {kind}",
    "{kind}",
    "my {kind}",
    "a {kind} in {country}",
    "{adjective} {kind}",
    "{colour} {kind}",
    "the {colour} {kind} we saw in {country}",
    "Look at this {kind}!",
    "a {kind}, {country} {year}",
    "{kind} seen near the station",
    "just another {kind} from my walk",
    "I drew this {kind} for my sister :)",
    "a very nice {colour} {kind}",
    "Holiday in {country}: the {kind}",
    "close-up of a {kind}",
    "{kind} #{number}",
    "{kind} — {country}, {year}",
    "this {kind} made my day",
    "{kind}, taken with my phone",
    "the best {kind} in all of {country}",
)
ABROAD = (
    "¡qué {kind} tan bonito! {foreign}",
    "{foreign} ({kind})",
    "schönes Bild: {kind} in {country}",
    "un joli {kind} à la française",
    "{kind} きれい {foreign}",
    "Красивая картина, {kind}",
    "{kind} ❤ café São Tomé",
)

_FOREIGN = {
    "house": ("casa", "家"), "tree": ("árbol", "木"), "car": ("coche", "車"), "flower": ("flor", "花"),
    "bird": ("pájaro", "鳥"), "boat": ("barco", "船"), "cat": ("gato", "猫"), "fish": ("pez", "魚"),
    "sun": ("sol", "太陽"), "bicycle": ("bicicleta", "自転車"), "clock": ("reloj", "時計"), "cup": ("taza", "カップ"),
    "airplane": ("avión", "飛行機"), "chair": ("silla", "椅子"), "apple": ("manzana", "林檎"),
    "train": ("tren", "電車"), "star": ("estrella", "星"), "umbrella": ("paraguas", "傘"), "book": ("libro", "本"),
    "lamp": ("lámpara", "ランプ"), "guitar": ("guitarra", "ギター"), "butterfly": ("mariposa", "蝶"),
    "balloon": ("globo", "風船"), "mushroom": ("seta", "茸"), "key": ("llave", "鍵"), "moon": ("luna", "月"),
    "snail": ("caracol", "蝸牛"), "cactus": ("cactus", "サボテン"), "rocket": ("cohete", "ロケット"),
    "snowman": ("muñeco de nieve", "雪だるま"),
}  # fmt: skip


def caption(kind: str, colour: str, country: Country, year: int, rng: Generator) -> str:
    """Return a caption that names the kind; one in twelve is partly in another language than English."""
    forms = ABROAD if rng.random() < 1 / 12 else PLAIN
    form = forms[int(rng.integers(len(forms)))]
    return form.format(
        kind=kind,
        colour=colour,
        country=country.name,
        adjective=country.adjective,
        year=year,
        number=rng.integers(1, 200),
        foreign=_FOREIGN[kind][int(rng.integers(2))],
    )


def title(kind: str, named: bool, country: Country, year: int, rng: Generator) -> str:
    """Return a picture's title: what it shows if `named`, otherwise the file name of the camera."""
    if not named:
        prefix = ("IMG_", "DSC0", "P10", "DSCN")[int(rng.integers(4))]
        return f"{prefix}{rng.integers(1000, 9999)}"
    forms = (f"{kind.capitalize()}", f"{kind} in {country.name}", f"The {kind}", f"{country.name} {year}")
    return forms[int(rng.integers(len(forms)))]
