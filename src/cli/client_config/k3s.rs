//! k3s and RKE2: `registries.yaml`, from which they write containerd's files.

use super::guide::Guide;
use super::service::Service;

pub(super) fn guide(service: &Service) -> Guide {
    let mut guide = Guide::new("k3s", service);
    guide.note(
        "On every node; for RKE2 the file is /etc/rancher/rke2/registries.yaml. It holds after a restart: systemctl restart \
         k3s (or k3s-agent, rke2-server, rke2-agent).",
    );
    guide.note(
        "When this service does not answer, the registry itself is asked. To forbid that, start k3s with \
         --disable-default-registry-endpoint.",
    );
    guide.note_access(
        service,
        "Fill in the name and the password of a user with the rights of PullOnly below `configs`; the file then holds a secret: chmod 0600.",
        "Put the paths of the certificate and its key below `configs`.",
    );
    guide.note_names_without_host(service);
    let mut content = String::from("mirrors:\n");
    for registry in &service.registries {
        content.push_str(&format!("  \"{}\":\n    endpoint:\n      - \"{}\"\n", registry.host, service.url()));
    }
    content.push_str(&configs(service));
    guide.file("/etc/rancher/k3s/registries.yaml", content);
    guide
}

/// What the service needs beside its address, to be filled in; nothing where it needs nothing.
fn configs(service: &Service) -> String {
    let mut lines = String::new();
    if service.wanted.login {
        lines.push_str("#     auth:\n#       username: NAME\n#       password: PASSWORD\n");
    }
    if !service.is_plain_http() {
        lines.push_str("#     tls:\n#       # Where the service's certificate is of a private authority:\n#       ca_file: /path/to/ca.pem\n");
        if service.wanted.certificate {
            lines.push_str("#       cert_file: /path/to/client.pem\n#       key_file: /path/to/client.key\n");
        }
    }
    if lines.is_empty() {
        return lines;
    }
    format!("# configs:\n#   \"{}\":\n{lines}", service.address())
}
