use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::future::Future;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub async fn serve<S, F, B>(listener: TcpListener, service: S, stop: CancellationToken)
where
    S: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    loop {
        let (stream, peer) = tokio::select! { a = listener.accept() => match a { Ok(a) => a, Err(_) => continue }, () = stop.cancelled() => return };
        let service = service.clone();
        let stop = stop.clone();
        tokio::spawn(async move {
            let svc = hyper::service::service_fn(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(peer);
                let f = service(request);
                async move { Ok::<_, std::convert::Infallible>(f.await) }
            });
            let conn = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), svc);
            tokio::pin!(conn);
            let mut draining = false;
            loop {
                tokio::select! {
                    r = conn.as_mut() => { let _ = r; return; }
                    () = stop.cancelled(), if !draining => { draining = true; conn.as_mut().graceful_shutdown(); }
                }
            }
        });
    }
}
