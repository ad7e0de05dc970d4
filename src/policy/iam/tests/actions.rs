//! Actions: case, wildcards, lists and exceptions.

use super::*;

/// The member, the action asked, whether it matches.
const ROWS: &[(&str, &str, bool)] = &[
    (r#""Action": "*""#, "ecr:PutImage", true),
    (r#""Action": "*""#, "s3:GetObject", true),
    (r#""Action": "ecr:*""#, "ecr:PutImage", true),
    (r#""Action": "ecr:*""#, "ecr-public:PutImage", false),
    (r#""Action": "ecr:PutImage""#, "ecr:PutImage", true),
    (r#""Action": "ECR:putimage""#, "ecr:PutImage", true),
    (r#""Action": "ecr:PutImage""#, "ECR:PUTIMAGE", true),
    (r#""Action": "ecr:PutImage""#, "ecr:PutImageScanningConfiguration", false),
    (r#""Action": "ecr:PutImage*""#, "ecr:PutImageScanningConfiguration", true),
    (r#""Action": "ecr:Describe*""#, "ecr:DescribeImages", true),
    (r#""Action": "ecr:Describe*""#, "ecr:ListImages", false),
    (r#""Action": "ecr:*Image*""#, "ecr:BatchGetImage", true),
    (r#""Action": "ecr:*Image""#, "ecr:DescribeImages", false),
    (r#""Action": "ecr:PutImag?""#, "ecr:PutImage", true),
    (r#""Action": "ecr:PutImag??""#, "ecr:PutImage", false),
    (r#""Action": "ecr:????????""#, "ecr:PutImage", true),
    (r#""Action": "*:PutImage""#, "ecr:PutImage", true),
    (r#""Action": ["ecr:BatchGetImage", "ecr:PutImage"]"#, "ecr:PutImage", true),
    (r#""Action": ["ecr:BatchGetImage", "ecr:Get*"]"#, "ecr:GetDownloadUrlForLayer", true),
    (r#""Action": ["ecr:BatchGetImage", "ecr:Get*"]"#, "ecr:PutImage", false),
    (r#""Action": ["s3:*", "iam:*"]"#, "ecr:PutImage", false),
    (r#""NotAction": "ecr:PutImage""#, "ecr:PutImage", false),
    (r#""NotAction": "ecr:PutImage""#, "ecr:BatchGetImage", true),
    (r#""NotAction": "iam:*""#, "ecr:PutImage", true),
    (r#""NotAction": "ecr:*""#, "ecr:PutImage", false),
    (r#""NotAction": ["ecr:Put*", "ecr:Delete*"]"#, "ecr:DeleteRepository", false),
    (r#""NotAction": ["ecr:Put*", "ecr:Delete*"]"#, "ecr:ListImages", true),
    (r#""NotAction": "*""#, "ecr:ListImages", false),
];

#[test]
fn table() {
    for (member, action, holds) in ROWS {
        let ending = format!(r#"{member}, "Resource": "*""#);
        let found =
            statement_holds("2012-10-17", &ending, "arn:aws:iam::111122223333:user/ann", action, REPOSITORY, "");
        assert_eq!(found, *holds, "{member} on {action}");
    }
}
