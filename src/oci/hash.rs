//! Hashing that streams, behind one type.
//!
//! `sha2` has no AVX2 code for SHA-256, so on x86-64 without SHA-NI the assembly of aws-lc (which rustls links anyway)
//! is nearly twice as fast; with SHA-NI, and elsewhere, they are equal and `sha2` is used.

use aws_lc_rs::digest as aws;
use sha2::Digest as _;

use super::digest::{Algorithm, Digest};

#[derive(Clone)]
pub struct Hasher(State);

#[derive(Clone)]
enum State {
    Sha256(sha2::Sha256),
    Sha512(sha2::Sha512),
    Aws(Algorithm, aws::Context),
}

impl Hasher {
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            _ if prefer_assembly() => State::Aws(algorithm, aws::Context::new(assembly(algorithm))),
            Algorithm::Sha256 => State::Sha256(sha2::Sha256::new()),
            Algorithm::Sha512 => State::Sha512(sha2::Sha512::new()),
        })
    }

    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(state) => state.update(bytes),
            State::Sha512(state) => state.update(bytes),
            State::Aws(_, state) => state.update(bytes),
        }
    }

    pub fn finish(self) -> Digest {
        let (algorithm, digest) = match self.0 {
            State::Sha256(state) => (Algorithm::Sha256, Digest::from_bytes(Algorithm::Sha256, &state.finalize())),
            State::Sha512(state) => (Algorithm::Sha512, Digest::from_bytes(Algorithm::Sha512, &state.finalize())),
            State::Aws(algorithm, state) => (algorithm, Digest::from_bytes(algorithm, state.finish().as_ref())),
        };
        match digest {
            Some(digest) => digest,
            None => unreachable!("{} always yields {} bytes", algorithm.name(), algorithm.digest_bytes()),
        }
    }
}

fn assembly(algorithm: Algorithm) -> &'static aws::Algorithm {
    match algorithm {
        Algorithm::Sha256 => &aws::SHA256,
        Algorithm::Sha512 => &aws::SHA512,
    }
}

#[cfg(target_arch = "x86_64")]
fn prefer_assembly() -> bool {
    !std::arch::is_x86_feature_detected!("sha")
}

#[cfg(not(target_arch = "x86_64"))]
fn prefer_assembly() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_implementations_agree() {
        let content: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let portable = match algorithm {
                Algorithm::Sha256 => State::Sha256(sha2::Sha256::new()),
                Algorithm::Sha512 => State::Sha512(sha2::Sha512::new()),
            };
            let assembly = State::Aws(algorithm, aws::Context::new(assembly(algorithm)));
            let [a, b] = [portable, assembly].map(|state| {
                let mut hasher = Hasher(state);
                content.chunks(777).for_each(|chunk| hasher.update(chunk));
                hasher.finish()
            });
            assert_eq!(a, b);
        }
    }
}
