"""Parse an expression with DuckDB's parser, and check that its syntax tree is row-wise.

The tree is the result of `json_serialize_sql` for `SELECT <expression>`. Every node must be of an allowed class, and
every function on the list of allowed ones; what is not allowed is refused at the position that DuckDB gives it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from poolwright.core.errors import RecipeError
from poolwright.expressions.connection import answers
from poolwright.expressions.functions import CLOCK, ROW_WISE, WITH_LAMBDA, refusal
from poolwright.expressions.pointing import character, pointed
from poolwright.expressions.writing import keywords

Node: TypeAlias = Mapping[str, Any]

_SELECT = "SELECT "
_NOWHERE = 2**63
"""Locations of at least this value are of nodes that the parser added."""

_CLASSES = frozenset(
    {
        *("BETWEEN", "CASE", "CAST", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT"),
        *("FUNCTION", "LAMBDA", "OPERATOR", "TYPE"),
    }
)
_OPERATORS = frozenset(
    {
        *("ARRAY_CONSTRUCTOR", "ARRAY_EXTRACT", "ARRAY_SLICE", "COMPARE_IN", "COMPARE_NOT_IN", "OPERATOR_COALESCE"),
        *("OPERATOR_IS_NOT_NULL", "OPERATOR_IS_NULL", "OPERATOR_NOT", "OPERATOR_NULLIF", "OPERATOR_TRY"),
        "STRUCT_EXTRACT",
    }
)
_REFUSED = {
    "COLLATE": "COLLATE is not possible; compare lower(...) or strip_accents(...)",
    "DEFAULT": "DEFAULT is not a value; name a column or write a value",
    "PARAMETER": "an expression has no parameters; name a column or write a value",
    "POSITIONAL_REFERENCE": "an expression has no parameters; name a column or write a value",
    "STAR": "name the columns; '*' cannot be used",
    "SUBQUERY": "a subquery looks at other rows; an expression sees one row's values",
    "WINDOW": "a window function looks at other rows; an expression sees one row's values",
}
_NAME = re.compile(r'"(?:[^"]|"")*"|(?:[^\W\d]|[^\x00-\x7f])(?:[\w$]|[^\x00-\x7f])*')


@dataclass(frozen=True)
class Reference:
    """A column's name in the text.

    Attributes:
        start: index of its first character.
        end: index after its last.
        name: the column.
    """

    start: int
    end: int
    name: str


def references(text: str) -> tuple[Reference, ...]:
    """Check an expression and find the columns it names, in the order of the text.

    Raises:
        RecipeError: it is not an expression of one row's values; shows the line with a caret.
    """
    if not text.strip():
        raise RecipeError('the expression is empty; write a comparison such as "width >= 120"')
    try:
        found = list(_Reader(text).read())
    except RecursionError:
        raise RecipeError(f"the expression is nested too deeply\n  {text[:100]}") from None
    return tuple(sorted(set(found), key=lambda reference: reference.start))


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text

    def read(self) -> Iterator[Reference]:
        tree = self._statement(_SELECT + self.text)
        items = tree["select_list"] if tree.get("type") == "SELECT_NODE" else []
        if len(items) > 1:
            raise pointed(self.text, self._at(items[1]), "one expression only; this is a second one")
        # An expression can be put in brackets; clauses, aliases and ';' cannot.
        self._statement(f"{_SELECT}({self.text}\n)", single=True)
        if not items or not _is_bare(tree):  # which brackets have ruled out already
            raise pointed(self.text, 0, "one expression only, without clauses")
        return self._walked(items[0])

    def _statement(self, sql: str, single: bool = False) -> Node:
        """Return the syntax tree of a statement that contains the text."""
        ((answer,),) = answers("select json_serialize_sql($1)", sql)
        parsed = json.loads(answer)
        if not parsed["error"] and len(parsed["statements"]) == 1:
            node: Node = parsed["statements"][0]["node"]
            return node
        message = parsed.get("error_message", "one expression only")
        if "position" not in parsed:
            raise RecipeError(f"{message.split(chr(10))[0]}\n  {self.text}")
        at = character(sql, int(parsed["position"])) - len(_SELECT) - single
        if single or self.text[at : at + 1] == ";" or self._ends_before(at):
            message = "one expression only; remove what follows"
        else:
            message += self._quotes(at)
        raise pointed(self.text, at, message)

    def _quotes(self, at: int) -> str:
        """Return advice if a keyword at a position, or before it, may be meant as a column."""
        here = _NAME.match(self.text, at)
        words = [here.group()] if here else re.findall(r"\w+", self.text[:at])[-1:]
        return "".join(f'; a column of this name is written "{word}"' for word in words if word.lower() in keywords())

    def _ends_before(self, at: int) -> bool:
        """Whether the last character before a position ends a statement."""
        return self.text[:at].rstrip().endswith(";")

    def _walked(self, root: Any) -> Iterator[Reference]:
        """Check all nodes under a root, and yield the columns they name."""
        stack: list[tuple[Any, frozenset[str]]] = [(root, frozenset())]
        while stack:
            value, parameters = stack.pop()
            if isinstance(value, list):
                stack.extend((item, parameters) for item in reversed(value))
                continue
            if not isinstance(value, dict):
                continue
            children = list(value.values())
            if "class" in value:
                self._check(value)
            if value.get("class") == "COLUMN_REF":
                if value["column_names"][0].lower() not in parameters:
                    yield self._reference(value)
                continue
            if value.get("class") == "LAMBDA" and _is_lambda(value):
                parameters |= {name.lower() for name in _parameters(value["lhs"])}
                children = [value["expr"]]
            stack.extend((child, parameters) for child in reversed(children))

    def _check(self, node: Node) -> None:
        kind, name = node["class"], node.get("type")
        if kind == "FUNCTION":
            self._check_function(node)
        elif kind == "OPERATOR" and name == "GROUPING_FUNCTION":
            raise pointed(self.text, self._at(node), _REFUSED["WINDOW"].replace("a window function", "GROUPING"))
        elif kind not in _CLASSES or (kind == "OPERATOR" and name not in _OPERATORS):
            raise pointed(self.text, self._at(node), _REFUSED.get(kind, f"{name} is not possible in an expression"))

    def _check_function(self, node: Node) -> None:
        name = str(node["function_name"])
        plain, arguments = name.lower(), _arguments(node)
        at = self._at(node, name)
        if node.get("catalog") not in ("", None, "system") or node.get("schema") not in ("", None, "main"):
            raise pointed(self.text, at, f"call {name} as a function: {name}({node['schema']}, ...)")
        if plain not in ROW_WISE:
            shown = "count(*)" if plain == "count_star" else name
            raise pointed(self.text, at, refusal(shown, "aggregate" if plain == "count_star" else _kind(plain)))
        if plain == "age" and len(arguments) != 2:
            raise pointed(self.text, at, "'age' of one time reads the clock; give it two")
        if node.get("filter") or node.get("distinct") or (node.get("order_bys") or {}).get("orders"):
            raise pointed(self.text, at, f"'{name}' takes no FILTER, DISTINCT or ORDER BY")
        if plain in WITH_LAMBDA:
            for argument in arguments:
                if argument.get("class") == "LAMBDA" and not _is_lambda(argument):
                    raise pointed(self.text, self._at(argument), f"write {plain}(list, lambda x: ...)")

    def _reference(self, node: Node) -> Reference:
        """Return the column that a node names; further names are fields of it."""
        name = str(node["column_names"][0])
        if node["query_location"] >= _NOWHERE:
            raise RecipeError(f"'{name}' cannot be found in the expression; write it out\n  {self.text}")
        start = self._at(node)
        found = _NAME.match(self.text, start)
        written = found.group() if found else ""
        quoted = written.startswith('"')
        given = written[1:-1].replace('""', '"') if quoted else written
        if not found or given.lower() != name.lower():
            raise pointed(self.text, start, f"cannot read the name '{name}' here; put it in double quotes")
        if not quoted and name.lower() in CLOCK:
            raise pointed(self.text, start, refusal(written, None))
        return Reference(start, found.end(), given)

    def _at(self, node: Node, name: str = "") -> int:
        """Return the index of a node in the text."""
        location = node.get("query_location", _NOWHERE)
        if location >= _NOWHERE:
            return max(0, self.text.lower().find(name.lower()))
        return character(_SELECT + self.text, location) - len(_SELECT)


def _is_bare(tree: Node) -> bool:
    """Whether a SELECT is one expression without an alias and nothing else."""
    clauses = ("where_clause", "group_expressions", "group_sets", "having", "sample", "qualify", "modifiers")
    plain = tree["from_table"]["type"] == "EMPTY" and not tree["select_list"][0].get("alias")
    return plain and not any(tree.get(clause) for clause in clauses) and not tree["cte_map"]["map"]


def _arguments(function: Node) -> list[Node]:
    return [argument["expression"] for argument in function["arguments"]]


def _is_lambda(node: Node) -> bool:
    """Whether it is `lambda x: ...`; nodes of the same class represent JSON's `->`, whose left side has a location."""
    left = node["lhs"]
    refs = [left] if left["class"] == "COLUMN_REF" else _arguments(left) if left["class"] == "FUNCTION" else []
    return bool(refs) and all(ref["class"] == "COLUMN_REF" and ref.get("query_location", 0) >= _NOWHERE for ref in refs)


def _parameters(left: Node) -> Iterator[str]:
    refs = [left] if left["class"] == "COLUMN_REF" else _arguments(left)
    return (str(ref["column_names"][0]) for ref in refs)


def _kind(name: str) -> str | None:
    """Return the type of a function in DuckDB's catalogue."""
    query = "select function_type from duckdb_functions() where lower(function_name) = $1 order by 1 limit 1"
    found = answers(query, name)
    return str(found[0][0]) if found else None
