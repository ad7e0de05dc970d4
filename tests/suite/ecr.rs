//! What the ECR API does beyond its vocabulary: pulling from upstream, settings of the registry, parts of layers, and what it says of what
//! it does not do.

use base64::Engine;
use serde_json::{Value, json};

use crate::client::Answer;
use crate::edge::{USERS, api, as_user, assert_fault, basic, guarded, push_as};
use crate::proxy::{HUB, Proxy, Setup};
use crate::push::{an_image, path};
use crate::upstream::{Behaviour, FakeUpstream, noise, sha256};

const REPO: &str = "team/app";

/// One where a tag is asked for upstream each time.
async fn fresh(upstream: &FakeUpstream) -> Proxy {
    let mut setup = Setup::of(upstream).fresh_tags();
    setup.more = format!("{USERS}\n[auth]\nfailed_logins = 1000\n");
    setup.start().await
}

fn local() -> String {
    format!("{HUB}/{REPO}")
}

async fn get_images(proxy: &Proxy, user: &str, repository: &str, ids: Value) -> Answer {
    let input = json!({ "repositoryName": repository, "imageIds": ids });
    api(&proxy.client(), user, "BatchGetImage", input).await
}

/// The manifest of the one image that is asked for, or the code and the reason of its failure.
async fn get_image(proxy: &Proxy, user: &str, repository: &str, id: Value) -> Result<String, (String, String)> {
    let answer = get_images(proxy, user, repository, json!([id])).await;
    answer.assert_status(200);
    let answer = answer.json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    match (answer["images"].as_array().unwrap().as_slice(), answer["failures"].as_array().unwrap().as_slice()) {
        ([image], []) => Ok(text(&image["imageManifest"])),
        ([], [failure]) => Err((text(&failure["failureCode"]), text(&failure["failureReason"]))),
        _ => panic!("{answer}"),
    }
}

async fn repositories(proxy: &Proxy) -> Vec<String> {
    let described = api(&proxy.client(), "root", "DescribeRepositories", json!({})).await.json();
    let all = described["repositories"].as_array().unwrap();
    all.iter().map(|one| one["repositoryName"].as_str().unwrap().to_owned()).collect()
}

async fn set_policy(proxy: &Proxy, repository: &str, user: &str, action: &str) {
    let policy = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": action,
        "Principal": { "AWS": format!("arn:aws:iam::000000000000:user/{user}") } }] });
    let set = json!({ "repositoryName": repository, "policyText": policy.to_string() });
    api(&proxy.client(), "root", "SetRepositoryPolicy", set).await.assert_status(200);
}

/// The first image makes the repository; a tag is as fresh as on the data plane; what has come is there for good.
#[tokio::test]
async fn batch_get_image_pulls_what_is_not_kept() {
    let upstream = FakeUpstream::start().await;
    let (first, other) = (upstream.image(REPO, "latest", 1, &[1000]), upstream.untagged_image(REPO, 2, &[10]));
    let proxy = fresh(&upstream).await;
    assert!(repositories(&proxy).await.is_empty());
    let text = |image: &crate::upstream::Image| Ok(String::from_utf8(image.manifest.bytes.to_vec()).unwrap());
    let tag = || json!({ "imageTag": "latest" });
    assert_eq!(get_image(&proxy, "reader", &local(), tag()).await, text(&first));
    assert_eq!(repositories(&proxy).await, [local()]);
    let layer = json!({ "repositoryName": local(), "layerDigest": first.layer().digest });
    let url = api(&proxy.client(), "reader", "GetDownloadUrlForLayer", layer).await.json();
    let from = url["downloadUrl"].as_str().unwrap().strip_prefix(&proxy.url()).unwrap().to_owned();
    as_user(&proxy, "reader", "GET", &from).await.assert_body(&first.layer().bytes);

    let second = upstream.image(REPO, "latest", 3, &[1000]);
    assert_eq!(get_image(&proxy, "reader", &local(), tag()).await, text(&second));
    let digest = |image: &crate::upstream::Image| json!({ "imageDigest": image.manifest.digest });
    assert_eq!(get_image(&proxy, "reader", &local(), digest(&other)).await, text(&other));
    let both = json!({ "imageTag": "latest", "imageDigest": first.manifest.digest });
    let mismatch = get_image(&proxy, "reader", &local(), both).await.unwrap_err();
    assert_eq!(mismatch.0, "ImageTagDoesNotMatchDigest");
    let described = api(&proxy.client(), "root", "DescribeImages", json!({ "repositoryName": local() })).await.json();
    assert_eq!(described["imageDetails"].as_array().unwrap().len(), 3);

    // What is kept under a digest is served without asking; each id of a batch fails alone.
    upstream.refuse();
    let ids = json!([digest(&first), digest(&other), { "imageDigest": sha256(b"absent") }, { "imageTag": "-" }]);
    let answer = get_images(&proxy, "reader", &local(), ids).await.json();
    assert_eq!(answer["images"].as_array().unwrap().len(), 2);
    let codes: Vec<_> = answer["failures"].as_array().unwrap().iter().map(|failure| &failure["failureCode"]).collect();
    assert_eq!(codes, ["UpstreamUnavailable", "InvalidImageTag"]);
    // A tag is served stale, as on the data plane.
    assert_eq!(get_image(&proxy, "reader", &local(), tag()).await, text(&second));
}

