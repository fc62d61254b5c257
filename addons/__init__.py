"""Turnpike: an LLM traffic interceptor made of mitmproxy addons.

The journey of one call, in hook order (the list in `router.py`); every room adds its facts to the `Exchange`:

    Scope      is this host ours, and this path an API call? if not: blind tunnel, or passed untouched as a side call
    Trust      clients that do not trust our certificate are noted, with the remedy
    Gate       who is the client, and may it?
    Endpoints  is this request for the proxy itself (/healthz, /ready, /metrics, {prefix}/v1/models …)?
    Router     the candidates, in order: which upstream, under which model name
    Redactor   what may be sent: looks at long bodies ahead, and is asked per attempt: secrets out of the prompt, by that upstream's policy
    Failover   builds each attempt anew from the client's untouched request with one pure function; after a failed one: wait, next key,
               or next candidate; the client sees one response
      Keys       asked per attempt: a key of the upstream's pool
    Meter      the only owner of flow.response.stream: bytes and times
    Recorder   one row per call, whatever the end was

Beside the calls:

    Catalogue  the models of all upstreams, asked by Endpoints
    Probes     is an upstream well? asked only where the configuration says so
    Outbound   calls of our own, which those two make
    Sharing    what other processes know of keys, and what they have counted
    Pulse      how late is the event loop?
    Draining   asked to stop: no new calls, and those that run may finish
    FlowFiles  what mitmproxy's `-w` saves is masked
"""
