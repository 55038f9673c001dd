"""The webhook listener: the one part of eventd that the network talks to, and it has no rights at all.

A process and unit of its own (`DynamicUser`, socket-activated). It checks that a forge signed what it got,
and passes "repository X was pushed" on to the daemon's socket; what is deployed, the daemon fetches by
itself. It imports nothing of the daemon's domains.

`process_settings` (what is listened for) -> `process_server` (HTTP) -> `process_signatures` (who says so) ->
`process_payload` (what is said)
-> `process_deliveries` (has it been said before) -> `process_relay` (to the daemon).
"""

from __future__ import annotations


def main() -> None:
    """Run the console script `eventd-webhook`."""
    from eventd.webhook.process import run  # noqa: PLC0415  --help without loading an HTTP server

    raise SystemExit(run())
