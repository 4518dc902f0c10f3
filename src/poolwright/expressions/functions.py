"""List the functions of DuckDB that an expression may call.

They are DuckDB's scalar functions without side effects (`duckdb_functions()`: type scalar, stability consistent,
known to every version from 2.0 on) and its macros over one row's lists, without those that read beyond the row or the
process, whose values differ between versions, or that serve DuckDB itself. Functions of later versions are refused
until they are listed here.
"""

from __future__ import annotations

import difflib

OPERATORS = """
    !__postfix !~~ !~~* % & && * ** + - ->> / // <-> << <=> <@ >> @ @> ^ ^@ | || ~ ~~ ~~* ~~~
    ilike_escape like_escape not_ilike_escape not_like_escape
"""
_NUMBERS = """
    abs acos acosh add asin asinh atan atan2 atanh bar bin bit_count bit_length bit_position bitstring cbrt ceil
    ceiling cos cosh cot degrees divide equi_width_bins even exp factorial fdiv floor fmod gamma gcd get_bit greatest
    greatest_common_divisor if isfinite isinf isnan lcm least least_common_multiple lgamma ln log log10 log2 mod
    multiply nextafter nullif pi pow power radians round round_even roundbankers set_bit sign signbit sin sinh sqrt
    subtract tan tanh trunc xor
"""
_TEXTS = """
    ascii base64 char_length character_length chr concat concat_ws contains damerau_levenshtein decode editdist3 encode
    ends_with format format_bytes formatreadabledecimalsize formatreadablesize from_base64 from_binary from_hex hamming
    hex instr jaccard jaro_similarity jaro_winkler_similarity lcase left left_grapheme len length length_grapheme
    levenshtein lower lpad ltrim md5 md5_number md5_number_lower md5_number_upper mismatches nfc_normalize octet_length
    ord overlay parse_dirname parse_dirpath parse_filename parse_formatted_bytes parse_path path_join position prefix
    printf regexp_escape regexp_extract regexp_extract_all regexp_full_match regexp_matches regexp_replace
    regexp_split_to_array repeat replace reverse right right_grapheme rpad rtrim sha1 sha256 split split_part
    starts_with str_split str_split_regex string_split string_split_regex string_to_array strip_accents strlen strpos
    substr substring substring_grapheme suffix to_base to_base64 to_binary to_hex translate trim ucase unbin unhex
    unicode upper url_decode url_encode
"""
_TIMES = """
    age century date_add date_diff date_part date_sub date_trunc datediff datepart datesub datetrunc day dayname
    dayofmonth dayofweek dayofyear days_in_month decade epoch epoch_ms epoch_ns epoch_us era hour isodow isoyear julian
    last_day make_date make_time make_timestamp make_timestamp_ms make_timestamp_ns make_timestamptz microsecond
    millennium millisecond minute month monthname nanosecond quarter second strftime strptime time_bucket timezone
    timezone_hour timezone_minute to_centuries to_days to_decades to_hours to_microseconds to_millennia to_milliseconds
    to_minutes to_months to_quarters to_seconds to_timestamp to_weeks to_years try_strptime uuid_extract_timestamp
    uuid_extract_version week weekday weekofyear year yearweek
"""
_LISTS = """
    apply array_append array_apply array_cat array_concat array_contains array_cosine_distance array_cosine_similarity
    array_cross_product array_distance array_distinct array_dot_product array_extract array_filter array_grade_up
    array_has array_has_all array_has_any array_indexof array_inner_product array_intersect array_length
    array_negative_dot_product array_negative_inner_product array_pop_back array_pop_front array_position array_prepend
    array_push_back array_push_front array_reduce array_resize array_reverse array_reverse_sort array_select
    array_slice array_sort array_to_string array_transform array_unique array_value array_where array_zip filter
    flatten generate_series grade_up list_any_value list_append list_apply list_avg list_bit_and list_bit_or
    list_bit_xor list_bool_and list_bool_or list_cat list_concat list_contains list_cosine_distance
    list_cosine_similarity list_count list_distance list_distinct list_dot_product list_element list_entropy
    list_extract list_filter list_first list_grade_up list_has list_has_all list_has_any list_histogram list_indexof
    list_inner_product list_intersect list_kurtosis list_kurtosis_pop list_last list_mad list_max list_median list_min
    list_mode list_negative_dot_product list_negative_inner_product list_pack list_position list_prepend list_product
    list_reduce list_resize list_reverse list_reverse_sort list_select list_sem list_skewness list_slice list_sort
    list_stddev_pop list_stddev_samp list_string_agg list_sum list_transform list_unique list_value list_var_pop
    list_var_samp list_where list_zip range reduce
"""
_NESTED = """
    array_to_json cardinality element_at from_json from_json_strict json json_array json_array_length json_contains
    json_deep_merge json_exists json_extract json_extract_path json_extract_path_text json_extract_string json_insert
    json_keys json_merge_patch json_merge_patch_diff json_normalize json_object json_pretty json_quote json_remove
    json_replace json_set json_strip_nulls json_structure json_transform json_transform_strict json_type json_valid
    json_value map map_concat map_contains map_contains_entry map_contains_value map_entries map_extract
    map_extract_value map_from_entries map_keys map_values row row_to_json struct_concat struct_contains struct_extract
    struct_extract_at struct_has struct_indexof struct_insert struct_keys struct_pack struct_position struct_update
    struct_values to_json typeof union_extract union_tag union_value
"""
BY_SUBJECT = {
    "numbers and conditions": frozenset(_NUMBERS.split()),
    "text": frozenset(_TEXTS.split()),
    "dates and times": frozenset(_TIMES.split()),
    "lists": frozenset(_LISTS.split()),
    "structs, maps and JSON": frozenset(_NESTED.split()),
}
"""Allowed functions in lower case, by what they work on."""

