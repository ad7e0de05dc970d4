//! Facts that span rows, and how much one request or one client may take of the database and of files.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::bound::until_async;
use crate::bucket::{a_database, in_bucket, prefix, server};
use crate::edge::{USERS, api, as_user, basic, guarded};
use crate::proxy::{Proxy, Setup, blob};
use crate::push::{an_image, begin, files, path, push_blob, push_image, push_manifest, tags};
use crate::upstream::{FakeUpstream, OCI_INDEX, OCI_MANIFEST, noise, sha256};

const REPO: &str = "team/app";

async fn registry(change: impl FnOnce(&mut Setup)) -> Proxy {
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    change(&mut setup);
    setup.start().await
}

/// Removes what nobody needs, now.
async fn collect(proxy: &Proxy) {
    run_job(proxy, "gc").await;
}

async fn run_job(proxy: &Proxy, name: &str) {
    let run = async || proxy.admin().get(&format!("/jobs/{name}")).await.json()["run"].as_u64().unwrap_or_default();
    let before = run().await;
    until_async("the job runs", async || {
        proxy.admin().request("POST", &format!("/jobs/{name}"), &[("Content-Length", "0")]).await;
        run().await > before
    })
    .await;
    until_async("the job ends", async || {
        proxy.admin().get(&format!("/jobs/{name}")).await.json()["running"] == json!(false)
    })
    .await;
}

/// Files that the process has open.
fn open_files(proxy: &Proxy) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", proxy.pid().as_raw_nonzero())).unwrap().count()
}

/// D3: 20 TagResource with 20 keys at once are 20 tags.
#[tokio::test]
async fn d03_tags_of_a_repository_at_once() {
    let proxy = guarded(&FakeUpstream::start().await).await;
    let client = proxy.client();
    let create = json!({ "repositoryName": REPO });
    let arn = api(&client, "root", "CreateRepository", create).await.json()["repository"]["repositoryArn"].clone();
    let tag = |n: usize| {
        let (client, arn) = (client.clone(), arn.clone());
        async move {
            let input = json!({ "resourceArn": arn, "tags": [{ "Key": format!("k{n}"), "Value": "v" }] });
            api(&client, "root", "TagResource", input).await.assert_status(200);
        }
    };
    join_all((0..20).map(tag)).await;
    let listed = api(&client, "root", "ListTagsForResource", json!({ "resourceArn": arn })).await.json();
    assert_eq!(listed["tags"].as_array().unwrap().len(), 20);
    let untag = |n: usize| {
        let (client, arn) = (client.clone(), arn.clone());
        async move {
            let input = json!({ "resourceArn": arn, "tagKeys": [format!("k{n}")] });
            api(&client, "root", "UntagResource", input).await.assert_status(200);
        }
    };
    join_all((0..20).map(untag)).await;
    let listed = api(&client, "root", "ListTagsForResource", json!({ "resourceArn": arn })).await.json();
    assert_eq!(listed["tags"], json!([]));
}

/// D3: two updates of a template at once are both there.
#[tokio::test]
async fn d03_updates_of_a_template_at_once() {
    let proxy = guarded(&FakeUpstream::start().await).await;
    let client = proxy.client();
    let create = json!({ "prefix": "team", "appliedFor": ["CREATE_ON_PUSH"] });
    api(&client, "root", "CreateRepositoryCreationTemplate", create).await.assert_status(200);
    for round in 0..20 {
        let text = format!("round {round}");
        let tags = json!([{ "Key": "round", "Value": text }]);
        let one = json!({ "prefix": "team", "description": text });
        let two = json!({ "prefix": "team", "resourceTags": tags });
        let update = |input: Value| api(&client, "root", "UpdateRepositoryCreationTemplate", input);
        let (one, two) = tokio::join!(update(one), update(two));
        one.assert_status(200);
        two.assert_status(200);
        let described = api(&client, "root", "DescribeRepositoryCreationTemplates", json!({})).await.json();
        let template = &described["repositoryCreationTemplates"][0];
        assert_eq!((&template["description"], &template["resourceTags"]), (&json!(text), &tags), "{round}");
    }
}

