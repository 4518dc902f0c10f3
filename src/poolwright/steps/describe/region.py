"""region: the country of a picture, with its code, UN region and continent."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AfterValidator, Field, model_validator

from poolwright.core.columns import CONTINENT, COUNTRY, COUNTRY_CODE, REGION, WELL_KNOWN, is_text
from poolwright.core.errors import ChangedError, StepError, did_you_mean
from poolwright.core.frame import Context, Frame
from poolwright.core.params import Column
from poolwright.core.rows import Rows, one_array
from poolwright.core.runtime.cached import once
from poolwright.core.state import State
from poolwright.core.step import Kind, Outcome, Reason, Step
from poolwright.models.texts.gazetteer import AT_SEA, boundaries_version, read_zones, zones_at
from poolwright.reference.countries import Codes, Countries, spellings_of, words_of
from poolwright.reference.m49 import countries_origin, read_countries

GIVES = (COUNTRY, COUNTRY_CODE, REGION, CONTINENT)
COUNTRIES = "countries"
SPELLINGS = "spellings"
ZONES = "zones"


def _two(columns: tuple[str, str]) -> tuple[str, str]:
    if columns[0] == columns[1]:
        raise ValueError("'at' names two columns: [latitude, longitude]")
    return columns


@cache
def _spellings() -> pa.Table:
    """Return every known spelling of a country, folded, which takes a while to make."""
    return spellings_of(read_countries())


class Region(Step):
    """Find the country of each row, by its name or code or by latitude and longitude, with its region.

    Nothing is guessed: a text must be a name or code of one country of today, in any case, spelling of accents
    or word order. 'New Mexico', 'Soviet Union' and 'Congo' are dropped, each for its reason; `names` decides what
    such texts stand for. Codes are those of ISO 3166-1; FIPS and Olympic codes look alike and mean others
    ('GM' is Gambia, not Germany), so set `codes: none` where a column may hold them.

    By coordinates, a point belongs to the country, with its territorial waters, that the Time Zone Database says of its
    zone; boundaries are OpenStreetMap's, simplified by up to about 100 m. The database counts Kosovo as Serbia.
    """

    verb: ClassVar[str] = "region"
    kind: ClassVar[Kind] = "describe"
    example: ClassVar[str] = "region: {country: country, names: {Scotland: GB}}"
    shorthand: ClassVar[str | None] = "country"
    reasons: ClassVar[tuple[Reason, ...]] = (
        Reason("no_country", "no country is given"),
        Reason("unknown_country", "its country is not known"),
        Reason("ambiguous_country", "its country may be one of several"),
        Reason("historic_country", "its country no longer exists, or has another name now"),
        Reason("no_coordinates", "no latitude or longitude is given"),
        Reason("bad_coordinates", "its latitude or longitude is out of range"),
        Reason("at_sea", "it is in the waters of no country"),
        Reason("disputed", "several countries claim its location"),
    )

    country: Column | None = Field(default=None, description="column with names or codes; 'country' if not given")
    at: Annotated[tuple[Column, Column], AfterValidator(_two)] | None = Field(
        default=None, description="instead: columns of latitude and longitude, in degrees"
    )
    codes: Codes = Field(
        default="auto",
        description="codes that are read: auto (all of ISO 3166-1, besides names), none (names only), "
        "iso2, iso3 or numeric (only these)",
    )
    americas: Literal["two", "one"] = Field(
        default="two", description="two: North America and South America; one: Americas"
    )
    names: dict[Annotated[str, Field(min_length=1)], str] = Field(
        default={},
        description="country that a text stands for, applied first, such as {Scotland: GB, Yugoslavia: Serbia}",
    )

    @model_validator(mode="after")
    def _one_source(self) -> Region:
        if self.at is None:
            return self
        given = [name for name in ("country", "codes", "names") if name in self.model_fields_set]
        if given:
            raise ValueError(f"takes 'at' or '{given[0]}', not both: coordinates have no names")
        return self

    @property
    def _column(self) -> str:
        return self.country or COUNTRY

    def needs(self) -> tuple[str, ...]:
        return self.at or (self._column,)

    def gives(self, given: pa.Schema) -> list[pa.Field]:
        if self.at:
            for name in self.at:
                _check_number(name, given.field(name).type)
            read_zones(self.verb)
        else:
            self._check_text(given.field(self._column).type)
            self._decided()
        return [pa.field(name, WELL_KNOWN[name].type) for name in GIVES]

    def _check_text(self, dtype: pa.DataType) -> None:
        whole = pa.types.is_integer(dtype)
        if whole and self.codes != "numeric":
            raise StepError(
                f"region: '{self._column}' is {dtype}; set codes: numeric if these are numbers of ISO 3166-1, "
                "or name a column of strings"
            )
        if not whole and not is_text(dtype):
            raise StepError(f"region: '{self._column}' is {dtype}; a country is a text, a name or a code")

    def _decided(self) -> dict[str, str]:
        """Return `names` with the alpha-3 code of each country.

        Raises:
            StepError: a country is unknown, or two texts that are read alike stand for different countries.
        """
        if not self.names:
            return {}
        table = read_countries()
        finder = Countries(table, _spellings())
        folded: dict[frozenset[str], str] = {}
        decided: dict[str, str] = {}
        for text, country in self.names.items():
            found = finder.find(country)
            if found.code is None:
                advice = found.words or did_you_mean(country, table[COUNTRY].to_pylist())
                raise StepError(
                    f"region: names: '{text}' stands for '{country}', which is not exactly one country; {advice}"
                )
            if folded.setdefault(words_of(text) or frozenset([text]), found.code) != found.code:
                raise StepError(f"region: names: '{text}' is given in two spellings, for two countries; keep one")
            decided[text] = found.code
        return decided

    def fit(self, frame: Frame, context: Context) -> State:
        table, origin = read_countries(), countries_origin()
        countries = _with_americas(table, self.americas)
        if self.at is None:
            values = {**origin, "codes": self.codes, "names": self._decided()}
            return State(values, {COUNTRIES: countries, SPELLINGS: _spellings()})
        zones, zones_origin = read_zones(self.verb)
        return State({**origin, **zones_origin}, {COUNTRIES: countries, ZONES: zones})

    def apply(self, rows: Rows, state: State) -> Outcome:
        atlas = _atlas(state)
        if self.at:
            found_rows = _rows_of_points(rows.numbers(self.at[0]), rows.numbers(self.at[1]), atlas)
        else:
            found_rows = _rows_of_texts(rows.column(self._column), atlas)
        dropped = found_rows < 0
        columns = {name: atlas.column(name).take(pa.array(found_rows, mask=dropped)) for name in GIVES}
        if self.at is None and self._column == COUNTRY:
            # A dropped row keeps its text, which `why` would not know otherwise.
            columns[COUNTRY] = pc.if_else(pa.array(dropped), rows.column(COUNTRY).cast(pa.string()), columns[COUNTRY])
        return Outcome(columns, np.where(dropped, -found_rows, 0).astype(np.uint8))

    def explain(self, row: Mapping[str, Any], state: State) -> str:
        if self.at:
            return _explain_point(self.at, [row.get(name) for name in self.at], _atlas(state))
        text = row.get(self._column)
        if text is None:
            return ""
        atlas = _atlas(state)
        found = atlas.countries.find(str(text))
        return f"{self._column} '{text}': {atlas.describe(found.code, found.words)}"

    def learned(self, state: State) -> str:
        known = f"{state.tables[COUNTRIES].num_rows} countries of {state.values['countries']}"
        if self.at:
            zones, boundaries = state.values["zones"], state.values["boundaries"]
            return f"{known}; {state.tables[ZONES].num_rows} zones of {zones}, {boundaries}"
        decided = "; ".join(f"'{text}' is {code}" for text, code in state.values["names"].items())
        codes = {"auto": "names and ISO 3166-1 codes", "none": "names only"}.get(self.codes, f"{self.codes} codes only")
        return f"{known}; {codes}" + (f"; decided: {decided}" if decided else "")


_CODE_OF = {reason.name: code for code, reason in enumerate(Region.reasons, start=1)}


def _check_number(name: str, dtype: pa.DataType) -> None:
    if not pa.types.is_floating(dtype) and not pa.types.is_integer(dtype):
        raise StepError(
            f"region: '{name}' is {dtype}; latitude and longitude are numbers in degrees "
            f"(a text becomes one with `derive`: cast({name} as double))"
        )


def _with_americas(table: pa.Table, americas: str) -> pa.Table:
    if americas == "two":
        return table
    merged = pc.replace_substring_regex(table[CONTINENT], "^(North|South) America$", "Americas")
    return table.set_column(table.schema.get_field_index(CONTINENT), CONTINENT, merged)


class _Atlas:
    """Find the row of a text or a time zone in the table of countries of a state."""

    def __init__(self, state: State) -> None:
        self._table = state.tables[COUNTRIES]
        self.row_of = {code: row for row, code in enumerate(self._table[COUNTRY_CODE].to_pylist())}
        if ZONES in state.tables:
            zones = state.tables[ZONES].to_pydict()
            self.zones = dict(zip(zones["zone"], zones[COUNTRY_CODE], strict=True))
            self.boundaries = state.values["boundaries"]
        else:
            self.countries = Countries(
                self._table, state.tables[SPELLINGS], state.values["names"], state.values["codes"]
            )

    def column(self, name: str) -> pa.Array:
        return one_array(self._table[name])

    def claims(self, latitude: float, longitude: float) -> list[str]:
        """Return the codes of the countries that contain a point, sorted; none at sea."""
        zones = zones_at(latitude, longitude, Region.verb)
        return sorted({self.zones[zone] for zone in zones if not zone.startswith(AT_SEA)})

    def describe(self, code: str | None, text: str) -> str:
        if code is None:
            return text or "no name or code of a country"
        country, region, continent = (self.column(name)[self.row_of[code]] for name in (COUNTRY, REGION, CONTINENT))
        return f"{country} ({code}{', ' + text if text else ''}), {region}, {continent}"


def _atlas(state: State) -> _Atlas:
    return once("atlas", state, _Atlas)


def _rows_of_texts(column: pa.Array, atlas: _Atlas) -> np.ndarray:
    """Return each text's row in the table of countries, int64 (n,), or minus the code of the reason."""
    coded = column.cast(pa.string()).dictionary_encode()
    found = [atlas.countries.find(text) for text in (*coded.dictionary.to_pylist(), None)]
    found_rows = np.array([atlas.row_of[one.code] if one.code else -_CODE_OF[one.why] for one in found], np.int64)
    chosen: np.ndarray = found_rows[coded.indices.fill_null(len(found) - 1).to_numpy(zero_copy_only=False)]
    return chosen


