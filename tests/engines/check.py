#!/usr/bin/env python3
"""What an engine reads from a lake is what the databases behind it say.

check.py ENGINE REGSQL LAKE NAME=DATABASE...

NAME=DATABASE is an export: the registry's name in the lake, and the database as it was then, of each
registry the oldest first. Every view of every export is compared row by row with the one in SQLite, and
every fleet query with what plain Python works out of the databases. ENGINE is duckdb, clickhouse (chdb),
spark, or trino, whose statements are only parsed.
"""

import collections
import contextlib
import datetime
import decimal
import json
import os
import sqlite3
import subprocess
import sys
import time

# ---- engines: each runs statements and gives rows of plain values ----


class DuckDb:
    def __init__(self, statements):
        import duckdb

        self.connection = duckdb.connect()
        self.connection.execute("SET TimeZone = 'UTC'")
        with contextlib.suppress(ImportError):
            # Extensions of PyPI, where there are some: those that a statement needs are loaded from there.
            import duckdb_ext

            (place,) = duckdb_ext.__path__
            self.connection.execute(f"SET extension_directory = '{place}/extensions'")
        self.connection.execute(statements)

    def rows(self, sql):
        return self.connection.execute(sql).fetchall()


class ClickHouse:
    def __init__(self, statements):
        from chdb import session

        self.session = session.Session()
        for statement in statements.split(";\n"):
            if statement.strip():
                self.session.query(statement)

    def rows(self, sql):
        answer = str(self.session.query(sql, "JSONCompact"))
        parsed = json.loads(answer) if answer else {"meta": [], "data": []}
        kinds = [column["type"] for column in parsed["meta"]]
        return [tuple(self.value(kind, value) for kind, value in zip(kinds, row)) for row in parsed["data"]]

    @staticmethod
    def value(kind, value):
        if value is None:
            return None
        if "DateTime" in kind:
            return datetime.datetime.fromisoformat(value[:19])
        if "Int" in kind or "Decimal" in kind:
            return int(value)
        return value


class Spark:
    def __init__(self, statements):
        from pyspark.sql import SparkSession

        builder = SparkSession.builder.master("local[2]").config("spark.sql.session.timeZone", "UTC")
        builder = builder.config("spark.ui.enabled", "false").config("spark.sql.shuffle.partitions", "2")
        self.spark = builder.getOrCreate()
        self.spark.sparkContext.setLogLevel("ERROR")
        for statement in statements.split(";\n"):
            if statement.strip():
                self.spark.sql(statement)

    def rows(self, sql):
        # docs/lake.md: Spark 4.3 makes no plan of a recursive query over partitions that it prunes as it runs.
        is_recursive = "RECURSIVE" in sql
        self.spark.conf.set("spark.sql.optimizer.dynamicPartitionPruning.enabled", str(not is_recursive).lower())
        return [tuple(row) for row in self.spark.sql(sql).collect()]


# ---- values that can be compared ----


