//! Resources: ARNs, wildcards, incomplete ARNs and exceptions.

use super::*;

/// The member, the resource asked (`~` is `arn:aws:ecr:eu-west-1:111122223333:repository/`), whether it matches.
const ROWS: &[(&str, &str, bool)] = &[
    (r#""Resource": "*""#, "~team/app", true),
    (r#""Resource": "*""#, "*", true),
    (r#""Resource": "~team/app""#, "~team/app", true),
    (r#""Resource": "~team/app""#, "~team/App", false),
    (r#""Resource": "~Team/app""#, "~team/app", false),
    (r#""Resource": "~team/app""#, "~team/app/sub", false),
    (r#""Resource": "~team/app""#, "*", false),
    (r#""Resource": "~team/*""#, "~team/app", true),
    (r#""Resource": "~team/*""#, "~team/app/sub", true),
    (r#""Resource": "~team/*""#, "~team", false),
    (r#""Resource": "~team*""#, "~team", true),
    (r#""Resource": "~team*""#, "~teammate/app", true),
    (r#""Resource": "~*/app""#, "~a/b/app", true),
    (r#""Resource": "~*/app""#, "~app", false),
    (r#""Resource": "~team-?/app""#, "~team-a/app", true),
    (r#""Resource": "~team-?/app""#, "~team-ab/app", false),
    (r#""Resource": "~*""#, "*", false),
    (r#""Resource": "arn:aws:ecr:*:111122223333:repository/team/app""#, "~team/app", true),
    (r#""Resource": "arn:aws:ecr:eu-*:*:repository/*""#, "~team/app", true),
    (r#""Resource": "arn:aws:ecr:us-*:*:repository/*""#, "~team/app", true),
    (r#""Resource": "arn:aws:ecr:eu-west-1:222233334444:repository/*""#, "~team/app", false),
    (r#""Resource": "arn:aws-cn:ecr:cn-north-1:111122223333:repository/team/app""#, "~team/app", true),
    (r#""Resource": "arn:aws-cn:ecr:*:*:repository/*""#, "~team/app", true),
    (r#""Resource": "arn:aws-cn:ecr:*:222233334444:repository/*""#, "~team/app", false),
    (r#""Resource": "arn:aws-cn:*:cn-north-1:111122223333:repository/team/app""#, "~team/app", true),
    (r#""Resource": "arn:aws-cn:e?r:*:*:repository/team/app""#, "~team/app", true),
    (r#""Resource": "arn:aws-cn:s3:*:*:repository/team/app""#, "~team/app", false),
    (r#""Resource": "arn:aws-cn:ecr""#, "~team/app", true),
    (r#""Resource": "~team/app""#, "arn:aws-cn:ecr:cn-north-1:111122223333:repository/team/app", true),
    (r#""NotResource": "arn:aws-cn:ecr:cn-north-1:111122223333:repository/team/app""#, "~team/app", false),
    (r#""Resource": "arn:aws-cn:*:*:111122223333:user/ann""#, "arn:aws:iam::111122223333:user/ann", false),
    (r#""Resource": "arn:*:ecr:*:*:repository/*""#, "~team/app", true),
    (r#""Resource": "arn:aws:ecr:*""#, "~team/app", true),
    (r#""Resource": "arn:aws:ecr""#, "~team/app", true),
    (r#""Resource": "arn:aws:ecr:eu-west-1""#, "~team/app", true),
    (r#""Resource": "arn:aws:ecr:eu-west-2""#, "~team/app", true),
    (r#""Resource": "arn:aws:ecr:eu-west-2:111122223333:repository/team/app""#, "~team/app", true),
    (r#""Resource": "arn:aws:ecr:eu-west-2:222233334444:repository/team/app""#, "~team/app", false),
    (r#""NotResource": "arn:aws:ecr:eu-west-2:111122223333:repository/team/app""#, "~team/app", false),
    (r#""Resource": "arn:aws:s3""#, "~team/app", false),
    (r#""Resource": ["~a", "~b"]"#, "~b", true),
    (r#""Resource": ["~a", "~b"]"#, "~c", false),
    (r#""NotResource": "~prod/*""#, "~prod/app", false),
    (r#""NotResource": "~prod/*""#, "~team/app", true),
    (r#""NotResource": ["~prod/*", "~base"]"#, "~base", false),
    (r#""NotResource": ["~prod/*", "~base"]"#, "~team", true),
    (r#""NotResource": "*""#, "~team", false),
];

#[test]
fn table() {
    let whole = |text: &str| text.replace('~', "arn:aws:ecr:eu-west-1:111122223333:repository/");
    for (member, resource, holds) in ROWS {
        let ending = format!(r#""Action": "ecr:*", {}"#, whole(member));
        let user = "arn:aws:iam::111122223333:user/ann";
        let found = statement_holds("2012-10-17", &ending, user, "ecr:PutImage", &whole(resource), "");
        assert_eq!(found, *holds, "{member} on {resource}");
    }
}
