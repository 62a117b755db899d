"""A stand-in for Kubernetes 1.30: its API server, LeaderWorkerSet's controller, and a kubelet.

It keeps what it is given, and answers kubectl as the documents of the API say: discovery, OpenAPI
v3 with `fieldValidation`, create, patch, watch, log, port-forward, foreground deletion. A real
cluster was not asked. It leaves out authentication, admission, quotas, output as tables, and
strategic merges of lists. Its pods run for real, as processes of this machine.
"""

from __future__ import annotations

import copy
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
import uuid
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import spdy

LWS = "leaderworkerset.x-k8s.io"
LABEL = "leaderworkerset.sigs.k8s.io"
# resource → its group's path, kind
RESOURCES = {
    "configmaps": ("api/v1", "ConfigMap"),
    "services": ("api/v1", "Service"),
    "pods": ("api/v1", "Pod"),
    "events": ("api/v1", "Event"),
    "leaderworkersets": (f"apis/{LWS}/v1", "LeaderWorkerSet"),
}
VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]
ROUTE = re.compile(
    r"/(api/v1|apis/[^/]+/v1)/namespaces/([^/]+)/([a-z]+)(?:/([^/]+))?(?:/(log|portforward))?"
)


def now():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


class Refused(Exception):  # noqa: N818 - as the API's Status
    """An answer of status Failure."""

    def __init__(self, code, reason, message):
        super().__init__(message)
        self.status = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            "code": code,
        }


