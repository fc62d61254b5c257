"""Migration 2: the views of DESIGN §6, what people browse. Percentiles are nearest-rank, by window functions."""

STATEMENTS = """
CREATE VIEW traffic AS
SELECT id, started_at, client, upstream, coalesce(response_model, served_model, model) AS model, outcome, status,
       input_tokens, output_tokens, cost_usd, ttft_ms, duration_ms, prompt, response, cache_read_tokens, stream, attempts,
       n_tool_calls, error_type, error, finish_reason, conversation_id, replay_of, project, tag, api, provider, host, pinned
FROM calls
ORDER BY started_at DESC;

CREATE VIEW conversations AS
SELECT conversation_id, count(*) AS calls, min(started_at) AS first_at, max(started_at) AS last_at,
       (max(ts_ms) - min(ts_ms)) / 1000.0 AS span_s, max(client) AS client, group_concat(DISTINCT model) AS models,
       sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens, sum(cache_read_tokens) AS cache_read_tokens,
       sum(cost_usd) AS cost_usd, sum(n_tool_calls) AS tool_calls, sum(outcome <> 'ok') AS not_ok,
       (SELECT f.prompt FROM calls f WHERE f.conversation_id = c.conversation_id ORDER BY f.ts_ms LIMIT 1) AS first_prompt,
       (SELECT l.response FROM calls l WHERE l.conversation_id = c.conversation_id ORDER BY l.ts_ms DESC LIMIT 1) AS last_response
FROM calls c
GROUP BY conversation_id;

CREATE VIEW daily AS
SELECT date(ts_ms / 1000, 'unixepoch') AS day, count(*) AS calls, sum(outcome = 'ok') AS ok, sum(outcome = 'error') AS errors,
       sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens, sum(cache_read_tokens) AS cache_read_tokens,
       sum(cache_write_tokens) AS cache_write_tokens, sum(reasoning_tokens) AS reasoning_tokens, sum(cost_usd) AS cost_usd,
       sum(cost_usd IS NULL) AS calls_without_cost, count(DISTINCT conversation_id) AS conversations, count(DISTINCT model) AS models
FROM calls
GROUP BY day;

CREATE VIEW by_model AS
SELECT coalesce(response_model, served_model, model) AS model, provider, upstream, count(*) AS calls,
       sum(outcome = 'ok') AS ok, sum(outcome = 'error') AS errors, sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens,
       sum(cache_read_tokens) AS cache_read_tokens, sum(cost_usd) AS cost_usd, avg(cost_usd) AS avg_cost_usd,
       avg(ttft_ms) AS avg_ttft_ms, avg(duration_ms) AS avg_duration_ms, max(started_at) AS last_at
FROM calls
GROUP BY coalesce(response_model, served_model, model), provider, upstream;

CREATE VIEW by_key AS
SELECT a.upstream, a.key_hint, count(*) AS attempts, sum(a.failure IS NULL) AS successes,
       sum(a.failure = 'rate_limit') AS rate_limit, sum(a.failure = 'quota') AS quota, sum(a.failure = 'auth') AS auth,
       sum(a.failure IS NOT NULL AND a.failure NOT IN ('rate_limit', 'quota', 'auth')) AS other_failures,
       sum(c.input_tokens) AS input_tokens, sum(c.output_tokens) AS output_tokens, sum(c.cost_usd) AS cost_usd,
       max(w.started_at) AS last_at
FROM attempts a
JOIN calls w ON w.id = a.call_id
LEFT JOIN calls c ON c.id = a.call_id AND c.attempts = a.n
GROUP BY a.upstream, a.key_hint;

CREATE VIEW latency AS
WITH answered AS (
  SELECT coalesce(response_model, served_model, model) AS model, upstream, ttft_ms, duration_ms,
         CASE WHEN duration_ms > ttft_ms AND output_tokens > 0 THEN output_tokens * 1000.0 / (duration_ms - ttft_ms) END AS tokens_per_s
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

CREATE VIEW errors AS
SELECT id, started_at, client, upstream, coalesce(served_model, model) AS model, status, outcome, error_type, error, attempts,
       (SELECT group_concat(coalesce(failure, 'none')) FROM attempts a WHERE a.call_id = calls.id) AS failures,
       duration_ms, prompt, conversation_id
FROM calls
WHERE outcome IN ('error', 'partial', 'blocked')
ORDER BY started_at DESC;

CREATE VIEW replays AS
SELECT r.id, r.started_at, r.replay_of, o.started_at AS original_started_at,
       r.upstream, o.upstream AS original_upstream,
       coalesce(r.response_model, r.served_model, r.model) AS model,
       coalesce(o.response_model, o.served_model, o.model) AS original_model,
       r.status, o.status AS original_status, r.outcome, o.outcome AS original_outcome,
       r.input_tokens, o.input_tokens AS original_input_tokens, r.output_tokens, o.output_tokens AS original_output_tokens,
       r.cost_usd, o.cost_usd AS original_cost_usd, r.cost_usd - o.cost_usd AS cost_change_usd,
       r.duration_ms, o.duration_ms AS original_duration_ms, r.duration_ms - o.duration_ms AS duration_change_ms,
       r.prompt, r.response, o.response AS original_response
FROM calls r
LEFT JOIN calls o ON o.id = r.replay_of
WHERE r.replay_of IS NOT NULL
ORDER BY r.started_at DESC;
"""
