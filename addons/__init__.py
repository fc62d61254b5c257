"""Turnpike: an LLM traffic interceptor made of mitmproxy addons.

The journey of one call, in hook order (the list in `router.py`); every room adds its facts to the `Exchange`:

    Scope      is this host ours, and this path an API call? if not: blind tunnel, or passed untouched as a side call
    Trust      clients that do not trust our certificate are noted, with the remedy
    Gate       who is the client, and may it?
    Endpoints  is this request for the proxy itself (/healthz, /ready, /metrics, {prefix}/v1/upstreams …)?
    Router     the candidates, in order: which upstream, under which model name
    Failover   builds the attempt from the client's untouched request with one pure function
      Redactor   asked per attempt: secrets out of the prompt, by that upstream's policy
      Keys       asked per attempt: a key of the upstream's pool
    Meter      the only owner of flow.response.stream: bytes and times
    Recorder   one row per call, whatever the end was
"""
