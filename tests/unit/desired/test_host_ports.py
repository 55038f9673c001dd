"""Scope: ports of the host that workloads take: read wherever they are written, two of one told, low ones told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from eventd.desired.model_assembly import HostRules
from eventd.desired.model_host_ports import published
from eventd.kernel.model.diagnostics import Diagnostic
from tests.unit.desired.trees import HOST, container, desired


def found(files: dict[str, str], host: HostRules = HOST) -> list[Diagnostic]:
    """Return the findings about ports."""
    result = desired({f"workloads/{path}": text for path, text in files.items()}, host)
    assert not result.refused, result.refused
    return [each for each in result.diagnostics if each.code in ("port-twice", "low-port")]


def stack(*ports: str) -> str:
    """Return a compose file."""
    return "services:\n  app:\n    image: x\n    ports:\n" + "".join(f"      - {port}\n" for port in ports)


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("8080:80", ("", 8080, 8080, "tcp")),
        ("127.0.0.1:8080:80/UDP", ("127.0.0.1", 8080, 8080, "udp")),
        ("[::1]:8080:80", ("::1", 8080, 8080, "tcp")),
        ("8000-8010:80-90", ("", 8000, 8010, "tcp")),
        ("80", None),
        (":80", None),
        ("127.0.0.1::80", None),
        ("${PORT}:80", None),
        ("99999:80", None),
        ("0:80", None),
        ("", None),
    ],
)
def test_the_syntax_of_published_ports(text: str, ports: tuple[str, int, int, str] | None) -> None:
    """Address, range and protocol; a port that podman or a variable chooses is nobody's."""
    read = published(text)
    assert (read and (read[0], read[1][0], read[1][-1], read[2])) == ports


@pytest.mark.parametrize(
    ("one", "other", "clash"),
    [
        ("8080:80", "8080:81", True),
        ("127.0.0.1:8080:80", "8080:80", True),
        ("127.0.0.1:8080:80", "127.0.0.2:8080:80", False),
        ("8080:80/udp", "8080:80/tcp", False),
        ("8000-8010:1-11", "8005:80", True),
        ("8080:80", "8081:80", False),
        ("80", "80", False),
    ],
)
def test_two_workloads_on_one_port(one: str, other: str, *, clash: bool) -> None:
    """Told once, at the second, with both places; the same whether it is a Quadlet, a stack or a socket."""
    first = {"a/a.container": container(f"PublishPort={one}")}
    quadlet = found({**first, "b/b.container": container(f"PublishPort={other}")})
    assert [(each.code, each.file, each.line) for each in quadlet] == (
        [("port-twice", "workloads/b/b.container", 3)] if clash else []
    )
    for each in quadlet:
        assert "a.service of workload a (workloads/a/a.container:3)" in each.message
    assert len(found({**first, "b/compose.yaml": stack(f'"{other}"')})) == clash


def test_a_socket_and_the_long_form_of_compose_take_ports_too() -> None:
    """ListenStream= with and without an address; published, host_ip and protocol."""
    files = {
        "a/a.socket": "[Socket]\nListenStream=127.0.0.1:8443\nListenStream=/run/x.sock\n",
        "a/a.service": "[Service]\nExecStart=/bin/true\n",
        "b/compose.yaml": stack("{target: 443, published: 8443, host_ip: 127.0.0.1, protocol: tcp}"),
    }
    (finding,) = found(files)
    assert (finding.file, finding.line) == ("workloads/b/compose.yaml", 5)
    assert "a.socket of workload a" in finding.message


def test_one_workload_with_one_port_twice() -> None:
    """Two containers of a workload cannot share it either."""
    (finding,) = found(
        {"a/a.container": container("PublishPort=8080:80"), "a/b.container": container("PublishPort=8080:80")}
    )
    assert "a.service of the same workload" in finding.message


def test_ports_that_the_host_gives_to_root_alone() -> None:
    """Below the host's limit the container cannot start; the hint names a port that works and the setting."""
    files = {"a/a.container": container("PublishPort=80:80", "PublishPort=8080:80")}
    (finding,) = found(files)
    assert (finding.code, finding.line) == ("low-port", 3)
    assert "8080" in finding.hint
    assert "ip_unprivileged_port_start" in finding.hint
    assert found(files, replace(HOST, unprivileged_port_start=80)) == []
