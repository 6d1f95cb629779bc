//! A plain HTTP server on loopback that answers as it is told.

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A request as it arrived.
pub(crate) struct Request {
    pub cookie: Option<String>,
    pub body: String,
}

/// What is answered.
pub(crate) struct Response {
    pub status: u16,
    pub cookie: Option<String>,
    pub body: String,
}

/// No response at all: the connection is closed.
pub(crate) type Answer = Option<Response>;

type Handler = dyn Fn(Request) -> BoxFuture<'static, Answer> + Send + Sync;

/// Serves until the runtime ends; returns the address.
pub(crate) async fn serve(handler: Arc<Handler>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(connection(stream, handler.clone()));
        }
    });
    url
}

async fn connection(mut stream: TcpStream, handler: Arc<Handler>) {
    let mut buffer = Vec::new();
    while let Some(request) = read(&mut stream, &mut buffer).await {
        let Some(response) = handler(request).await else {
            return;
        };
        let cookie = response
            .cookie
            .map(|cookie| format!("Set-Cookie: {cookie}\r\n"))
            .unwrap_or_default();
        let text = format!(
            "HTTP/1.1 {} X\r\nContent-Length: {}\r\n{cookie}\r\n{}",
            response.status,
            response.body.len(),
            response.body
        );
        if stream.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Request> {
    loop {
        let text = String::from_utf8_lossy(buffer).into_owned();
        if let Some((head, rest)) = text.split_once("\r\n\r\n") {
            let header = |name: &str| {
                head.lines()
                    .filter_map(|line| line.split_once(": "))
                    .find(|(key, _)| key.eq_ignore_ascii_case(name))
                    .map(|(_, value)| value.to_owned())
            };
            let length: usize = header("content-length").map_or(0, |length| length.parse().unwrap());
            if rest.len() >= length {
                let request = Request {
                    cookie: header("cookie"),
                    body: rest[..length].to_owned(),
                };
                buffer.drain(..head.len() + 4 + length);
                return Some(request);
            }
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}
