"""Which tables a statement changes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache_strategy.record.probe.statements import shortened, tables_written


@pytest.mark.parametrize(
    ("statement", "tables"),
    [
        ("INSERT INTO products (id) VALUES (?)", ("products",)),
        ("insert or replace into products values (1)", ("products",)),
        ("REPLACE INTO products VALUES (1)", ("products",)),
        ("INSERT IGNORE INTO `order lines` VALUES (1)", ("order lines",)),
        ('UPDATE "Shop"."Products" SET name = %s', ("Products",)),
        ("UPDATE products AS p SET name = 'x'", ("products",)),
        ("UPDATE ONLY public.products SET a = 1", ("products",)),
        ("DELETE FROM [dbo].[products] WHERE id = 1", ("products",)),
        ("MERGE INTO stock USING delivered ON 1 = 1 WHEN MATCHED THEN UPDATE SET n = 1", ("stock",)),
        ("TRUNCATE TABLE a, b.c", ("a", "c")),
        (
            "WITH x AS (DELETE FROM cart RETURNING id) REPLACE INTO orders SELECT id FROM x",
            ("cart", "orders"),
        ),
        ("INSERT INTO a VALUES (1) ON CONFLICT (id) DO UPDATE SET n = 2", ("a",)),
        ("INSERT INTO a VALUES (1) ON DUPLICATE KEY UPDATE n = 2", ("a",)),
        ("INSERT INTO log SELECT * FROM products", ("log",)),
        ("-- the stock\nUPDATE stock SET n = 1", ("stock",)),
        ("/* UPDATE products SET */ DELETE FROM stock", ("stock",)),
        ("DROP TABLE IF EXISTS products", ("products",)),
        ("COPY products (id) FROM STDIN", ("products",)),
        ("SELECT * FROM products FOR UPDATE", ()),
        ("SELECT 'DELETE FROM products'", ()),
        ("WITH x AS (SELECT 'it''s UPDATE a SET b') SELECT * FROM x", ()),
        ("SELECT update_time, deleted FROM inserts", ()),
        ("CREATE INDEX i ON products (name)", ()),
        ("COPY products TO STDOUT", ()),
        ("SAVEPOINT update_a", ()),
        ("", ()),
    ],
)
def test_tables_are_found_in_the_text(statement, tables):
    assert tables_written(statement) == tables


@given(st.text())
def test_no_text_makes_it_raise(text):
    tables_written("UPDATE " + text)
    assert len(shortened(text)) <= 160