class Cluster:
    """The objects of a cluster, and what its controllers do with them.

    Attributes:
        requests: method and path of every request, in order.
        refuse: (method, resource) → the answer that a test wants instead.
        play: what happens to a pod: `run`, `pending`, `pull-error`.
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        self.changed = threading.Condition()
        self.objects = {}
        self.history = []  # (number, type, resource, object)
        self.requests = []
        self.refuse = {}
        self.play = "run"
        self.kubelets = {}

    def find(self, resource, namespace, name):
        try:
            return self.objects[resource, namespace, name]
        except KeyError:
            group = f".{LWS}" if resource == "leaderworkersets" else ""
            text = f'{resource}{group} "{name}" not found'
            raise Refused(404, "NotFound", text) from None

    def put(self, resource, thing, kind="MODIFIED"):
        with self.changed:
            meta = thing["metadata"]
            if kind == "ADDED":
                meta |= {"uid": str(uuid.uuid4()), "creationTimestamp": now()}
            number = len(self.history) + 1
            meta["resourceVersion"] = str(number)
            key = resource, meta["namespace"], meta["name"]
            if kind == "DELETED":
                self.objects.pop(key, None)
            else:
                self.objects[key] = thing
            self.history.append((number, kind, resource, copy.deepcopy(thing)))
            self.changed.notify_all()

    def create(self, resource, namespace, thing):
        thing["metadata"].setdefault("namespace", namespace)
        name = thing["metadata"]["name"]
        if (resource, namespace, name) in self.objects:
            raise Refused(409, "AlreadyExists", f'{resource} "{name}" already exists')
        self.put(resource, thing, "ADDED")
        if resource == "leaderworkersets":
            self._make_pods(thing)
        return thing

    def patch(self, resource, namespace, name, patch):
        thing = copy.deepcopy(self.find(resource, namespace, name))
        merge(thing, patch)
        self.put(resource, thing)
        return thing

    def delete(self, resource, namespace, name, options):
        thing = self.find(resource, namespace, name)
        pods = self.pods_of(name) if resource == "leaderworkersets" else []
        if options.get("propagationPolicy") == "Foreground" and pods:
            thing["metadata"] |= {"deletionTimestamp": now(), "finalizers": ["foregroundDeletion"]}
            self.put(resource, thing)
            threading.Thread(target=self._delete_later, args=(thing, pods), daemon=True).start()
        else:
            self.put(resource, thing, "DELETED")
        return thing

    def _delete_later(self, thing, pods):
        for pod in pods:
            self.kubelets[pod["metadata"]["name"]].end()
            self.put("pods", pod, "DELETED")
        self.put("leaderworkersets", thing, "DELETED")

    def pods_of(self, name):
        return [
            each
            for (resource, _, _), each in sorted(self.objects.items())
            if resource == "pods" and each["metadata"]["labels"][f"{LABEL}/name"] == name
        ]

    def _make_pods(self, thing):
        meta, template = thing["metadata"], thing["spec"]["leaderWorkerTemplate"]
        for index in range(template["size"]):
            chosen = copy.deepcopy(template["workerTemplate" if index else "leaderTemplate"])
            name = f"{meta['name']}-0" + (f"-{index}" if index else "")
            labels = {f"{LABEL}/name": meta["name"], f"{LABEL}/worker-index": str(index)}
            pod = {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": name,
                    "namespace": meta["namespace"],
                    "labels": {**chosen["metadata"]["labels"], **labels},
                },
                "spec": chosen["spec"],
                "status": {"phase": "Pending", "conditions": []},
            }
            self.put("pods", pod, "ADDED")
            kubelet = Kubelet(self, pod, index, template["size"])
            self.kubelets[name] = kubelet
            kubelet.begin(self.play)

    def warn(self, pod, reason, message):
        name = f"{pod['metadata']['name']}.{uuid.uuid4().hex[:8]}"
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": pod["metadata"]["namespace"]},
            "involvedObject": {"kind": "Pod", "name": pod["metadata"]["name"]},
            "reason": reason,
            "message": message,
            "type": "Warning",
            "lastTimestamp": now(),
        }
        self.put("events", event, "ADDED")

    def end(self):
        for kubelet in self.kubelets.values():
            kubelet.end()


class Kubelet:
    """One pod: its status, and the program of its container as a process of this machine."""

    def __init__(self, cluster, pod, index, size):
        self.cluster, self.pod, self.index, self.size = cluster, pod, index, size
        self.folder = cluster.folder / pod["metadata"]["name"]
        self.process = None
        self.log = self.folder / "log"
        self.left = threading.Event()
        self.watcher = None

    def begin(self, play):
        status = self.pod["status"]
        if play == "pending":
            text = "0/4 nodes are available: 4 Insufficient huawei.com/Ascend910."
            self._condition("PodScheduled", "False", text)
            self.cluster.warn(self.pod, "FailedScheduling", text)
            return
        self._condition("PodScheduled", "True")
        self.pod["spec"]["nodeName"] = "node-7"
        if play == "pull-error":
            text = 'Back-off pulling image "i:1"'
            waiting = {"reason": "ImagePullBackOff", "message": text}
            status["containerStatuses"] = [{"name": "server", "state": {"waiting": waiting}}]
            failed = 'Failed to pull image "i:1": manifest unknown'
            self.cluster.warn(self.pod, "Failed", failed)
            self.cluster.put("pods", self.pod)
            return
        self._start()

    def _start(self):
        (container,) = self.pod["spec"]["containers"]
        key = "configmaps", self.pod["metadata"]["namespace"]
        volumes = {each["name"]: each for each in self.pod["spec"]["volumes"]}
        config = volumes["plan"]["configMap"]["name"]
        if (*key, config) not in self.cluster.objects:
            waiting = {"reason": "ContainerCreating"}
            self.pod["status"]["containerStatuses"] = [
                {"name": "server", "state": {"waiting": waiting}}
            ]
            text = f'MountVolume.SetUp failed for volume "plan": configmap "{config}" not found'
            self.cluster.warn(self.pod, "FailedMount", text)
            self.cluster.put("pods", self.pod)
            return
        files = self.cluster.objects[(*key, config)]["data"]
        self.folder.mkdir(parents=True)
        for name, text in files.items():
            (self.folder / name).write_text(text, "utf-8")
        self.env = {
            "PATH": os.environ["PATH"],
            "TMPDIR": str(self.folder),
            **{each["name"]: each["value"] for each in container["env"] if "value" in each},
            "POD_IP": "127.0.0.1",
            "LAST_WORDS": str(self.folder / "last-words"),
            "LWS_LEADER_ADDRESS": "127.0.0.1",
            "LWS_GROUP_SIZE": str(self.size),
            "LWS_WORKER_INDEX": str(self.index),
        }
        self.probe = self._here(container["readinessProbe"]["exec"]["command"])
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self._here(container["command"]), env=self.env, stdout=log, stderr=log
            )
        status = self.pod["status"]
        status |= {"phase": "Running", "podIP": "127.0.0.1"}
        running = {"running": {"startedAt": now()}}
        status["containerStatuses"] = [
            {"name": "server", "imageID": "i@sha256:1", "restartCount": 0, "state": running}
        ]
        self._condition("Ready", "False")
        self.watcher = threading.Thread(target=self._watch, daemon=True)
        self.watcher.start()

    def _here(self, words):
        return [word.replace("/lamplighter", str(self.folder)) for word in words]

    def _watch(self):
        ready = False
        while not self.left.wait(0.1):
            if self.process.poll() is not None:
                self._ended(self.process.returncode)
                return
            if not ready:
                probe = subprocess.run(self.probe, env=self.env, check=False, capture_output=True)
                ready = probe.returncode == 0
                if ready:
                    self._condition("Ready", "True")

    def _ended(self, code):
        """As with the restart policy of a LeaderWorkerSet's pods, which is Always."""
        words = self.folder / "last-words"
        message = words.read_text("utf-8") if words.exists() else ""
        ended = {"exitCode": code, "reason": "Error", "message": message, "finishedAt": now()}
        (status,) = self.pod["status"]["containerStatuses"]
        status |= {
            "restartCount": 1,
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}},
            "lastState": {"terminated": ended},
        }
        self._condition("Ready", "False")

    def _condition(self, kind, status, message=""):
        conditions = [each for each in self.pod["status"]["conditions"] if each["type"] != kind]
        conditions.append({"type": kind, "status": status, "message": message})
        self.pod["status"]["conditions"] = conditions
        self.cluster.put("pods", self.pod)

    def logs(self, *, previous):
        name = self.pod["metadata"]["name"]
        restarted = any(
            each.get("restartCount") for each in self.pod["status"].get("containerStatuses", ())
        )
        if previous and not restarted:
            text = f'previous terminated container "server" in pod "{name}" not found'
            raise Refused(400, "BadRequest", text)
        if not self.log.exists():
            text = f'container "server" in pod "{name}" is waiting to start: ContainerCreating'
            raise Refused(400, "BadRequest", text)
        return self.log.read_bytes()

    def end(self):
        self.left.set()
        if self.watcher:
            self.watcher.join()
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait()


