"""A server on this machine that speaks as the Hugging Face Hub does."""

import base64
import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote


class Hub(BaseHTTPRequestHandler):
    """The endpoints that publishing and fetching records call, over repositories in ``server.repositories``:
    kind and name to commits, each the files with their content. Who writes, and who reads one in
    ``server.private``, needs ``server.token``."""

    def log_message(self, *_):
        pass

    def answer(self, status, body, **headers):
        data = json.dumps(body).encode()
        self.send_response(status)
        for key, value in {
            "Content-Type": "application/json",
            "Content-Length": len(data),
            **headers,
        }.items():
            self.send_header(key.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(data)

    def commits(self):
        """What the path is about: the repository's commits (None without one), and what of it is asked."""
        parts = self.path.partition("?")[0].removeprefix("/api").split("/")[1:]
        if len(parts) < 3:
            return None, []
        kind, user, name, *rest = parts
        key = (kind, f"{user}/{name}")
        allowed = self.headers.get("Authorization") == f"Bearer {self.server.token}"
        hidden = key in self.server.private and not allowed
        return None if hidden else self.server.repositories.get(key), rest

    def missing(self):
        self.answer(404, {"error": "Repository not found"}, X_Error_Code="RepoNotFound")

    def entry(self, path, data):
        """A file of the tree; of a large one git has a pointer only."""
        found = {"type": "file", "path": path, "oid": blob(data), "size": len(data)}
        if not isinstance(data, Large):
            return found
        large = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
        return found | {"oid": blob(b"a pointer"), "lfs": large}

    def do_PUT(self):
        self.server.asked.append(("PUT", self.path))
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if not self.server.full:
            self.server.stored[hashlib.sha256(data).hexdigest()] = Large(data)
        self.answer(507 if self.server.full else 200, {})

    def do_GET(self):
        self.server.asked.append((self.command, self.path))
        commits, rest = self.commits()
        if commits is None:
            return self.missing()
        head = commits[-1]
        if rest[:1] == ["resolve"]:
            return self.file(commits, unquote("/".join(rest[2:])))
        if rest[:1] == ["tree"]:
            return self.answer(200, [self.entry(path, data) for path, data in head.items()])
        return self.answer(
            200,
            {
                "id": "x/y",
                "sha": sha(commits),
                "siblings": [{"rfilename": name} for name in head],
                "tags": [],
            },
        )

    do_HEAD = do_GET

    def file(self, commits, path):
        data = commits[-1][path]
        self.send_response(200)
        for key, value in {
            "X-Repo-Commit": sha(commits), "ETag": f'"{blob(data)}"', "Content-Length": str(len(data)),
        }.items():  # fmt: skip
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def do_POST(self):
        self.server.asked.append(("POST", self.path))
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Authorization") != f"Bearer {self.server.token}":
            return self.answer(403, {"error": "Forbidden: you need the write role here"})
        if self.path.endswith(".git/info/lfs/objects/batch"):
            found = [
                {**wanted, "actions": {"upload": {"href": f"{self.server.address}/lfs/{wanted['oid']}"}}}
                for wanted in json.loads(body)["objects"]
            ]
            return self.answer(200, {"transfer": "basic", "objects": found})
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            self.server.created = asked
            key = (f"{asked['type']}s", f"{asked['organization']}/{asked['name']}")
            self.server.repositories[key] = [{}]
            return self.answer(200, {"url": f"{self.server.address}/{'/'.join(key)}"})
        commits, rest = self.commits()
        if rest[0] == "preupload":
            files = [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if file["path"].endswith(self.server.large) else "regular",
                    "shouldIgnore": False,
                }
                for file in json.loads(body)["files"]
            ]
            return self.answer(200, {"files": files})
        assert rest[0] == "commit", self.path
        header, *lines = map(json.loads, body.splitlines())
        if self.server.overtaken:
            commits.append(commits[-1] | {"index.html": b"first!"})
        if header["value"].get("parentCommit", sha(commits)) != sha(commits):
            return self.answer(412, {"error": "A commit has happened since. Please refresh and try again."})
        files = dict(commits[-1])
        for line in lines:
            value = line["value"]
            if line["key"] == "deletedFile":
                del files[value["path"]]
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.server.stored[value["oid"]]
            else:
                files[value["path"]] = base64.b64decode(value["content"])
        commits.append(files)
        url = f"{self.server.address}/spaces/nobody/boards/commit/{sha(commits)}"
        return self.answer(200, {"success": True, "commitUrl": url, "commitOid": sha(commits)})


class Large(bytes):
    """What the Hub keeps beside git."""


def blob(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def sha(commits):
    return hashlib.sha1(str(len(commits)).encode()).hexdigest()


@contextmanager
def local_hub():
    """The server, which runs as long as the block; its attributes are its state and what it was asked."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.address = f"http://127.0.0.1:{server.server_port}"
    server.repositories, server.asked, server.token = {}, [], "hf_" + "x" * 30
    server.created, server.overtaken, server.private = None, False, set()
    server.large, server.stored, server.full = ("no file",), {}, False
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def redirect(monkeypatch, hub, folder):
    """Make huggingface_hub take ``hub`` for the Hub, with no token of anybody's."""
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.address)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(folder / "token"))
    template = f"{hub.address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.delenv("HF_TOKEN", raising=False)
