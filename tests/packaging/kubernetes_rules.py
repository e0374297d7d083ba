# SPDX-License-Identifier: MIT
"""What Kubernetes demands of manifests, without a cluster: the fields of its API, as the models of
python3-kubernetes have them, and the level `restricted` of the Pod Security Standards."""

import json
import re
import types

VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected",
           "secret"}
PRIMITIVE = {"str": str, "int": int, "bool": bool, "float": (int, float)}


def _unknown_in_model(models, value, name, path):
    model = getattr(models, name)
    if not isinstance(value, dict):
        yield f"{path} is no {name}"
        return
    attributes = {field: attribute for attribute, field in model.attribute_map.items()}
    for field, part in value.items():
        if field not in attributes:
            yield f"{path}.{field} is unknown in {name}"
        else:
            yield from _mistakes(models, part, model.openapi_types[attributes[field]], f"{path}.{field}")


def _mistakes(models, value, kind, path):
    """What is wrong in VALUE at PATH, if it is to be of KIND, as the models write that."""
    if match := re.fullmatch(r"list\[(.*)\]", kind):
        if not isinstance(value, list):
            yield f"{path} is no list"
            return
        for n, part in enumerate(value):
            yield from _mistakes(models, part, match[1], f"{path}[{n}]")
    elif match := re.fullmatch(r"dict\(str, (.*)\)", kind):
        for key, part in value.items():
            yield from _mistakes(models, part, match[1], f"{path}.{key}")
    elif kind in PRIMITIVE:
        if not isinstance(value, PRIMITIVE[kind]) or (kind != "bool" and isinstance(value, bool)):
            yield f"{path} is no {kind}"
    elif kind not in ("object", "datetime"):
        yield from _unknown_in_model(models, value, kind, path)


def mistakes(manifest):
    """The fields of MANIFEST that the API does not have or that have another type there, and what it
    lacks."""
    from kubernetes import client

    version = manifest["apiVersion"].rpartition("/")[2]
    name = version[0].upper() + version[1:] + manifest["kind"]
    found = list(_mistakes(client.models, manifest, name, manifest["kind"]))
    try:
        client.ApiClient().deserialize(types.SimpleNamespace(data=json.dumps(manifest)), name)
    except (ValueError, TypeError) as error:
        found.append(str(error))
    return found


def _pod_violations(pod):
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(name):
            yield name
    for volume in pod.get("volumes", []):
        if not set(volume) - {"name"} <= VOLUMES:
            yield f"volume {volume['name']}"
    if pod.get("securityContext", {}).get("sysctls"):
        yield "sysctls"


def _container_violations(pod, container):
    own, shared = container.get("securityContext", {}), pod.get("securityContext", {})
    effective = shared | own
    capabilities = own.get("capabilities", {})
    rules = {
        "privileged": not own.get("privileged"),
        "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is False,
        "runAsNonRoot": effective.get("runAsNonRoot") is True,
        "runAsUser": effective.get("runAsUser") != 0,
        "seccompProfile": effective.get("seccompProfile", {}).get("type") in ("RuntimeDefault", "Localhost"),
        "capabilities.drop": "ALL" in capabilities.get("drop", []),
        "capabilities.add": set(capabilities.get("add", [])) <= {"NET_BIND_SERVICE"},
        "procMount": own.get("procMount", "Default") == "Default",
        "hostPort": not any("hostPort" in port for port in container.get("ports", [])),
    }
    return [name for name, kept in rules.items() if not kept]


def violations(pod):
    """What the level `restricted` forbids in POD, a specification of a pod for Linux."""
    found = list(_pod_violations(pod))
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        found += _container_violations(pod, container)
    return found
