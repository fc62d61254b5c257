"""State migration 2: what processes that share the file must agree upon.

`leases` are the claims of `core/slots.py`: what each process has of a key with `max_concurrent`; `since` and `beat` are seconds of the
machine's monotonic clock. `resets` counts how often somebody has made the keys of an upstream free again.
"""

STATEMENTS = """
CREATE TABLE leases (
  name TEXT NOT NULL,
  worker TEXT NOT NULL,
  held INTEGER NOT NULL,
  wanted INTEGER NOT NULL,
  spare INTEGER NOT NULL,
  since REAL NOT NULL,
  beat REAL NOT NULL,
  PRIMARY KEY (name, worker)
) WITHOUT ROWID;

CREATE TABLE resets (
  upstream TEXT NOT NULL,
  n INTEGER NOT NULL,
  PRIMARY KEY (upstream)
) WITHOUT ROWID;
"""
