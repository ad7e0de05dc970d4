"""A database as pushing leaves it, written at once: pushing a million images would take a day.

A repository with as many tags as wanted, ten tags a manifest, ten blobs a manifest; every tag has a line in its history. Everything
came long ago. One blob in a hundred is in the repository and forgotten, one in a hundred is in none, and of these one in ten has been
condemned. There are no files: nothing that is measured opens one.
"""

import hashlib
import json
import os
import sqlite3
import time

from content import CONFIG, LAYER, MANIFEST

DAY_MS = 86_400_000
TAGS_A_MANIFEST = 10
BLOBS_A_MANIFEST = 10


class Filled:
    """What was put into a database."""

    def __init__(self, path, repository, tags):
        self.repository, self.tags = repository, [f"build-{number:07}" for number in range(tags)]
        self.forgotten, self.unlinked, self.condemned = tags // 100, tags // 100, tags // 1000
        self.then = int(time.time() * 1000) - 30 * DAY_MS
        connection = sqlite3.connect(path, isolation_level=None)
        # Until it is whole, nobody needs it.
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -2000000"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("BEGIN")
        self.write(connection)
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.close()

    def write(self, connection):
        then, many = self.then, connection.executemany
        repository = connection.execute("INSERT INTO repository (name, created_at_ms) VALUES (?, ?) RETURNING id",
                                        (self.repository, then)).fetchone()[0]
        blobs = [(f"sha256:{os.urandom(32).hex()}", 1_000_000 + number) for number in range(len(self.tags))]
        # Numbers that end in 98 are forgotten, in 99 unlinked, in 999 condemned.
        used = [blob for number, blob in enumerate(blobs) if number % 100 < 98]
        linked = [blob for number, blob in enumerate(blobs) if number % 100 < 99]
        condemned = {digest for digest, _ in blobs[999::1000]}
        many("INSERT INTO blob (digest, size, claimed_at_ms, condemned_at_ms) VALUES (?, ?, ?, ?)",
             ((digest, size, then, then if digest in condemned else None) for digest, size in blobs))
        many("INSERT INTO blob_link (repository_id, digest, size, wanted_at_ms) VALUES (?, ?, ?, ?)",
             ((repository, digest, size, then) for digest, size in linked))
        manifests = []
        for number in range(max(1, len(self.tags) // TAGS_A_MANIFEST)):
            parts = [used[(number * BLOBS_A_MANIFEST + part) % len(used)] for part in range(BLOBS_A_MANIFEST)]
            content = self.manifest(number, parts)
            digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
            manifests.append(digest)
            connection.execute("INSERT INTO manifest (repository_id, digest, media_type, annotations, size, content, pushed_at_ms) "
                               "VALUES (?, ?, ?, '{}', ?, ?, ?)", (repository, digest, MANIFEST, len(content), content, then))
            many("INSERT INTO manifest_reference (repository_id, digest, target, kind) VALUES (?, ?, ?, 'blob')",
                 ((repository, digest, part) for part, _ in parts))
        tagged = [(name, manifests[number % len(manifests)]) for number, name in enumerate(self.tags)]
        many("INSERT INTO tag (repository_id, name, digest, pushed_at_ms) VALUES (?, ?, ?, ?)",
             ((repository, name, digest, then) for name, digest in tagged))
        many("INSERT INTO tag_move (repository_id, name, after, moved_at_ms, principal) VALUES (?, ?, ?, ?, 'anonymous')",
             ((repository, name, digest, then) for name, digest in tagged))

    @staticmethod
    def manifest(number, parts):
        def descriptor(kind, part):
            return {"mediaType": kind, "digest": part[0], "size": part[1]}

        return json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(CONFIG, parts[0]),
                           "layers": [descriptor(LAYER, part) for part in parts[1:]],
                           "annotations": {"org.opencontainers.image.version": str(number)}}, indent=1).encode()
