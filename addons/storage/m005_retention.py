"""Migration 5: a large file stays quick, and can be made smaller in small steps.

What nothing uses any more is known without a search, so that retention need not look for it.

`segment_refs` counts how often bodies list each segment; triggers keep it, whoever writes or deletes. `loose_messages` are those
whose last call went: looked at once more before they go, since a newer call may have said the same meanwhile. `calls_pinned` finds the
few that are pinned, whose bytes do not count.
The search's index is merged by `fulltext.merge_some` from now on, between transactions instead of within them.

The page of `traffic` is counted, filtered and sorted by one index that holds the columns people look for, in the order of time, so that
new calls are added at its end; a row of `calls` is a kilobyte. It stands for an index per column: those are written all over the file,
and whichever of them SQLite chooses, the other filters and facets read rows. A second one holds the same by model, the facet that is
asked for most and whose values take longest to sort; with its columns the expression is read from it, too.
The view itself has no order any more (Datasette's page has: `sort_desc`): with one SQLite reads every row to count them.
"""

STATEMENTS = """
CREATE TABLE segment_refs (
  segment_id INTEGER PRIMARY KEY REFERENCES segments(id) ON DELETE CASCADE,
  refs INTEGER NOT NULL
);
INSERT INTO segment_refs (segment_id, refs)
SELECT listed.value, count(*) FROM bodies, json_each(bodies.segments) AS listed GROUP BY listed.value;
CREATE INDEX segment_refs_unused ON segment_refs(segment_id) WHERE refs = 0;

CREATE TRIGGER bodies_ai AFTER INSERT ON bodies BEGIN
  INSERT INTO segment_refs (segment_id, refs) SELECT value, 1 FROM json_each(new.segments) WHERE true
  ON CONFLICT (segment_id) DO UPDATE SET refs = refs + 1;
END;
CREATE TRIGGER bodies_ad AFTER DELETE ON bodies BEGIN
  INSERT INTO segment_refs (segment_id, refs) SELECT value, 0 FROM json_each(old.segments) WHERE true
  ON CONFLICT (segment_id) DO UPDATE SET refs = refs - 1;
END;

CREATE INDEX calls_pinned ON calls(stored_at) WHERE pinned = 1;

CREATE TABLE loose_messages (
  message_id INTEGER PRIMARY KEY REFERENCES messages(id) ON DELETE CASCADE
);
CREATE TRIGGER call_messages_ad AFTER DELETE ON call_messages
WHEN NOT EXISTS (SELECT 1 FROM call_messages WHERE message_id = old.message_id)
BEGIN
  INSERT OR IGNORE INTO loose_messages (message_id) VALUES (old.message_id);
END;

INSERT INTO parts_fts (parts_fts, rank) VALUES ('automerge', 0);

DROP INDEX calls_started_at;
DROP INDEX calls_model;
DROP INDEX calls_upstream;
DROP INDEX calls_outcome;
DROP INDEX calls_client;
CREATE INDEX calls_traffic ON calls(
  started_at, outcome, upstream, client, status, api, response_model, served_model, model, project, tag
);
CREATE INDEX calls_traffic_model ON calls(
  coalesce(response_model, served_model, model), started_at,
  outcome, upstream, client, status, api, response_model, served_model, model, project, tag
);

DROP VIEW traffic;
CREATE VIEW traffic AS
SELECT id, started_at, client, upstream, coalesce(response_model, served_model, model) AS model, outcome, status,
       input_tokens, output_tokens, cost_usd, ttft_ms, duration_ms, prompt, response, cache_read_tokens, stream, attempts,
       n_tool_calls, error_type, error, finish_reason, conversation_id, replay_of, project, tag, api, provider, host, pinned
FROM calls;
"""
