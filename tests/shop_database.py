"""A shop in a real PostgreSQL: random sessions that wait for each other, and the history that triggers write."""

from __future__ import annotations

import datetime as dt
import random
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from psycopg2.extensions import connection

psycopg2 = pytest.importorskip("psycopg2", reason="PostgreSQL: psycopg2 is not installed, the extra `postgres`")
KEYS = {"customers": ("customer_id",), "orders": ("order_id",), "order_items": ("order_id", "line_number")}
MARKS = range(9_000_001, 9_000_017)
"""Keys that only `mark` writes: enough for every partition of a topic to have some."""
WIDE = 2**40
PAUSE = 0.15
"""Seconds between two transactions of a session, at most."""
HELD = {
    "customers": "UPDATE customers SET name = 'held' WHERE {}",
    "orders": "UPDATE orders SET shipping_address = 'held' WHERE {}",
}
TABLES = """
CREATE TABLE customers (
  customer_id integer PRIMARY KEY, email text, name text, country_code varchar(2), birth_date date,
  accepts_marketing boolean, interests text[], note text, created_at timestamptz, updated_at timestamp
);
ALTER TABLE customers ALTER note SET STORAGE EXTERNAL, ALTER interests SET STORAGE EXTERNAL;
CREATE TABLE orders (
  order_id bigint PRIMARY KEY, customer_id integer, status text, currency char(3), discount_amount numeric(12, 2),
  shipping_amount numeric(12, 2), tax_amount numeric(12, 2), total_amount numeric(12, 2) NOT NULL,
  shipping_address text, ordered_at timestamptz, updated_at timestamp
);
CREATE TABLE order_items (
  order_id bigint, line_number smallint, product_id integer, quantity integer, unit_price numeric(12, 2),
  PRIMARY KEY (order_id, line_number)
);
CREATE TABLE history (
  number bigserial PRIMARY KEY, operation text, "table" text, was jsonb, is_now jsonb,
  transaction xid8 DEFAULT pg_current_xact_id()
);
CREATE FUNCTION remember() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO history (operation, "table", was, is_now)
  VALUES (TG_OP, TG_TABLE_NAME, CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END,
          CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END);
  RETURN NULL;
END $$;
CREATE FUNCTION remember_all() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('INSERT INTO history (operation, "table", was) SELECT %L, %L, to_jsonb(gone) FROM %I AS gone',
                 TG_OP, TG_TABLE_NAME, TG_TABLE_NAME);
  RETURN NULL;
END $$;
"""
TRIGGERS = """
CREATE TRIGGER remembered AFTER INSERT OR UPDATE OR DELETE ON {0} FOR EACH ROW EXECUTE FUNCTION remember();
CREATE TRIGGER remembered_all BEFORE TRUNCATE ON {0} FOR EACH STATEMENT EXECUTE FUNCTION remember_all();
"""
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Written:
    """What a transaction that committed wrote of a row.

    Attributes:
        operation: INSERT, UPDATE, DELETE or TRUNCATE.
        transaction: its number.
        at: when it committed, UTC.
        was: the row before; None if there was none.
        is_now: the row after; None if there is none.
    """

    operation: str
    transaction: int
    at: dt.datetime
    was: Row | None
    is_now: Row | None


