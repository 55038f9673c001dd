"""The webhook listener: the only part of eventd that accepts connections from the network. It has no privileges.

It is a process and unit of its own (`DynamicUser`, socket-activated). It checks the forge's signature and passes
"repository X was pushed" on to the daemon's socket; the daemon itself fetches what is deployed. It does not import the
daemon's domains.

`process_settings` (configuration) -> `process_server` (HTTP) -> `process_signatures` (authentication) ->
`process_payload` (parsing) -> `process_deliveries` (replays) -> `process_relay` (to the daemon).
"""

from __future__ import annotations


def main() -> None:
    """Run the console script `eventd-webhook`."""
    from eventd.webhook.process import run  # noqa: PLC0415  --help without loading an HTTP server

    raise SystemExit(run())