/// T17: what a manifest refers to is limited, each object counts once, and the error says where the limit is set.
#[tokio::test]
async fn t17_references_are_limited() {
    let proxy = registry(|setup| {
        setup.hosted.set("max_references", 50).set("require_references", false);
    })
    .await;
    let manifest = |count: usize, times: usize| {
        let layer = |n: usize| json!({ "digest": sha256(&n.to_le_bytes()), "size": 8 });
        let layers: Vec<_> = (0..count).flat_map(|n| std::iter::repeat_n(layer(n), times)).collect();
        json!({ "layers": layers }).to_string()
    };
    let refused = push_manifest(&proxy, REPO, "x", OCI_MANIFEST, manifest(51, 1).as_bytes()).await;
    refused.assert_error(400, "MANIFEST_INVALID");
    assert!(refused.text().contains("51 objects") && refused.text().contains("50 (`hosted.max_references`)"));
    push_manifest(&proxy, REPO, "x", OCI_MANIFEST, manifest(50, 20).as_bytes()).await.assert_status(201);
}

/// NH1: the cache that BuildKit before 0.21 exports is taken, and garbage collection leaves it alone; and so is an index of entries
/// of a type that nobody knows.
#[tokio::test]
async fn nh1_an_index_of_blobs_is_kept() {
    let proxy = registry(|setup| {
        setup.hosted.text("grace", "1ms").text("reclaim_every", "10h");
    })
    .await;
    for (round, media_type) in
        ["application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.example.thing.v1+tar"].into_iter().enumerate()
    {
        let repository = format!("team/cache{round}");
        let (layer, config) = (noise(round as u64, 5_000), noise(round as u64 + 100, 100));
        for blob in [&layer, &config] {
            push_blob(&proxy, &repository, blob).await.assert_status(201);
        }
        let entry = |media_type: &str, bytes: &[u8]| json!({ "mediaType": media_type, "digest": sha256(bytes), "size": bytes.len() });
        let index = json!({
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [entry(media_type, &layer), entry("application/vnd.buildkit.cacheconfig.v0", &config)],
        });
        push_manifest(&proxy, &repository, "cache", OCI_INDEX, index.to_string().as_bytes()).await.assert_status(201);
        for _ in 0..4 {
            collect(&proxy).await;
        }
        for blob in [&layer, &config] {
            proxy.get(&path(&repository, &format!("blobs/{}", sha256(blob)))).await.assert_body(blob);
        }
        let delete = path(&repository, &format!("blobs/{}", sha256(&layer)));
        proxy.client().request("DELETE", &delete, &[]).await.assert_error(405, "UNSUPPORTED");
        // A size that is not the blob's is found out as anywhere else.
        let lie = json!({ "manifests": [{ "mediaType": media_type, "digest": sha256(&layer), "size": 1 }] });
        push_manifest(&proxy, &repository, "lie", OCI_INDEX, lie.to_string().as_bytes())
            .await
            .assert_error(400, "MANIFEST_INVALID");
        let missing = json!({ "manifests": [{ "mediaType": media_type, "digest": sha256(b"nowhere"), "size": 7 }] });
        push_manifest(&proxy, &repository, "missing", OCI_INDEX, missing.to_string().as_bytes())
            .await
            .assert_error(404, "MANIFEST_BLOB_UNKNOWN");
    }
}

/// T25: what says that it is a page, or what is no media type at all, is no manifest; nothing that is taken cannot be had again.
#[tokio::test]
async fn t25_media_types_of_manifests() {
    let proxy = registry(|_| ()).await;
    let long = format!("application/vnd.{}", "x".repeat(300));
    for said in
        ["text/html", "image/svg+xml", "application/xhtml+xml", "application/x\r\ny: z", "application/é", "html", &long]
    {
        let text = json!({ "mediaType": said, "annotations": { "a": "<script>" } }).to_string();
        for told in [OCI_MANIFEST, "text/html", "application/octet-stream"] {
            push_manifest(&proxy, REPO, "x", told, text.as_bytes()).await.assert_error(400, "MANIFEST_INVALID");
        }
        let layer = json!({ "layers": [{ "mediaType": said, "digest": sha256(b"x"), "size": 1 }] }).to_string();
        let refused = push_manifest(&proxy, REPO, "x", OCI_MANIFEST, layer.as_bytes()).await;
        assert!(matches!(refused.status, 400 | 404), "{said:?}: {}", refused.status);
    }
    assert_eq!(tags(&proxy, REPO).await, json!([]), "nothing was kept");
    // What a client sends by default is not taken for a manifest's type.
    for told in ["application/x-www-form-urlencoded", "text/plain", "application/octet-stream"] {
        push_manifest(&proxy, REPO, "x", told, b"{}").await.assert_status(201);
        let answer = proxy.get(&path(REPO, "manifests/x")).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(OCI_MANIFEST)));
    }
}

