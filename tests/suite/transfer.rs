//! `export`, `import` and `demo`: images out of a registry, into another, and nothing wrong on the way.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::bound::{until, within};
use crate::proxy::{HUB, Proxy, Setup};
use crate::upstream::{Behaviour, FakeUpstream, Gate, Image, OCI_INDEX, OCI_MANIFEST, Part, sha256};

/// A proxy in front of one upstream, and a folder to work in.
struct Place {
    upstream: FakeUpstream,
    proxy: Proxy,
    folder: tempfile::TempDir,
}

impl Place {
    async fn new() -> Self {
        let upstream = FakeUpstream::start().await;
        let proxy = Setup::of(&upstream).fresh_tags().start().await;
        Self { upstream, proxy, folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn run(&self, command: &str, arguments: &[&str]) -> Output {
        run(&[&[command, "--url", &self.proxy.url()], arguments].concat(), self.folder.path()).await
    }

    /// Must succeed; gives back the objects of the finished images.
    async fn finish(&self, command: &str, arguments: &[&str]) -> Vec<Value> {
        let output = self.run(command, &[&["--output", "json"], arguments].concat()).await;
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).expect("a JSON object a line")).collect()
    }

    /// Must end with this code; gives back what it says.
    async fn fail(&self, code: i32, command: &str, arguments: &[&str]) -> String {
        let output = self.run(command, arguments).await;
        assert_eq!(output.status.code(), Some(code), "{}", text(&output.stderr));
        text(&output.stderr)
    }
}

fn command(arguments: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_entrepot"));
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().to_ascii_lowercase();
        if text.starts_with("entrepot_") || text.ends_with("_proxy") {
            command.env_remove(name);
        }
    }
    command
}

async fn run(arguments: &[&str], folder: &Path) -> Output {
    within("a command", command(arguments, folder).output()).await.expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The files of a layout, by their names within it.
fn files(layout: &Path) -> BTreeMap<String, Vec<u8>> {
    if layout.is_dir() {
        let mut found = BTreeMap::new();
        let mut folders = vec![layout.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                if entry.is_dir() {
                    folders.push(entry);
                } else {
                    let name = entry.strip_prefix(layout).unwrap().display().to_string();
                    found.insert(name, fs::read(entry).unwrap());
                }
            }
        }
        return found;
    }
    let mut archive = tar::Archive::new(fs::File::open(layout).unwrap());
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
        (name, content)
    });
    entries.collect()
}

fn blob_name(digest: &str) -> String {
    format!("blobs/{}", digest.replace(':', "/"))
}

/// The layout holds exactly these blobs, each whole, and its two files.
fn assert_blobs(layout: &Path, expected: &[&Part]) {
    let files = files(layout);
    let mut names: Vec<String> = expected.iter().map(|part| blob_name(&part.digest)).collect();
    names.extend(["index.json".to_owned(), "oci-layout".to_owned()]);
    names.sort();
    names.dedup();
    assert_eq!(files.keys().cloned().collect::<Vec<_>>(), names, "{}", layout.display());
    for part in expected {
        assert!(files[&blob_name(&part.digest)] == part.bytes, "{}", part.digest);
    }
}

fn parts(image: &Image) -> Vec<&Part> {
    image.layers.iter().chain([&image.config, &image.manifest]).collect()
}

fn index(layout: &Path) -> Value {
    serde_json::from_slice(&files(layout)["index.json"]).unwrap()
}

async fn assert_image(proxy: &Proxy, repository: &str, reference: &str, image: &Image) {
    proxy.get(&format!("/v2/{repository}/manifests/{reference}")).await.assert_body(&image.manifest.bytes);
    for part in image.layers.iter().chain([&image.config]) {
        proxy.get(&format!("/v2/{repository}/blobs/{}", part.digest)).await.assert_body(&part.bytes);
    }
}

