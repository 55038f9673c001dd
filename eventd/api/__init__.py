"""The daemon's answers: HTTP and JSON on unix sockets, readable with curl.

`access` says who may ask what, `documents` turns the runtime's state into JSON, `server` holds the routes, `metrics`
the Prometheus text. Nothing here decides anything about the host.
"""
