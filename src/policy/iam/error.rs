//! Why a policy was refused, and where.
//!
//! Malformed JSON has a line and a column. A document that is JSON but no policy has the JSON pointer (RFC 6901) of the value that is
//! wrong. The first problem is told, not all of them.

use std::fmt;

use super::document::Kind;
use super::json::MAX_DEPTH;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    #[error(
        "the policy has {size} bytes and may have {limit}; split it or name repositories and actions with wildcards"
    )]
    TooBig { size: usize, limit: usize },
    /// Both count from 1.
    #[error("line {line}, column {column} of the policy is not JSON: {reason}")]
    NotJson { line: usize, column: usize, reason: String },
    #[error(
        "line {line}, column {column} of the policy nests deeper than {MAX_DEPTH} levels, which no policy needs; a condition is {{operator: {{key: [values]}}}}"
    )]
    TooDeep { line: usize, column: usize },
    /// An empty pointer is the document as a whole.
    #[error("{}: {reason}", if pointer.is_empty() { "the policy" } else { pointer })]
    Refused { pointer: String, reason: Refusal },
}

impl DocumentError {
    /// The JSON pointer of what is wrong, for those that have one.
    pub fn pointer(&self) -> Option<&str> {
        if let Self::Refused { pointer, .. } = self { Some(pointer) } else { None }
    }
}

/// What is wrong and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("is {found}; write {wanted}")]
    WrongType { found: &'static str, wanted: &'static str },
    #[error("is no member of this object; those are {known}")]
    UnknownMember { known: String },
    #[error("is written twice; keep one")]
    Duplicate,
    #[error("has no {0}; add it")]
    Missing(&'static str),
    #[error("has both {0} and {1}; keep one of them")]
    Both(&'static str, &'static str),
    #[error("is empty; write at least one {0}")]
    Empty(&'static str),
    #[error("{0:?} is no version of the policy language; write \"2012-10-17\" or \"2008-10-17\"")]
    Version(String),
    #[error("{0:?} is no effect; write \"Allow\" or \"Deny\"")]
    Effect(String),
    #[error("is not allowed in {kind}: {why}; remove it")]
    NotHere { kind: Kind, why: &'static str },
    #[error(
        "NotPrincipal with Allow would grant to everyone else, also to anonymous askers; name the principals in Principal"
    )]
    NotPrincipalAllows,
    #[error(
        "{0:?} is no action; write \"ecr:\" and an operation such as \"ecr:PutImage\", with wildcards if you like, or \"*\""
    )]
    Action(String),
    #[error(
        "{action:?} is an action of another service, which {kind} cannot grant or deny; write an \"{own}:\" action"
    )]
    ForeignAction { action: String, kind: Kind, own: &'static str },
    #[error(
        "{0:?} is no resource; write \"*\" or an ARN such as \"arn:aws:ecr:eu-west-1:111122223333:repository/team/*\""
    )]
    Resource(String),
    #[error(
        "{0:?} has a policy variable before the fifth colon; variables may stand only in the last part of a resource"
    )]
    EarlyVariable(String),
    #[error(
        "{0:?} is no principal; write \"*\", a 12-digit account id, or the ARN of an account's root, a user, a role or a role session"
    )]
    Principal(String),
    #[error(
        "{0:?} has a wildcard, and a principal is \"*\" or a whole ARN; to match several, write \"*\" and a condition ArnLike on aws:PrincipalArn"
    )]
    PrincipalWildcard(String),
    #[error("{0:?} is no service; write its domain name, such as \"codebuild.amazonaws.com\"")]
    Service(String),
    #[error("{0:?} is no identity provider; write its domain name or its ARN")]
    Provider(String),
    #[error("{name:?} is no condition operator; {hint}")]
    Operator { name: String, hint: String },
    #[error("{0:?} is no condition key; write a prefix, a colon and a name, such as \"aws:SourceIp\"")]
    ConditionKey(String),
    #[error(
        "{action:?} is no action of ECR's, so that {of} would not say what it seems to; the nearest is {nearest:?}"
    )]
    UnknownAction { action: String, of: StatementName, nearest: &'static str },
    #[error(
        "{arn:?} is no repository's, so that {of} would not say what it seems to; write \"arn:aws:ecr:*:ACCOUNT:repository/NAME\", in small letters"
    )]
    UnknownResource { arn: String, of: StatementName },
    #[error(
        "nobody here can have the name {name:?}, so that {of} would deny nothing to them; users and roles are of the partition aws and have no path"
    )]
    UnknownPrincipal { name: String, of: StatementName },
    #[error(
        "{operator} compares nothing with the values of {key}, so that {of} would not say what it seems to; write {wanted}"
    )]
    OtherValues { operator: String, key: String, of: StatementName, wanted: &'static str },
    #[error(
        "no request has the condition key {key:?}, so that {of} would not say what it seems to; the nearest that requests have is {:?}", .nearest
    )]
    UnknownKey { key: String, of: StatementName, nearest: &'static str },
    #[error(
        "no request here has AWS's condition key {key:?}, so that {of} would never deny; take the condition out, or write it so that it holds where \
         the key is absent"
    )]
    NeverDenies { key: String, of: StatementName },
    #[error(
        "no request here has AWS's condition key {key:?}, so that this condition holds for every request and {of} would allow without it; take it \
         out, or write it so that it does not hold where the key is absent"
    )]
    AlwaysAllows { key: String, of: StatementName },
    #[error("{0:?} is no number; write digits with an optional sign and decimal point")]
    Number(String),
    #[error("{0:?} is no point in time; write it as 2026-01-31, as 2026-01-31T12:00:00Z or as seconds since 1970")]
    Date(String),
    #[error("{0:?} is no truth value; write \"true\" or \"false\"")]
    Bool(String),
    #[error("{0:?} is no base64; write the bytes in base64 with padding")]
    Binary(String),
    #[error("{0:?} is no address and no CIDR range; write 192.0.2.0/24, 2001:db8::/48 or a single address")]
    Network(String),
    #[error("{0:?} is no ARN; write one, with wildcards if you like, such as \"arn:aws:iam::111122223333:role/*\"")]
    Arn(String),
    #[error(
        "{value:?} has a policy variable that is {what}; write ${{key}} or ${{key, 'default'}}, and ${{$}} for a dollar sign"
    )]
    Variable { value: String, what: &'static str },
    #[error("{0:?} has a policy variable, and this operator takes none; only String and Arn operators do")]
    VariableNotHere(String),
}

/// A statement, by its Sid if it has one; the pointer beside it says its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementName(pub Option<String>);

impl fmt::Display for StatementName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(sid) => write!(f, "the statement with Sid {sid:?}"),
            None => f.write_str("the statement"),
        }
    }
}
