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
    guide.note_access(
        service,
        &format!(
            "BuildKit takes credentials from whoever starts the build, by the mirror's host: docker login {} there.",
            service.address()
        ),
        "Put the paths of the certificate and its key into the last table.",
    );
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
    if service.wanted.certificate {
        content.push_str(&format!(
            "  # [[registry.\"{}\".keypair]]\n  #   cert = \"/path/to/client.pem\"\n  #   key = \"/path/to/client.key\"\n",
            service.address()
        ));
    }
    guide.file("/etc/buildkit/buildkitd.toml", content);
    guide
}