def plain(value):
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, decimal.Decimal):
        return int(value)
    if isinstance(value, datetime.datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    return value


def plain_rows(rows):
    return [tuple(plain(value) for value in row) for row in rows]


def ordered(rows):
    return sorted(rows, key=lambda row: [(value is None, str(value)) for value in row])


# ---- what the databases say ----


class Export:
    """A database, and what follows from its views without regsql's figures."""

    def __init__(self, name, path):
        self.registry = name
        self.path = path
        self.database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        self.size = dict(self.query("SELECT digest, size_bytes FROM blobs WHERE size_bytes IS NOT NULL"))
        self.next = collections.defaultdict(set)
        manifests = {digest for (digest,) in self.query("SELECT digest FROM manifests")}
        for manifest, digest in self.query(
            "SELECT manifest_digest, digest FROM manifest_references WHERE role <> 'subject'"
        ):
            self.next[manifest].add(digest)
        for link, blob in self.query("SELECT link_digest, blob_digest FROM layer_links WHERE link_digest <> blob_digest"):
            self.next[link].add(blob)
        starts = collections.defaultdict(set)
        for (repository,) in self.query("SELECT repository FROM repositories"):
            starts[repository] = set()
        for table in ("revisions", "tags"):
            for repository, digest in self.query(f"SELECT repository, manifest_digest FROM {table}"):
                if digest in manifests:
                    starts[repository].add(digest)
        held = "SELECT repository FROM repositories WHERE is_held"
        for repository, link, blob in self.query(
            f"SELECT repository, link_digest, blob_digest FROM layer_links WHERE repository IN ({held})"
        ):
            starts[repository] |= {link, blob}
        # What somebody outside refers to stays whatever repositories say.
        starts[None] = {digest for (digest,) in self.query("SELECT digest FROM roots WHERE is_found AND digest IS NOT NULL")}
        self.reach = {repository: self.closure(digests) for repository, digests in starts.items()}
        self.keepers = collections.Counter(digest for digests in self.reach.values() for digest in digests)

    def query(self, sql):
        return self.database.execute(sql).fetchall()

    def dicts(self, sql):
        cursor = self.database.execute(sql)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row)) for row in cursor.fetchall()]

    def closure(self, digests):
        found, open_ = set(digests), list(digests)
        while open_:
            for digest in self.next.get(open_.pop(), ()):
                if digest not in found:
                    found.add(digest)
                    open_.append(digest)
        return found

    def check(self):
        """This walk gives regsql's figures, so that it may judge those of an engine."""
        for repository, logical, exclusive in self.query(
            "SELECT repository, logical_bytes, exclusive_bytes FROM repositories"
        ):
            reached = self.reach[repository]
            assert sum(self.size.get(digest, 0) for digest in reached) == logical, (self.path, repository)
            alone = (digest for digest in reached if self.keepers[digest] == 1)
            assert sum(self.size.get(digest, 0) for digest in alone) == exclusive, (self.path, repository)
        orphans = {digest for (digest,) in self.query("SELECT blob_digest FROM orphan_blobs")}
        assert orphans == {digest for digest in self.size if digest not in self.keepers}, self.path