ROW_WISE = frozenset(OPERATORS.split()).union(*BY_SUBJECT.values())
"""All functions and operators that an expression may call, in lower case."""

WITH_LAMBDA = frozenset(
    f"{prefix}{name}" for prefix in ("", "list_", "array_") for name in ("apply", "filter", "transform", "reduce")
)
"""Functions whose second argument is a lambda."""

_CLOCK = """
    ago current_date current_localtime current_localtimestamp current_time current_timestamp get_current_time
    get_current_timestamp localtime localtimestamp now today transaction_timestamp
"""
CLOCK = frozenset(_CLOCK.split())
_RANDOM = frozenset({"random", "setseed", "uuid", "uuidv4", "uuidv7", "gen_random_uuid"})
_SESSION = """
    current_catalog current_connection_id current_database current_query current_query_id current_role current_schema
    current_schemas current_setting current_transaction_id current_user currval getenv getvariable in_search_path
    nextval session_user setval txid_current user version
"""
SESSION = frozenset(_SESSION.split())
_ONE_ROW = "an expression sees one row's values"


def refusal(name: str, kind: str | None) -> str:
    """Explain why a function cannot be called.

    Args:
        name: as written.
        kind: its type in DuckDB's catalogue, such as 'aggregate'; None for an unknown one.
    """
    plain = name.lower()
    if plain in CLOCK:
        return f"'{name}' reads the clock; {_ONE_ROW}"
    if plain in _RANDOM:
        return f"'{name}' is random; {_ONE_ROW}"
    if plain in SESSION:
        return f"'{name}' reads settings or the session; {_ONE_ROW}"
    if kind in ("aggregate", "window"):
        over_list = f"; over a list, call list_{plain}" if f"list_{plain}" in ROW_WISE else ""
        return f"'{name}' looks at other rows; {_ONE_ROW}{over_list}"
    if kind == "table" or plain == "unnest":
        return f"'{name}' gives a table; {_ONE_ROW}"
    close = difflib.get_close_matches(plain, ROW_WISE, n=1, cutoff=0.75)
    instead = f"did you mean '{close[0]}'?" if close else "aggregates, random values and files are not possible"
    return f"'{name}' is not a function of one row's values; {instead}"
