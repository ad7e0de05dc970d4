//! Keys of several values: `ForAllValues:`, `ForAnyValue:`, and neither.

use super::*;

/// The operator, the policy's values, the values of `aws:TagKeys` in the request, whether it holds.
const ROWS: &[(&str, &str, &str, bool)] = &[
    ("ForAllValues:StringEquals", r#"["team", "env"]"#, "team", true),
    ("ForAllValues:StringEquals", r#"["team", "env"]"#, "team|env", true),
    ("ForAllValues:StringEquals", r#"["team", "env"]"#, "team|cost", false),
    ("ForAllValues:StringEquals", r#"["team", "env"]"#, "", true),
    ("ForAllValues:StringEquals", r#"["team", "env"]"#, "[]", true),
    ("ForAllValues:StringEqualsIfExists", r#""team""#, "", true),
    ("ForAllValues:StringNotEquals", r#"["team", "env"]"#, "cost|owner", true),
    ("ForAllValues:StringNotEquals", r#"["team", "env"]"#, "cost|env", false),
    ("ForAllValues:StringNotEquals", r#"["team", "env"]"#, "", true),
    ("ForAllValues:StringNotEqualsIfExists", r#"["team", "env"]"#, "team|env", false),
    ("ForAllValues:StringLike", r#""key*""#, "key1|key2", true),
    ("ForAllValues:StringLike", r#""key*""#, "key1|other", false),
    ("ForAllValues:StringLike", r#"["key*", "o?her"]"#, "key1|other", true),
    ("ForAllValues:StringNotLike", r#""key*""#, "a|b", true),
    ("ForAllValues:StringNotLike", r#""key*""#, "a|key", false),
    ("ForAllValues:StringEqualsIgnoreCase", r#""Team""#, "team|TEAM", true),
    ("ForAllValues:NumericLessThan", r#""5""#, "1|4", true),
    ("ForAllValues:NumericLessThan", r#""5""#, "1|5", false),
    ("ForAllValues:ArnLike", r#""arn:aws:s3:::a*""#, "arn:aws:s3:::a1|arn:aws:s3:::a2", true),
    ("ForAnyValue:StringEquals", r#"["team", "env"]"#, "team|cost", true),
    ("ForAnyValue:StringEquals", r#"["team", "env"]"#, "owner|cost", false),
    ("ForAnyValue:StringEquals", r#"["team", "env"]"#, "", false),
    ("ForAnyValue:StringEquals", r#"["team", "env"]"#, "[]", false),
    ("ForAnyValue:StringEqualsIfExists", r#""team""#, "", false),
    ("ForAnyValue:StringNotEquals", r#"["team", "env"]"#, "team|cost", true),
    ("ForAnyValue:StringNotEquals", r#"["team", "env"]"#, "team|env", false),
    ("ForAnyValue:StringNotEquals", r#"["team", "env"]"#, "", false),
    ("ForAnyValue:StringNotEqualsIfExists", r#"["team", "env"]"#, "", false),
    ("ForAnyValue:StringLike", r#""key*""#, "a|key1", true),
    ("ForAnyValue:StringLike", r#""key*""#, "a|b", false),
    ("ForAnyValue:StringNotLike", r#""key*""#, "key1|b", true),
    ("ForAnyValue:IpAddress", r#""192.0.2.0/24""#, "198.51.100.1|192.0.2.1", true),
    ("ForAnyValue:Bool", r#""true""#, "false|true", true),
    ("StringEquals", r#"["team", "env"]"#, "cost|env", true),
    ("StringEquals", r#"["team", "env"]"#, "cost|owner", false),
    ("StringNotEquals", r#"["team", "env"]"#, "cost|env", false),
    ("StringNotEquals", r#"["team", "env"]"#, "cost|owner", true),
    ("StringEquals", r#""team""#, "[]", false),
    ("StringNotEquals", r#""team""#, "[]", true),
];

#[test]
fn table() {
    for (operator, values, seen, holds) in ROWS {
        let condition = format!(r#"{{"{operator}": {{"aws:TagKeys": {values}}}}}"#);
        let seen = if seen.is_empty() { String::new() } else { format!("aws:TagKeys={seen}") };
        assert_eq!(condition_holds(&condition, &seen), *holds, "{condition} on {seen:?}");
    }
}

#[test]
fn tags_of_a_request_are_bound_by_names_and_presence() {
    let condition =
        r#"{"ForAllValues:StringEquals": {"aws:TagKeys": ["team", "env"]}, "Null": {"aws:TagKeys": "false"}}"#;
    assert!(condition_holds(condition, "aws:TagKeys=team"));
    assert!(!condition_holds(condition, "aws:TagKeys=team|secret"));
    assert!(!condition_holds(condition, ""));
}