#[tokio::test]
async fn a_round_trip_by_folder_and_by_archive() {
    let place = Place::new().await;
    let image = place.upstream.image("library/app", "1", 1, &[3 << 20, 100_000, 0]);
    let name = format!("{HUB}/library/app:1");
    for (at, layout) in ["folder", "archive.tar"].into_iter().enumerate() {
        let finished = place.finish("export", &["-o", layout, &name]).await;
        assert_eq!(finished.len(), 1);
        assert_eq!(finished[0]["image"], json!(name));
        assert_eq!(finished[0]["digest"], json!(image.manifest.digest));
        assert_eq!(finished[0]["blobs_moved"], json!(4));
        assert_blobs(&place.path(layout), &parts(&image));
        let entry = &index(&place.path(layout))["manifests"][0];
        assert_eq!(entry["annotations"]["org.opencontainers.image.ref.name"], json!(name));
        assert_eq!(entry["annotations"]["io.containerd.image.name"], json!(name));
        let to = format!("team/{at}");
        let finished = place.finish("import", &["--to", &format!("{to}/app:2"), layout]).await;
        assert_eq!(finished[0]["blobs_moved"], json!(4));
        assert_image(&place.proxy, &format!("{to}/app"), "2", &image).await;
        let finished = place.finish("import", &["--to", &to, layout, &name]).await;
        assert_eq!(finished[0]["image"], json!(format!("{to}/{name}")));
        assert_image(&place.proxy, &format!("{to}/{HUB}/library/app"), "1", &image).await;
        // Again, and nothing has to go.
        let finished = place.finish("import", &["--to", &to, layout]).await;
        assert_eq!((&finished[0]["blobs_moved"], &finished[0]["blobs_there"]), (&json!(0), &json!(4)));
    }
    // From a repository of one's own the name gets the registry before it, and loses it again.
    place.finish("export", &["-o", "own.tar", "team/0/app:2"]).await;
    let entry = index(&place.path("own.tar"))["manifests"][0].clone();
    let host = place.proxy.url().replace("http://", "");
    assert_eq!(entry["annotations"]["io.containerd.image.name"], json!(format!("{host}/team/0/app:2")));
    let finished = place.finish("import", &["own.tar"]).await;
    assert_eq!(finished[0]["image"], json!("team/0/app:2"));
}

#[tokio::test]
async fn a_second_export_fetches_nothing_again() {
    let place = Place::new().await;
    let first = place.upstream.image("library/app", "1", 1, &[200_000, 100_000]);
    let url = place.upstream.url();
    // The registry itself, so that the proxy's cache is not what is tested.
    let direct = async |images: &[&str]| {
        let arguments = [&["export", "--url", &url, "--output", "json", "-o", "folder"], images].concat();
        let output = run(&arguments, place.folder.path()).await;
        assert!(output.status.success(), "{}", text(&output.stderr));
    };
    direct(&["library/app:1"]).await;
    assert_eq!(place.upstream.count("GET", "/blobs/"), 3);
    place.upstream.clear_log();
    direct(&["library/app:1"]).await;
    direct(&[&format!("library/app@{}", first.manifest.digest)]).await;
    assert_eq!(place.upstream.count("GET", ""), 0);
    assert_eq!(index(&place.path("folder"))["manifests"].as_array().unwrap().len(), 2);
    // The tag moves: its name goes to the new image, and only what is new is fetched.
    let second = place.upstream.image("library/app", "1", 1, &[200_000, 100_000, 50_000]);
    fs::write(place.path("list"), "# what is needed\nlibrary/app:1 # moved\n").unwrap();
    direct(&["--list", "list"]).await;
    assert_eq!((place.upstream.count("GET", "/blobs/"), place.upstream.count("GET", "/manifests/")), (1, 1));
    assert_blobs(&place.path("folder"), &[parts(&first), parts(&second)].concat());
    let lines = index(&place.path("folder"))["manifests"].clone();
    let of_tag = |line: &&Value| line["annotations"]["org.opencontainers.image.ref.name"] == json!("library/app:1");
    let digests: Vec<_> = lines.as_array().unwrap().iter().filter(of_tag).map(|line| line["digest"].clone()).collect();
    assert_eq!(digests, [json!(second.manifest.digest)]);
}