/// T14: pages of referrers are cut by their length, and lead on to all of them.
#[tokio::test]
async fn t14_pages_of_referrers_are_cut_by_their_length() {
    let proxy = registry(|_| ()).await;
    let image = an_image(1, &[100]).await;
    push_image(&proxy, REPO, "x", &image).await;
    let subject =
        json!({ "mediaType": OCI_MANIFEST, "digest": image.manifest.digest, "size": image.manifest.bytes.len() });
    for n in 0..40 {
        let annotations = json!({ "n": n.to_string(), "long": "x".repeat(250 << 10) });
        let referrer = json!({ "mediaType": OCI_MANIFEST, "artifactType": "application/vnd.x", "subject": subject,
            "annotations": annotations });
        let bytes = referrer.to_string().into_bytes();
        push_manifest(&proxy, REPO, &sha256(&bytes), OCI_MANIFEST, &bytes).await.assert_status(201);
    }
    let mut next = Some(path(REPO, &format!("referrers/{}", image.manifest.digest)));
    let (mut found, mut pages) = (std::collections::BTreeSet::new(), 0);
    while let Some(page) = next {
        let answer = proxy.get(&page).await;
        answer.assert_status(200);
        assert!(answer.body.len() < (4 << 20) + (1 << 20), "{} bytes", answer.body.len());
        let entries = answer.json()["manifests"].as_array().unwrap().clone();
        assert!(!entries.is_empty());
        found.extend(entries.iter().map(|entry| entry["annotations"]["n"].as_str().unwrap().to_owned()));
        next = answer.header("link").map(|link| link.split(['<', '>']).nth(1).unwrap().to_owned());
        pages += 1;
    }
    assert_eq!((found.len(), pages > 2), (40, true), "{pages} pages");
    // More than a list may repeat is not taken.
    let referrer = json!({ "subject": subject, "annotations": { "long": "x".repeat(300 << 10) } }).to_string();
    push_manifest(&proxy, REPO, "y", OCI_MANIFEST, referrer.as_bytes()).await.assert_error(400, "MANIFEST_INVALID");
}

