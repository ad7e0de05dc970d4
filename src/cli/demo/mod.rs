//! `entrepot demo`: a registry, a proxy in front of it, and an image that goes through both, all on this machine.
//!
//! *Never* here: a way of serving that `entrepot serve` does not have. Both are this program, started with a file each.

mod image;
mod scene;
mod service;

use std::future::pending;

use clap::Args;

use super::failure::Failure;
use super::output;
use super::transfer::{Error, interruptible};
use scene::Scene;

const NEXT: &str = "\
Next:
  entrepot                                                serve on localhost:5000, with the well-known registries behind
  docker pull localhost:5000/docker.io/library/nginx      pull through it
  entrepot client-config containerd                       what a client needs, so that names stay as they are";

#[derive(Debug, Args)]
pub(in crate::cli) struct Demo {
    /// Leave both running at the end, until Ctrl-C
    #[arg(long)]
    keep: bool,
}

pub(super) async fn run(wanted: &Demo) -> Result<String, Failure> {
    let mut scene = None;
    let played = interruptible(play(&mut scene, wanted.keep)).await;
    if played.is_ok() && wanted.keep {
        // A signal is how this ends.
        let _ = interruptible(pending()).await;
    }
    if let Some(scene) = scene {
        scene.end().await;
    }
    played.map(|()| String::new()).map_err(Error::into_failure)
}

async fn play(kept: &mut Option<Scene>, keep: bool) -> Result<(), Error> {
    let scene = kept.insert(Scene::new()?);
    scene.start().await?;
    say(&format!("registry  {}  with repositories of its own", scene.registry_url()))?;
    say(&format!("proxy     {}  in front of it, which calls it {}", scene.proxy_url(), service::UPSTREAM))?;
    say(&format!("push      {}", scene.push().await?))?;
    say(&format!("pull      {}  cold: fetched from the registry, verified, kept", scene.pull().await?))?;
    say(&format!("pull      {}  warm: from what the proxy keeps", scene.pull().await?))?;
    scene.stop_registry().await;
    say("stop      the registry is gone")?;
    say(&format!("pull      {}  from what the proxy keeps, although nobody answers it", scene.pull().await?))?;
    say("Every digest held.")?;
    if !keep {
        return say(NEXT);
    }
    scene.start_registry().await?;
    say(&format!(
        "Both are running until Ctrl-C, the registry again, too. Try:\n  docker pull {}\n  curl {}v2/_catalog",
        scene.image_at_proxy(),
        scene.registry_url()
    ))
}

fn say(text: &str) -> Result<(), Error> {
    output::print(text).map_err(|failure| Error::broken("standard output", failure.to_string()))
}
