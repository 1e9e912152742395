"""The PostgreSQL of the tests: a new database a test, and what was committed survives a kill."""

from __future__ import annotations

import psycopg

from tests.servers.postgres import Postgres


def test_what_was_committed_survives_a_kill(postgres: Postgres, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SHOW fsync").fetchone() == ("on",)
        connection.execute("CREATE TABLE decided (number integer)")
        connection.execute("INSERT INTO decided VALUES (7)")
    postgres.kill9()
    postgres.start()
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT number FROM decided").fetchall() == [(7,)]
    with psycopg.connect(postgres.new_database()) as connection:
        tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        assert connection.execute(tables).fetchone() == (0,)