/// T24: whoever may see few repositories of many is sent on after so many that were looked at; the link names none that they may not see.
#[tokio::test]
async fn t24_the_catalog_looks_at_so_many() {
    let mut setup = Setup::new();
    setup.more = format!("{USERS}\n[auth]\nfailed_logins = 1000\n");
    let mut proxy = setup.start().await;
    proxy.terminate().await;
    // As if they had been pushed.
    sqlx::any::install_default_drivers();
    let pool =
        sqlx::AnyPool::connect(&format!("sqlite:{}", proxy.data_path().join("entrepot.db").display())).await.unwrap();
    let many = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 25000) \
                INSERT INTO repository (account, name, created_at_ms) SELECT '000000000000', 'hidden/' || printf('%06d', n), 1 FROM n";
    sqlx::query(many).execute(&pool).await.unwrap();
    let policy = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": "ecr:*",
        "Principal": { "AWS": "arn:aws:iam::000000000000:user/nobody" } }] });
    let seen =
        "INSERT INTO repository (account, name, created_at_ms, policy) VALUES ('000000000000', 'team/app', 1, $1)";
    sqlx::query(seen).bind(policy.to_string()).execute(&pool).await.unwrap();
    pool.close().await;
    proxy.start().await;
    let mut next = Some("/v2/_catalog?n=1".to_owned());
    let (mut found, mut pages) = (Vec::new(), 0);
    while let Some(page) = next {
        let answer = as_user(&proxy, "nobody", "GET", &page).await;
        answer.assert_status(200);
        found.extend(answer.json()["repositories"].as_array().unwrap().clone());
        next = answer.header("link").map(|link| link.split(['<', '>']).nth(1).unwrap().to_owned());
        assert!(next.as_deref().is_none_or(|next| !next.contains("hidden")), "{next:?}");
        pages += 1;
    }
    assert_eq!((found, pages), (vec![json!("team/app")], 3));
    // The API looks at as many for a page, and its tokens tell as little.
    let (mut input, mut found, mut pages) = (json!({ "maxResults": 1 }), Vec::new(), 0);
    loop {
        let answer = crate::edge::api(&proxy.client(), "nobody", "DescribeRepositories", input.clone()).await;
        answer.assert_status(200);
        let answer = answer.json();
        found.extend(answer["repositories"].as_array().unwrap().iter().map(|one| one["repositoryName"].clone()));
        pages += 1;
        let Some(token) = answer["nextToken"].as_str() else { break };
        let said = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, token).unwrap();
        assert!(!String::from_utf8_lossy(&said).contains("hidden"), "{said:?}");
        // For another reader it is no place that anybody hid.
        let theirs = json!({ "maxResults": 1, "nextToken": token });
        let theirs = crate::edge::api(&proxy.client(), "root", "DescribeRepositories", theirs).await.json();
        assert_eq!(theirs["repositories"][0]["repositoryName"], "hidden/000001");
        input = json!({ "maxResults": 1, "nextToken": token });
    }
    assert_eq!((found, pages), (vec![json!("team/app")], 3));
    // Places in the list that somebody makes up, or that were given to somebody else, tell nothing of what is hidden.
    let first = async |user: &str, last: &str| {
        let answer = as_user(&proxy, user, "GET", &format!("/v2/_catalog?n=1&last={last}")).await;
        let link = answer.header("link").map(|link| link.split(['<', '>']).nth(1).unwrap().to_owned());
        (answer.json()["repositories"].clone(), link)
    };
    for made_up in ["%231", "%2325000", "%23", "%23AQID"] {
        assert_eq!(first("root", made_up).await.0, json!(["hidden/000001"]), "{made_up}");
    }
    let (_, link) = first("nobody", "").await;
    let given = link.unwrap().split("last=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    assert_eq!(first("root", &given).await.0, json!(["hidden/000001"]), "it is for its reader");
    // Who may see all is sent on by names.
    let answer = as_user(&proxy, "root", "GET", "/v2/_catalog?n=2").await;
    assert_eq!(answer.json()["repositories"], json!(["hidden/000001", "hidden/000002"]));
    assert!(answer.header("link").unwrap().contains("hidden%2F000002&n=2"), "{:?}", answer.header("link"));
}

/// T8: uploads that nobody goes on with hold no files, and are limited.
#[tokio::test]
async fn t08_begun_uploads_hold_no_files() {
    let proxy = registry(|setup| {
        setup.hosted.set("max_uploads", 300);
    })
    .await;
    push_blob(&proxy, REPO, b"x").await.assert_status(201);
    let before = open_files(&proxy);
    let mut uploads = Vec::new();
    for n in 0..300 {
        let location = begin(&proxy, REPO).await;
        if n % 3 == 0 {
            proxy.client().send("PATCH", &location, &[], b"some").await.assert_status(202);
        }
        uploads.push(location);
    }
    until_async("connections are closed", async || open_files(&proxy) < before + 50).await;
    let refused = proxy.client().send("POST", &path(REPO, "blobs/uploads/"), &[], b"").await;
    refused.assert_error(429, "TOOMANYREQUESTS");
    assert!(refused.text().contains("`hosted.max_uploads`") && refused.header("retry-after").is_some());
    begin(&proxy, "team/other").await;
    // Each goes on where it was.
    let put = format!("{}?digest={}", uploads[3], sha256(b"some more"));
    proxy.client().send("PUT", &put, &[], b" more").await.assert_status(201);
    proxy.get(&path(REPO, &format!("blobs/{}", sha256(b"some more")))).await.assert_body(b"some more");
    proxy.client().request("DELETE", &uploads[0], &[]).await.assert_status(204);
    begin(&proxy, REPO).await;
    begin(&proxy, REPO).await;
    assert_eq!(files(&proxy, "staging"), 98, "those that brought bytes and have not ended");
}