class Fleet:
    def __init__(self, exports):
        self.exports = exports
        self.latest = {export.registry: export for export in exports}

    def history(self, table, columns):
        rows = set()
        for export in self.exports:
            rows |= {(export.registry, *row) for row in export.query(f"SELECT {', '.join(columns)} FROM {table}")}
        return rows

    @staticmethod
    def before(rows, key):
        """Each row with the one before it of the same key."""
        last = {}
        for row in sorted(rows):
            yield row, last.get(key(row))
            last[key(row)] = row

    def growth(self):
        columns = ["finished_at", "blob_bytes", "orphan_bytes", "repository_count", "tag_count"]
        for row, last in self.before(self.history("scan_history", columns), lambda row: row[0]):
            registry, at, blobs, orphans, repositories, tags = row
            yield registry, at, blobs, last and blobs - last[2], orphans, repositories, tags

    def repository_growth(self):
        columns = ["repository", "finished_at", "logical_bytes", "exclusive_bytes", "tag_count"]
        for row, last in self.before(self.history("repository_history", columns), lambda row: row[:2]):
            registry, repository, at, logical, exclusive, tags = row
            yield registry, repository, at, logical, last and logical - last[3], exclusive, tags

    def fastest_growing(self):
        rows = collections.defaultdict(dict)
        for registry, repository, at, logical in self.history(
            "repository_history", ["repository", "finished_at", "logical_bytes"]
        ):
            rows[registry, at][repository] = logical
        scans = collections.defaultdict(list)
        for registry, at in self.history("scan_history", ["finished_at"]):
            scans[registry].append(at)
        found = []
        for registry, times in scans.items():
            newest = max(times)
            limit = datetime.datetime.fromisoformat(newest[:19]) - datetime.timedelta(days=30)
            old = [at for at in times if datetime.datetime.fromisoformat(at[:19]) <= limit]
            since = max(old) if old else min(times)
            for repository, logical in rows[registry, newest].items():
                then = rows[registry, since].get(repository, 0)
                found.append((registry, repository, logical - then, logical, then, since))
        return sorted(found, key=lambda row: (-row[2], row[0], row[1]))[:100]

    def shared_layers(self):
        layers = collections.defaultdict(list)
        for export in self.latest.values():
            for digest, size, tags in export.query("SELECT digest, size_bytes, tag_count FROM layers WHERE is_present"):
                layers[digest].append((size, tags))
        found = [
            (digest, len(held), held[0][0], (len(held) - 1) * held[0][0], sum(tags for _, tags in held))
            for digest, held in layers.items()
            if len(held) > 1
        ]
        return sorted(found, key=lambda row: (-row[3], row[0]))[:100]

    def merge_savings(self):
        for one in self.latest.values():
            for other in self.latest.values():
                both = one.size.keys() & other.size.keys()
                if one.registry < other.registry and both:
                    yield one.registry, other.registry, len(both), sum(one.size[digest] for digest in both)

    def only_here(self):
        copies = collections.Counter(digest for export in self.latest.values() for digest in export.size)
        for export in self.latest.values():
            alone = [digest for digest in export.size if copies[digest] == 1]
            reached = [digest for digest in alone if digest in export.keepers]
            total = [sum(export.size[digest] for digest in digests) for digests in (alone, reached, export.size)]
            yield export.registry, len(alone), *total

    def base_images(self):
        now = max(at for export in self.latest.values() for (at,) in export.query("SELECT finished_at FROM scan_info"))
        limit = datetime.datetime.fromisoformat(now[:19]) - datetime.timedelta(days=180)
        bases = collections.defaultdict(lambda: [set(), set(), [], None, []])
        for export in self.latest.values():
            for image in export.dicts("SELECT digest, layer_count, created_at FROM manifests WHERE kind = 'image'"):
                layers = export.query(
                    "SELECT position, digest FROM manifest_references WHERE role = 'layer' "
                    f"AND manifest_digest = '{image['digest']}'"
                )
                if not layers:
                    continue
                base = bases[min(layers)[1]]
                base[0].add(image["digest"])
                of_image = f"FROM {{}} WHERE manifest_digest = '{image['digest']}'"
                for (repository,) in export.query("SELECT repository " + of_image.format("revisions")):
                    base[1].add((export.registry, repository))
                if image["created_at"] and image["created_at"] >= "1980-01-02":
                    base[2].append(image["created_at"])
                for repository, tag in export.query("SELECT repository, tag " + of_image.format("tags")):
                    base[4].append((image["layer_count"], export.registry, repository, tag))
                base[3] = max(
                    (size or 0 for e in self.latest.values() for (size,) in e.query(
                        f"SELECT size_bytes FROM layers WHERE digest = '{min(layers)[1]}'")), default=None) or None
        found = []
        for digest, (images, places, created, size, tags) in bases.items():
            newest = max(created) if created else None
            is_old = None if newest is None else int(datetime.datetime.fromisoformat(newest[:19]) < limit)
            example = "{1} {2}:{3}".format(*min(tags)) if tags else None
            registries = {registry for registry, _ in places}
            found.append((digest, len(images), len(registries), len(places), size, newest, is_old, example))
        return sorted(found, key=lambda row: (-row[1], row[0]))[:100]

    def garbage(self):
        for export in self.latest.values():
            (at,) = export.query("SELECT finished_at FROM scan_info")[0]
            orphans = [digest for digest in export.size if digest not in export.keepers]
            kept = [digest for digest in export.size if digest in export.reach[None]
                    and not any(digest in found for repository, found in export.reach.items() if repository is not None)]
            freed = dict(export.query("SELECT class, size_bytes FROM reclaimable"))
            yield (
                export.registry, at, sum(export.size.values()), len(orphans), sum(export.size[one] for one in orphans),
                freed["untagged revisions"], freed["stale uploads"], sum(export.size[one] for one in kept),
            )

    def broken_images(self):
        whole = collections.defaultdict(set)
        for export in self.latest.values():
            for (digest,) in export.query("SELECT manifest_digest FROM tags WHERE NOT is_broken"):
                whole[digest].add(export.registry)
        for export in self.latest.values():
            for repository, tag, digest, at in export.query(
                "SELECT repository, tag, manifest_digest, pushed_at FROM tags WHERE is_broken"
            ):
                yield export.registry, repository, tag, digest, at, len(whole[digest] - {export.registry})

    def exclusive_bytes(self):
        anywhere = collections.Counter()
        for export in self.latest.values():
            anywhere.update({one: count for one, count in export.keepers.items() if one in export.size})
        for export in self.latest.values():
            for repository, found in export.reach.items():
                found = [digest for digest in found if digest in export.size]
                if repository is None or not found:
                    continue
                total = lambda keepers: sum(export.size[one] for one in found if keepers is None or keepers[one] == 1)
                yield export.registry, repository, total(None), total(export.keepers), total(anywhere)

    def graph(self):
        for export in self.latest.values():
            owned = collections.defaultdict(list)
            for digest, size in export.size.items():
                keepers = [repository for repository, found in export.reach.items() if digest in found]
                owner = "(orphans)" if not keepers else keepers[0] if len(keepers) == 1 else "(shared)"
                owned["(kept)" if owner is None else owner].append(size)
            for owner, sizes in owned.items():
                yield export.registry, owner, len(sizes), sum(sizes), 0


