"""Scope: what eventd.toml is refused for before the daemon starts: file, line, key, and what to do."""

from __future__ import annotations

import pytest

from eventd.kernel.model.errors import PermanentError
from eventd.settings import parse

URL = '[repository]\nurl = "https://forge.example/team/host.git"\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            URL.replace("https", "ftp"),
            "eventd.toml:2: [repository.url] 'ftp://forge.example/team/host.git' is not",
        ),
        (URL.replace("https://", "https://a:b@"), "eventd.toml:2: [repository.url] the URL https://"),
        (URL.replace("https", "http"), "[repository.allow_http] anybody on the way"),
        (URL + '[host]\nrequires = ["mnt:/x"]\n', "eventd.toml:4: [host.requires.0] unknown predicate mnt:"),
        (URL + '[host]\nrequires = ["mnt:/x"]\n', "did you mean mount?"),
    ],
)
def test_what_could_not_work_is_refused(text: str, says: str) -> None:
    """`eventd --check-config` says so, and not a daemon that cannot start, or refuses every workload."""
    with pytest.raises(PermanentError) as caught:
        parse(text, "eventd.toml")
    assert caught.value.reason == "bad-configuration"
    assert says in caught.value.message
    assert "a:b" not in caught.value.message


def test_plain_http_is_accepted_where_it_is_allowed() -> None:
    """The operator has said so."""
    assert parse(URL.replace("https", "http") + "allow_http = true\n", "eventd.toml").repository.allow_http
    assert parse(URL + '[host]\nrequires = ["mount:/srv"]\n', "eventd.toml").host.requires == ("mount:/srv",)
