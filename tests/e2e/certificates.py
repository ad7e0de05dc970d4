"""Keys and certificates of an authority of our own, made by openssl."""

import os

from processes import run


class Authority:
    def __init__(self, folder):
        self.folder = folder
        self.certificate = os.path.join(folder, "ca.pem")
        self.key = os.path.join(folder, "ca.key")
        run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=e2e authority",
             "-keyout", self.key, "-out", self.certificate])

    def issue(self, name, hosts=("IP:127.0.0.1", "DNS:localhost")):
        """A certificate for these hosts; gives the paths of certificate and key."""
        certificate, key = (os.path.join(self.folder, f"{name}.{kind}") for kind in ("pem", "key"))
        request, extensions = (os.path.join(self.folder, f"{name}.{kind}") for kind in ("csr", "ext"))
        with open(extensions, "w") as file:
            file.write(f"subjectAltName={','.join(hosts)}\nextendedKeyUsage=serverAuth\n")
        run(["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", key, "-out", request])
        run(["openssl", "x509", "-req", "-days", "30", "-in", request, "-CA", self.certificate, "-CAkey", self.key,
             "-CAcreateserial", "-extfile", extensions, "-out", certificate])
        return certificate, key