#[tokio::test]
async fn a_platform_and_a_sparse_index() {
    let place = Place::new().await;
    let images: Vec<_> = (1..4).map(|seed| place.upstream.untagged_image("app", seed, &[50_000])).collect();
    let index_part = place.upstream.index("app", "1", OCI_INDEX, &images.iter().collect::<Vec<_>>());
    let name = format!("{HUB}/app:1");
    let finished = place.finish("export", &["--platform", "linux/arm64", "-o", "some.tar", &name]).await;
    assert_eq!((&finished[0]["sparse"], &finished[0]["digest"]), (&json!(true), &json!(index_part.digest)));
    let mut expected = parts(&images[1]);
    expected.push(&index_part);
    assert_blobs(&place.path("some.tar"), &expected);
    assert_eq!(place.upstream.count("GET", &images[0].manifest.digest), 0, "only what is wanted is fetched");
    let said = place.fail(1, "export", &["--platform", "linux/riscv64", "-o", "none", &name]).await;
    assert!(said.contains("nothing for linux/riscv64; it has linux/amd64, linux/arm64, linux/s390x"), "{said}");

    let said = place.fail(1, "import", &["--to", "team/app:1", "some.tar"]).await;
    assert!(said.contains("MANIFEST_BLOB_UNKNOWN") && said.contains("require_references = false"), "{said}");
    let mut lenient = Setup::of(&place.upstream);
    lenient.hosted.set("require_references", false);
    let lenient = lenient.start().await;
    let arguments = ["import", "--url", &lenient.url(), "--to", "team/app:1", "some.tar"];
    let output = run(&arguments, place.folder.path()).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    lenient.get("/v2/team/app/manifests/1").await.assert_body(&index_part.bytes);
    assert_image(&lenient, "team/app", &images[1].manifest.digest, &images[1]).await;

    // The whole index goes everywhere.
    place.finish("export", &["-o", "all", &name]).await;
    place.finish("import", &["--to", "team/app:1", "all"]).await;
    place.proxy.get("/v2/team/app/manifests/1").await.assert_body(&index_part.bytes);
    for image in &images {
        assert_image(&place.proxy, "team/app", &image.manifest.digest, image).await;
    }
}

#[tokio::test]
async fn referrers_go_along() {
    let place = Place::new().await;
    let image = place.upstream.image("app", "1", 1, &[1000]);
    let signature = place.upstream.artifact("app", "application/x-signature", &image.manifest, OCI_MANIFEST);
    let of_signature = place.upstream.artifact("app", "application/x-time", &signature, OCI_MANIFEST);
    for (layout, api) in [("with.tar", true), ("without.tar", false)] {
        place.upstream.referrers_api(api);
        let finished = place.finish("export", &["--referrers", "-o", layout, &format!("{HUB}/app:1")]).await;
        assert_eq!(finished[0]["manifests"], json!(if api { 3 } else { 1 }));
    }
    place.finish("import", &["--to", "team/app:1", "with.tar"]).await;
    for (subject, referrer) in [(&image.manifest, &signature), (&signature, &of_signature)] {
        let list = place.proxy.get(&format!("/v2/team/app/referrers/{}", subject.digest)).await.json();
        assert_eq!(list["manifests"][0]["digest"], json!(referrer.digest));
        place.proxy.get(&format!("/v2/team/app/manifests/{}", referrer.digest)).await.assert_body(&referrer.bytes);
    }
    assert_image(&place.proxy, "team/app", "1", &image).await;
}

/// `cosign verify` finds in the site what cosign 1 and 2 write: images under tags that name what they are about.
#[tokio::test]
async fn nh5_signatures_under_tags_go_along() {
    let place = Place::new().await;
    let image = place.upstream.image("app", "1", 1, &[1000]);
    let tag = |digest: &str, kind: &str| format!("{}.{kind}", digest.replace(':', "-"));
    let companion = |subject: &str, kind: &str, seed: u64| {
        let made = place.upstream.untagged_image("app", seed, &[100]);
        place.upstream.tag("app", &tag(subject, kind), &made.manifest.digest);
        made
    };
    let signature = companion(&image.manifest.digest, "sig", 10);
    let sbom = companion(&image.manifest.digest, "sbom", 11);
    let of_sbom = companion(&sbom.manifest.digest, "sig", 12);
    // Of an image that is not taken along.
    let other = place.upstream.image("app", "2", 2, &[1000]);
    companion(&other.manifest.digest, "sig", 13);
    let name = format!("{HUB}/app:1");
    for layout in ["folder", "archive.tar"] {
        let finished = place.finish("export", &["--referrers", "-o", layout, &name]).await;
        assert_eq!(finished[0]["manifests"], json!(4), "{layout}");
        let expected: Vec<&Part> = [&image, &signature, &sbom, &of_sbom].into_iter().flat_map(parts).collect();
        assert_blobs(&place.path(layout), &expected);
        let to = format!("site/{}", layout.replace('.', "-"));
        // One image, with all that is about it: a whole name is enough.
        let finished = place.finish("import", &["--to", &format!("{to}:9"), layout]).await;
        assert_eq!((finished.len(), &finished[0]["manifests"]), (1, &json!(4)), "{layout}");
        assert_image(&place.proxy, &to, "9", &image).await;
        for (subject, kind, made) in [(&image, "sig", &signature), (&image, "sbom", &sbom), (&sbom, "sig", &of_sbom)] {
            assert_image(&place.proxy, &to, &tag(&subject.manifest.digest, kind), made).await;
        }
    }
    // By its own name a signature is an image like any other.
    let alone = format!("{HUB}/app:{}", tag(&image.manifest.digest, "sig"));
    let finished = place.finish("import", &["--to", "alone/app:1", "archive.tar", &alone]).await;
    assert_eq!(finished[0]["digest"], json!(signature.manifest.digest));
    place.finish("export", &["-o", "alone.tar", &alone]).await;
    place.finish("import", &["--to", "alone/app:2", "alone.tar"]).await;
    assert_image(&place.proxy, "alone/app", "2", &signature).await;
}

