"""What the advisor reads from statements, without a server."""

from collections.abc import Sequence

import postgast
import pytest

from seawall.database.advisor import tree
from seawall.database.advisor.candidates import Candidate, Key, candidates
from seawall.database.advisor.predicates import Kind
from seawall.database.advisor.reader import Reader
from seawall.database.advisor.report import RewriteAdvice, Severity
from seawall.database.advisor.rewrites import Rewrites
from seawall.database.advisor.schema import Column, ExistingIndex, Schema, Table, quoted
from seawall.database.advisor.sqlite_values import numbered
from seawall.database.advisor.workload import from_sql


def table(name: str, *columns: Column, rows: float = 1_000_000.0, indexes: Sequence[ExistingIndex] = ()) -> Table:
    made = {column.name: column for column in columns}
    return Table(schema="public", name=name, columns=made, rows=rows, pages=20_000, indexes=tuple(indexes))


ORDERS = table(
    "orders",
    Column(name="id", type="bigint", distinct=1e6),
    Column(name="customer_id", type="bigint", distinct=50_000),
    Column(name="status", type="text", distinct=4),
    Column(name="name", type="text", distinct=1e6, binary_order=False),
    Column(name="total", type="numeric(10,2)", distinct=1000),
    Column(name="created_at", type="timestamp with time zone", distinct=1e6),
    Column(name="deleted_at", type="timestamp with time zone", distinct=10, nulls=0.99),
    Column(name="data", type="jsonb"),
    Column(name="tags", type="text[]"),
)
CUSTOMERS = table("customers", Column(name="id", type="bigint"), Column(name="email", type="text", distinct=1e6))
SCHEMA = Schema([ORDERS, CUSTOMERS], views={("public", "recent"): "SELECT id, status FROM orders"})


def read(sql: str) -> Reader:
    return Reader(SCHEMA, postgast.parse(sql).stmts[0].stmt)


def definitions(sql: str, *, trigrams: bool = False) -> set[str]:
    return {
        made.definition("t").removeprefix("CREATE INDEX ON t ")
        for use in read(sql).uses
        for made in candidates(use, trigrams=trigrams)
    }


@pytest.mark.parametrize(
    ("where", "wanted"),
    [
        ("customer_id = 5 AND status = 'x' AND created_at > now()", "(customer_id, status, created_at)"),
        ("customer_id = 5 ORDER BY created_at DESC LIMIT 3", "(customer_id, created_at)"),
        ("true ORDER BY customer_id, created_at DESC LIMIT 3", "(customer_id, created_at DESC)"),
        ("true ORDER BY created_at DESC NULLS LAST LIMIT 3", "(created_at DESC NULLS LAST)"),
        ("lower(name) = 'x'", "((lower(name)))"),
        ("name LIKE 'abc%'", "(name text_pattern_ops)"),
        ("status = 'open' AND customer_id = 5", "(customer_id) WHERE status = 'open'"),
        ("deleted_at IS NOT NULL ORDER BY id LIMIT 5", "(id) WHERE deleted_at IS NOT NULL"),
        ("customer_id IN (1, 2)", "(customer_id)"),
        ("customer_id = ANY($1)", "(customer_id)"),
        ("total BETWEEN 1 AND 2", "(total)"),
        ("5 = customer_id", "(customer_id)"),
        ("data @> '{}'", "USING gin (data jsonb_path_ops)"),
        ("data ? 'x'", "USING gin (data)"),
        ("tags && ARRAY['x']", "USING gin (tags)"),
        ("data ->> 'k' = 'v'", "((data ->> 'k'))"),
        ("customer_id = 5 OR total = 3", "(total)"),
        ("created_at > now() - interval '1 day'", "(created_at)"),
        ("EXISTS (SELECT 1 FROM customers c WHERE c.id = orders.customer_id)", "(customer_id)"),
        ("customer_id IN (SELECT id FROM customers)", "(customer_id)"),
    ],
)
def test_a_predicate_has_its_candidate(where, wanted):
    found = definitions(f"SELECT * FROM orders WHERE {where}")
    assert wanted in found


def test_both_sides_of_a_join_have_candidates():
    found = definitions("SELECT 1 FROM orders o JOIN customers c ON c.id = o.customer_id WHERE c.email = 'x'")
    assert {"(customer_id)", "(email)"} <= found


def test_few_columns_are_carried_along():
    assert "(customer_id) INCLUDE (total)" in definitions("SELECT total FROM orders WHERE customer_id = 5")
    assert not any("INCLUDE" in one for one in definitions("SELECT * FROM orders WHERE customer_id = 5"))


@pytest.mark.parametrize("where", ["name LIKE '%x'", "name ILIKE 'x%'", "name LIKE $1"])
def test_patterns_that_no_b_tree_serves_get_trigrams_or_nothing(where):
    sql = f"SELECT * FROM orders WHERE {where}"
    assert definitions(sql) == set()
    assert definitions(sql, trigrams=True) == {"USING gin (name gin_trgm_ops)"}


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM nowhere WHERE a = 1",
        "WITH orders AS (SELECT 1 AS id) SELECT * FROM orders WHERE id = 1",
        "SELECT * FROM orders WHERE random() < 0.1",
        "SELECT * FROM orders WHERE status <> 'x'",
    ],
)
def test_what_gets_none(sql):
    assert definitions(sql) == set()


