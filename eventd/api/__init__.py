"""The daemon's API: HTTP and JSON on unix sockets, readable with curl.

`server` listens and guards, `access` identifies the caller, `api.model_rights` says what a caller may do. Each domain
has its routes, each with the `Right` that it needs, and its documents, which turn the runtime's state into JSON.
Nothing here decides anything about the host.
"""