/// Whatever upstream says has a code, and the reason says it in words.
#[tokio::test]
async fn what_upstream_answers_is_told_by_code() {
    let upstream = FakeUpstream::start().await;
    let proxy = fresh(&upstream).await;
    for (tag, behaviour, code) in [
        ("absent", Behaviour::usual(), "ImageNotFound"),
        ("denied", Behaviour::status(403), "UpstreamAccessDenied"),
        ("closed", Behaviour::status(401), "UpstreamAccessDenied"),
        ("a-page", Behaviour::answer(200, "text/html", "<html>"), "UpstreamUnavailable"),
        ("broken", Behaviour::status(500), "UpstreamUnavailable"),
        ("limited", Behaviour::limited(1), "UpstreamTooManyRequests"),
    ] {
        upstream.on("*", format!("/manifests/{tag}"), behaviour);
        let (found, reason) = get_image(&proxy, "root", &local(), json!({ "imageTag": tag })).await.unwrap_err();
        assert_eq!(found, code, "{tag}: {reason}");
        assert!(code == "ImageNotFound" || reason.contains(HUB), "{tag}: {reason}");
    }
    assert!(repositories(&proxy).await.is_empty(), "nothing came");
}

/// Who may read, but not have anything brought, gets what is there.
#[tokio::test]
async fn bringing_an_image_needs_the_right_to() {
    let upstream = FakeUpstream::start().await;
    let kept = upstream.image(REPO, "latest", 1, &[1000]);
    let other = upstream.untagged_image(REPO, 2, &[1000]);
    let proxy = fresh(&upstream).await;
    let registry = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": "ecr:BatchGetImage",
        "Resource": "*", "Principal": { "AWS": "arn:aws:iam::000000000000:user/nobody" } }] });
    let input = json!({ "policyText": registry.to_string() });
    api(&proxy.client(), "root", "PutRegistryPolicy", input).await.assert_status(200);
    let tag = json!({ "imageTag": "latest" });
    let refused = get_images(&proxy, "nobody", &local(), json!([tag])).await;
    assert_fault(&refused, "RepositoryNotFoundException");
    assert!(upstream.log().is_empty());

    get_image(&proxy, "root", &local(), tag.clone()).await.unwrap();
    let asked = upstream.log().len();
    let moved = upstream.image(REPO, "latest", 3, &[1000]);
    let text = |image: &crate::upstream::Image| Ok(String::from_utf8(image.manifest.bytes.to_vec()).unwrap());
    assert_eq!(get_image(&proxy, "nobody", &local(), tag.clone()).await, text(&kept));
    for id in [json!({ "imageDigest": other.manifest.digest }), json!({ "imageTag": "other" })] {
        let (code, reason) = get_image(&proxy, "nobody", &local(), id).await.unwrap_err();
        assert_eq!(code, "ImageNotFound");
        assert!(reason.contains("ecr:BatchImportUpstreamImage"), "{reason}");
    }
    assert_eq!(upstream.log().len(), asked, "upstream is not asked for who may not");
    set_policy(&proxy, &local(), "nobody", "ecr:BatchImportUpstreamImage").await;
    assert_eq!(get_image(&proxy, "nobody", &local(), tag).await, text(&moved));
}