#[tokio::test]
async fn nh3_an_archive_that_is_there_is_not_replaced() {
    let place = Place::new().await;
    let (one, two) = (place.upstream.image("a", "1", 1, &[1000]), place.upstream.image("b", "1", 2, &[1000]));
    let (a, b) = (format!("{HUB}/a:1"), format!("{HUB}/b:1"));
    place.finish("export", &["-o", "week1.tar", &a]).await;
    let before = fs::read(place.path("week1.tar")).unwrap();
    place.upstream.clear_log();
    let said = place.fail(1, "export", &["-o", "week1.tar", &b]).await;
    assert!(said.contains("week1.tar: it is there already") && said.contains("--replace"), "{said}");
    assert_eq!(place.upstream.count("*", ""), 0, "before anything is fetched");
    assert_eq!(fs::read(place.path("week1.tar")).unwrap(), before);
    place.finish("export", &["--replace", "-o", "week1.tar", &b]).await;
    assert_blobs(&place.path("week1.tar"), &parts(&two));
    // A folder is added to.
    place.finish("export", &["-o", "folder", &a]).await;
    place.finish("export", &["-o", "folder", &b]).await;
    assert_blobs(&place.path("folder"), &[parts(&one), parts(&two)].concat());
    // What most commands call the format is no layout.
    for format in ["json", "text"] {
        let said = place.fail(2, "export", &["-o", format, &a]).await;
        assert!(said.contains(&format!("--output {format}")), "{said}");
        assert!(!place.path(format).exists());
    }
}

/// What one missing image costs: itself.
#[tokio::test]
async fn nm10_an_image_that_fails_costs_no_other() {
    let place = Place::new().await;
    let (one, two) = (place.upstream.image("a", "1", 1, &[1000]), place.upstream.image("b", "1", 2, &[1000]));
    let names = [format!("{HUB}/a:1"), format!("{HUB}/nope:1"), format!("{HUB}/b:1")];
    let [a, nope, b] = [&names[0], &names[1], &names[2]].map(String::as_str);
    let said = place.fail(1, "export", &["-o", "x.tar", a, nope, b]).await;
    assert!(said.contains("--keep-going") && said.contains("x.tar.partial; the same command goes on"), "{said}");
    assert!(!place.path("x.tar").exists());
    // What has come is not fetched again, and is in no archive that does not name it.
    place.upstream.clear_log();
    let said = place.fail(1, "export", &["--keep-going", "-o", "x.tar", a, nope, b]).await;
    assert!(said.contains("1 of 3 images failed") && said.contains(&format!("\n  {nope}: ")), "{said}");
    assert!(!place.path("x.tar.partial").exists());
    assert_blobs(&place.path("x.tar"), &[parts(&one), parts(&two)].concat());
    for part in parts(&one) {
        assert_eq!(place.upstream.count("GET", &part.digest), 0);
    }
    let arguments = ["--output", "json", "--keep-going", "-o", "folder", nope, a];
    let output = place.run("export", &arguments).await;
    assert_eq!(output.status.code(), Some(1));
    let lines: Vec<Value> = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        (&lines[0]["image"], lines[0]["error"].is_string(), &lines[1]["image"]),
        (&json!(nope), true, &json!(a))
    );
    // A run for other images takes nothing along of one that failed.
    place.fail(1, "export", &["-o", "y.tar", a, nope]).await;
    place.finish("export", &["-o", "y.tar", b]).await;
    assert_blobs(&place.path("y.tar"), &parts(&two));
    // Nothing that could be had makes no archive.
    place.fail(1, "export", &["--keep-going", "-o", "z.tar", nope]).await;
    assert!(!place.path("z.tar").exists() && !place.path("z.tar.partial").exists());

    // An import goes on as well.
    fs::remove_file(place.path("folder").join(blob_name(&one.layer().digest))).unwrap();
    place.finish("export", &["-o", "folder", b]).await;
    let said = place.fail(1, "import", &["--keep-going", "--to", "site", "folder"]).await;
    assert!(said.contains("1 of 2 images failed") && said.contains("it has no blob"), "{said}");
    assert_image(&place.proxy, &format!("site/{HUB}/b"), "1", &two).await;
}

