"""Properties that hold for every pool, over a small source that the test writes.

Every row is read or has a reason; batches, columns and the order of parts change nothing; the schema is honest; broken
files are named and harm no other part; a source that is empty or missing is an error or gives no rows.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from poolwright import api
from poolwright.core.columns import ROW_ERROR, UID, WELL_KNOWN, is_text
from poolwright.core.errors import BadPart, InputError, RecipeError
from poolwright.core.pool import Part, Pool
from poolwright.registry import pool_registry

DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "emptied": lambda data: b"",
    "cut in half": lambda data: data[: len(data) // 2],
    "cut at its end": lambda data: data[:-1],
    "overwritten at its beginning": lambda data: b"\xff\x00" * 8 + data[16:],
    "overwritten in its middle": lambda data: data[: len(data) // 2] + b"\xff\x00" * 8 + data[len(data) // 2 + 16 :],
    "replaced": lambda data: b"this is another file\n",
}
"""Kinds of damage to a file of the source, by their names in the messages of tests."""

_FILES = 4
"""Files of the source that are damaged, at most."""


def _generated(test: Callable[..., None]) -> Callable[..., None]:
    """Apply the settings that all properties share: reproducible, and fast enough to run always."""
    quiet = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.differing_executors]
    phases = [Phase.explicit, Phase.generate, Phase.shrink]  # to explain a fault takes longer than to find it
    return settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=quiet, phases=phases)(test)


class PoolSuite:
    """The properties of a pool, as tests. Subclass it in a test module, under a name that begins with `Test`."""

    pool: ClassVar[type[Pool]]
    """The pool."""
    rows: ClassVar[int]
    """Number of rows that `write` writes, including those that cannot be read."""
    path: ClassVar[str] = "path"
    """Name of the parameter with the source: a path or a list of paths."""

    def write(self, folder: Path) -> dict[str, Any]:
        """Write a small source: preferably several files, with a row that cannot be read if the format has such rows.

        Args:
            folder: an empty folder.

        Returns:
            Parameters of the pool as in a recipe; paths are relative to the folder.
        """
        raise NotImplementedError

    def write_empty(self, folder: Path) -> dict[str, Any] | None:
        """Write a source without rows; None if there is no such thing."""
        return None

    def opened(self, folder: Path, parameters: dict[str, Any]) -> Pool:
        """Open the pool over a source in a folder, as a recipe in that folder does."""
        return self.pool.model_validate(parameters, context={"folder": str(folder), "models": {}})

    def test_it_says_what_it_is(self) -> None:
        """The class has a docstring, an example, and a description of every parameter."""
        pool = self.pool
        assert pool.kind
        assert pool.__doc__
        ((_, example),) = yaml.safe_load(pool.example).items()
        assert example.pop("read") == pool.kind
        pool.model_validate(example)
        for name, parameter in pool.model_fields.items():
            described = parameter.description or "description" in str(parameter.metadata)
            assert described, f"{pool.kind}: '{name}' is not described"

    def test_the_schema_is_honest(self, tmp_path: Path) -> None:
        """Rows have the columns and types of `arrow_schema`."""
        pool = self.opened(tmp_path, self.write(tmp_path))
        schema = pool.arrow_schema()
        assert len(set(schema.names)) == len(schema.names)
        assert is_text(schema.field(UID).type)
        for field in schema:
            if field.name in WELL_KNOWN and not is_text(field.type):
                assert field.type == WELL_KNOWN[field.name].type, field.name
        assert pool.known_images() == ("image" in schema.names)
        for part in pool.parts():
            for batch in pool.read(part, schema.names, 1_000):
                assert batch.schema.equals(schema, check_metadata=True)

    def test_parts_are_the_same_each_time(self, tmp_path: Path) -> None:
        """Opening the source again gives the same parts."""
        parameters = self.write(tmp_path)
        pool, other = self.opened(tmp_path, parameters), self.opened(tmp_path, parameters)
        parts = pool.parts()
        assert parts == other.parts() == pool.parts()
        assert [part.index for part in parts] == list(range(len(parts)))
        assert all(part.name and part.files for part in parts)
        assert [Part.model_validate_json(part.model_dump_json()) for part in parts] == parts

    def test_every_row_comes_or_has_a_reason(self, tmp_path: Path) -> None:
        """All `rows` of the source are read, or have an error."""
        pool = self.opened(tmp_path, self.write(tmp_path))
        names = [name for name in pool.arrow_schema().names if name in (UID, ROW_ERROR)]
        parts = [(part, read_part(pool, part, names)) for part in pool.parts()]
        for part, rows in parts:
            assert part.rows in (None, rows.num_rows), part.name
        assert sum(rows.num_rows for _, rows in parts) == self.rows
        whole = pa.concat_tables([rows for _, rows in parts])
        uids = whole.column(UID).to_pylist()
        reasons = whole.column(ROW_ERROR).to_pylist() if ROW_ERROR in names else [None] * len(uids)
        assert all(uid is not None or reason for uid, reason in zip(uids, reasons, strict=True))
        if pool.unique:
            assert None not in uids
            assert len(set(uids)) == len(uids)

    @_generated
    @given(data=st.data())
    def test_batches_columns_and_order_of_parts_change_nothing(
        self, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        """The same rows come in any batches, columns and order of parts."""
        folder = tmp_path_factory.mktemp("pool")
        parameters = self.write(folder)
        pool = self.opened(folder, parameters)
        names, parts = pool.arrow_schema().names, pool.parts()
        whole = {part.index: read_part(pool, part, names) for part in parts}
        chosen = data.draw(st.lists(st.sampled_from(names), unique=True, min_size=1))
        batch_rows = data.draw(st.sampled_from([1, 2, 3, 7, 1_000, 10**6]))
        other: Pool = pickle.loads(pickle.dumps(self.opened(folder, parameters)))
        for part in data.draw(st.permutations(parts)):
            assert same_rows(read_part(other, part, chosen, batch_rows), whole[part.index].select(chosen))

    def test_no_column_at_all_counts_the_rows(self, tmp_path: Path) -> None:
        """Reading no columns gives the right number of rows."""
        pool = self.opened(tmp_path, self.write(tmp_path))
        for part in pool.parts():
            uids = read_part(pool, part, [UID])
            assert sum(batch.num_rows for batch in pool.read(part, [], 2)) == uids.num_rows

    def test_reading_may_stop_anywhere(self, tmp_path: Path) -> None:
        """A reader may be closed before its end and read again."""
        pool = self.opened(tmp_path, self.write(tmp_path))
        for part in pool.parts():
            batches = pool.read(part, pool.arrow_schema().names, 1)
            next(batches, None)
            batches.close()  # type: ignore[attr-defined]

    def test_the_source_stays_as_it_was(self, tmp_path: Path) -> None:
        """Reading changes no file of the source."""
        parameters = self.write(tmp_path)
        before = digests(tmp_path)
        pool = self.opened(tmp_path, parameters)
        for part in pool.parts():
            read_part(pool, part, pool.arrow_schema().names)
        assert digests(tmp_path) == before

    @pytest.mark.parametrize("damage", DAMAGES)
    def test_a_broken_file_harms_its_part_alone(self, damage: str, tmp_path: Path) -> None:
        """A damaged file is named, and parts of other files are unchanged."""
        parameters = self.write(tmp_path)
        pool = self.opened(tmp_path, parameters)
        names = pool.arrow_schema().names
        good = {(part.name, part.start): read_part(pool, part, names) for part in pool.parts()}
        for file in self._some_files(pool):
            data = file.read_bytes()
            file.write_bytes(DAMAGES[damage](data))
            self._check_damaged(tmp_path, parameters, file, good)
            file.write_bytes(data)

    def _check_damaged(
        self, folder: Path, parameters: dict[str, Any], file: Path, good: dict[tuple[str, int], pa.Table]
    ) -> None:
        """Read a source with a damaged file: parts of other files are unchanged, its own are so, or named, or short."""
        try:
            pool = self.opened(folder, parameters)
            names, parts = pool.arrow_schema().names, pool.parts()
        except (InputError, RecipeError):
            return  # found before anything runs
        if any(set(names) != set(rows.column_names) for rows in good.values()):
            return  # a readable file with other columns is another source
        for part in parts:
            own, before = str(file) in part.files, good.get((part.name, part.start))
            try:
                rows = read_part(pool, part, names)
            except BadPart as error:
                bad = error
            else:
                assert own or before is None or same_rows(rows, before), f"{part.name} changed, its files did not"
                continue
            assert bad.part == part.index
            assert own, f"{part.name}, whose files are whole: {bad}"

    def test_a_file_that_breaks_or_goes_while_a_run_reads_is_named(self, tmp_path: Path) -> None:
        """A file that breaks or disappears during a run is named."""
        parameters = self.write(tmp_path)
        for file in self._some_files(self.opened(tmp_path, parameters)):
            data = file.read_bytes()
            pool = self.opened(tmp_path, parameters)
            names, parts = pool.arrow_schema().names, pool.parts()
            for change in (lambda file=file, data=data: file.write_bytes(data[: len(data) // 2]), file.unlink):
                change()
                for part in parts:
                    with nullcontext() if str(file) not in part.files else suppress(InputError):
                        read_part(pool, part, names)
            file.write_bytes(data)

    def _some_files(self, pool: Pool) -> list[Path]:
        """List local files of the source, from several parts."""
        files = dict.fromkeys(Path(file) for part in pool.parts() for file in part.files)
        return [file for file in files if file.is_file()][:_FILES]

    def test_a_source_that_is_missing_is_named(self, tmp_path: Path) -> None:
        """A source that does not exist is an error that names it."""
        parameters = self.write(tmp_path)
        given = parameters[self.path]
        missing = "missing-source" if isinstance(given, str) else ["missing-source"]
        pool = self.opened(tmp_path, {**parameters, self.path: missing})
        with pytest.raises(RecipeError, match="missing-source"):
            pool.arrow_schema()
        with pytest.raises(RecipeError, match="missing-source"):
            pool.parts()

    def test_an_empty_source_has_no_rows_or_is_named(self, tmp_path: Path) -> None:
        """An empty source gives no rows, or an error that names it."""
        parameters = self.write_empty(tmp_path)
        if parameters is None:
            pytest.skip("a source of this kind always has rows")
        pool = self.opened(tmp_path, parameters)
        rows, refusal = [], ""
        try:
            names = pool.arrow_schema().names
            rows = [read_part(pool, part, names).num_rows for part in pool.parts()]
        except (InputError, RecipeError) as error:
            refusal = str(error)
        assert sum(rows) == 0
        assert not refusal or str(parameters[self.path]) in refusal

    def test_a_run_accounts_for_every_row(self, tmp_path: Path) -> None:
        """A run keeps or drops every row of the source."""
        registry = pool_registry()
        if self.pool.kind not in registry.names() or registry.get(self.pool.kind) is not self.pool:
            pytest.skip("the pool is not installed under its name")
        parameters = {**self.write(tmp_path), "read": self.pool.kind}
        data = {"recipe": 1, "name": "suite", "max_bad": 1.0, "pools": {"rows": parameters}}
        recipe = api.Recipe.from_data({**data, "tables": {"all": {"from": "rows"}}}, tmp_path)
        record = api.run(recipe, tmp_path / "one").tables["all"].record
        again = api.run(recipe, tmp_path / "two", workers=1, batch_rows=2).tables["all"].record
        assert record.rows_in == self.rows == record.rows_kept + record.rows_dropped
        assert (record.parts, record.funnel) == (again.parts, again.funnel)


def read_part(pool: Pool, part: Part, columns: Sequence[str], batch_rows: int = 1_000) -> pa.Table:
    """Read all rows of a part, and check its batches."""
    schema = pool.arrow_schema()
    wanted = pa.schema([schema.field(name) for name in columns])
    batches = []
    for batch in pool.read(part, columns, batch_rows):
        assert batch.schema.equals(wanted, check_metadata=True)
        assert batch.num_rows <= batch_rows
        batches.append(batch)
    return pa.concat_tables([wanted.empty_table(), *batches])


def same_rows(one: pa.Table, other: pa.Table) -> bool:
    """Whether two tables have the same values in the same order; NaN equals NaN."""
    return one.schema.equals(other.schema) and repr(one.to_pylist()) == repr(other.to_pylist())


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file below a folder."""
    return {str(file): sha256(file.read_bytes()).hexdigest() for file in folder.rglob("*") if file.is_file()}