/// T8: one client has so many, whatever the repositories.
#[tokio::test]
async fn t08_uploads_of_one_client() {
    let mut setup = Setup::new();
    setup.hosted.set("max_uploads_by_client", 3);
    setup.more = format!("{USERS}\n[auth]\nfailed_logins = 1000\n");
    let proxy = setup.start().await;
    let start = async |user: &str, repository: &str| {
        let headers = [("Authorization", basic(user)), ("Content-Length", "0".to_owned())];
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        proxy.client().request("POST", &path(repository, "blobs/uploads/"), &headers).await
    };
    for repository in ["team/a", "team/b", "team/c"] {
        start("root", repository).await.assert_status(202);
    }
    let refused = start("root", "team/d").await;
    refused.assert_error(429, "TOOMANYREQUESTS");
    assert!(refused.text().contains("`hosted.max_uploads_by_client`"), "{}", refused.text());
}

/// One client, whichever sessions of a role it comes by, leaves half of a repository's places to others.
#[tokio::test]
async fn g11_one_client_leaves_places_for_others() {
    let mut setup = Setup::new();
    setup.hosted.set("max_uploads", 6);
    setup.more = format!("{}\n[auth]\nfailed_logins = 1000\n", crate::iam::USERS);
    let proxy = setup.start().await;
    let trust = crate::iam::trust(r#"{"AWS":"000000000000"}"#);
    crate::iam::done(&proxy, &format!("CreateRole&RoleName=intern&AssumeRolePolicyDocument={trust}")).await;
    crate::iam::done(&proxy, "AttachRolePolicy&RoleName=intern&PolicyArn=arn:aws:iam::aws:policy/FullAccess").await;
    let named = r#"{"repositoryName":"shared/app"}"#;
    crate::iam::ecr(&proxy, &crate::iam::root(), "CreateRepository", named).await.assert_status(200);
    let mut begun = Vec::new();
    for n in 0..5 {
        let assume = format!("AssumeRole&RoleArn=arn:aws:iam::000000000000:role/intern&RoleSessionName=session{n}");
        let session = crate::iam::Key::told(&crate::iam::sts(&proxy, &crate::iam::root(), &assume).await);
        begun.push(crate::iam::ecr(&proxy, &session, "InitiateLayerUpload", named).await);
    }
    assert_eq!(begun.iter().map(|answer| answer.status).collect::<Vec<_>>(), [200, 200, 200, 400, 400]);
    assert!(begun[3].text().contains("one client may have half"), "{}", begun[3].text());
    for status in [200, 200, 200, 400] {
        crate::iam::ecr(&proxy, &crate::iam::root(), "InitiateLayerUpload", named).await.assert_status(status);
    }
}

/// T21: what uploads have brought counts for quotas before they end, batch by batch.
#[tokio::test]
async fn t21_uploads_under_way_count_for_quotas() {
    let proxy = registry(|setup| {
        setup.hosted.text("max_repository_bytes", "10MiB");
    })
    .await;
    let part = noise(1, 9 << 20);
    let mut taken = 0;
    let mut first = None;
    for _ in 0..5 {
        let location = begin(&proxy, REPO).await;
        let answer = proxy.client().send("PATCH", &location, &[], &part).await;
        match answer.status {
            202 => {
                taken += 1;
                first = answer.header("location").map(str::to_owned);
            }
            _ => answer.assert_error(403, "DENIED"),
        }
    }
    assert_eq!(taken, 1);
    // One whose length nobody tells is stopped where it is too much.
    let location = begin(&proxy, "team/chunked").await;
    let mut exchange = proxy.client().open("PATCH", &location, &[("Transfer-Encoding", "chunked")]).await;
    for _ in 0..200 {
        exchange.write(format!("{:x}\r\n", 1 << 20).as_bytes()).await;
        exchange.write(&part[..1 << 20]).await;
        exchange.write(b"\r\n").await;
    }
    exchange.write(b"0\r\n\r\n").await;
    if let Some(status) = exchange.try_status().await {
        assert_eq!(status, 403);
    }
    let staged: u64 = std::fs::read_dir(proxy.data_path().join("hosted/staging"))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert!(staged <= 20 << 20, "{staged}");
    // What has come ends as a blob, and is counted once.
    let put = format!("{}?digest={}", first.unwrap(), sha256(&part));
    proxy.client().send("PUT", &put, &[], b"").await.assert_status(201);
    push_blob(&proxy, REPO, &part[..1 << 20]).await.assert_status(201);
    let location = begin(&proxy, REPO).await;
    proxy.client().send("PATCH", &location, &[], b"x").await.assert_error(403, "DENIED");
}

/// F2: an upload for which the disk has no room ends, and its bytes go.
#[tokio::test]
async fn f02_what_does_not_fit_is_not_kept() {
    let proxy = registry(|_| ()).await;
    push_blob(&proxy, REPO, b"x").await.assert_status(201);
    let location = begin(&proxy, REPO).await;
    proxy.client().send("PATCH", &location, &[], &noise(1, 1 << 20)).await.assert_status(202);
    proxy.limit_file_size(Some(3 << 20));
    for (method, query) in [("PATCH", String::new()), ("PUT", format!("?digest={}", sha256(b"whatever")))] {
        let location = begin(&proxy, REPO).await;
        let upload = format!("{location}{query}");
        proxy.client().send(method, &upload, &[], &noise(2, 8 << 20)).await.assert_status(507);
        proxy.get(&location).await.assert_error(404, "BLOB_UPLOAD_UNKNOWN");
    }
    proxy.client().send("PATCH", &location, &[], &noise(2, 8 << 20)).await.assert_status(507);
    assert_eq!(files(&proxy, "staging"), 0);
    proxy.limit_file_size(None);
    push_blob(&proxy, REPO, &noise(2, 8 << 20)).await.assert_status(201);
}

/// F2: on a disk that is full, room for the database is left: what is there is pulled, tags are pushed, and what upstream sends goes
/// through. Though somebody else takes the last byte the process starts. When there is room again, all goes on by itself.
#[tokio::test]
async fn f02_a_full_disk_leaves_room_for_the_database() {
    let upstream = FakeUpstream::start().await;
    let (cold, later) = (noise(3, 400_000), noise(4, 400_000));
    let (cold_digest, later_digest) = (upstream.blob(REPO, cold.clone()), upstream.blob(REPO, later.clone()));
    let mut proxy = Setup::of(&upstream).prepare();
    proxy.on_a_small_disk(64);
    proxy.start().await;
    let config = noise(1, 2_000_000);
    push_blob(&proxy, REPO, &config).await.assert_status(201);
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST,
        "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": sha256(&config), "size": config.len() },
        "layers": [],
    })
    .to_string();
    let push_tag = async |proxy: &Proxy, tag: &str| {
        let path = format!("/v2/{REPO}/manifests/{tag}");
        proxy.client().send("PUT", &path, &[("Content-Type", OCI_MANIFEST)], manifest.as_bytes()).await.status
    };
    // Pushes do not fill it.
    push_blob(&proxy, REPO, &noise(2, 62 << 20)).await.assert_status(507);
    assert_eq!(files(&proxy, "staging"), 0);
    assert!(proxy.disk().free() > 40 << 20, "{}", proxy.disk().free());
    // A twentieth is 3.2 MiB.
    proxy.disk().fill(3 << 20);
    push_blob(&proxy, REPO, &noise(5, 100_000)).await.assert_status(507);
    assert_eq!(push_tag(&proxy, "full").await, 201);
    let own = format!("/v2/{REPO}/blobs/{}", sha256(&config));
    proxy.get(&own).await.assert_body(&config);
    proxy.get(&blob(REPO, &cold_digest)).await.assert_body(&cold);
    assert!(!proxy.is_kept(&cold_digest));
    // Not a byte is left, and the process dies.
    proxy.kill().await;
    proxy.disk().fill(0);
    proxy.start().await;
    proxy.get(&own).await.assert_body(&config);
    proxy.get(&blob(REPO, &cold_digest)).await.assert_body(&cold);
    push_blob(&proxy, REPO, &noise(5, 100_000)).await.assert_status(507);
    proxy.disk().clear();
    push_blob(&proxy, REPO, &noise(5, 100_000)).await.assert_status(201);
    assert_eq!(push_tag(&proxy, "room").await, 201);
    proxy.get(&blob(REPO, &later_digest)).await.assert_body(&later);
    proxy.kept(&later_digest).await;
}

