//! Patterns of the model that are not a type of their own: ARNs of other services, kept as text.

/// `arn:aws(-\w+)*:secretsmanager:[a-zA-Z0-9-:]+:secret:ecr\-pullthroughcache\/[a-zA-Z0-9\/_+=.@-]+`
pub fn is_credential_arn(text: &str) -> bool {
    let Some((partition, rest)) = text.strip_prefix("arn:").and_then(|rest| rest.split_once(":secretsmanager:")) else {
        return false;
    };
    let Some((place, name)) = rest.rsplit_once(":secret:ecr-pullthroughcache/") else { return false };
    is_partition(partition, |c| c.is_ascii_alphanumeric() || c == b'_')
        && is_run(place, |c| c.is_ascii_alphanumeric() || b"-:".contains(&c))
        && is_run(name, |c| c.is_ascii_alphanumeric() || b"/_+=.@-".contains(&c))
}

/// `|arn:aws[a-z0-9-]*:kms:[a-z0-9-]+:[0-9]{12}:key\/[a-z0-9-]+`
pub fn is_kms_key_arn_or_empty(text: &str) -> bool {
    let named = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    let arn = || {
        let (partition, rest) = text.strip_prefix("arn:aws")?.split_once(":kms:")?;
        let (region, rest) = rest.split_once(':')?;
        let (account, key) = rest.split_once(":key/")?;
        let right = partition.bytes().all(named) && is_run(region, named) && is_account(account) && is_run(key, named);
        Some(right)
    };
    text.is_empty() || arn() == Some(true)
}

/// `arn:aws(-[a-z]+)*:iam::[0-9]{12}:(role|user)/[\w+=,.@-]+(/[\w+=,.@-]+)*`
pub fn is_principal_arn(text: &str) -> bool {
    is_iam_arn(text, &["role/", "user/"])
}

/// That of a role; the model itself takes any text of up to 2048 characters.
pub fn is_role_arn_or_empty(text: &str) -> bool {
    text.is_empty() || is_iam_arn(text, &["role/"])
}

fn is_iam_arn(text: &str, kinds: &[&str]) -> bool {
    let arn = || {
        let (partition, rest) = text.strip_prefix("arn:")?.split_once(":iam::")?;
        let (account, resource) = rest.split_once(':')?;
        let path = kinds.iter().find_map(|kind| resource.strip_prefix(kind))?;
        let part = |text: &str| is_run(text, |c| c.is_ascii_alphanumeric() || b"_+=,.@-".contains(&c));
        let right =
            is_partition(partition, |c| c.is_ascii_lowercase()) && is_account(account) && path.split('/').all(part);
        Some(right)
    };
    arn() == Some(true)
}

/// `aws`, then runs of characters with a dash before each.
fn is_partition(text: &str, character: impl Fn(u8) -> bool) -> bool {
    let mut parts = text.split('-');
    parts.next() == Some("aws") && parts.all(|part| is_run(part, &character))
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|c| c.is_ascii_digit())
}

fn is_run(text: &str, character: impl Fn(u8) -> bool) -> bool {
    !text.is_empty() && text.bytes().all(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials() {
        for good in [
            "arn:aws:secretsmanager:eu-west-1:012345678901:secret:ecr-pullthroughcache/hub-AbCdEf",
            "arn:aws-us-gov:secretsmanager:a:secret:ecr-pullthroughcache/a/b_c+d=e.f@g",
        ] {
            assert!(is_credential_arn(good), "{good}");
        }
        for bad in [
            "",
            "arn:aws:secretsmanager:eu-west-1:012345678901:secret:other/hub",
            "arn:aws:secretsmanager:eu-west-1:012345678901:secret:ecr-pullthroughcache/",
            "arn:aws:secretsmanager::secret:ecr-pullthroughcache/a b",
            "arn:aws-:secretsmanager:a:secret:ecr-pullthroughcache/a",
            "arn:aws:secretsmanager:secret:ecr-pullthroughcache/a",
        ] {
            assert!(!is_credential_arn(bad), "{bad}");
        }
    }

    #[test]
    fn keys() {
        for good in ["", "arn:aws:kms:eu-west-1:012345678901:key/0a-1b", "arn:aws-cn:kms:c:012345678901:key/a"] {
            assert!(is_kms_key_arn_or_empty(good), "{good}");
        }
        for bad in [
            "alias/mine",
            "arn:aws:kms:eu-west-1:012345678901:alias/mine",
            "arn:aws:kms:eu-west-1:0123:key/a",
            "arn:aws:kms:eu-west-1:012345678901:key/",
            "arn:aws:kms::012345678901:key/a",
            "arn:aws:kms:e:012345678901:key/A",
        ] {
            assert!(!is_kms_key_arn_or_empty(bad), "{bad}");
        }
    }

    #[test]
    fn principals() {
        for good in ["arn:aws:iam::012345678901:role/node", "arn:aws-us-gov:iam::012345678901:user/path/to/me+=,.@-_"] {
            assert!(is_principal_arn(good), "{good}");
        }
        for bad in [
            "",
            "arn:aws:iam::012345678901:root",
            "arn:aws:iam::012345678901:role/",
            "arn:aws:iam::012345678901:role//a",
            "arn:aws:iam::01234567890:role/a",
            "arn:aws:iam:x:012345678901:role/a",
            "arn:aws:iam::012345678901:role/a b",
            "arn:aws2:iam::012345678901:role/a",
        ] {
            assert!(!is_principal_arn(bad), "{bad}");
        }
        for (text, right) in [
            ("", true),
            ("arn:aws-cn:iam::012345678901:role/path/to/pull", true),
            ("arn:aws:iam::012345678901:user/me", false),
            ("role/pull", false),
        ] {
            assert_eq!(is_role_arn_or_empty(text), right, "{text}");
        }
    }
}