/// Names that are another's, or no repository's own name, bring nothing.
#[tokio::test]
async fn only_names_of_upstreams_are_pulled() {
    let upstream = FakeUpstream::start().await;
    upstream.image(REPO, "latest", 1, &[1000]);
    let proxy = fresh(&upstream).await;
    let tag = || json!([{ "imageTag": "latest" }]);
    for name in [REPO, HUB] {
        assert_fault(&get_images(&proxy, "root", name, tag()).await, "RepositoryNotFoundException");
    }
    push_as(&proxy.client(), "root", REPO, "v1", &an_image(2, &[100]).await).await;
    let (code, _) = get_image(&proxy, "root", REPO, json!({ "imageTag": "latest" })).await.unwrap_err();
    assert_eq!(code, "ImageNotFound");
    assert!(upstream.log().is_empty());
}

/// `BLOB_MOUNTING`: what would be mounted is uploaded instead, in the registry that disabled it.
#[tokio::test]
async fn mounting_can_be_disabled() {
    let upstream = FakeUpstream::start().await;
    let proxy = guarded(&upstream).await;
    let image = an_image(1, &[1000]).await;
    push_as(&proxy.client(), "root", "team/base", "latest", &image).await;
    let (digest, root) = (&image.layer().digest, basic("root"));
    let mount = async |repository: &str| {
        let to = path(repository, &format!("blobs/uploads/?mount={digest}&from=team/base"));
        proxy.client().send("POST", &to, &[("Authorization", &root)], b"").await
    };
    let setting = async |input: Value| {
        let operation = if input["value"].is_null() { "GetAccountSetting" } else { "PutAccountSetting" };
        let answer = api(&proxy.client(), "root", operation, input).await;
        answer.assert_status(200);
        answer.json()["value"].clone()
    };
    assert_eq!(setting(json!({ "name": "BLOB_MOUNTING" })).await, "ENABLED");
    mount("team/one").await.assert_status(201);
    setting(json!({ "name": "BLOB_MOUNTING", "value": "DISABLED" })).await;
    let begun = mount("team/two").await;
    begun.assert_status(202);
    let blob = path("team/two", &format!("blobs/{digest}"));
    as_user(&proxy, "root", "GET", &blob).await.assert_error(404, "BLOB_UNKNOWN");
    // The client goes on with the upload, as it does where there is nothing to mount.
    let to = format!("{}?digest={digest}", begun.header("location").unwrap());
    let headers = [("Authorization", root.as_str())];
    proxy.client().send("PUT", &to, &headers, &image.layer().bytes).await.assert_status(201);
    as_user(&proxy, "root", "GET", &blob).await.assert_body(&image.layer().bytes);
    setting(json!({ "name": "BLOB_MOUNTING", "value": "ENABLED" })).await;
    mount("team/three").await.assert_status(201);
}

