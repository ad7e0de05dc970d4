//! A small file system for the data of a process under test: it can be full, and it outlasts the process.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// In a mount namespace of its own, which lives as long as this.
pub struct SmallDisk {
    holder: Child,
    data: PathBuf,
}

impl SmallDisk {
    pub fn mount(data: &Path, mib: u32) -> Self {
        fs::create_dir_all(data).expect("a folder to mount on");
        let script = r#"mount -t tmpfs -o size="$1"m none "$2" && echo mounted && exec sleep infinity"#;
        let mut holder = Command::new("unshare")
            .args(["--map-root-user", "--mount", "sh", "-c", script, "sh", &mib.to_string()])
            .arg(data)
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare runs (util-linux)");
        let mut told = String::new();
        BufReader::new(holder.stdout.take().expect("its output")).read_line(&mut told).expect("a line");
        assert_eq!(told, "mounted\n", "a user may make namespaces and mount a tmpfs there");
        Self { holder, data: data.to_owned() }
    }

    /// What goes before a command that is to see the file system.
    pub fn enter(&self) -> Vec<String> {
        let words = ["nsenter", "--user", "--mount", "--preserve-credentials", "--target"];
        words.map(str::to_owned).into_iter().chain([self.holder.id().to_string(), "--".to_owned()]).collect()
    }

    /// The mounted folder, as this process sees it.
    pub fn path(&self) -> PathBuf {
        let below = self.data.strip_prefix("/").expect("an absolute path");
        Path::new("/proc").join(self.holder.id().to_string()).join("root").join(below)
    }

    /// Somebody else fills the disk, but for so many bytes.
    pub fn fill(&self, left: u64) {
        let mut file = fs::File::create(self.path().join("filler")).expect("a file");
        let chunk = vec![7; 64 << 10];
        while self.free() > left {
            let count = usize::try_from(self.free() - left).unwrap().min(chunk.len());
            if file.write_all(&chunk[..count]).is_err() {
                break;
            }
        }
    }

    pub fn clear(&self) {
        fs::remove_file(self.path().join("filler")).expect("it was filled");
    }

    pub fn free(&self) -> u64 {
        let state = rustix::fs::statvfs(self.path()).expect("the file system's state");
        state.f_bavail * state.f_frsize
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
