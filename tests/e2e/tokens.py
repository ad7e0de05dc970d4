"""A token server as docker-registry's `auth: token` wants it: RS256 tokens, signed by openssl."""

import base64
import http.server
import json
import os
import re
import subprocess
import threading
import time
import urllib.parse

from processes import environment, run

SCOPE = re.compile(r"^(?P<type>[a-z]+):(?P<name>.+):(?P<actions>[a-z,*]+)$")


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class TokenServer:
    """Gives `pull` to whoever brings the right password, an empty token to whoever brings none, 401 to the rest."""

    def __init__(self, folder, port, username, password):
        self.url = f"http://127.0.0.1:{port}/token"
        self.host = f"127.0.0.1:{port}"
        self.key = os.path.join(folder, "token.key")
        self.certificate = os.path.join(folder, "token.pem")
        self.expected = "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()
        self.issued = 0
        run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=e2e tokens",
             "-keyout", self.key, "-out", self.certificate])
        with open(self.certificate) as file:
            self.x5c = "".join(line.strip() for line in file if "-----" not in line)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), self.handler())
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def sign(self, subject, access):
        now = int(time.time())
        head = {"typ": "JWT", "alg": "RS256", "x5c": [self.x5c]}
        claims = {"iss": "e2e", "sub": subject, "aud": "e2e-registry", "exp": now + 300, "nbf": now - 10, "iat": now,
                  "jti": os.urandom(8).hex(), "access": access}
        signed = ".".join(base64url(json.dumps(part).encode()) for part in (head, claims))
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.key], input=signed.encode(),
                                   env=environment(), capture_output=True, check=True).stdout
        return signed + "." + base64url(signature)

    def handler(self):
        tokens = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
                given = self.headers.get("Authorization")
                if given is not None and given != tokens.expected:
                    return self.answer(401, {"errors": [{"code": "UNAUTHORIZED", "message": "wrong password"}]})
                access = []
                for scope in " ".join(query.get("scope", [])).split():
                    match = SCOPE.match(scope)
                    if match and given is not None:
                        access.append({"type": match["type"], "name": match["name"], "actions": ["pull"]})
                tokens.issued += 1
                self.answer(200, {"token": tokens.sign("puller" if given else "", access), "expires_in": 300})

            def do_POST(self):
                # As many token servers: no OAuth 2 form, the client falls back to GET.
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.answer(404, {})

            def answer(self, status, document):
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        return Handler

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
