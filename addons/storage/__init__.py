"""The captures on disk: schema migrations, the store, the writer thread.

    event loop ── CallRecord ──► Writer (its thread: digest) ── StoredCall ──► Store ──► turnpike.db
                                                                  reading ◄── read-only connections

`turnpike.db` is plain SQL for everybody (Datasette, sqlite-utils, the sqlite3 shell); only bodies need
`reading.read_body`, since they are kept as shared, compressed segments.
"""