class Shop:
    """The database of a shop.

    Attributes:
        done: what the sessions did, counted by kind.
        most: the greatest quantity of an item.
        is_told_whole: whether changes of customers contain the whole row before.
    """

    def __init__(self, variables: Mapping[str, str], database: str, seed: int) -> None:
        self._variables = {
            "host": variables["PGHOST"], "port": variables["PGPORT"], "user": variables["PGUSER"],
            "password": variables["PGPASSWORD"], "dbname": database,
        }  # fmt: skip
        self.done: Counter[str] = Counter()
        self.most = 99
        self.is_told_whole = False
        self._seed, self._marked = random.Random(seed), 0
        self._numbers = iter(range(1, 10**6))
        self._faults: list[BaseException] = []

    def connect(self) -> connection:
        """Open a session, in UTC."""
        return psycopg2.connect(**self._variables, options="-c TimeZone=UTC -c deadlock_timeout=100ms")

    def run(self, *statements: str) -> None:
        """Run statements in a transaction of their own."""
        session = self.connect()
        while True:
            try:
                with session, session.cursor() as cursor:
                    for statement in statements:
                        cursor.execute(statement)
                break
            except psycopg2.errors.DeadlockDetected:  # with sessions at work, which go on
                self.done["deadlock"] += 1
        session.close()

    def create(self) -> None:
        """Create the tables, their history, and the publication that the connector reads; fill the tables."""
        self.run(
            TABLES, *(TRIGGERS.format(table) for table in KEYS), f"CREATE PUBLICATION lake FOR TABLE {', '.join(KEYS)}"
        )
        session, dice = self.connect(), random.Random(self._seed.random())
        with session, session.cursor() as cursor:
            worker = Session(cursor, dice, self)
            for _ in range(60):
                worker.register()
            for _ in range(60):
                worker.order()
        session.close()

    def widen(self) -> None:
        """Widen a column's type, and use it; add a column that the contract does not know."""
        self.run(
            "ALTER TABLE order_items ALTER quantity TYPE bigint",
            "ALTER TABLE orders ADD COLUMN channel text NOT NULL DEFAULT 'web'",
        )
        self.most = WIDE

    def tell_whole(self) -> None:
        """Have the whole row before in the changes of customers, values that are stored apart included."""
        self.run("ALTER TABLE customers REPLICA IDENTITY FULL")
        self.is_told_whole = True

    def reload(self) -> None:
        """Empty a table, and fill a part of it again in the same transaction."""
        self.run(
            "CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT * FROM order_items WHERE order_id % 2 = 0",
            "TRUNCATE order_items",
            "INSERT INTO order_items SELECT * FROM kept",
        )

    def mark(self) -> str:
        """Write rows that show, once they are captured, that everything before them is; return what they have."""
        self._marked += 1
        text, numbers = f"mark {self._marked}", f"generate_series({MARKS.start}, {MARKS.stop - 1}) AS number"
        self.run(
            f"INSERT INTO customers (customer_id, name) SELECT number, '{text}' FROM {numbers} "
            "ON CONFLICT (customer_id) DO UPDATE SET name = excluded.name",
            f"INSERT INTO orders (order_id, total_amount, shipping_address) SELECT number, 0, '{text}' FROM {numbers} "
            "ON CONFLICT (order_id) DO UPDATE SET shipping_address = excluded.shipping_address",
            f"INSERT INTO order_items (order_id, line_number, quantity) SELECT number, 1, {self._marked} "
            f"FROM {numbers} ON CONFLICT (order_id, line_number) DO UPDATE SET quantity = excluded.quantity",
        )
        return text

    @contextmanager
    def at_work(self, sessions: int, transactions: int | None = None) -> Iterator[None]:
        """Let sessions work while the body runs, until it ends or each has made so many transactions."""
        is_over = threading.Event()
        seeds = [self._seed.random() for _ in range(sessions)]
        threads = [threading.Thread(target=self._work, args=(seed, is_over, transactions)) for seed in seeds]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            if transactions is None:
                is_over.set()
            for thread in threads:
                thread.join()
            if self._faults:
                raise self._faults[0]

    @contextmanager
    def held(self, count: int) -> Iterator[None]:
        """Keep transactions open while the body runs, and commit them after it."""
        with ExitStack() as opened:
            sessions = [opened.enter_context(closing(self.connect())) for _ in range(count)]
            for number, session in enumerate(sessions):
                with session.cursor() as cursor:
                    for table, write in HELD.items():
                        cursor.execute(write.format(f"{KEYS[table][0]} = %s"), self._unlocked(cursor, table))
                    cursor.execute("INSERT INTO order_items VALUES (%s, 1, 1, 1, 1)", (8_000_000 + number,))
            yield
            for session in sessions:
                session.commit()

    def _unlocked(self, cursor: Any, table: str) -> Any:
        """Lock a row that nobody else has locked: who waits for a session at work may wait for itself."""
        cursor.execute(
            f"SELECT {KEYS[table][0]} FROM {table} WHERE {KEYS[table][0]} < 8000000 ORDER BY {KEYS[table][0]} LIMIT 1 "
            "FOR UPDATE SKIP LOCKED"
        )
        return cursor.fetchone()

    def _work(self, seed: float, is_over: threading.Event, transactions: int | None) -> None:
        dice, session, made = random.Random(seed), self.connect(), 0
        try:
            while not is_over.is_set() and (transactions is None or made < transactions):
                with session.cursor() as cursor:
                    try:
                        Session(cursor, dice, self).transact()
                        if dice.random() < 0.12:
                            session.rollback()
                            self.done["rollback"] += 1
                        else:
                            session.commit()
                            self.done["commit"] += 1
                    except (psycopg2.errors.DeadlockDetected, psycopg2.errors.UniqueViolation) as error:
                        session.rollback()
                        self.done[type(error).__name__] += 1
                made += 1
                is_over.wait(dice.random() * PAUSE)
        except BaseException as error:
            self._faults.append(error)
        finally:
            session.close()

    def number(self) -> int:
        """A number that no key has had."""
        return next(self._numbers)

    def rows(self, table: str) -> dict[tuple[Any, ...], Row]:
        """The rows of a table by key."""
        return {key_of(table, row): row for row in self._typed(f"SELECT row AS row FROM {table} AS row", table)}

    def history(self, table: str) -> list[Written]:
        """What was written of a table's rows, within a key in the order of commits."""
        session = self.connect()
        with session, session.cursor() as cursor:
            cursor.execute(
                "SELECT operation, transaction::text::bigint, "
                "pg_xact_commit_timestamp(transaction::xid) AT TIME ZONE 'UTC' "
                'FROM history WHERE "table" = %s ORDER BY number',
                (table,),
            )
            facts = cursor.fetchall()
        session.close()
        was, is_now = (
            list(
                self._typed(
                    f"SELECT CASE WHEN {name} IS NOT NULL THEN jsonb_populate_record(NULL::{table}, {name}) END AS row "
                    f"FROM history WHERE \"table\" = '{table}' ORDER BY number",
                    table,
                )
            )
            for name in ("was", "is_now")
        )
        return [Written(*fact, *rows) for fact, *rows in zip(facts, was, is_now, strict=True)]

    def _typed(self, query: str, table: str) -> Iterator[Any]:
        session = self.connect()
        with session, session.cursor() as cursor:
            cursor.execute(f"SELECT (read.row).*, read.row IS DISTINCT FROM NULL AS is_there FROM ({query}) AS read")
            names = [column.name for column in cursor.description or ()][:-1]
            for *values, is_there in cursor:
                values = [
                    value.astimezone(dt.UTC).replace(tzinfo=None)
                    if isinstance(value, dt.datetime) and value.tzinfo
                    else value
                    for value in values
                ]
                yield dict(zip(names, values, strict=True)) if is_there else None
        session.close()


