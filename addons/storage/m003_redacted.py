"""Migration 3: what was found and where, beside the calls that it was found in."""

STATEMENTS = """
CREATE VIEW redacted AS
SELECT c.id, c.started_at, c.client, c.upstream, coalesce(c.served_model, c.model) AS model,
       r.rule, r."where" AS found_in, r.action, count(*) AS times, c.outcome, c.prompt, c.conversation_id
FROM redactions r
JOIN calls c ON c.id = r.call_id
GROUP BY c.id, r.rule, r."where", r.action
ORDER BY c.started_at DESC;
"""
