"""Migration 6: what Simon Willison's `llm` calls `responses` and `conversations`, so that queries for its logs work on the captures.

`select … from responses join conversations on responses.conversation_id = conversations.id`

A row of `responses` is a call with messages. The texts are put together from the parts, whole; what lies in compressed bodies
(`prompt_json`, `options_json`, `response_json`) is NULL here, and so is `schema_id`: `turnpike export --llm` writes them. `conversations`
is the view of migration 2 with llm's three columns after its own.
"""

STATEMENTS = """
CREATE VIEW responses AS
SELECT c.id, coalesce(c.model, c.served_model, c.response_model) AS model,
       coalesce((SELECT group_concat(t.text, char(10))
                 FROM (SELECT p.text FROM parts p
                       WHERE p.kind IN ('text', 'refusal') AND p.message_id =
                             (SELECT k.message_id FROM call_messages k JOIN messages m ON m.id = k.message_id
                              WHERE k.call_id = c.id AND k.is_answer = 0 AND m.role = 'user'
                                AND EXISTS (SELECT 1 FROM parts e
                                            WHERE e.message_id = m.id AND e.kind IN ('text', 'refusal') AND e.text <> '')
                              ORDER BY k.position DESC LIMIT 1)
                       ORDER BY p.n) t), c.prompt) AS prompt,
       (SELECT group_concat(t.text, char(10))
        FROM (SELECT p.text FROM call_messages k JOIN messages m ON m.id = k.message_id JOIN parts p ON p.message_id = m.id
              WHERE k.call_id = c.id AND k.is_answer = 0 AND m.role = 'system' AND p.kind = 'text'
              ORDER BY k.position, p.n) t) AS system,
       NULL AS prompt_json, NULL AS options_json,
       coalesce((SELECT group_concat(t.text, char(10))
                 FROM (SELECT p.text FROM call_messages k JOIN parts p ON p.message_id = k.message_id
                       WHERE k.call_id = c.id AND k.is_answer = 1 AND p.kind IN ('text', 'refusal')
                       ORDER BY k.position, p.n) t), c.response) AS response,
       NULL AS response_json, c.conversation_id, CAST(round(c.duration_ms) AS INTEGER) AS duration_ms, c.started_at AS datetime_utc,
       c.input_tokens, c.output_tokens,
       CASE WHEN coalesce(c.cache_read_tokens, c.cache_write_tokens, c.reasoning_tokens) IS NOT NULL THEN
         json_patch('{}', json_object('cache_read_tokens', c.cache_read_tokens, 'cache_write_tokens', c.cache_write_tokens,
                                      'reasoning_tokens', c.reasoning_tokens)) END AS token_details,
       NULL AS schema_id, nullif(c.response_model, coalesce(c.model, c.served_model)) AS resolved_model,
       (SELECT group_concat(t.text, char(10))
        FROM (SELECT p.text FROM call_messages k JOIN parts p ON p.message_id = k.message_id
              WHERE k.call_id = c.id AND k.is_answer = 1 AND p.kind = 'reasoning'
              ORDER BY k.position, p.n) t) AS reasoning
FROM calls c
WHERE c.prompt IS NOT NULL OR c.response IS NOT NULL OR EXISTS (SELECT 1 FROM call_messages k WHERE k.call_id = c.id)
ORDER BY c.started_at DESC;

DROP VIEW conversations;

CREATE VIEW conversations AS
SELECT conversation_id, count(*) AS calls, min(started_at) AS first_at, max(started_at) AS last_at,
       (max(ts_ms) - min(ts_ms)) / 1000.0 AS span_s, max(client) AS client, group_concat(DISTINCT model) AS models,
       sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens, sum(cache_read_tokens) AS cache_read_tokens,
       sum(cost_usd) AS cost_usd, sum(n_tool_calls) AS tool_calls, sum(outcome <> 'ok') AS not_ok,
       (SELECT f.prompt FROM calls f WHERE f.conversation_id = c.conversation_id ORDER BY f.ts_ms LIMIT 1) AS first_prompt,
       (SELECT l.response FROM calls l WHERE l.conversation_id = c.conversation_id ORDER BY l.ts_ms DESC LIMIT 1) AS last_response,
       conversation_id AS id,
       (SELECT substr(replace(f.prompt, char(10), ' '), 1, 100) FROM calls f
        WHERE f.conversation_id = c.conversation_id ORDER BY f.ts_ms LIMIT 1) AS name,
       (SELECT f.model FROM calls f WHERE f.conversation_id = c.conversation_id ORDER BY f.ts_ms LIMIT 1) AS model
FROM calls c
GROUP BY conversation_id;
"""