def key_of(table: str, row: Row) -> tuple[Any, ...]:
    """The key of a row."""
    return tuple(row[name] for name in KEYS[table])


class Session:
    """What a session writes in one transaction."""

    def __init__(self, cursor: Any, dice: random.Random, shop: Shop) -> None:
        self._cursor, self._dice, self._shop = cursor, dice, shop

    def transact(self) -> None:
        """One to five writes, some of them undone by a savepoint."""
        works = {
            self.register: 2, self.order: 3, self.edit: 4, self.rewrite: 2, self.pay: 4, self.count: 4,
            self.renumber: 2, self.reidentify: 1, self.remove_item: 2, self.leave: 1, self.cancel: 1,
        }  # fmt: skip
        for work in self._dice.choices(list(works), list(works.values()), k=self._dice.randrange(1, 6)):
            is_undone = self._dice.random() < 0.15
            if is_undone or self._dice.random() < 0.2:
                self._cursor.execute("SAVEPOINT before")
            work()
            if is_undone:
                self._cursor.execute("ROLLBACK TO SAVEPOINT before")
                self._shop.done["savepoint rolled back"] += 1

    def register(self) -> None:
        """A customer registers, or is imported with the time of an earlier registration, or with none."""
        number = self._shop.number()
        created = self._dice.choice(["now()", "now()", "'2019-03-04 05:06:07.000089+02'", "NULL"])
        self._do(
            f"INSERT INTO customers VALUES (%s, %s, %s, %s, %s, %s, %s, %s, {created}, clock_timestamp())",
            number, self._dice.choice([None, f"c{number}@example.org"]), f"Ñame \"{number}\"\t\\",
            self._dice.choice(["DE", "FR", None]), dt.date(1900, 1, 1) + dt.timedelta(self._dice.randrange(45_000)),
            self._dice.choice([True, False, None]), self._interests(), self._note(),
        )  # fmt: skip

    def order(self) -> None:
        """An order with up to three items, in one statement."""
        number = self._shop.number()
        self._do(
            "INSERT INTO orders (order_id, customer_id, status, currency, discount_amount, shipping_amount, "
            "tax_amount, total_amount, shipping_address, ordered_at, updated_at) VALUES (%s, %s, 'pending', 'EUR', %s, "
            "%s, NULL, %s, %s, clock_timestamp(), clock_timestamp())",
            number, self._some(), self._amount(), self._amount(), self._total(), f"{number} Main Street",
        )  # fmt: skip
        self._do(
            "INSERT INTO order_items SELECT %s, line, %s, 1 + line, %s FROM generate_series(1, %s) AS line",
            number, self._dice.randrange(50), self._amount(), self._dice.randrange(1, 4),
        )  # fmt: skip

    def edit(self) -> None:
        """A customer's short values change, or not even those: long ones are left alone."""
        self._on(
            "customers", "UPDATE {} SET accepts_marketing = %s, country_code = %s, updated_at = clock_timestamp() "
            "WHERE {}",
            self._dice.choice([True, False]), self._dice.choice(["DE", "US"]),
        )  # fmt: skip

    def rewrite(self) -> None:
        """A customer's long values change."""
        name, value = self._dice.choice([("note", self._note()), ("interests", self._interests())])
        self._on("customers", f"UPDATE {{}} SET {name} = %s WHERE {{}}", value)

    def pay(self) -> None:
        self._on(
            "orders",
            "UPDATE {} SET status = %s, tax_amount = %s, total_amount = %s WHERE {}",
            self._dice.choice(["paid", "shipped"]),
            self._amount(),
            self._total(),
        )

    def count(self) -> None:
        self._on("order_items", "UPDATE {} SET quantity = %s WHERE {}", self._quantity())

    def renumber(self) -> None:
        """The key of an item changes."""
        self._on("order_items", "UPDATE {} SET line_number = line_number + %s WHERE {}", self._dice.randrange(1, 4))

    def reidentify(self) -> None:
        """The key of a customer changes.

        The connector tells a change of a key as a new row, without unchanged values that are stored apart, unless the
        table's replica identity is FULL. So until it is, the long values are written again.
        """
        again = "" if self._shop.is_told_whole else ", note = note || '', interests = interests || array[]::text[]"
        self._on("customers", f"UPDATE {{}} SET customer_id = %s{again} WHERE {{}}", self._shop.number())

    def remove_item(self) -> None:
        self._on("order_items", "DELETE FROM {} WHERE {}")

    def leave(self) -> None:
        self._on("customers", "DELETE FROM {} WHERE {}")

    def cancel(self) -> None:
        """An order goes, and comes back in the same transaction or not."""
        self._do("CREATE TEMP TABLE IF NOT EXISTS gone (LIKE orders) ON COMMIT DROP")
        self._on("orders", "WITH found AS (DELETE FROM {} WHERE {} RETURNING *) INSERT INTO gone SELECT * FROM found")
        if self._dice.random() < 0.5:
            self._do("INSERT INTO orders SELECT * FROM gone ON CONFLICT DO NOTHING")
            self._shop.done["came back"] += 1
        self._do("DELETE FROM gone")

    def _some(self) -> int | None:
        self._cursor.execute("SELECT customer_id FROM customers WHERE customer_id < 9000000 ORDER BY random() LIMIT 1")
        found = self._cursor.fetchone()
        return found[0] if found else None

    def _on(self, table: str, statement: str, *values: Any) -> None:
        """Write one of the twelve rows with the smallest keys, which others write too, or any row."""
        most = self._dice.choice([12, 1_000_000])
        keys = ", ".join(KEYS[table])
        self._cursor.execute(
            f"SELECT {keys} FROM (SELECT {keys} FROM {table} WHERE {KEYS[table][0]} < 9000000 ORDER BY {keys} "
            f"LIMIT {most}) AS found ORDER BY random() LIMIT 1"
        )
        key = self._cursor.fetchone()
        if key is not None:
            self._do(statement.format(table, " AND ".join(f"{name} = %s" for name in KEYS[table])), *values, *key)

    def _do(self, statement: str, *values: Any) -> None:
        self._cursor.execute(statement, values)

    def _amount(self) -> str:
        return f"{self._dice.randrange(-100, 10**6)}.{self._dice.randrange(100):02d}"

    def _total(self) -> str:
        """An amount that the contract accepts."""
        return f"{self._dice.randrange(100_000)}.{self._dice.randrange(100):02d}"

    def _quantity(self) -> int:
        return self._dice.randrange(1, self._shop.most)

    def _note(self) -> str | None:
        """Text that is stored apart, or short, or none."""
        return self._dice.choice([None, "short", self._long(), self._long()])

    def _interests(self) -> list[str] | None:
        return self._dice.choice([None, [], ["toys", 'a "quoted" one'], [self._long() for _ in range(2)]])

    def _long(self) -> str:
        return "".join(self._dice.choices("abcdefghijklmnop ", k=2500))
