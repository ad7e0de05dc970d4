//! Condition keys: those that requests have, and those of AWS's that none has here.
//!
//! A key without a value decides by its absence: a Deny on it never holds, or always. So a key that nobody knows is refused where a policy is
//! written, and one of AWS's is taken where its absence lets nobody do more than the policy says.

/// Keys that some request has. Names that end in a slash are followed by the key of a tag.
pub(super) const OF_REQUESTS: [&str; 24] = [
    "aws:CurrentTime",
    "aws:EpochTime",
    "aws:PrincipalAccount",
    "aws:PrincipalArn",
    "aws:PrincipalIsAWSService",
    "aws:PrincipalTag/",
    "aws:PrincipalType",
    "aws:RequestTag/",
    "aws:ResourceAccount",
    "aws:ResourceTag/",
    "aws:SecureTransport",
    "aws:SourceIp",
    "aws:TagKeys",
    "aws:TokenIssueTime",
    "aws:UserAgent",
    "aws:ViaAWSService",
    "aws:username",
    "ecr:AccountSetting",
    "ecr:ResourceTag/",
    "entrepot:ImageTag",
    "entrepot:Upstream",
    "iam:PolicyARN",
    "iam:ResourceTag/",
    "sts:RoleSessionName",
];

/// AWS documents these, and no request here has one: there are no organizations, networks, services or second factors.
const OF_NO_REQUEST: [&str; 49] = [
    "aws:AssumedRoot",
    "aws:CalledVia",
    "aws:CalledViaFirst",
    "aws:CalledViaLast",
    "aws:ChatbotSourceArn",
    "aws:Ec2InstanceSourcePrivateIPv4",
    "aws:Ec2InstanceSourceVpc",
    "aws:FederatedProvider",
    "aws:MultiFactorAuthAge",
    "aws:MultiFactorAuthPresent",
    "aws:PrincipalOrgID",
    "aws:PrincipalOrgPaths",
    "aws:PrincipalServiceName",
    "aws:PrincipalServiceNamesList",
    "aws:Referer",
    "aws:RequestedRegion",
    "aws:ResourceOrgID",
    "aws:ResourceOrgPaths",
    "aws:SignInSessionArn",
    "aws:SourceAccount",
    "aws:SourceArn",
    "aws:SourceIdentity",
    "aws:SourceOrgID",
    "aws:SourceOrgPaths",
    "aws:SourceVpc",
    "aws:SourceVpcArn",
    "aws:SourceVpce",
    "aws:userid",
    "aws:VpceAccount",
    "aws:VpceOrgID",
    "aws:VpceOrgPaths",
    "aws:VpcSourceIp",
    "ec2:RoleDelivery",
    "ec2:SourceInstanceArn",
    "iam:AWSServiceName",
    "iam:AssociatedResourceArn",
    "iam:OrganizationsPolicyId",
    "iam:PassedToService",
    "iam:PermissionsBoundary",
    "lambda:SourceFunctionArn",
    "ssm:SourceInstanceArn",
    "sts:AWSServiceName",
    "sts:DurationSeconds",
    "sts:ExternalId",
    "sts:RequestContext/",
    "sts:RequestContextProviders",
    "sts:SourceIdentity",
    "sts:TaskPolicyArn",
    "sts:TransitiveTagKeys",
];

/// What a key's values are, where operators that read something else compare nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Values {
    Address,
    Time,
    Truth,
    Text,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    OfRequests,
    OfNoRequest,
    /// Neither, with the nearest that requests have.
    Unknown(&'static str),
}

/// `key` is compared without case.
pub(super) fn standing(key: &str) -> Standing {
    let has = |names: &[&str]| names.iter().any(|name| is(key, name));
    if has(&OF_REQUESTS) {
        Standing::OfRequests
    } else if has(&OF_NO_REQUEST) {
        Standing::OfNoRequest
    } else {
        Standing::Unknown(nearest(key))
    }
}

/// `key` is compared without case.
pub(super) fn values(key: &str) -> Values {
    let is_one = |names: &[&str]| names.iter().any(|name| is(key, name));
    if is_one(&["aws:SourceIp"]) {
        Values::Address
    } else if is_one(&["aws:CurrentTime", "aws:EpochTime", "aws:TokenIssueTime"]) {
        Values::Time
    } else if is_one(&["aws:SecureTransport", "aws:ViaAWSService", "aws:PrincipalIsAWSService"]) {
        Values::Truth
    } else {
        Values::Text
    }
}

fn is(key: &str, name: &str) -> bool {
    if !name.ends_with('/') {
        return key.eq_ignore_ascii_case(name);
    }
    key.len() > name.len() && key.get(..name.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(name))
}

/// What is behind a slash is a tag's key, and tells nothing.
fn nearest(key: &str) -> &'static str {
    let key = key.to_lowercase();
    let key = key.split_once('/').map_or(key.as_str(), |(name, _)| name);
    let service = |key: &str| key.split_once(':').map(|(service, _)| service.to_owned());
    let distance = |name: &&'static str| {
        let name = name.trim_end_matches('/').to_lowercase();
        (service(&name) != service(key), strsim::damerau_levenshtein(&name, key))
    };
    OF_REQUESTS.into_iter().min_by_key(distance).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g05_keys_and_what_is_near_them() {
        for (key, expected) in [
            ("aws:SourceIp", Standing::OfRequests),
            ("AWS:SOURCEIP", Standing::OfRequests),
            ("aws:PrincipalTag/team", Standing::OfRequests),
            ("aws:principaltag/TEAM/lead", Standing::OfRequests),
            ("aws:SourceVpce", Standing::OfNoRequest),
            ("aws:SourceIP2", Standing::Unknown("aws:SourceIp")),
            ("aws:SourceIp/", Standing::Unknown("aws:SourceIp")),
            ("aws:PrincipalTag", Standing::Unknown("aws:PrincipalTag/")),
            ("aws:PrincipalTag/", Standing::Unknown("aws:PrincipalTag/")),
            ("aws:PrincipalTags/team", Standing::Unknown("aws:PrincipalTag/")),
            ("aws:ResourceTag:team", Standing::Unknown("aws:ResourceTag/")),
            ("ecr:RequestTag/team", Standing::Unknown("ecr:ResourceTag/")),
            ("entrepot:Imagetags", Standing::Unknown("entrepot:ImageTag")),
            ("entrepot:Foo", Standing::Unknown("entrepot:ImageTag")),
            ("aws:Usernarne", Standing::Unknown("aws:username")),
            ("s3:prefix", Standing::Unknown("aws:username")),
            ("ärger:ä", Standing::Unknown("aws:SourceIp")),
        ] {
            let found = standing(key);
            match (found, expected) {
                // Which of them is nearest to something quite different is no promise.
                (Standing::Unknown(_), Standing::Unknown(_)) if key.starts_with("s3") || key.starts_with('ä') => {}
                _ => assert_eq!(found, expected, "{key}"),
            }
        }
    }
}