#[tokio::test]
async fn damage_is_refused() {
    let place = Place::new().await;
    let image = place.upstream.image("app", "1", 1, &[700_000]);
    place.finish("export", &["-o", "layout", &format!("{HUB}/app:1")]).await;
    let layer = place.path("layout").join(blob_name(&image.layer().digest));
    let mut bytes = image.layer().bytes.to_vec();
    bytes[600_000] ^= 1;
    fs::write(&layer, &bytes).unwrap();
    let import = ["--to", "team/app:1", "layout"];
    let said = place.fail(1, "import", &import).await;
    assert!(said.contains("is damaged: its bytes are") && said.contains(&sha256(&bytes)), "{said}");
    fs::write(&layer, &bytes[..600_000]).unwrap();
    let said = place.fail(1, "import", &import).await;
    assert!(said.contains("it has 600000 bytes instead of 700000"), "{said}");
    fs::remove_file(&layer).unwrap();
    let said = place.fail(1, "import", &import).await;
    assert!(said.contains("it has no blob"), "{said}");
    place.proxy.get("/v2/team/app/manifests/1").await.assert_status(404);
    place.proxy.get(&format!("/v2/team/app/blobs/{}", image.layer().digest)).await.assert_status(404);
    // What is missing is fetched again, and what has another size, too.
    place.finish("export", &["-o", "layout", &format!("{HUB}/app:1")]).await;
    place.finish("import", &import).await;
    assert_image(&place.proxy, "team/app", "1", &image).await;
}

#[tokio::test]
async fn lies_leave_nothing_and_breaks_are_got_over() {
    let place = Place::new().await;
    let image = place.upstream.image("app", "1", 1, &[700_000]);
    let export = async |layout: &str| {
        run(&["export", "--url", &place.upstream.url(), "-o", layout, "app:1"], place.folder.path()).await
    };
    let lie = place.upstream.on("GET", format!("/blobs/{}", image.layer().digest), Behaviour::usual().flip(5));
    for layout in ["folder", "archive.tar"] {
        let output = export(layout).await;
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains("nothing of them is kept"), "{}", text(&output.stderr));
    }
    let left = files(&place.path("folder"));
    assert!(!left.contains_key(&blob_name(&image.layer().digest)) && !left.keys().any(|name| name.contains("partial")));
    assert_eq!(index(&place.path("folder"))["manifests"], json!([]));
    assert!(!place.path("archive.tar").exists());
    place.upstream.forget(lie);
    place.upstream.on("GET", "/blobs/", Behaviour::usual().cut_after(1000).times(2));
    place.upstream.on("GET", "/manifests/", Behaviour::status(503).times(1));
    for layout in ["folder", "archive.tar"] {
        let output = export(layout).await;
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_blobs(&place.path(layout), &parts(&image));
    }
    assert!(!place.path("archive.tar.partial").exists());
}

