//! buildkitd: its own file; it does not read Docker's. It adds `?ns=` as containerd does.

use super::guide::Guide;
use super::service::Service;

pub(super) fn guide(service: &Service) -> Guide {
    let mut guide = Guide::new("buildkit", service);
    guide.note(
        "Merge this into /etc/buildkit/buildkitd.toml (rootless: ~/.config/buildkit/buildkitd.toml) and restart buildkitd. \
         With buildx: docker buildx create --use --buildkitd-config buildkitd.toml. A builder in a container reaches the \
         host's services by another address than 127.0.0.1: give that one with --url.",
    );
    guide.note("The builder inside dockerd takes Docker's mirrors instead: entrepot client-config docker.");
    guide.note_names_without_host(service);
    let mut content = String::new();
    for registry in &service.registries {
        content.push_str(&format!("[registry.\"{}\"]\n  mirrors = [\"{}\"]\n\n", registry.host, service.address()));
    }
    content.push_str(&format!("[registry.\"{}\"]\n", service.address()));
    content.push_str(if service.is_plain_http() {
        "  http = true\n"
    } else {
        "  # Where the certificate is of a private authority:\n  # ca = [\"/path/to/ca.pem\"]\n"
    });
    guide.file("/etc/buildkit/buildkitd.toml", content);
    guide
}