def _rows_of_points(latitude: np.ndarray, longitude: np.ndarray, atlas: _Atlas) -> np.ndarray:
    """Return the same as `_rows_of_texts` for coordinates in degrees, float64 (n,).

    Raises:
        ChangedError: the installed boundaries are not those of the state.
    """
    _check_boundaries(atlas)
    lacking = np.isnan(latitude) | np.isnan(longitude)
    within = (np.abs(latitude) <= 90) & (np.abs(longitude) <= 180)
    found_rows = np.where(lacking, -_CODE_OF["no_coordinates"], -_CODE_OF["bad_coordinates"])
    points, inverse = np.unique(latitude[within] + 1j * longitude[within], return_inverse=True)
    found = [_row_of_claims(atlas.claims(float(point.real), float(point.imag)), atlas) for point in points]
    found_rows[within] = np.array(found, np.int64)[inverse]
    return found_rows


def _row_of_claims(claims: list[str], atlas: _Atlas) -> int:
    if len(claims) == 1:
        return atlas.row_of[claims[0]]
    return -_CODE_OF["disputed" if claims else "at_sea"]


def _check_boundaries(atlas: _Atlas) -> None:
    installed = boundaries_version(Region.verb)
    if installed != atlas.boundaries:
        raise ChangedError(
            f"region: this table was begun with the boundaries {atlas.boundaries}, installed are {installed}; "
            "install the tzfpy it was begun with, or start the table over with --fresh"
        )


def _explain_point(columns: tuple[str, str], values: list[Any], atlas: _Atlas) -> str:
    point = ", ".join(f"{name} {value}" for name, value in zip(columns, values, strict=True))
    latitude, longitude = (float("nan") if value is None else float(value) for value in values)
    if not (abs(latitude) <= 90 and abs(longitude) <= 180):
        return point
    claims = atlas.claims(latitude, longitude)
    described = (
        atlas.describe(claims[0], "") if len(claims) == 1 else f"claimed by {' and '.join(claims) or 'no country'}"
    )
    return f"{point}: {described}"