/// Ctrl-C and a kill leave nothing half; the next run goes on with what is whole.
#[tokio::test]
async fn what_is_interrupted_leaves_nothing_half() {
    let place = Place::new().await;
    let image = place.upstream.image("app", "1", 1, &[700_000]);
    let path = format!("/blobs/{}", image.layer().digest);
    let stuck = place.upstream.on("GET", &path, Behaviour::usual().gate_at(300_000, &Gate::new()));
    let url = place.upstream.url();
    for (layout, partial) in [("folder", "folder/.partial"), ("archive.tar", "archive.tar.partial")] {
        for signal in [Signal::INT, Signal::KILL] {
            place.upstream.clear_log();
            let mut export = command(&["export", "--url", &url, "-o", layout, "app:1"], place.folder.path());
            let mut child = export.stderr(Stdio::null()).spawn().unwrap();
            until("the blob is asked for", || place.upstream.count("GET", &path) == 1).await;
            let id = Pid::from_raw(child.id().unwrap().cast_signed()).unwrap();
            kill_process(id, signal).unwrap();
            let status = within("the end of the process", child.wait()).await.unwrap();
            assert_eq!(status.code(), if signal == Signal::INT { Some(1) } else { None });
            assert!(!place.path("archive.tar").exists());
            if signal == Signal::INT && layout == "folder" {
                let left = place.path(partial);
                assert!(!left.exists() || fs::read_dir(left).unwrap().count() == 0, "{partial}");
            }
        }
        if layout == "folder" {
            assert!(!files(&place.path(layout)).contains_key(&blob_name(&image.layer().digest)));
        }
    }
    place.upstream.forget(stuck);
    for layout in ["folder", "archive.tar"] {
        let output = run(&["export", "--url", &url, "-o", layout, "app:1"], place.folder.path()).await;
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_blobs(&place.path(layout), &parts(&image));
    }
    assert!(!place.path("archive.tar.partial").exists() && !place.path("folder/.partial").exists());
}

#[tokio::test]
async fn what_was_typed_wrong_is_told() {
    let place = Place::new().await;
    let said = place.fail(1, "export", &["-o", "x", &format!("{HUB}/nothing:1")]).await;
    assert!(said.contains("404"), "{said}");
    for (command, arguments, said) in [
        ("export", vec!["-o", "x", "localhost:5000/a:1"], "--url"),
        ("export", vec!["-o", "x", "UPPER"], "not a repository name"),
        ("import", vec!["--to", "a@sha256:0", "x"], "hex digits"),
    ] {
        let told = place.fail(2, command, &arguments).await;
        assert!(told.contains(said), "{told}");
    }
    let said = place.fail(1, "import", &["nowhere.tar"]).await;
    assert!(said.contains("nowhere.tar cannot be opened"), "{said}");
    place.upstream.image("app", "1", 1, &[1000]);
    place.finish("export", &["-o", "x.tar", &format!("{HUB}/app:1")]).await;
    let said = place.fail(1, "import", &["x.tar"]).await;
    assert!(said.contains("read-only") && said.contains("--to"), "{said}");
    let said = place.fail(2, "import", &["x.tar", "other:1"]).await;
    assert!(said.contains("it has hub.test/app:1"), "{said}");
}

#[tokio::test]
async fn a_login_is_sent_to_the_registry_and_to_nobody_else() {
    let place = Place::new().await;
    let image = place.upstream.image("app", "1", 1, &[1000]);
    place.upstream.require_basic("me", "secret");
    fs::write(place.path("password"), "secret\n").unwrap();
    let url = place.upstream.url();
    let arguments = ["export", "--url", &url, "-o", "x", "app:1"];
    let refused = run(&arguments, place.folder.path()).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("--password-file"), "{}", text(&refused.stderr));
    let login = [&arguments[..], &["--username", "me", "--password-file", "password"]].concat();
    let output = run(&login, place.folder.path()).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_blobs(&place.path("x"), &parts(&image));
    // A login that is wrong is not told to give one.
    fs::write(place.path("wrong"), "guess\n").unwrap();
    let wrong = [&arguments[..], &["--username", "me", "--password-file", "wrong"]].concat();
    let said = text(&run(&wrong, place.folder.path()).await.stderr);
    assert!(said.contains("the name or the password is wrong") && !said.contains("--password-file"), "{said}");
    // The store that blobs are redirected to refuses a login.
    let store = FakeUpstream::start().await;
    place.upstream.on("GET", "/blobs/", Behaviour::presign(&store));
    fs::remove_dir_all(place.path("x")).unwrap();
    let output = run(&login, place.folder.path()).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_blobs(&place.path("x"), &parts(&image));
    assert_eq!(store.count("GET", ""), 2);
}

#[tokio::test]
async fn the_demo_ends_well_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = command(&["demo"], folder.path());
    let output = within("the demo", demo.env("TMPDIR", folder.path()).output()).await.unwrap();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    let said = text(&output.stdout);
    assert!(said.contains("Every digest held.") && said.matches("8.00 MiB").count() == 4, "{said}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