def merge(thing, patch):
    """Apply a JSON merge patch (RFC 7396); our patches have no lists to merge by key."""
    for key, value in patch.items():
        if value is None:
            thing.pop(key, None)
        elif isinstance(value, dict) and isinstance(thing.get(key), dict):
            merge(thing[key], value)
        else:
            thing[key] = value


def matches(thing, query):
    labels = thing["metadata"].get("labels", {})
    for selector in query.get("labelSelector", []):
        for pair in selector.split(","):
            key, _, value = pair.partition("=")
            if labels.get(key) != value:
                return False
    for selector in query.get("fieldSelector", []):
        for pair in selector.split(","):
            key, _, value = pair.partition("=")
            if key == "metadata.name" and thing["metadata"]["name"] != value:
                return False
    return True


def discovery(path):  # noqa: PLR0911 - one for each path
    """Return the answer of a path of discovery; None for another path."""
    groups = {group for group, _ in RESOURCES.values()}
    if path == "/version":
        return {"major": "1", "minor": "30", "gitVersion": "v1.30.4", "platform": "linux/amd64"}
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        version = {"groupVersion": f"{LWS}/v1", "version": "v1"}
        group = {"name": LWS, "versions": [version], "preferredVersion": version}
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [group]}
    if path.strip("/") in groups:
        return {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": path.strip("/").partition("/")[2],
            "resources": [
                {"name": name, "singularName": kind.lower(), "namespaced": True, "kind": kind}
                | {"verbs": VERBS, "shortNames": ["lws"] if "Leader" in kind else []}
                for name, (group, kind) in RESOURCES.items()
                if group == path.strip("/")
            ],
        }
    if named := re.fullmatch(r"/api/v1/namespaces/([^/]+)", path):
        return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": named[1]}}
    if path == "/openapi/v3":
        urls = {group: {"serverRelativeURL": f"/openapi/v3/{group}?hash=1"} for group in groups}
        return {"paths": urls}
    if path.startswith("/openapi/v3/"):
        return openapi(path.removeprefix("/openapi/v3/"))
    return None


