"""Migration 1: the tables of DESIGN §6, their indexes, and full text search over what people and models said."""

STATEMENTS = """
CREATE TABLE calls (
  id TEXT PRIMARY KEY NOT NULL,
  started_at TEXT NOT NULL,
  ts_ms INTEGER NOT NULL,
  stored_at TEXT NOT NULL,
  conversation_id TEXT NOT NULL,
  replay_of TEXT REFERENCES calls(id) ON DELETE SET NULL,
  client TEXT,
  project TEXT,
  tag TEXT,
  user_agent TEXT,
  method TEXT,
  host TEXT,
  path TEXT,
  provider TEXT,
  upstream TEXT,
  api TEXT,
  model TEXT,
  served_model TEXT,
  response_model TEXT,
  route TEXT,
  decision TEXT,
  stream INTEGER,
  status INTEGER,
  outcome TEXT,
  error_type TEXT,
  error TEXT,
  finish_reason TEXT,
  input_tokens INTEGER,
  output_tokens INTEGER,
  cache_read_tokens INTEGER,
  cache_write_tokens INTEGER,
  reasoning_tokens INTEGER,
  tokens_source TEXT,
  cost_usd REAL,
  cost_source TEXT,
  key_hint TEXT,
  attempts INTEGER,
  redactions INTEGER,
  pinned INTEGER NOT NULL DEFAULT 0,
  n_messages INTEGER,
  n_tool_calls INTEGER,
  request_bytes INTEGER,
  response_bytes INTEGER,
  connect_ms REAL,
  ttfb_ms REAL,
  ttft_ms REAL,
  duration_ms REAL,
  prompt TEXT,
  response TEXT
);
CREATE INDEX calls_ts_ms ON calls(ts_ms);
CREATE INDEX calls_started_at ON calls(started_at);
CREATE INDEX calls_stored_at ON calls(stored_at);
CREATE INDEX calls_conversation_id ON calls(conversation_id, ts_ms);
CREATE INDEX calls_model ON calls(model, ts_ms);
CREATE INDEX calls_upstream ON calls(upstream, ts_ms);
CREATE INDEX calls_outcome ON calls(outcome, ts_ms);
CREATE INDEX calls_client ON calls(client, ts_ms);
CREATE INDEX calls_replay_of ON calls(replay_of) WHERE replay_of IS NOT NULL;

CREATE TABLE attempts (
  call_id TEXT NOT NULL REFERENCES calls(id) ON DELETE CASCADE,
  n INTEGER NOT NULL,
  upstream TEXT,
  host TEXT,
  model TEXT,
  key_hint TEXT,
  status INTEGER,
  failure TEXT,
  wait_ms REAL,
  duration_ms REAL,
  PRIMARY KEY (call_id, n)
);

CREATE TABLE segments (
  id INTEGER PRIMARY KEY,
  hash BLOB NOT NULL UNIQUE,
  codec TEXT NOT NULL,
  size INTEGER NOT NULL,
  data BLOB NOT NULL
);

CREATE TABLE bodies (
  call_id TEXT NOT NULL REFERENCES calls(id) ON DELETE CASCADE,
  kind TEXT NOT NULL,
  headers TEXT,
  encoding TEXT,
  sha256 TEXT,
  size INTEGER,
  truncated INTEGER,
  redacted INTEGER,
  segments TEXT NOT NULL,
  PRIMARY KEY (call_id, kind)
);

CREATE TABLE messages (
  id INTEGER PRIMARY KEY,
  hash BLOB NOT NULL UNIQUE,
  parent INTEGER REFERENCES messages(id),
  role TEXT NOT NULL,
  n INTEGER NOT NULL
);
CREATE INDEX messages_parent ON messages(parent);

CREATE TABLE parts (
  id INTEGER PRIMARY KEY,
  message_id INTEGER NOT NULL REFERENCES messages(id) ON DELETE CASCADE,
  n INTEGER NOT NULL,
  kind TEXT NOT NULL,
  text TEXT,
  data TEXT
);
CREATE INDEX parts_message_id ON parts(message_id, n);

CREATE TABLE call_messages (
  call_id TEXT NOT NULL REFERENCES calls(id) ON DELETE CASCADE,
  position INTEGER NOT NULL,
  message_id INTEGER NOT NULL REFERENCES messages(id),
  is_answer INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (call_id, position)
) WITHOUT ROWID;
CREATE INDEX call_messages_message_id ON call_messages(message_id);

CREATE VIRTUAL TABLE parts_fts USING fts5(text, content="parts", content_rowid="id", tokenize="unicode61 remove_diacritics 2");
CREATE TRIGGER parts_ai AFTER INSERT ON parts BEGIN
  INSERT INTO parts_fts(rowid, text) VALUES (new.id, new.text);
END;
CREATE TRIGGER parts_ad AFTER DELETE ON parts BEGIN
  INSERT INTO parts_fts(parts_fts, rowid, text) VALUES ('delete', old.id, old.text);
END;
CREATE TRIGGER parts_au AFTER UPDATE ON parts BEGIN
  INSERT INTO parts_fts(parts_fts, rowid, text) VALUES ('delete', old.id, old.text);
  INSERT INTO parts_fts(rowid, text) VALUES (new.id, new.text);
END;

CREATE TABLE stream_timings (
  call_id TEXT PRIMARY KEY NOT NULL REFERENCES calls(id) ON DELETE CASCADE,
  deltas_ms TEXT NOT NULL
);

CREATE TABLE redactions (
  call_id TEXT NOT NULL REFERENCES calls(id) ON DELETE CASCADE,
  rule TEXT NOT NULL,
  "where" TEXT NOT NULL,
  action TEXT NOT NULL
);
CREATE INDEX redactions_call_id ON redactions(call_id);

CREATE TABLE tls_failures (
  client TEXT NOT NULL,
  host TEXT NOT NULL,
  reason TEXT NOT NULL,
  fix TEXT,
  count INTEGER NOT NULL DEFAULT 1,
  first_at TEXT NOT NULL,
  last_at TEXT NOT NULL,
  PRIMARY KEY (client, host, reason)
);
"""
