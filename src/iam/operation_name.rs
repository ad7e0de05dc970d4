//! The names of the operations that there are.

/// One of the two APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    Iam,
    Sts,
}

impl Service {
    pub const fn version(self) -> &'static str {
        match self {
            Self::Iam => "2010-05-08",
            Self::Sts => "2011-06-15",
        }
    }

    pub(super) const fn namespace(self) -> &'static str {
        match self {
            Self::Iam => "https://iam.amazonaws.com/doc/2010-05-08/",
            Self::Sts => "https://sts.amazonaws.com/doc/2011-06-15/",
        }
    }

    pub(super) fn of_version(version: &str) -> Option<Self> {
        [Self::Iam, Self::Sts].into_iter().find(|service| service.version() == version)
    }
}

macro_rules! operations {
    ($($service:ident $prefix:literal: $($kind:ident $name:ident),+;)+) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum OperationName {
            $($($name,)+)+
        }

        impl OperationName {
            pub const ALL: &[Self] = &[$($(Self::$name,)+)+];

            pub const fn name(self) -> &'static str {
                match self {
                    $($(Self::$name => stringify!($name),)+)+
                }
            }

            /// As policies know it.
            pub const fn iam_action(self) -> &'static str {
                match self {
                    $($(Self::$name => concat!($prefix, ":", stringify!($name)),)+)+
                }
            }

            pub const fn service(self) -> Service {
                match self {
                    $($(Self::$name => Service::$service,)+)+
                }
            }

            /// Whether it changes something, or hands out credentials.
            pub const fn is_write(self) -> bool {
                match self {
                    $($(Self::$name => operations!(@ $kind),)+)+
                }
            }
        }
    };
    (@ read) => { false };
    (@ write) => { true };
}

operations! {
    Sts "sts":
        read GetCallerIdentity, write GetSessionToken, write AssumeRole, write AssumeRoleWithWebIdentity;
    Iam "iam":
        write CreateUser, read GetUser, read ListUsers, write DeleteUser,
        write CreateAccessKey, read ListAccessKeys, write UpdateAccessKey, write DeleteAccessKey,
        write CreateLoginProfile, write UpdateLoginProfile, read GetLoginProfile, write DeleteLoginProfile,
        write CreateRole, read GetRole, read ListRoles, write UpdateAssumeRolePolicy, write DeleteRole,
        write PutUserPolicy, read GetUserPolicy, read ListUserPolicies, write DeleteUserPolicy,
        write PutRolePolicy, read GetRolePolicy, read ListRolePolicies, write DeleteRolePolicy,
        read ListPolicies, read GetPolicy, read GetPolicyVersion,
        write AttachUserPolicy, write DetachUserPolicy, read ListAttachedUserPolicies,
        write AttachRolePolicy, write DetachRolePolicy, read ListAttachedRolePolicies,
        write TagUser, write UntagUser, read ListUserTags,
        write TagRole, write UntagRole, read ListRoleTags,
        read SimulatePrincipalPolicy;
}

impl OperationName {
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|operation| operation.name() == name)
    }
}