def openapi(group):
    """Return the part of the document that kubectl reads: what a PATCH takes."""
    paths = {}
    for name, (own, kind) in RESOURCES.items():
        if own == group:
            names = group.split("/")
            gvk = {"group": names[1] if len(names) > 2 else "", "version": "v1", "kind": kind}
            parameters = [{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}]
            patch = {"parameters": parameters, "x-kubernetes-group-version-kind": gvk}
            patch["x-kubernetes-action"] = "patch"
            paths[f"/{group}/namespaces/{{namespace}}/{name}/{{name}}"] = {"patch": patch}
    return {"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1.30.4"}} | {
        "paths": paths
    }


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    cluster: Cluster

    def log_message(self, *_):
        pass

    def _any(self):
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        self.cluster.requests.append((self.command, parts.path))
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or "null") if length else None
        try:
            found = discovery(parts.path)
            if found is None:
                found = self._object(parts.path, query, body)
            if found is not None:
                code = 201 if self.command == "POST" else 200
                self._answer(code, json.dumps(found).encode(), "application/json")
        except Refused as refused:
            text = json.dumps(refused.status).encode()
            self._answer(refused.status["code"], text, "application/json")

    do_GET = do_POST = do_PATCH = do_DELETE = _any  # noqa: N815 - names of http.server

    def _object(self, path, query, body):  # noqa: PLR0911 - one for each verb
        route = ROUTE.fullmatch(path)
        if not route:
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        _, namespace, resource, name, part = route.groups()
        if refused := self.cluster.refuse.get((self.command, resource)):
            raise refused
        if part == "log":
            previous = query.get("previous") == ["true"]
            text = self.cluster.kubelets[name].logs(previous=previous)
            self._answer(200, text, "text/plain")
            return None
        if part == "portforward":
            self._forward(name)
            return None
        if self.command == "POST":
            return self.cluster.create(resource, namespace, body)
        if self.command == "PATCH":
            return self.cluster.patch(resource, namespace, name, body)
        if self.command == "DELETE":
            return self.cluster.delete(resource, namespace, name, body or {})
        if name:
            return self.cluster.find(resource, namespace, name)
        if query.get("watch"):
            self._watch(resource, query)
            return None
        return self._list(resource, namespace, query)

    def _list(self, resource, namespace, query):
        group, kind = RESOURCES[resource]
        with self.cluster.changed:
            items = [
                each
                for (own, where, _), each in sorted(self.cluster.objects.items())
                if own == resource and where == namespace and matches(each, query)
            ]
            number = str(len(self.cluster.history))
        version = group.partition("/")[2]
        head = {"kind": f"{kind}List", "apiVersion": version}
        return head | {"metadata": {"resourceVersion": number}, "items": items}

    def _watch(self, resource, query):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        seen = int(query.get("resourceVersion", ["0"])[0] or 0)
        deadline = time.monotonic() + int(query.get("timeoutSeconds", ["60"])[0])
        while time.monotonic() < deadline:
            with self.cluster.changed:
                if len(self.cluster.history) == seen:
                    self.cluster.changed.wait(0.5)
                fresh = self.cluster.history[seen:]
                seen = len(self.cluster.history)
            for _, kind, own, thing in fresh:
                if own == resource and matches(thing, query):
                    line = json.dumps({"type": kind, "object": thing}).encode() + b"\n"
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        self.wfile.write(b"0\r\n\r\n")

    def _forward(self, name):
        if "SPDY/3.1" not in self.headers.get("Upgrade", ""):
            raise Refused(400, "BadRequest", "Upgrade request required")
        if name not in self.cluster.kubelets:
            raise Refused(404, "NotFound", f'pods "{name}" not found')
        self.send_response(101, "Switching Protocols")
        self.send_header("Connection", "Upgrade")
        self.send_header("Upgrade", "SPDY/3.1")
        self.send_header("X-Stream-Protocol-Version", "portforward.k8s.io")
        self.end_headers()
        self.close_connection = True
        spdy.serve(
            self.connection, self.rfile, lambda port: socket.create_connection(("127.0.0.1", port))
        )

    def _answer(self, code, body, kind):
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    daemon_threads = True


@contextmanager
def api_server(folder):
    """Run a cluster; yields it, with `kubeconfig` and `stop`."""
    folder = Path(folder)
    cluster = Cluster(folder / "pods")
    handler = type("OfCluster", (Handler,), {"cluster": cluster})
    server = Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {}}],
        "current-context": "c",
    }
    cluster.kubeconfig = folder / "kubeconfig"
    cluster.kubeconfig.write_text(json.dumps(config), "utf-8")

    def stop():
        server.shutdown()
        server.server_close()

    cluster.stop = stop
    try:
        yield cluster
    finally:
        stop()
        cluster.end()
        thread.join()
