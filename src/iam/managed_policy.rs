//! Policies that come with the program, by the ARNs of AWS's managed policies.

/// The name is that under which the policy is known in the configuration and to `entrepot iam`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ManagedPolicy {
    /// Everything, users and their rights included.
    Administrator,
    /// Everything that registries do.
    FullAccess,
    /// Reads, pushes and no administration.
    PowerUser,
    ReadOnly,
    PullOnly,
}

/// The only version that a policy has.
pub(super) const MANAGED_VERSION: &str = "v1";

const PREFIX: &str = "arn:aws:iam::aws:policy/";

impl ManagedPolicy {
    pub const ALL: [Self; 5] = [Self::Administrator, Self::FullAccess, Self::PowerUser, Self::ReadOnly, Self::PullOnly];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Administrator => "Administrator",
            Self::FullAccess => "FullAccess",
            Self::PowerUser => "PowerUser",
            Self::ReadOnly => "ReadOnly",
            Self::PullOnly => "PullOnly",
        }
    }

    pub const fn aws_name(self) -> &'static str {
        match self {
            Self::Administrator => "AdministratorAccess",
            Self::FullAccess => "AmazonEC2ContainerRegistryFullAccess",
            Self::PowerUser => "AmazonEC2ContainerRegistryPowerUser",
            Self::ReadOnly => "AmazonEC2ContainerRegistryReadOnly",
            Self::PullOnly => "AmazonEC2ContainerRegistryPullOnly",
        }
    }

    pub fn arn(self) -> String {
        format!("{PREFIX}{}", self.aws_name())
    }

    /// Each by which it may be named: a guard on one of them is one on the policy.
    pub fn arns(self) -> [String; 2] {
        [self.arn(), format!("{PREFIX}{}", self.name())]
    }

    /// By AWS's name or by ours.
    pub fn of_arn(arn: &str) -> Option<Self> {
        let name = arn.strip_prefix(PREFIX)?;
        Self::ALL.into_iter().find(|policy| policy.aws_name() == name || policy.name() == name)
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns() {
        for policy in ManagedPolicy::ALL {
            for arn in policy.arns() {
                assert_eq!(ManagedPolicy::of_arn(&arn), Some(policy));
            }
            assert_eq!(ManagedPolicy::named(policy.name()), Some(policy));
        }
        for arn in
            ["PullOnly", "arn:aws:iam::aws:policy/AmazonS3FullAccess", "arn:aws:iam::123456789012:policy/PullOnly"]
        {
            assert_eq!(ManagedPolicy::of_arn(arn), None, "{arn}");
        }
    }
}
