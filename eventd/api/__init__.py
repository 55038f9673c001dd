"""The daemon's answers: HTTP and JSON on unix sockets, readable with curl.

`server` listens and guards, `access` says who asks, `api.model_rights` what they may. The routes are in `routes_*`,
each with its `Request` of that table; `documents` turns the runtime's state into JSON, `metrics` into Prometheus text.
Nothing here decides anything about the host.
"""
