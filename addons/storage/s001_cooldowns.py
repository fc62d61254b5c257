"""State migration 1: what keys and upstreams must not be asked for yet. Times are Unix seconds; a key is known by a hash of it."""

STATEMENTS = """
CREATE TABLE cooldowns (
  upstream TEXT NOT NULL,
  key_id TEXT NOT NULL,
  quota_group TEXT NOT NULL,
  until REAL NOT NULL,
  step INTEGER NOT NULL,
  why TEXT NOT NULL,
  PRIMARY KEY (upstream, key_id, quota_group)
) WITHOUT ROWID;

CREATE TABLE breakers (
  upstream TEXT NOT NULL,
  until REAL NOT NULL,
  failures INTEGER NOT NULL,
  why TEXT NOT NULL,
  PRIMARY KEY (upstream)
) WITHOUT ROWID;
"""
