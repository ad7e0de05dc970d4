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
    guide.note_names_without_host(service);
    let mut content = String::from("mirrors:\n");
    for registry in &service.registries {
        content.push_str(&format!("  \"{}\":\n    endpoint:\n      - \"{}\"\n", registry.host, service.url()));
    }
    if !service.is_plain_http() {
        content.push_str(&format!(
            "# Where the certificate is of a private authority:\n# configs:\n#   \"{}\":\n#     tls:\n#       ca_file: \
             /path/to/ca.pem\n",
            service.address()
        ));
    }
    guide.file("/etc/rancher/k3s/registries.yaml", content);
    guide
}