/// F3: the file of an upload that ended at another replica goes within a minute, not within the grace.
#[tokio::test]
async fn f03_uploads_that_end_elsewhere_leave_no_files() {
    let (Some(endpoint), Some(database)) = (server("TEST_S3_URL"), server("TEST_POSTGRES_URL")) else { return };
    let (database, prefix) = (a_database(&database).await, prefix());
    let replica = async || {
        let mut setup = Setup::new();
        in_bucket(&mut setup, &endpoint, &prefix);
        setup.meta.text("url", &database);
        setup.start().await
    };
    let (one, two) = (replica().await, replica().await);
    for n in 0..3u64 {
        let bytes = noise(n, 300_000);
        let location = begin(&one, REPO).await;
        one.client().send("PATCH", &location, &[], &bytes).await.assert_status(202);
        let put = format!("{location}?digest={}", sha256(&bytes));
        two.client().send("PUT", &put, &[("Content-Length", "0")], b"").await.assert_status(201);
    }
    assert_eq!(files(&one, "staging"), 3);
    run_job(&one, "uploads").await;
    assert_eq!(files(&one, "staging"), 0);
}

/// F4: the log has what failed, under the request's id; the client does not.
#[tokio::test]
async fn f04_the_log_has_what_failed() {
    let proxy = registry(|_| ()).await;
    push_blob(&proxy, REPO, b"x").await.assert_status(201);
    let staging = proxy.data_path().join("hosted/staging");
    std::fs::remove_dir(&staging).unwrap();
    let location = begin(&proxy, REPO).await;
    let failed = proxy.client().send("PATCH", &location, &[], b"y").await;
    failed.assert_error(500, "UNKNOWN");
    let id = failed.header("x-request-id").unwrap().to_owned();
    assert!(!failed.text().contains("No such file"), "{}", failed.text());
    until_async("the log has it", async || {
        proxy.log().lines().any(|line| line.contains(&id) && line.contains("No such file"))
    })
    .await;
}

