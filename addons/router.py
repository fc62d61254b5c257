"""ENTRY: `mitmdump -s addons/router.py`. The list at the end is the journey of every call, top to bottom.

Nothing imports this module: mitmproxy loads it as a script, under a name of its own.
"""

from addons.catalogue import Catalogue
from addons.draining import Draining
from addons.endpoints import Endpoints
from addons.failover import Failover
from addons.flowfiles import FlowFiles
from addons.gate import Gate
from addons.keys import Keys
from addons.meter import Meter
from addons.outbound import Outbound
from addons.probes import Probes
from addons.proxycore.connecting import ConnectClock
from addons.proxycore.dispatch import HookDispatch
from addons.pulse import Pulse
from addons.recorder import Recorder
from addons.redactor import Redactor
from addons.routing import Router
from addons.scope import Scope
from addons.settings import Settings
from addons.sharing import Sharing
from addons.state import State
from addons.trust import Trust

state, outbound = State(), Outbound()
router, redactor, catalogue = Router(state), Redactor(state), Catalogue(state, outbound)

addons = [
    HookDispatch(),  #    hooks go only to those that have them
    ConnectClock(),  #    how long opening a connection to an upstream may take
    Settings(state),  #   the configuration, read again when it changes; mitmproxy's own defaults
    Scope(state),  #      is this host ours, and this path an API call?
    Trust(state),  #      which clients do not trust our certificate?
    Gate(state),  #       who is the client, and may it?
    Endpoints(state, catalogue),  # is this request for the proxy itself?
    router,  #            which upstream, under which model name
    redactor,  #          what may be sent
    Failover(state, router, redactor, Keys()),  # each attempt, built anew from the client's request
    Meter(state),  #      the only owner of flow.response.stream
    Recorder(state),  #   one row per call, whatever its end
    catalogue,  #         the models of all upstreams, asked by Endpoints
    Probes(state, outbound),  # is an upstream well? asked only where the configuration says so
    outbound,  #          calls of our own, which those two make
    Sharing(state),  #    what other processes know of keys, and what they have counted
    Pulse(state),  #      how late is the event loop?
    Draining(state),  #   asked to stop: no new calls, and those that run may finish
    FlowFiles(state),  #  what mitmproxy's `-w` saves is masked
]
