"""glt: splits whose classes and attributes are long-tailed or balanced, as ImageNet-GLT has them."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from poolwright.core.columns import ATTRIBUTE, CLASS_INDEX, LABEL, UID
from poolwright.core.errors import StepError
from poolwright.core.frame import Context, Frame
from poolwright.core.params import Column, Count, Share, Weight, exact, parse_share, share_of
from poolwright.core.pool import PathOrUrl
from poolwright.core.remote.listing import is_file
from poolwright.core.rows import Rows
from poolwright.core.runtime.cached import once
from poolwright.core.state import State
from poolwright.core.step import Kind, Outcome, Reason, Step
from poolwright.kernels.selection.group_counts import count_groups
from poolwright.kernels.selection.groups import Groups, check_groupable, groups_of, lacks_value
from poolwright.reference.glt_sets import FREQUENCY, SETS, SPLIT_CBL, SPLIT_GLT
from poolwright.steps.split.attribute_lists import holds_lists, takes_part
from poolwright.steps.split.class_sizes import (
    IMAGENET_GLT,
    SHIPPED_SIZES_ARE,
    ImageNetGlt,
    Profile,
    check_sizes,
    sizes_for,
)
from poolwright.steps.split.glt_columns import GIVEN, columns_of_lists
from poolwright.steps.split.glt_cuts import NOWHERE, SetCuts, fit_cuts, no_cuts
from poolwright.steps.split.glt_draws import Counts, SetSizes, draw, find_scale
from poolwright.steps.split.glt_lists import CLASSES, ListSizes, apply_lists, fit_lists, learned_lists
from poolwright.steps.split.glt_words import CBL, CELLS, GLT, NUMBER, ROWS, learned_cells

_FREQUENCY = "frequency"


def _as_bound(value: Any) -> Any:
    """Parse a number of classes, or a share of them: 400 or '40%'."""
    if isinstance(value, int) and not isinstance(value, bool) and value != 0:
        return value
    return parse_share(value)


Bound = Annotated[int | float, BeforeValidator(_as_bound), WithJsonSchema({"type": ["number", "string"]})]


class Glt(Step):
    """Draw the sets of the generalized long tail (GLT): classes and attributes inside them, long-tailed or balanced.

    An attribute is an integer, 0 for the largest part of its class; the step `cluster` gives such a column. Classes are
    numbered by their rows, the largest first. Without overlap, in this order, are drawn:

    - `test_bbl` (Test-GBL): of each class and attribute 20 rows, or a quarter of the class's smallest attribute if that
      is less: classes and attributes are balanced.
    - `test_bl` (Test-CBL): 60 of each class, 7:2:1 over the attributes: classes are balanced.
    - the long-tailed rest: a number of each class from a decreasing list, 7:2:1, cut to the rows that there are.
      From it come, at random, `test_lt` (Test-GLT, 60 x classes) and `val` (30 x classes); `train` (Train-GLT) is what
      remains.
    - the class-balanced rest: 145 of each class, 7:2:1, cut to the rows that there are, without the rows of Test-GLT.
      `val` takes 30 of each class, 7:2:1; `train` (Train-CBL) is what remains.

    Two columns name the set of each row: `split_glt` and `split_cbl`; the balanced tests are in both. A row can be in
    train or val of both, but no row of a test is in any other set. `class_index` is the number of the class,
    `frequency` its group: 0 many, 1 medium, 2 few; the attribute is written as `attribute`, whatever its column is
    named. Three protocols use them: class-wise LT (train of GLT, test_bl), attribute-wise LT (train of CBL, test_bbl),
    generalized LT (train of GLT, test_bbl).

    With lists of attributes, such as words, `protocol` says which sets are drawn, as MSCOCO-GLT has them: `long_tailed`
    those of `split_glt`, or `balanced` those of `split_cbl`. Rows without an attribute are dropped, and
    `ratio`, `smallest` and `scale` have no meaning. In this order:

    - `test_bbl` of each class, one after another the row that makes the standard deviation of the shares of the
      attributes in the class's Test-GBL least; ties go to the lowest hash.
    - `test_bl` of each class, at random.
    - the rest: long-tailed, the `sizes` of the classes, cut to the rows that there are; a rule without `largest` begins
      with all rows of the largest class. Balanced, `balanced` of each class, or as many as the `smallest` has.
    - `test_lt` (long-tailed only) and `val`, times the classes, at random from the whole rest; `train` is what remains.

    The default numbers are those of ImageNet-GLT. For smaller data, `scale` multiplies every number of rows. `auto`
    takes the rows of the largest class over 1,300, those of ImageNet's, at most 1, times the largest whole percentage
    at which every class has the rows that are asked of it. If a class lacks rows, the error gives its numbers.

    State: per class and attribute the greatest hash ranks of the sets, and their rows; with lists those per class, and
    the hash ranks of Test-GBL.
    """

    verb: ClassVar[str] = "glt"
    kind: ClassVar[Kind] = "split"
    example: ClassVar[str] = "glt: {attribute: attribute, scale: auto, frequency: [40%, 85%]}"
    fits_rows: ClassVar[bool] = True
    reasons: ClassVar[tuple[Reason, ...]] = (
        Reason("no_cell", "no class or no attribute"),
        Reason("not_drawn", "in no set of either protocol"),
    )

    label: Column = Field(default=LABEL, description="column of the classes")
    attribute: Column = Field(
        default=ATTRIBUTE, description="column of the attributes: integers from 0, the largest, or lists of attributes"
    )
    protocol: Literal["both", "long_tailed", "balanced"] = Field(
        default="both", description="the sets to draw: of both protocols, or with lists of attributes of one"
    )
    ratio: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        default=(7, 2, 1), min_length=1, description="rows of the attributes of a class, as whole numbers"
    )
    test_bbl: Count = Field(
        default=20, description="rows of each class and attribute in Test-GBL; with lists, of each class"
    )
    smallest: Share = Field(
        default=0.25,
        description="most that Test-GBL takes of each attribute, as a share of the smallest attribute of the class",
    )
    test_bl: Count = Field(default=60, description="rows of each class in Test-CBL")
    test_lt: Count = Field(default=60, description="rows in Test-GLT, times the number of classes")
    val: Count = Field(default=30, description="rows in val: of GLT times the number of classes, of CBL in each class")
    balanced: Count | Literal["smallest"] = Field(
        default=145,
        description="rows of each class in train and val of CBL together; with lists also smallest: as many as the "
        "smallest class has",
    )
    sizes: ImageNetGlt | Profile | tuple[Count, ...] = Field(
        default=IMAGENET_GLT,
        description="rows of each class in train, val and test_lt of GLT together, the largest first: imagenet-glt "
        "(1,500 down to 18, near the published list, not equal to it: see sizes_file), a list, or a rule such as "
        "{shape: exponential, largest: 500, imbalance: 100}",
    )
    sizes_file: PathOrUrl | None = Field(
        default=None,
        description="file with that list: one number per line, JSON, or saved by torch, as the authors' "
        "long-tail-distribution.pytorch; instead of `sizes`",
    )
    frequency: tuple[Bound, Bound] = Field(
        default=(0.4, 0.85),
        description="number of the first class that is medium and of the first that is few, or shares of the classes",
    )
    scale: Weight | Literal["auto"] = Field(
        default=1.0,
        description="multiplies every number of rows above; auto: by how much the classes are smaller than ImageNet's",
    )

    @model_validator(mode="after")
    def _fitting(self) -> Glt:
        if self.label == self.attribute:
            raise ValueError("'label' and 'attribute' are one column; an attribute is a part of a class")
        if list(self.ratio) != sorted(self.ratio, reverse=True):
            raise ValueError("attribute 0 is the largest, so the ratio must not increase: [7, 2, 1]")
        if isinstance(self.sizes, tuple):
            check_sizes(self.sizes)
        if self.sizes_file is not None and "sizes" in self.model_fields_set:
            raise ValueError("takes sizes or sizes_file, not both")
        if self.scale == 0:
            raise ValueError("scale must be above 0")
        low, high = self.frequency
        if isinstance(low, int) == isinstance(high, int) and high < low:
            raise ValueError("the few classes begin after the medium ones: [40%, 85%]")
        return self

    def needs(self) -> tuple[str, ...]:
        return (self.label, self.attribute, UID)

    def files(self) -> tuple[str, ...]:
        return (self.sizes_file,) if self.sizes_file else ()

    def check_files(self, given: pa.Schema) -> None:
        if self.sizes_file is not None and not is_file(self.sizes_file):
            raise StepError(f"glt: there is no file {self.sizes_file}; it lists the sizes of the classes")

    def gives(self, given: pa.Schema) -> list[pa.Field]:
        check_groupable(self.verb, given, [self.label])
        dtype = given.field(self.attribute).type
        self._check_protocol(holds_lists(dtype))
        if holds_lists(dtype):
            return columns_of_lists(self._split)
        if not pa.types.is_integer(dtype):
            raise StepError(f"glt: '{self.attribute}' has type {dtype}; attributes are integers from 0")
        return list(GIVEN)

    @property
    def _split(self) -> str:
        return SPLIT_CBL if self.protocol == "balanced" else SPLIT_GLT

    def _check_protocol(self, lists: bool) -> None:
        """Check that the parameters are for lists of attributes, or for integers.

        Raises:
            StepError: they are not.
        """
        if not lists:
            if self.protocol != "both" or self.balanced == "smallest":
                raise StepError(
                    f"glt: 'protocol' and 'balanced: smallest' are for lists of attributes, and '{self.attribute}' has "
                    "integers"
                )
            return
        if self.protocol == "both":
            raise StepError(
                f"glt: of the lists of attributes in '{self.attribute}' the sets of one protocol are drawn; give "
                "protocol: long_tailed or protocol: balanced"
            )
        other = ("balanced",) if self.protocol == "long_tailed" else ("sizes", "sizes_file", "test_lt")
        if wrong := sorted({"ratio", "smallest", "scale", *other} & self.model_fields_set):
            raise StepError(f"glt: '{wrong[0]}' has no meaning for lists of attributes with protocol: {self.protocol}")
        if self.protocol == "long_tailed" and not {"sizes", "sizes_file"} & self.model_fields_set:
            raise StepError("glt: give the sizes of the classes: sizes: {shape: exponential, imbalance: 200}")

    def fit(self, frame: Frame, context: Context) -> State:
        if holds_lists(frame.schema.field(self.attribute).type):
            test_lt = self.test_lt if self.protocol == "long_tailed" else 0
            of_lists = ListSizes(self.test_bbl, self.test_bl, test_lt, self.val, self._rest)
            return fit_lists(frame, self.label, self.attribute, of_lists, context.key)
        counted = count_groups(frame, (self.label, self.attribute))
        cells = counted.groups
        if not len(cells):
            cuts, rows = no_cuts(cells)
            return State(_values_of(cuts), {CELLS: self._table(cuts, rows, np.empty(0, np.int64), 0)})
        names, number, attribute = self._classes(cells, counted.counts)
        there = np.zeros((len(names), len(self.ratio)), np.int64)
        there[number, attribute] = counted.counts
        wanted, scale = self._wanted(there, names)
        draws = draw(there, names, wanted)
        cuts, rows = fit_cuts(frame, cells, (number, attribute), draws, context.key)
        balanced = np.full(len(names), wanted.balanced)
        asked = {GLT: wanted.rounded_down(wanted.sizes), CBL: wanted.rounded_down(balanced)}
        values = {"scale": str(scale), **{name: int(counts.sum()) for name, counts in asked.items()}}
        return State({**_values_of(cuts), **values}, {CELLS: self._table(cuts, rows, number, len(names))})

    def _rest(self, left: Counts) -> Counts:
        """Return the rows that the rest asks for of each class, given those that the tests leave, the largest first."""
        if self.protocol == "long_tailed":
            return np.array(sizes_for(self.sizes, self.sizes_file, len(left), int(left[0])), np.int64)
        return np.full(len(left), left.min() if self.balanced == "smallest" else self.balanced)

    def _table(self, cuts: SetCuts, rows: Mapping[str, Counts], number: Counts, classes: int) -> pa.Table:
        sizes = {ROWS + name: counts for name, counts in rows.items()}
        about = {NUMBER: number.astype(np.int32), _FREQUENCY: self._frequency(number, classes)}
        return cuts.table({**about, **sizes})

    def _classes(self, cells: Groups, there: Counts) -> tuple[list[str], Counts, Counts]:
        """Return the names of the classes by number, and number and attribute of each cell.

        Raises:
            StepError: an attribute is not one of those of the ratio.
        """
        labels, attributes = (column.to_pylist() for column in cells.values)
        for label, attribute, rows in zip(labels, attributes, there.tolist(), strict=True):
            if not 0 <= attribute < len(self.ratio):
                raise StepError(
                    f"glt: {rows:,} rows of class '{label}' have '{self.attribute}' {attribute}, and the ratio has "
                    f"{len(self.ratio)} parts, for attributes 0 to {len(self.ratio) - 1}; merge clusters, or give a "
                    "ratio with as many parts as there are attributes"
                )
        # Cells are sorted by the values of their class, so classes come in that order, and equal sizes stay in it.
        known = {label: index for index, label in enumerate(dict.fromkeys(labels))}
        of = np.array([known[label] for label in labels], np.int64)
        sizes = np.bincount(of, weights=there).astype(np.int64)
        order = np.argsort(-sizes, kind="stable")
        number = np.empty(len(order), np.int64)
        number[order] = np.arange(len(order))
        names = [str(label) for label in known]
        return [names[index] for index in order], number[of], np.array(attributes, np.int64)

    def _wanted(self, there: Counts, names: list[str]) -> tuple[SetSizes, Fraction]:
        """Return the sizes asked for, scaled, and the scale."""
        wanted = SetSizes(
            ratio=self.ratio,
            sizes=np.array(sizes_for(self.sizes, self.sizes_file, len(names)), np.int64),
            balanced=int(self.balanced),
            test_bbl=self.test_bbl,
            smallest=exact(self.smallest),
            test_bl=self.test_bl,
            test_lt=self.test_lt,
            val=self.val,
            hint="" if self.scale == "auto" else " or for `scale: auto`",
        )
        scale = find_scale(there, names, wanted) if self.scale == "auto" else exact(self.scale)
        return wanted.scaled(scale), scale

    def _frequency(self, number: Counts, classes: int) -> np.ndarray:
        medium, few = (bound if isinstance(bound, int) else share_of(bound, classes) for bound in self.frequency)
        return np.select([number < medium, number < few], [0, 1], 2).astype(np.int32)

    def apply(self, rows: Rows, state: State) -> Outcome:
        if CLASSES in state.tables:
            sets, classes = apply_lists(rows, state, self.attribute)
            return self._outcome_of_lists(rows, sets, classes, len(state.tables[CLASSES]))
        table = state.tables[CELLS]
        ids = groups_of(table).ids(rows)
        glt, cbl = once(CELLS, state, _cuts_of).sets_of(ids, rows.column(UID))
        names = pa.array([*SETS, None], pa.string())
        columns = {SPLIT_GLT: names.take(pa.array(glt)), SPLIT_CBL: names.take(pa.array(cbl))}
        for column, figure in ((CLASS_INDEX, NUMBER), (FREQUENCY, _FREQUENCY)):
            columns[column] = pa.array(np.append(table.column(figure).to_numpy(), -1)[ids].astype(np.int32))
        columns[ATTRIBUTE] = rows.column(self.attribute).cast(pa.int32(), safe=False)
        drop = np.where((glt == NOWHERE) & (cbl == NOWHERE), 2, 0).astype(np.uint8)
        drop[lacks_value(rows, (self.label, self.attribute))] = 1
        return Outcome(columns, drop)

    def _outcome_of_lists(self, rows: Rows, sets: Counts, classes: Counts, number: int) -> Outcome:
        drop = np.where(sets == NOWHERE, 2, 0).astype(np.uint8)
        drop[~takes_part(rows, self.label, self.attribute)] = 1
        columns = {
            self._split: pa.array([*SETS, None], pa.string()).take(pa.array(sets)),
            CLASS_INDEX: pa.array(classes, pa.int32()),
            FREQUENCY: pa.array(self._frequency(classes, number), pa.int32()),
        }
        return Outcome(columns, drop)

    def explain(self, row: Mapping[str, Any], state: State) -> str:
        if row.get(self.label) is None or row.get(self.attribute) is None:
            return f"{self.label} = {row.get(self.label)}, {self.attribute} = {row.get(self.attribute)}"
        cell = f"{self.label} = {row[self.label]}, {self.attribute} = {row[self.attribute]}"
        names = (self._split,) if CLASSES in state.tables else (SPLIT_GLT, SPLIT_CBL)
        sets = [f"{name} = {row.get(name) or 'none'}" for name in names]
        return f"{', '.join(sets)}, by the hash of its uid, {cell}"

    def learned(self, state: State) -> str:
        if CLASSES in state.tables:
            return learned_lists(state)
        shipped = self.sizes_file is None and self.sizes == IMAGENET_GLT
        return learned_cells(state, SHIPPED_SIZES_ARE if shipped else "")


def _values_of(cuts: SetCuts) -> dict[str, Any]:
    return {"key": str(cuts.key), "test_lt": cuts.test_lt, "val": cuts.val}


def _cuts_of(state: State) -> SetCuts:
    table, values = state.tables[CELLS], state.values
    return SetCuts.of(int(values["key"]), groups_of(table), table, values["test_lt"], values["val"])
