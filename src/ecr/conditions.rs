//! What conditions of policies can look at in a request, besides where it comes from.

use super::image::RequestedImage;
use super::input::{PutImage, TemplateSettings};
use super::operation::Operation;
use super::resource_tag::ResourceTag;
use super::words::Word;

/// A key of conditions, and its values in the request.
pub type Said = (String, Vec<String>);

impl Operation {
    /// Keys that the request itself has values for.
    pub fn said(&self) -> Vec<Said> {
        match self {
            Self::CreateRepository(input) => of_tags(&input.tags),
            Self::TagResource(input) => of_tags(&input.tags),
            Self::UntagResource(input) => vec![("aws:TagKeys".to_owned(), input.tag_keys.clone())],
            Self::GetAccountSetting(input) => vec![of_setting(input.name.word())],
            Self::PutAccountSetting(input) => vec![of_setting(input.name.word())],
            _ => Vec::new(),
        }
    }

    /// The tags of images that it is about, each once; `None` stands for images that it names otherwise. Each of them has to be
    /// allowed.
    pub fn image_tags(&self) -> Vec<Option<&str>> {
        let mut tags: Vec<Option<&str>> = match self {
            Self::PutImage(PutImage { tag, .. }) => vec![tag.as_ref().map(|tag| tag.as_str())],
            Self::BatchGetImage(input) => input.images.iter().map(RequestedImage::written_tag).collect(),
            Self::BatchDeleteImage(input) => input.images.iter().map(RequestedImage::written_tag).collect(),
            _ => vec![None],
        };
        if tags.is_empty() {
            tags.push(None);
        }
        tags.sort_unstable();
        tags.dedup();
        tags
    }
}

impl TemplateSettings {
    /// As [`Operation::said`] of the creation of a repository with its tags.
    pub fn said(&self) -> Vec<Said> {
        of_tags(self.resource_tags.as_deref().unwrap_or_default())
    }
}

fn of_tags(tags: &[ResourceTag]) -> Vec<Said> {
    let mut said: Vec<Said> =
        tags.iter().map(|tag| (format!("aws:RequestTag/{}", tag.key), vec![tag.value.clone()])).collect();
    if !tags.is_empty() {
        said.push(("aws:TagKeys".to_owned(), tags.iter().map(|tag| tag.key.clone()).collect()));
    }
    said
}

fn of_setting(name: &str) -> Said {
    ("ecr:AccountSetting".to_owned(), vec![name.to_owned()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(name: &str, body: &str) -> Operation {
        Operation::parse(&format!("AmazonEC2ContainerRegistry_V20150921.{name}"), body.as_bytes()).unwrap()
    }

    #[test]
    fn what_requests_say() {
        let create = operation(
            "CreateRepository",
            r#"{"repositoryName":"a/b","tags":[{"Key":"team","Value":"x"},{"Key":"env","Value":"y"}]}"#,
        );
        let one = |key: &str, values: &[&str]| (key.to_owned(), values.iter().map(|v| (*v).to_owned()).collect());
        let expected: Vec<Said> = vec![
            one("aws:RequestTag/team", &["x"]),
            one("aws:RequestTag/env", &["y"]),
            one("aws:TagKeys", &["team", "env"]),
        ];
        assert_eq!(create.said(), expected);
        let plain = operation("CreateRepository", r#"{"repositoryName":"a/b"}"#);
        assert_eq!(plain.said(), []);
        let untag = r#"{"resourceArn":"arn:aws:ecr:local:000000000000:repository/a/b","tagKeys":["team"]}"#;
        assert_eq!(operation("UntagResource", untag).said(), [one("aws:TagKeys", &["team"])]);
        let setting = operation("GetAccountSetting", r#"{"name":"BLOB_MOUNTING"}"#);
        assert_eq!(setting.said(), [one("ecr:AccountSetting", &["BLOB_MOUNTING"])]);
    }

    #[test]
    fn tags_of_images() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let ids = format!(
            r#"{{"repositoryName":"a/b","imageIds":[{{"imageTag":"v2"}},{{"imageDigest":"{digest}"}},{{"imageTag":"v1"}},{{"imageTag":"v2"}}]}}"#
        );
        for name in ["BatchGetImage", "BatchDeleteImage"] {
            assert_eq!(operation(name, &ids).image_tags(), [None, Some("v1"), Some("v2")], "{name}");
        }
        let put = operation("PutImage", r#"{"repositoryName":"a/b","imageManifest":"{}","imageTag":"v1"}"#);
        assert_eq!(put.image_tags(), [Some("v1")]);
        assert_eq!(operation("DescribeRegistry", "{}").image_tags(), [None]);
    }
}
