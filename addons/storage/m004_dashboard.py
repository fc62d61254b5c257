"""Migration 4: all that the dashboard counts by and sums, in one index in the order of time.

A row of `calls` is about a kilobyte, most of it text; this index holds a fifth of it, so that 90 days are summed without reading the
table. New calls are added at its end. The three names of a model stand in it as they are: SQLite takes no index on their `coalesce`
for a covering one.
"""

STATEMENTS = """
CREATE INDEX calls_dashboard ON calls(
  ts_ms, outcome, response_model, served_model, model, client, project, tag, key_hint, upstream, status, error_type, attempts, stream,
  input_tokens, output_tokens, cache_read_tokens, cost_usd, ttft_ms, duration_ms
);
"""