def test_what_an_existing_index_begins_with_is_no_candidate():
    index = ExistingIndex(name="i", definition="", keys=("customer_id", "status"))
    schema = Schema([table("orders", *ORDERS.columns.values(), indexes=[index])])
    use = Reader(schema, postgast.parse("SELECT * FROM orders WHERE customer_id = 1").stmts[0].stmt).uses[0]
    assert candidates(use) == []


def test_filters_around_a_plain_subquery_are_its_tables():
    found = definitions("SELECT * FROM (SELECT id, status FROM orders) o WHERE o.id = 5")
    assert "(id)" in found
    assert "(id)" in definitions("WITH o AS (SELECT id FROM orders) SELECT * FROM o WHERE id = 5")


def test_min_and_max_are_read_from_an_end():
    assert "(created_at)" in definitions("SELECT max(created_at) FROM orders")


def test_terms_of_an_or_are_branches():
    use = read("SELECT * FROM orders WHERE customer_id = 1 OR (total = 2 AND status = 'x')").uses[0]
    assert [[term.key for term in branch] for branch in use.branches] == [[], ["customer_id"], ["total", "status"]]


def test_columns_of_an_enclosing_statement_are_joins():
    sql = "SELECT * FROM customers c WHERE EXISTS (SELECT 1 FROM orders WHERE customer_id = c.id)"
    kinds = {(use.alias, term.key, term.kind) for use in read(sql).uses for term in use.terms}
    assert kinds == {("c", "id", Kind.JOIN), ("orders", "customer_id", Kind.JOIN)}


REWRITES = [
    ("date_trunc('day', created_at) = '2024-01-01'", "created_at >= $2 AND created_at < $2 + interval '1 day'"),
    ("created_at::date = '2024-01-01'", "created_at >= $1::date AND created_at < $1::date + 1"),
    ("created_at + interval '1 day' > now()", "created_at > now() - $1::interval"),
    ("id::text = '5'", "id = $1::bigint"),
    ("id = 5.0", "pass the value as bigint"),
    ("'x' = ANY(tags)", "tags @> ARRAY[$1]"),
    (
        "id NOT IN (SELECT c.id FROM customers c WHERE c.email = 'secret')",
        "NOT EXISTS (SELECT FROM customers c WHERE c.id = orders.id AND c.email = $1)",
    ),
]


def rewritten(sql: str) -> list[RewriteAdvice]:
    parsed = postgast.parse(sql)
    found = Rewrites(Reader(SCHEMA, parsed.stmts[0].stmt), parsed)
    return found.of(tree.normalised(sql), big={"public.orders", "public.customers"})


@pytest.mark.parametrize(("where", "wanted"), REWRITES)
def test_a_rewrite_is_told_without_values(where, wanted):
    (found,) = rewritten(f"SELECT * FROM orders WHERE {where}")
    assert found.rewrite == wanted
    assert found.severity is Severity.WARNING
    assert "secret" not in repr(found)
    assert "2024" not in repr(found)


def test_the_other_advice():
    assert rewritten("SELECT * FROM orders ORDER BY id OFFSET 5000")[0].predicate == "OFFSET $1"
    assert rewritten("SELECT * FROM orders WHERE name LIKE '%x'")[0].severity is Severity.NOTE
    union = "SELECT 1 FROM orders o JOIN customers c ON c.id = o.customer_id WHERE o.total = 1 OR c.email = 'x'"
    assert "UNION" in rewritten(union)[0].rewrite
    assert rewritten("SELECT * FROM orders WHERE customer_id = 5 AND lower(name) = 'x'") == []


@pytest.mark.parametrize(
    ("sql", "shown"),
    [
        ("select 'pw' from t where x = 5", "SELECT $1 FROM t WHERE x = $2"),
        ("select $1 from t where x = 'pw'", "SELECT $1 FROM t WHERE x = $2"),
        ("selec 'pw', 5, $$pw$$ -- pw", "selec ?, ?, ? ?"),
        ("selec 'pw", "selec ?"),
    ],
)
def test_shown_statements_have_no_literals(sql, shown):
    assert tree.normalised(sql) == shown


def test_placeholders_of_sqlite_become_numbers():
    assert numbered("a = ? and b = :x and c = '?' and d = :x and e::text = ?") == (
        "a = $1 and b = $2 and c = '?' and d = $2 and e::text = $3"
    )


def test_a_script_is_split_outside_literals():
    assert [one.sql for one in from_sql("select ';'; select 2;\n")] == ["select ';'", "select 2"]


@pytest.mark.parametrize(("name", "sql"), [("id", "id"), ("Id", '"Id"'), ("select", '"select"'), ('a"b', '"a""b"')])
def test_identifiers_are_quoted(name, sql):
    assert quoted(name) == sql


def test_a_candidate_is_served_by_a_wider_index():
    made = Candidate(ORDERS, (Key("customer_id"),), where="status = 'open'")
    assert made.served_by(("customer_id", "id"), (), "", "btree")
    assert not made.served_by(("id", "customer_id"), (), "", "btree")
    assert not made.served_by(("customer_id",), (), "status = 'x'", "btree")