/// Every part but the last has at least 5 MiB, which is known when the upload ends.
#[tokio::test]
async fn short_parts_are_refused_at_the_end() {
    const LEAST: usize = 5 << 20;
    let upstream = FakeUpstream::start().await;
    let mut proxy = guarded(&upstream).await;
    let input = json!({ "repositoryName": REPO });
    api(&proxy.client(), "root", "CreateRepository", input.clone()).await.assert_status(200);
    for (sizes, exception) in [
        (&[LEAST, LEAST, 17][..], None),
        (&[10][..], None),
        (&[LEAST, LEAST - 1, LEAST], Some("LayerPartTooSmallException")),
        (&[10, 10], Some("LayerPartTooSmallException")),
    ] {
        let content = noise(sizes.len() as u64, sizes.iter().sum());
        let begun = api(&proxy.client(), "root", "InitiateLayerUpload", input.clone()).await.json();
        let id = begun["uploadId"].as_str().unwrap();
        let mut first = 0;
        for size in sizes {
            let part = &content[first..first + size];
            let part = json!({ "repositoryName": REPO, "uploadId": id, "partFirstByte": first,
                "partLastByte": first + size - 1,
                "layerPartBlob": base64::engine::general_purpose::STANDARD.encode(part) });
            api(&proxy.client(), "root", "UploadLayerPart", part).await.assert_status(200);
            first += size;
            // What was said of the parts outlasts the process.
            if sizes.len() == 2 && first == *size {
                proxy.restart().await;
            }
        }
        let end = json!({ "repositoryName": REPO, "uploadId": id, "layerDigests": [sha256(&content)] });
        let ended = api(&proxy.client(), "root", "CompleteLayerUpload", end.clone()).await;
        match exception {
            None => ended.assert_status(200),
            Some(exception) => {
                assert_fault(&ended, exception);
                let again = api(&proxy.client(), "root", "CompleteLayerUpload", end).await;
                assert_fault(&again, "UploadNotFoundException");
            }
        }
    }
    // The data plane has no parts, and no least size.
    let root = basic("root");
    let headers = [("Authorization", root.as_str())];
    let begun = proxy.client().send("POST", &path(REPO, "blobs/uploads/"), &headers, b"").await;
    let to = begun.header("location").unwrap().to_owned();
    for _ in 0..3 {
        proxy.client().send("PATCH", &to, &headers, b"short").await.assert_status(202);
    }
    let to = format!("{to}?digest={}", sha256(b"shortshortshort"));
    proxy.client().send("PUT", &to, &headers, b"").await.assert_status(201);
}

/// What is not done here answers as where nothing was ever set; what an operation names has to be there.
#[tokio::test]
async fn what_is_not_configured() {
    let upstream = FakeUpstream::start().await;
    let proxy = guarded(&upstream).await;
    let client = proxy.client();
    push_as(&client, "root", REPO, "latest", &an_image(1, &[100]).await).await;
    let image = |repository: &str, tag: &str| json!({ "repositoryName": repository, "imageId": { "imageTag": tag } });
    for operation in ["DescribeImageReplicationStatus", "DescribeImageSigningStatus", "DescribeImageScanFindings"] {
        let of = async |input: Value| api(&client, "root", operation, input).await;
        assert_fault(&of(image("team/absent", "latest")).await, "RepositoryNotFoundException");
        assert_fault(&of(image(REPO, "absent")).await, "ImageNotFoundException");
        let answer = of(image(REPO, "latest")).await;
        match operation {
            "DescribeImageReplicationStatus" => assert_eq!(answer.json()["replicationStatuses"], json!([])),
            "DescribeImageSigningStatus" => assert_eq!(answer.json()["signingStatuses"], json!([])),
            _ => assert_fault(&answer, "ScanNotFoundException"),
        }
    }
    let names = json!({ "repositoryNames": [REPO, "team/absent"] });
    let scanning = api(&client, "root", "BatchGetRepositoryScanningConfiguration", names).await.json();
    assert_eq!(scanning["scanningConfigurations"][0]["repositoryName"], REPO);
    assert_eq!(scanning["failures"][0]["failureCode"], "REPOSITORY_NOT_FOUND");
    let denied = api(&client, "nobody", "GetRegistryScanningConfiguration", json!({})).await;
    assert_fault(&denied, "AccessDeniedException");
}

