"""The forge's webhook, as a git hook: `post-receive` of the bare repository runs it (githooks(5)).

Reads `old new ref` lines, signs a Gitea push for each and posts it. The answers go to stderr, where
git shows it to whoever pushed as `remote: …`.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import sys
import urllib.error
import urllib.request
import uuid
from pathlib import Path

TIMEOUT = 15.0


def main(config: str) -> int:
    """Deliver; `config` is a JSON file with `url`, `repository` and `secret_file`."""
    options = json.loads(Path(config).read_text())
    secret = Path(options["secret_file"]).read_bytes()
    for line in sys.stdin:
        old, new, ref = line.split()
        body = json.dumps(
            {"ref": ref, "before": old, "after": new, "repository": {"full_name": options["repository"]}}
        ).encode()
        status, answer = post(options["url"], body, hmac.new(secret, body, hashlib.sha256).hexdigest())
        sys.stderr.write(f"webhook: POST {options['url']}, signed with HMAC-SHA256\n")
        sys.stderr.write(f"webhook: {status} {answer}\n")
    return 0


def post(url: str, body: bytes, signature: str) -> tuple[int, str]:
    """Post one delivery; returns the HTTP status (0: no connection) and the answer."""
    request = urllib.request.Request(  # noqa: S310  the demo's own listener
        url,
        data=body,
        headers={
            "Content-Type": "application/json",
            "X-Gitea-Event": "push",
            "X-Gitea-Delivery": str(uuid.uuid4()),
            "X-Gitea-Signature": signature,
        },
    )
    # Without the proxies of the environment: it is a loopback address.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=TIMEOUT) as answer:
            return answer.status, answer.read().decode().strip()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode().strip()
    except OSError as error:
        return 0, str(error)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
