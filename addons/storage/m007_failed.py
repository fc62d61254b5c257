"""Migration 7: one way to count what failed, and speeds that mean something.

`daily` and `by_model` count as `failed` what the dashboard and the view `errors` call errors: error, partial, blocked (their column
`errors` stays what it was, the outcome error alone). In `latency` an answer of fewer than 10 tokens, or one that came within 100 ms, has no
speed.
"""

STATEMENTS = """
DROP VIEW daily;
CREATE VIEW daily AS
SELECT date(ts_ms / 1000, 'unixepoch') AS day, count(*) AS calls, sum(outcome = 'ok') AS ok, sum(outcome = 'error') AS errors,
       sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens, sum(cache_read_tokens) AS cache_read_tokens,
       sum(cache_write_tokens) AS cache_write_tokens, sum(reasoning_tokens) AS reasoning_tokens, sum(cost_usd) AS cost_usd,
       sum(cost_usd IS NULL) AS calls_without_cost, count(DISTINCT conversation_id) AS conversations, count(DISTINCT model) AS models,
       sum(outcome IN ('error', 'partial', 'blocked')) AS failed
FROM calls
GROUP BY day;

DROP VIEW by_model;
CREATE VIEW by_model AS
SELECT coalesce(response_model, served_model, model) AS model, provider, upstream, count(*) AS calls,
       sum(outcome = 'ok') AS ok, sum(outcome = 'error') AS errors, sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens,
       sum(cache_read_tokens) AS cache_read_tokens, sum(cost_usd) AS cost_usd, avg(cost_usd) AS avg_cost_usd,
       avg(ttft_ms) AS avg_ttft_ms, avg(duration_ms) AS avg_duration_ms, max(started_at) AS last_at,
       sum(outcome IN ('error', 'partial', 'blocked')) AS failed
FROM calls
GROUP BY coalesce(response_model, served_model, model), provider, upstream;

DROP VIEW latency;
CREATE VIEW latency AS
WITH answered AS (
  SELECT coalesce(response_model, served_model, model) AS model, upstream, ttft_ms, duration_ms,
         CASE WHEN duration_ms - ttft_ms >= 100 AND output_tokens >= 10 THEN output_tokens * 1000.0 / (duration_ms - ttft_ms) END
           AS tokens_per_s
  FROM calls
  WHERE outcome = 'ok'
), ranked AS (
  SELECT *,
         row_number() OVER (PARTITION BY model, upstream ORDER BY ttft_ms IS NULL, ttft_ms) AS ttft_rank,
         count(ttft_ms) OVER (PARTITION BY model, upstream) AS ttft_n,
         row_number() OVER (PARTITION BY model, upstream ORDER BY duration_ms IS NULL, duration_ms) AS duration_rank,
         count(duration_ms) OVER (PARTITION BY model, upstream) AS duration_n,
         row_number() OVER (PARTITION BY model, upstream ORDER BY tokens_per_s IS NULL, tokens_per_s) AS speed_rank,
         count(tokens_per_s) OVER (PARTITION BY model, upstream) AS speed_n
  FROM answered
)
SELECT model, upstream, count(*) AS calls,
       max(CASE WHEN ttft_rank = (ttft_n * 50 + 99) / 100 THEN ttft_ms END) AS ttft_p50_ms,
       max(CASE WHEN ttft_rank = (ttft_n * 95 + 99) / 100 THEN ttft_ms END) AS ttft_p95_ms,
       max(CASE WHEN ttft_rank = (ttft_n * 99 + 99) / 100 THEN ttft_ms END) AS ttft_p99_ms,
       max(CASE WHEN duration_rank = (duration_n * 50 + 99) / 100 THEN duration_ms END) AS duration_p50_ms,
       max(CASE WHEN duration_rank = (duration_n * 95 + 99) / 100 THEN duration_ms END) AS duration_p95_ms,
       max(CASE WHEN duration_rank = (duration_n * 99 + 99) / 100 THEN duration_ms END) AS duration_p99_ms,
       max(CASE WHEN speed_rank = (speed_n * 50 + 99) / 100 THEN tokens_per_s END) AS tokens_per_s_p50
FROM ranked
GROUP BY model, upstream;
"""