/// A tag key that policies guard is not overwritten by another spelling of it, which conditions would take for it.
#[tokio::test]
async fn s4_a_guarded_tag_key_has_one_spelling() {
    let upstream = FakeUpstream::start().await;
    let proxy = guarded(&upstream).await;
    let (client, arn) = (proxy.client(), "arn:aws:ecr:eu-west-1:000000000000:repository/team/app");
    let new = json!({ "repositoryName": "team/app", "tags": [{ "Key": "team", "Value": "a" }] });
    api(&client, "root", "CreateRepository", new).await.assert_status(200);
    let tag = async |user: &str, key: &str, value: &str| {
        let tags = json!([{ "Key": key, "Value": value }]);
        api(&client, user, "TagResource", json!({ "resourceArn": arn, "tags": tags })).await
    };
    let policy = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Principal": "*", "Action": "ecr:TagResource" },
        { "Effect": "Deny", "Principal": "*", "Action": "ecr:TagResource",
          "Condition": { "ForAnyValue:StringEquals": { "aws:TagKeys": "team" } } },
    ] });
    let set = json!({ "repositoryName": "team/app", "policyText": policy.to_string() });
    api(&client, "root", "SetRepositoryPolicy", set).await.assert_status(200);
    assert_fault(&tag("reader", "team", "b").await, "AccessDeniedException");
    for key in ["TEAM", "Team"] {
        assert_fault(&tag("reader", key, "b").await, "InvalidTagParameterException");
    }
    tag("reader", "Other", "b").await.assert_status(200);
    let tags = api(&client, "root", "ListTagsForResource", json!({ "resourceArn": arn })).await.json();
    let expected = json!([{ "Key": "Other", "Value": "b" }, { "Key": "team", "Value": "a" }]);
    assert_eq!(tags["tags"], expected);
}

/// ECR says which policy is wrong.
#[tokio::test]
async fn c8_the_registry_policy_is_called_so() {
    let upstream = FakeUpstream::start().await;
    let proxy = guarded(&upstream).await;
    let answer = api(&proxy.client(), "root", "PutRegistryPolicy", json!({ "policyText": "{}" })).await;
    assert_fault(&answer, "InvalidParameterException");
    assert!(answer.text().contains("Invalid registry policy provided"), "{}", answer.text());
}

/// A registry policy that denies everything to everybody: administrators of its account, and the operator's command, take it back.
#[tokio::test]
async fn d4_a_registry_policy_locks_nobody_out_for_good() {
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    let admin = USERS.replacen("policies = [\"FullAccess\"]", "policies = [\"Administrator\"]", 1);
    let admin = admin.replacen("policies = [\"PullOnly\"]", "policies = [\"FullAccess\"]", 1);
    setup.more = format!("{admin}\n[auth]\nfailed_logins = 1000\n");
    let proxy = setup.start().await;
    let client = proxy.client();
    let deny = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Deny", "Principal": "*", "Action": "ecr:*", "Resource": "*" } ] });
    let put = json!({ "policyText": deny.to_string() });
    let lock = async || api(&client, "reader", "PutRegistryPolicy", put.clone()).await.assert_status(200);
    lock().await;
    for user in ["reader", "root"] {
        assert_fault(&api(&client, user, "DescribeRegistry", json!({})).await, "AccessDeniedException");
    }
    assert_fault(&api(&client, "reader", "DeleteRegistryPolicy", json!({})).await, "AccessDeniedException");
    api(&client, "root", "GetRegistryPolicy", json!({})).await.assert_status(200);
    api(&client, "root", "PutRegistryPolicy", put.clone()).await.assert_status(200);
    api(&client, "root", "DeleteRegistryPolicy", json!({})).await.assert_status(200);
    api(&client, "root", "DescribeRegistry", json!({})).await.assert_status(200);
    // Where there is no administrator, the operator has a command.
    lock().await;
    let command = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_entrepot"));
        command.args(arguments).arg("--config").arg(proxy.config_path());
        command.current_dir(proxy.data_path().parent().unwrap()).output().unwrap()
    };
    let removed = command(&["policy", "delete-registry"]);
    assert!(removed.status.success() && String::from_utf8_lossy(&removed.stdout).contains("Deny"));
    crate::bound::until_async("the policy is gone", async || {
        api(&client, "reader", "DescribeRegistry", json!({})).await.status == 200
    })
    .await;
    assert!(!command(&["policy", "delete-registry"]).status.success());
}

