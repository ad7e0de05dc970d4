//! The kinds of registry that a pull-through rule of ECR names.

use super::words::words;

words! {
    pub enum UpstreamRegistry {
        Ecr = "ecr",
        EcrPublic = "ecr-public",
        Quay = "quay",
        K8s = "k8s",
        DockerHub = "docker-hub",
        GithubContainerRegistry = "github-container-registry",
        AzureContainerRegistry = "azure-container-registry",
        GitlabContainerRegistry = "gitlab-container-registry",
        Chainguard = "chainguard",
    }
}

impl UpstreamRegistry {
    /// From the URL of a rule that does not name the kind: a host, perhaps with a scheme before it and a path after it.
    pub fn of_url(url: &str) -> Option<Self> {
        let rest = url.strip_prefix("https://").unwrap_or(url);
        let host = rest.split('/').next().unwrap_or_default().to_ascii_lowercase();
        Some(match host.as_str() {
            "public.ecr.aws" => Self::EcrPublic,
            "quay.io" => Self::Quay,
            "registry.k8s.io" => Self::K8s,
            "registry-1.docker.io" => Self::DockerHub,
            "ghcr.io" => Self::GithubContainerRegistry,
            "registry.gitlab.com" => Self::GitlabContainerRegistry,
            "cgr.dev" => Self::Chainguard,
            host if host.ends_with(".azurecr.io") => Self::AzureContainerRegistry,
            host if host.contains(".dkr.ecr.") && is_amazon(host) => Self::Ecr,
            _ => return None,
        })
    }
}

fn is_amazon(host: &str) -> bool {
    host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_from_the_url() {
        for (url, kind) in [
            ("quay.io", Some(UpstreamRegistry::Quay)),
            ("https://ghcr.io/", Some(UpstreamRegistry::GithubContainerRegistry)),
            ("mine.azurecr.io", Some(UpstreamRegistry::AzureContainerRegistry)),
            ("012345678901.dkr.ecr.eu-west-1.amazonaws.com", Some(UpstreamRegistry::Ecr)),
            ("registry-1.docker.io", Some(UpstreamRegistry::DockerHub)),
            ("harbor.example.com", None),
            ("", None),
        ] {
            assert_eq!(UpstreamRegistry::of_url(url), kind, "{url}");
        }
    }
}