/// T12 from outside: at most one of several manifests for one immutable tag is acknowledged, also by several replicas.
#[tokio::test]
async fn t12_an_immutable_tag_at_two_replicas() {
    let (Some(endpoint), Some(database)) = (server("TEST_S3_URL"), server("TEST_POSTGRES_URL")) else { return };
    let (database, prefix) = (a_database(&database).await, prefix());
    let replica = async || {
        let mut setup = Setup::new();
        in_bucket(&mut setup, &endpoint, &prefix);
        setup.meta.text("url", &database);
        setup.hosted.text("tag_mutability", "immutable");
        setup.start().await
    };
    let replicas = [replica().await, replica().await];
    for round in 0..20 {
        let tag = format!("v{round}");
        let put = |n: usize| {
            let (proxy, tag) = (&replicas[n % 2], &tag);
            async move {
                let manifest = json!({ "annotations": { "n": n.to_string(), "round": round.to_string() } }).to_string();
                push_manifest(proxy, REPO, tag, OCI_MANIFEST, manifest.as_bytes()).await.status
            }
        };
        let told = join_all((0..4).map(put)).await;
        assert_eq!(told.iter().filter(|status| **status == 201).count(), 1, "{told:?}");
        assert!(told.iter().all(|status| matches!(status, 201 | 400)), "{told:?}");
    }
}