def check_views(engine, exports, views):
    scans = collections.defaultdict(list)
    for registry, scan in engine.rows("SELECT registry, scan FROM scan_info ORDER BY registry, scan"):
        scans[registry].append(scan)
    names = list(scans)
    assert sorted(names) == sorted({export.registry for export in exports}), names
    count = 0
    for export in exports:
        scan = scans[export.registry].pop(0)
        # Registry names may hold anything, and the last statement of a text is all that is escaped here.
        where = "registry = '{}' AND scan = '{}'".format(export.registry.replace("'", "''"), scan)
        for view in views:
            cursor = export.database.execute(f"SELECT * FROM {view}")
            columns = [column[0] for column in cursor.description]
            quote = '"' if isinstance(engine, DuckDb) else "`"
            listed = ", ".join(f"{quote}{column}{quote}" for column in columns)
            expected = ordered(cursor.fetchall())
            found = ordered(plain_rows(engine.rows(f"SELECT {listed} FROM {view} WHERE {where}")))
            assert found == expected, difference(f"{export.registry} {view}", found, expected)
            count += len(found)
    assert not any(scans.values()), f"more scans in the lake than exports: {dict(scans)}"
    return count


def difference(what, found, expected):
    only_found = [row for row in found if row not in expected][:3]
    only_expected = [row for row in expected if row not in found][:3]
    return f"{what}: {len(found)} rows, {len(expected)} expected; found {only_found}; expected {only_expected}"


def check_query(engine, fleet, name, sql):
    expected = list(getattr(fleet, name.replace("-", "_"))())
    started = time.monotonic()
    found = plain_rows(engine.rows(sql))
    seconds = time.monotonic() - started
    assert ordered(found) == ordered(expected), difference(name, found, expected)
    assert expected, f"{name}: the sample has no row for it"
    return len(found), seconds


def parse_for_trino(statements, queries):
    import sqlglot

    parsed = sqlglot.parse(statements, read="trino")
    for sql in queries.values():
        parsed += sqlglot.parse(sql, read="trino")
    assert all(parsed), "a statement is empty"
    print(f"trino: {len(parsed)} statements parsed by sqlglot, none was run")


def main():
    engine_name, regsql, lake, *given = sys.argv[1:]
    run = lambda *arguments: subprocess.run([regsql, *arguments], check=True, capture_output=True, text=True).stdout
    statements = run("export", lake, "--views", engine_name)
    names = [line.split()[0] for line in run("export", "--queries").splitlines()]
    queries = {name: run("export", "--query", name) for name in names}
    if engine_name == "trino":
        return parse_for_trino(statements, queries)
    exports = [Export(*one.rsplit("=", 1)) for one in given]
    for export in exports:
        export.check()
    engine = {"duckdb": DuckDb, "clickhouse": ClickHouse, "spark": Spark}[engine_name](statements)
    views = sorted({row["view"] for row in json.loads(run("schema", "--format", "json"))})
    rows = check_views(engine, exports, views)
    print(f"{engine_name}: {rows} rows of {len(views)} views in {len(exports)} exports are those of SQLite")
    fleet = Fleet(exports)
    for name, sql in queries.items():
        count, seconds = check_query(engine, fleet, name, sql)
        print(f"{engine_name}: {name}: {count} rows are those worked out by hand, {seconds:.2f} s")


if __name__ == "__main__":
    os.environ["TZ"] = "UTC"
    time.tzset()
    main()
