"""`turnpike run --demo`: the main job, shown without a key or a network.

show.py      starts everything, says where to look, ends everything
stage.py     the folder, the configuration, the keys and the provider that a demo needs
samples.py   what is asked and answered, by whom: a table
wire.py      one exchange as each provider's dialect words it
traffic.py   sends it, as unmodified clients do: through HTTPS_PROXY to the original hosts, or by base URL
"""