/// Scripts look for ECR's sentences, on both planes.
#[tokio::test]
async fn c6_the_data_plane_speaks_as_ecr_does() {
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    setup.more = format!("{USERS}\n[auth]\nfailed_logins = 1000\n");
    setup.hosted.text("tag_mutability", "immutable");
    let proxy = setup.start().await;
    let (one, two) = (an_image(1, &[10]).await, an_image(2, &[10]).await);
    push_as(&proxy.client(), "root", "team/app", "v1", &one).await;
    let get = async |to: &str| as_user(&proxy, "root", "GET", to).await;
    let absent = get("/v2/team/none/manifests/v1").await;
    absent.assert_error(404, "NAME_UNKNOWN");
    let sentence = "The repository with name 'team/none' does not exist in the registry with id '000000000000'";
    assert!(absent.text().contains(sentence), "{}", absent.text());
    let absent = get("/v2/team/app/manifests/v2").await;
    absent.assert_error(404, "MANIFEST_UNKNOWN");
    assert!(absent.text().contains("Requested image not found"), "{}", absent.text());
    for part in two.layers.iter().chain([&two.config]) {
        let to = path("team/app", &format!("blobs/uploads/?digest={}", part.digest));
        proxy.client().send("POST", &to, &[("Authorization", &basic("root"))], &part.bytes).await.assert_status(201);
    }
    let headers = [("Authorization", &*basic("root")), ("Content-Type", two.media_type)];
    let moved = proxy.client().send("PUT", &path("team/app", "manifests/v1"), &headers, &two.manifest.bytes).await;
    moved.assert_error(400, "TAG_INVALID");
    let sentence = "The image tag 'v1' already exists in the 'team/app' repository and cannot be overwritten because the tag is immutable.";
    assert!(moved.text().contains(sentence), "{}", moved.text());
}

/// Layers come with the type that a manifest gives them.
#[tokio::test]
async fn c8_layers_have_media_types() {
    let upstream = FakeUpstream::start().await;
    let proxy = guarded(&upstream).await;
    let client = proxy.client();
    let image = an_image(1, &[1000]).await;
    push_as(&client, "root", REPO, "latest", &image).await;
    let lonely = noise(9, 100);
    let to = path(REPO, &format!("blobs/uploads/?digest={}", sha256(&lonely)));
    client.send("POST", &to, &[("Authorization", &basic("root"))], &lonely).await.assert_status(201);
    let digests = [&image.layer().digest, &image.config.digest, &sha256(&lonely), &sha256(b"absent")];
    let input = json!({ "repositoryName": REPO, "layerDigests": digests });
    let answer = api(&client, "root", "BatchCheckLayerAvailability", input).await.json();
    let manifest: Value = serde_json::from_slice(&image.manifest.bytes).unwrap();
    let layers = answer["layers"].as_array().unwrap();
    assert!(manifest["layers"][0]["mediaType"].as_str().unwrap().starts_with("application/vnd."));
    assert_eq!(layers[0]["mediaType"], manifest["layers"][0]["mediaType"], "{answer}");
    assert_eq!(layers[1]["mediaType"], manifest["config"]["mediaType"], "{answer}");
    // Nobody has said what this is, and that is not here.
    for (layer, availability) in [(&layers[2], "AVAILABLE"), (&layers[3], "UNAVAILABLE")] {
        assert_eq!((&layer["layerAvailability"], layer.get("mediaType")), (&json!(availability), None), "{answer}");
    }
}

