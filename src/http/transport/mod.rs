//! Bytes between us and clients: listeners, TLS, connections, bodies.
//!
//! A blob's file leaves a plaintext HTTP/1.1 connection by `sendfile(2)`, although hyper knows nothing of files: the body
//! hands hyper slices of a mapping that is never read, and the connection's [`PlainIo`] recognises them by their address
//! and tells the kernel to send that part of the file instead. Whatever does not know the trick reads the mapping and gets
//! the same bytes. On other connections files are read into pooled buffers, without waiting where the kernel has the bytes.
//!
//! *Never* here: paths, headers, what a body means. `unsafe` outside of `mapping.rs`.

mod body;
mod buffers;
mod connection;
mod file_body;
mod listener;
mod mapping;
mod places;
mod plain_io;
mod proxy_protocol;
mod recognise;
mod residency;
mod seldom;
mod streams;
mod taking;
mod tls;

#[cfg(test)]
mod tests;

pub use body::{Later, ResponseBody};
pub use connection::NoPlace;
pub use listener::{Bound, Serving};
pub use mapping::FileRegions;
pub use tls::{TlsError, TlsListener};
