"""The table of keys that Quadlet knows.

`KEYS` was found by passing each name to the generator of podman 5.4.2 (Debian 13) and reading its errors; it agrees
with podman-systemd.unit(5) of that version. `LATER` are keys of podman 5.5 and newer: they are reported, not refused,
because the host's own generator has the last word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_REMAP = "RemapGid RemapUid RemapUidSize RemapUsers"
_DNS = "DNS DNSOption DNSSearch"
_ALL = "ContainersConfModule GlobalArgs PodmanArgs ServiceName"

KEYS: Mapping[str, frozenset[str]] = {
    "Container": _words(
        f"""{_ALL} {_DNS} {_REMAP}
        AddCapability AddDevice AddHost Annotation AutoUpdate CgroupsMode ContainerName
        DropCapability Entrypoint Environment EnvironmentFile EnvironmentHost Exec
        ExposeHostPort GIDMap Group GroupAdd HealthCmd HealthInterval HealthLogDestination
        HealthMaxLogCount HealthMaxLogSize HealthOnFailure HealthRetries HealthStartPeriod
        HealthStartupCmd HealthStartupInterval HealthStartupRetries HealthStartupSuccess
        HealthStartupTimeout HealthTimeout HostName IP IP6 Image Label LogDriver LogOpt Mask
        Mount Network NetworkAlias NoNewPrivileges Notify PidsLimit Pod PublishPort Pull
        ReadOnly ReadOnlyTmpfs Rootfs RunInit SeccompProfile Secret SecurityLabelDisable
        SecurityLabelFileType SecurityLabelLevel SecurityLabelNested SecurityLabelType ShmSize
        StartWithPod StopSignal StopTimeout SubGIDMap SubUIDMap Sysctl Timezone Tmpfs UIDMap
        Ulimit Unmask User UserNS VolatileTmp Volume WorkingDir"""
    ),
    "Pod": _words(
        f"""{_ALL} {_DNS} {_REMAP}
        AddHost GIDMap IP IP6 Network NetworkAlias PodName PublishPort ShmSize SubGIDMap
        SubUIDMap UIDMap UserNS Volume"""
    ),
    "Network": _words(
        f"{_ALL} DNS DisableDNS Driver Gateway IPAMDriver IPRange IPv6 Internal Label NetworkName Options"
        " Subnet"
    ),
    "Volume": _words(f"{_ALL} Copy Device Driver Group Image Label Options Type User VolumeName"),
    "Kube": _words(
        f"""{_ALL} {_REMAP}
        AutoUpdate ConfigMap ExitCodePropagation KubeDownForce LogDriver LogOpt Network
        PublishPort SetWorkingDirectory UserNS Yaml"""
    ),
    "Image": _words(
        f"{_ALL} AllTags Arch AuthFile CertDir Creds DecryptionKey Image ImageTag OS TLSVerify Variant"
    ),
    "Build": _words(
        f"""{_ALL} {_DNS}
        Annotation Arch AuthFile Environment File ForceRM GroupAdd ImageTag Label Network Pull
        Secret SetWorkingDirectory TLSVerify Target Variant Volume"""
    ),
    "Quadlet": _words("DefaultDependencies"),
}
"""Section -> its keys."""

LATER: Mapping[str, frozenset[str]] = {
    "Container": _words("AppArmor HttpProxy Memory ReloadCmd ReloadSignal Retry RetryDelay"),
    "Pod": _words("ExitPolicy HostName Label StopTimeout"),
    "Network": _words("InterfaceName NetworkDeleteOnStop"),
    "Image": _words("Policy Retry RetryDelay"),
    "Build": _words("BuildArg IgnoreFile Retry RetryDelay"),
}
"""Section -> keys that podman 5.4 does not know, but a newer one does."""