/// Upstream is told what is accepted; what was pushed is answered as it is.
#[tokio::test]
async fn c8_accepted_media_types_are_upstreams_to_choose_from() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image(REPO, "latest", 1, &[1000]);
    let proxy = fresh(&upstream).await;
    let ask = async |repository: &str, accepted: Value| {
        let ids = json!([{ "imageTag": "latest" }]);
        let input = json!({ "repositoryName": repository, "imageIds": ids, "acceptedMediaTypes": accepted });
        let answer = api(&proxy.client(), "root", "BatchGetImage", input).await;
        answer.assert_status(200);
        answer.json()["images"][0]["imageManifest"].as_str().unwrap().to_owned()
    };
    let docker = "application/vnd.docker.distribution.manifest.v2+json";
    ask(&local(), json!([docker])).await;
    let accepts = || {
        let log = upstream.log();
        log.iter().rev().find_map(|logged| logged.header("accept").map(str::to_owned)).unwrap()
    };
    assert_eq!(accepts(), docker);
    push_as(&proxy.client(), "root", REPO, "latest", &image).await;
    assert_eq!(ask(REPO, json!([docker])).await.as_bytes(), &image.manifest.bytes[..]);
}

/// 2 to 256 characters.
#[tokio::test]
async fn c8_names_have_up_to_256_characters() {
    let upstream = FakeUpstream::start().await;
    let proxy = guarded(&upstream).await;
    let image = an_image(1, &[10]).await;
    for (length, is_right) in [(2, true), (256, true), (257, false)] {
        let name = "a".repeat(length);
        let made = api(&proxy.client(), "root", "CreateRepository", json!({ "repositoryName": name })).await;
        if !is_right {
            assert_fault(&made, "InvalidParameterException");
            continue;
        }
        made.assert_status(200);
        push_as(&proxy.client(), "root", &name, "latest", &image).await;
        as_user(&proxy, "reader", "GET", &path(&name, "manifests/latest")).await.assert_body(&image.manifest.bytes);
    }
}

/// A push by the API alone makes the repository, for whoever may, set up as templates say.
#[tokio::test]
async fn c8_an_upload_by_the_api_makes_the_repository() {
    let upstream = FakeUpstream::start().await;
    let proxy = guarded(&upstream).await;
    let client = proxy.client();
    let begin = async |user: &str, repository: &str| {
        api(&client, user, "InitiateLayerUpload", json!({ "repositoryName": repository })).await
    };
    for user in ["reader", "nobody"] {
        assert_fault(&begin(user, "team/new").await, "AccessDeniedException");
    }
    assert!(repositories(&proxy).await.is_empty());
    let template = json!({ "prefix": "team", "appliedFor": ["CREATE_ON_PUSH"], "imageTagMutability": "IMMUTABLE" });
    api(&client, "root", "CreateRepositoryCreationTemplate", template).await.assert_status(200);
    let begun = begin("root", "team/new").await;
    begun.assert_status(200);
    let described = api(&client, "root", "DescribeRepositories", json!({})).await.json();
    let made = &described["repositories"][0];
    assert_eq!((&made["repositoryName"], &made["imageTagMutability"]), (&json!("team/new"), &json!("IMMUTABLE")));
    let content = b"a layer";
    let part = base64::engine::general_purpose::STANDARD.encode(content);
    let id = begun.json()["uploadId"].clone();
    let part = json!({ "repositoryName": "team/new", "uploadId": id, "partFirstByte": 0,
        "partLastByte": content.len() - 1, "layerPartBlob": part });
    api(&client, "root", "UploadLayerPart", part).await.assert_status(200);
    let end = json!({ "repositoryName": "team/new", "uploadId": id, "layerDigests": [sha256(content)] });
    api(&client, "root", "CompleteLayerUpload", end).await.assert_status(200);
    // Many at once make one, or come again.
    let at_once = futures_util::future::join_all((0..8).map(|_| begin("root", "team/many"))).await;
    for answer in &at_once {
        assert!(answer.status == 200 || answer.json()["__type"] == "ThrottlingException", "{}", answer.text());
    }
    assert!(at_once.iter().any(|answer| answer.status == 200));
    begin("root", "team/many").await.assert_status(200);
    // Names of upstreams are made by pulling.
    let refused = begin("root", &local()).await;
    assert!(refused.status == 400 && !repositories(&proxy).await.contains(&local()), "{}", refused.text());
}
